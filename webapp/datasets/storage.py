"""What a user's things take on disk, what is left, and deleting them for good."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Aggregate, OuterRef, Q, QuerySet, Subquery, Sum

from webapp import store
from webapp.accounts.models import User
from webapp.database import total
from webapp.datasets.models import Dataset, Upload
from webapp.runs.models import Run
from webapp.sizes import size


class Refused(Exception):
    """An upload, a part of one or a version that is not taken: HTTP status and one sentence for the user."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


@dataclass(frozen=True)
class Storage:
    """One user's disk space, in bytes."""

    datasets_bytes: int
    runs_bytes: int
    uploads_bytes: int
    """Of uploads in progress, at their full size: the space is promised to them."""
    max_bytes: int

    @property
    def used_bytes(self) -> int:
        return self.datasets_bytes + self.runs_bytes + self.uploads_bytes

    @property
    def left_bytes(self) -> int:
        return max(0, self.max_bytes - self.used_bytes)

    @property
    def upload_max_bytes(self) -> int:
        """The largest file that this user may send now."""
        return min(settings.UPLOAD_MAX_BYTES, self.left_bytes)


def directory_bytes(directory: Path, counted: set[tuple[int, int]] | None = None) -> int:
    """Bytes of all files below; 0 when it is not there.

    Args:
        counted: hard-linked files that count elsewhere; those of this folder are added.
    """
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):  # a running engine removes files meanwhile
                status = os.lstat(os.path.join(folder, name))
                if counted is not None and status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) in counted:
                        continue
                    counted.add((status.st_dev, status.st_ino))
                total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def stored_bytes(folder: Path, counted: set[tuple[int, int]] | None = None) -> int:
    """What a folder takes, wherever it is kept; in a store no files are shared."""
    return store.size_bytes(folder) if store.is_remote() else directory_bytes(folder, counted)


def measure_versions(dataset: Dataset) -> None:
    """Keep what each version takes in its row: a file that several share counts for the first of them."""
    counted: set[tuple[int, int]] = set()
    for version in dataset.versions().only("id").order_by("version"):
        Dataset.objects.filter(pk=version.pk).update(size_bytes=stored_bytes(version.dir, counted))


def storage_of(user: User) -> Storage:
    """What the rows say; jobs keep it up to date."""
    promised = Upload.objects.filter(Q(owner=user, continues=None) | Q(continues__owner=user))
    rows: tuple[QuerySet[Any], ...] = (Dataset.objects.filter(owner=user), Run.objects.filter(owner=user), promised)
    found = User.objects.filter(pk=user.pk).values_list(*(total(some, "size_bytes") for some in rows)).get()
    datasets, runs, uploads = (size_bytes or 0 for size_bytes in found)
    return Storage(datasets, runs, uploads, user.max_storage_bytes)


def refusal(user: User, size_bytes: int) -> Refused | None:
    """Why this user cannot send a file of this size now, or None."""
    storage, sent = storage_of(user), size(size_bytes)
    if size_bytes <= 0:
        return Refused(400, "The file is empty: choose one that holds data.")
    if size_bytes > settings.UPLOAD_MAX_BYTES:
        most = size(settings.UPLOAD_MAX_BYTES)
        return Refused(413, f"The upload has {sent}, and one upload may have {most}: send a smaller part of the data.")
    if user.guest and size_bytes > storage.left_bytes:
        most = size(storage.max_bytes)
        return Refused(413, f"The upload has {sent}; without an account you may send {most} in all. {invitation()}")
    if size_bytes > storage.left_bytes:
        left = size(storage.left_bytes)
        return Refused(413, f"The upload has {sent}, and {left} of your storage are left: delete data sets first.")
    if 2 * size_bytes > shutil.disk_usage(settings.DATA_DIR).free:
        return Refused(507, f"This server's disk has no room for {sent}: tell its administrator.")
    return None


def invitation() -> str:
    """What registering brings to a guest."""
    most_bytes = min(settings.UPLOAD_MAX_BYTES, settings.STORAGE_MAX_BYTES)
    return f"Register to upload up to {size(most_bytes)}."


def of_runs(aggregate: Aggregate, runs: QuerySet[Run]) -> Subquery:
    """An aggregate of each data set's runs among these, found only for the data sets that are shown."""
    of_one = runs.filter(dataset=OuterRef("pk")).order_by().values("dataset")
    return Subquery(of_one.annotate(found=aggregate).values("found"))


def measure_run(run_id: str) -> None:
    """Keep what a run takes on disk in its row, so that no page walks its folder."""
    folder = Run(id=run_id).folder
    sizes = {"size_bytes": stored_bytes(folder), "model_bytes": store.file_bytes(folder, "model.zip")}
    Run.objects.filter(pk=run_id).update(**sizes)


def frees_bytes(dataset: Dataset) -> int:
    """What deleting the data set gives back: its files, but for those that another version needs, and all its runs."""
    counted: set[tuple[int, int]] = set()
    for version in dataset.versions().exclude(pk=dataset.pk).only("id"):
        stored_bytes(version.dir / "raw", counted)
    return stored_bytes(dataset.dir, counted) + (dataset.runs.aggregate(total=Sum("size_bytes"))["total"] or 0)


def blocking_runs(dataset: Dataset) -> QuerySet[Run]:
    """The owner's own open runs: deleting them by mistake is prevented.  Those of others end with the data."""
    return dataset.runs.filter(state__in=Run.OPEN, owner=dataset.owner_id)


def delete_dataset(dataset: Dataset) -> int:
    """Delete rows and files of a data set and its runs; returns the bytes freed."""
    freed = frees_bytes(dataset)
    dataset.delete()
    return freed


def remove_on_commit(path: Path) -> None:
    """Remove a file or folder once its row is gone for good; a failure is logged and keeps no other from being removed.

    The path is found before the commit: afterwards the rows that it is made of may be gone, too.
    """
    transaction.on_commit(lambda: remove(path), robust=True)


def remove(path: Path) -> None:
    """A file or a folder, here and in the store."""
    store.remove(path)
    if path.is_dir():
        gone = path.with_name(f"{path.name}.deleted")
        path.rename(gone)  # at once out of the way of a process that still writes there
        shutil.rmtree(gone)
    else:
        path.unlink(missing_ok=True)
