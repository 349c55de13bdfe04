"""Deleting anything takes its files from the disk; what is left over is swept."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.webapp.conftest import PASSWORD
from webapp.accounts.models import User
from webapp.datasets import sweep, uploads
from webapp.datasets.models import Dataset
from webapp.portfolio.models import PortfolioRow
from webapp.runs.models import Prediction, Run


@pytest.fixture
def run(owner: User, make_dataset: Callable[..., Dataset], make_run: Callable[..., Run]) -> Run:
    """A run whose model was tried, beside an unfinished upload."""
    run = make_run(make_dataset(owner))
    prediction = Prediction.objects.create(run=run, owner=owner, input_name="x.png", state="ready")
    prediction.dir.mkdir(parents=True)
    prediction.output_path.write_text("index,dark,light")
    uploads.begin(owner, "more.zip", 10)
    return run


def files(media: Path, *folders: str) -> list[Path]:
    return [path for folder in folders for path in (media / folder).rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("address", "fields", "gone"),
    [
        ("/runs/{run.pk}/delete", {}, ["runs"]),
        ("/data/{run.dataset_id}/delete", {}, ["runs", "datasets"]),
        ("/account/delete", {"password": PASSWORD}, ["runs", "datasets", "uploads"]),
    ],
)
def test_delete_after_try_it(
    run: Run,
    owner_client: Client,
    media: Path,
    django_capture_on_commit_callbacks: Any,
    address: str,
    fields: dict[str, str],
    gone: list[str],
) -> None:
    assert all(files(media, folder) for folder in gone)
    with django_capture_on_commit_callbacks(execute=True):
        assert owner_client.post(address.format(run=run), fields).status_code == 302
    assert not files(media, *gone)


def test_one_failure_leaves_no_other_file(
    run: Run, owner: User, media: Path, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    really, tried = shutil.rmtree, []

    def fail_once(path: Path, *args: Any, **options: Any) -> None:
        tried.append(path)
        if len(tried) == 1:
            raise OSError("the disk is tired")
        really(path, *args, **options)

    monkeypatch.setattr(shutil, "rmtree", fail_once)
    with django_capture_on_commit_callbacks(execute=True):
        owner.delete()
    assert not files(media, "datasets", "uploads")


def test_upload_prediction_and_row_take_their_files(
    run: Run, owner: User, media: Path, django_capture_on_commit_callbacks: Any
) -> None:
    row = PortfolioRow.objects.create(name="imported", modality="image", model="challenge", params={"path": "imported"})
    row.dir.mkdir(parents=True)
    (row.dir / "model.py").touch()
    prediction = Prediction.objects.get()
    folder = prediction.dir
    with django_capture_on_commit_callbacks(execute=True):
        owner.uploads.get().delete()
        prediction.delete()
        row.delete()
    assert not files(media, "uploads", "portfolio")
    assert not folder.exists()
    assert run.dir.exists()


def test_the_sweep_takes_old_orphans_and_nothing_else(run: Run, media: Path, caplog: Any) -> None:
    orphans = ["uploads/gone.part", "datasets/gone", "runs/gone.deleted", f"runs/{run.pk}/predictions/gone"]
    orphans += ["portfolio/gone"]
    kept = sorted(files(media, "runs", "datasets", "uploads"))
    for name in [*orphans, "datasets/young", f"runs/{run.pk}-lost-try"]:
        (media / name).mkdir(parents=True, exist_ok=True)
    for path in media.glob("*/*"):
        os.utime(path, (0, 0))
    os.utime(media / orphans[3], (0, 0))
    os.utime(media / "datasets/young", (time.time(), time.time()))
    assert sweep.sweep() == len(orphans)
    assert not [name for name in orphans if (media / name).exists()]
    assert (media / "datasets/young").exists()
    assert (media / f"runs/{run.pk}-lost-try").exists()
    assert sorted(files(media, "runs", "datasets", "uploads")) == kept
    assert "gone.part" in caplog.text
