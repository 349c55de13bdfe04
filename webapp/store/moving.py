"""The way of an existing site into a store: every folder is uploaded, read back and compared, once.

A folder becomes a copy, which may go, when all of it has been compared.  So whatever stops the way, it goes on there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from webapp import store
from webapp.datasets.models import Dataset
from webapp.portfolio.models import PortfolioRow
from webapp.runs.models import Run
from webapp.store import StoreError, copies, remote
from webapp.store.remote import Manifest


@dataclass
class Moved:
    """What was uploaded and compared, and what had been before."""

    folders: int = 0
    files: int = 0
    size_bytes: int = 0
    before: int = 0


def move() -> Moved:
    """Raises StoreError: the store does not answer, or holds something else."""
    remote.prepare()
    moved = Moved()
    for folder in folders():
        if copies.is_from_store(folder):
            moved.before += 1
            continue
        manifest = _move(folder)
        copies.use(folder)
        moved.folders += 1
        moved.files += len(manifest)
        moved.size_bytes += sum(entry.size_bytes for entry in manifest.values())
    return moved


def folders() -> Iterator[Path]:
    """What is stored together, of all rows (docs/formats.md); files without a row stay where they are."""
    media = Path(settings.MEDIA_ROOT)
    for dataset_id in Dataset.objects.values_list("pk", flat=True).iterator():
        yield from _there(media / "datasets" / dataset_id, "raw", "autodl")
    for run_id in Run.objects.values_list("pk", flat=True).iterator():
        yield from _there(media / "runs", run_id)
        yield from _there(media / "runs" / run_id, "predictions/*", "why/*")
    for name in PortfolioRow.objects.values_list("name", flat=True).iterator():
        yield from _there(media / "portfolio", name)


def _there(place: Path, *patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in place.glob(pattern) if path.is_dir())


def _move(folder: Path) -> Manifest:
    key = copies.key(folder)
    manifest = remote.read(key)  # written last, so all of it was uploaded then
    if manifest is None:
        manifest = store.upload(folder)
    remote.delete_objects(key, remote.objects(key) - {entry.object for entry in manifest.values()})
    local = {name: _digest(path) for name, path in copies.files(folder)}
    wrong = local.keys() ^ manifest.keys()
    wrong |= {name for name in local.keys() & manifest.keys() if local[name] != remote.digest(key, manifest[name])}
    if wrong:
        told = f"{key} in the store is not what is here, as in {min(wrong)}"
        raise StoreError(f"{told}: name an empty folder in STORAGE_URL, or delete {key} there and start again.")
    return manifest


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
