"""Starter data: each maker writes what its card says; loading makes public rows and queues their conversion once."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops import starters
from webapp.ops.management.commands import load_starters

MODALITIES = {"image", "tabular", "text", "audio", "video", "timeseries"}


def test_there_is_one_for_each_modality() -> None:
    assert {starter.modality for starter in starters.STARTERS.values()} == MODALITIES
    assert starters.MAKERS.keys() == starters.STARTERS.keys()


@pytest.mark.parametrize("key", starters.STARTERS)
def test_each_maker_writes_a_labelled_file(key: str, tmp_path: Path) -> None:
    starter = starters.STARTERS[key]
    path = tmp_path / starter.file_name
    starters.MAKERS[key](path)
    if path.suffix == ".zip":
        names = zipfile.ZipFile(path).namelist()
        classes = {name.split("/")[1] for name in names}
        assert len(names) >= 90
    else:
        rows = path.read_text(encoding="utf-8").splitlines()
        classes = {row.rsplit(",", 1)[1] for row in rows[1:]}
        assert len(rows) > 140
    assert 3 <= len(classes) <= 10
    again = tmp_path / f"again-{starter.file_name}"
    starters.MAKERS[key](again)
    assert abs(again.stat().st_size - path.stat().st_size) < 100, "the same data every time"


@pytest.mark.django_db(transaction=True)
def test_loading_makes_public_rows_once(
    administrator: User, jobs: list[Any], monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path
) -> None:
    settings.DATA_DIR = tmp_path
    wine = {"wine": starters.STARTERS["wine"]}
    monkeypatch.setattr(load_starters, "STARTERS", wine)
    call_command("load_starters")
    dataset = Dataset.objects.get()
    assert (dataset.owner, dataset.public, dataset.starter, dataset.state) == (administrator, True, True, "queued")
    assert dataset.raw_path.read_text().startswith("alcohol,")
    assert "CC BY" in dataset.description
    assert [(queue, args) for queue, _, args in jobs] == [("convert", (dataset.id,))]
    settings.DATA_DIR = tmp_path / "other"  # of another machine
    call_command("load_starters")
    assert Dataset.objects.get() == dataset
    settings.DATA_DIR = tmp_path
    dataset.delete()
    call_command("load_starters")
    assert not Dataset.objects.exists(), "what an administrator deleted stays deleted"
