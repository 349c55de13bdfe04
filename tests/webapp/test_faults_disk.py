"""A disk that is full in an upload, a conversion, a run and packing: a small file system, and the real programs.

Wherever it happens the page names the disk, nothing half-written stays, and Status lists it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from formatters.base import Options
from formatters.convert import convert
from tests.formatters.toys import TOYS
from tests.webapp.test_datasets_tus import TUS, create, patch
from webapp.accounts.models import User
from webapp.datasets import jobs as conversion
from webapp.datasets.models import Dataset, Upload
from webapp.ops.health.probes import DISK_FULL
from webapp.runs import jobs as run_jobs
from webapp.runs.models import Run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a file system")
SIZE_MB = 16


@pytest.fixture
def small(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """The data folder on a file system of its own."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("this kernel lets us mount nothing")
    settings.DATA_DIR, settings.MEDIA_ROOT = place, place / "media"
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@pytest.fixture
def fill(small: Path) -> Callable[[int], None]:
    """``fill(1000)``: leave as many bytes."""

    def fill(left_bytes: int) -> None:
        filler = small / "filler"
        filler.unlink(missing_ok=True)
        status = os.statvfs(small)
        filler.write_bytes(bytes(status.f_bavail * status.f_frsize - left_bytes))

    return fill


@pytest.fixture
def make_room(small: Path) -> Callable[[], None]:
    return (small / "filler").unlink


def status(client: Client) -> str:
    return client.get("/status").content.decode()


def test_in_an_upload(fill: Any, make_room: Any, owner: User, owner_client: Client, jobs: list[Any]) -> None:
    data = bytes(2**20)
    url = create(owner_client, len(data))["Location"]
    fill(300_000)
    refused = patch(owner_client, url, data, 0)
    assert refused.status_code == 507
    assert refused.content.decode().startswith(f"{DISK_FULL}: tell its administrator.")
    assert "no room" in create(owner_client, len(data)).content.decode()
    make_room()
    offset = int(owner_client.head(url, headers=TUS)["Upload-Offset"])
    assert 0 < offset < len(data)
    assert patch(owner_client, url, data[offset:], offset).status_code == 204
    assert Dataset.objects.get().raw_path.read_bytes() == data
    assert not Upload.objects.exists()


def test_in_a_conversion(
    fill: Any, make_room: Any, tmp_path: Path, owner: User, owner_client: Client, make_dataset: Any, jobs: list[Any]
) -> None:
    dataset = make_dataset(owner, "image", state="queued")
    toy = TOYS["image"](tmp_path / "toy")
    subprocess.run(["tar", "-cf", dataset.raw_path, "-C", toy, "."], check=True)
    fill(4096)
    conversion.convert(dataset.pk)
    dataset.refresh_from_db()
    assert (dataset.state, dataset.tries) == ("failed", 1)
    assert DISK_FULL in owner_client.get(f"/data/{dataset.pk}").content.decode()
    assert f"{DISK_FULL}: a conversion failed." in status(owner_client)
    assert [path.name for path in dataset.dir.iterdir()] == ["raw"]
    make_room()
    assert conversion.convert_again(dataset, {})
    conversion.convert(dataset.pk)
    dataset.refresh_from_db()
    assert dataset.state == "ready"


@pytest.fixture
def real_dataset(small: Path, tmp_path: Path, owner: User, make_dataset: Any) -> Dataset:
    call_command("sync_portfolio", verbosity=0)
    dataset = make_dataset(owner, "tabular", state="queued")
    convert(TOYS["tabular"](tmp_path / "toy"), dataset.autodl_dir, Options(name="toy"), say=lambda line: None)
    Dataset.objects.update(state="ready")
    dataset.refresh_from_db()
    return dataset


@pytest.mark.slow
@pytest.mark.parametrize("left_bytes", [0, 60_000])
def test_in_a_run(fill: Any, real_dataset: Dataset, owner_client: Client, jobs: list[Any], left_bytes: int) -> None:
    """Before it begins, and while it learns."""
    run = Run.objects.create(dataset=real_dataset, owner=real_dataset.owner, number=1, budget_s=20)
    fill(left_bytes)
    try:
        run_jobs.train(run.pk)
    except OSError:
        assert left_bytes == 0
    run.refresh_from_db()
    assert (run.state, run.charged) == ("failed", False)
    page = owner_client.get(f"/runs/{run.pk}").content.decode()
    assert DISK_FULL in page
    assert "Your data is not the cause" in page
    assert DISK_FULL in status(owner_client)


@pytest.mark.slow
def test_in_packing(fill: Any, make_room: Any, real_dataset: Dataset, owner_client: Client, jobs: list[Any]) -> None:
    model = "tabular_linear"
    run = Run.objects.create(dataset=real_dataset, owner=real_dataset.owner, number=1, budget_s=20, model=model)
    run_jobs.train(run.pk)
    run.refresh_from_db()
    assert run.export_state == "queued", run.error
    fill(4096)
    run_jobs.export(run.pk)
    run.refresh_from_db()
    assert run.export_state == "failed"
    assert run.export_error.startswith(f"{DISK_FULL}: tell the administrator.")
    assert DISK_FULL in owner_client.get(f"/models/{run.pk}").content.decode()
    assert f"{DISK_FULL}: a model could not be packed." in status(owner_client)
    assert not [path for path in run.dir.iterdir() if "zip" in path.name or path.name.startswith(".")]
    make_room()
    Run.objects.update(export_state="queued")
    run_jobs.export(run.pk)
    run.refresh_from_db()
    assert run.export_state == "ready", run.export_error
