"""Versions of a data set: a fix makes a new one from the same upload, and the runs of the others keep theirs.

The files of the upload are hard links in the folder of each version, so they stay as long as one of them needs them;
``storage.measure_versions`` counts them once.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Max

from webapp import store
from webapp.accounts.models import Grant
from webapp.datasets import jobs
from webapp.datasets.models import Dataset
from webapp.datasets.storage import Refused, delete_dataset, remove, storage_of, stored_bytes
from webapp.sizes import size

MAX_CHANGE_CHARS = 200
PINNED = ("target", "modality", "encoding", "date_order", "label_cuts", "test_size", "seed")


def make(parent: Dataset, change: str, options: dict[str, Any]) -> Dataset:
    """A new version, to be converted with these options.

    Raises:
        Refused: the owner's storage has no room for it.
    """
    version = _after(parent, change, options)
    _check_room(parent)
    try:
        _share(parent.raw_path.parent, version.raw_path.parent)
        store.push(version.dir / "raw")
        with transaction.atomic():
            save(version)
            jobs.enqueue(version)
    except BaseException:
        remove(version.dir)
        raise
    return version


def _after(parent: Dataset, change: str, options: dict[str, Any]) -> Dataset:
    version = Dataset(parent=parent, family=parent.first_id, change=change[:MAX_CHANGE_CHARS], options=options)
    for name in ("owner", "name", "raw_name", "description"):
        setattr(version, name, getattr(parent, name))
    return version


def save(dataset: Dataset) -> None:
    """Insert the row, of a version with the next number, for the same people.  Inside a transaction."""
    if dataset.parent:
        Dataset.objects.select_for_update().get(pk=dataset.parent.pk)  # two fixes at once get two numbers
        dataset.version = (dataset.parent.versions().aggregate(last=Max("version"))["last"] or 1) + 1
    dataset.save(force_insert=True)
    if dataset.parent:
        for grant in dataset.parent.grants.all():
            Grant.objects.create(dataset=dataset, email=grant.email, user=grant.user, level=grant.level)


def with_more(parent: Dataset, id: str, filename: str) -> tuple[Dataset, Path]:
    """A version, not saved yet, with the parent's upload, and where the file that is added belongs.  Safe to repeat."""
    version = _after(parent, f"{filename} added", parent.options)
    version.id = id
    _share(parent.raw_path.parent, version.raw_path.parent)
    number = len(parent.more_paths) + 1
    return version, version.raw_path.parent / f"more-{number:03d}" / filename


def edit(parent: Dataset, change: str, edits: list[dict[str, Any]], options: dict[str, Any] | None = None) -> Dataset:
    """A new version with further edits; what was guessed for the parent stays.  Raises Refused."""
    used = parent.report["options"]
    pinned = {name: used[name] for name in PINNED if used.get(name) not in (None, "")}
    all_edits = [*parent.options.get("edits", []), *edits]
    return make(parent, change, parent.options | pinned | (options or {}) | {"edits": all_edits})


def undo(version: Dataset) -> bool:
    """Delete a version without runs and challenges that no other is made from; False: it is kept."""
    if version.runs.exists() or version.children.exists() or version.challenges.exists():
        return False
    delete_dataset(version)
    return True


def _check_room(parent: Dataset) -> None:
    needed = stored_bytes(parent.dir / "autodl")
    left = storage_of(parent.owner).left_bytes
    if needed > left:
        sentence = f"A new version takes about {size(needed)}, and its owner has {size(left)} left:"
        raise Refused(413, f"{sentence} delete data sets or versions first.")


def _share(source: Path, target: Path) -> None:
    """The same files once more; their bytes are shared where the file system can."""
    for path in sorted(source.rglob("*")):
        if path.is_file():
            twin = target / path.relative_to(source)
            twin.parent.mkdir(parents=True, exist_ok=True)
            if twin.exists():
                continue
            try:
                os.link(path, twin)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(path, twin)
