"""Receiving raw data: limits first, bytes into a ``.part`` file, then a data set with the upload's id.

The file is the truth: its length is the offset, and ``finish`` may be repeated at any point, so a torn request, a lost
answer or a killed server costs nothing but the bytes that were not yet written.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from datetime import timedelta
from io import BufferedWriter
from pathlib import Path
from typing import Protocol

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone

from webapp import store
from webapp.accounts.models import User
from webapp.datasets import fetch, jobs, versions
from webapp.datasets.models import Dataset, Upload
from webapp.datasets.storage import Refused, refusal
from webapp.filenames import safe_name
from webapp.ops.health import probes

LIFETIME = timedelta(days=7)
ABANDONED = timedelta(minutes=10)
"""An upload without a byte after so long has failed."""
BLOCK_BYTES = 2**18
GOES_ON = "What has arrived is kept, and the same upload goes on from there once there is room."


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def begin(owner: User, filename: str, size_bytes: int, continues: Dataset | None = None) -> Upload:
    """Make room for an upload, or raise Refused.

    Args:
        continues: a data set that this user may edit; the upload becomes a version of it, in its owner's storage.
    """
    payer = continues.owner if continues else owner
    expires = timezone.now() + LIFETIME
    upload = Upload(
        owner=owner, filename=safe_name(filename), size_bytes=size_bytes, expires=expires, continues=continues
    )
    with transaction.atomic():
        User.objects.select_for_update().get(pk=payer.pk)  # two uploads begun at once cannot both take the last space
        _forget_empty(upload)
        if refused := refusal(payer, size_bytes):
            raise refused
        upload.save(force_insert=True)
    upload.path.parent.mkdir(parents=True, exist_ok=True)
    upload.path.touch()
    return upload


def _forget_empty(upload: Upload) -> None:
    """Earlier uploads of the same file that failed before their first byte do not pile up."""
    same = Upload.objects.filter(owner=upload.owner, filename=upload.filename, size_bytes=upload.size_bytes)
    for earlier in same.filter(created__lt=timezone.now() - ABANDONED):
        if not earlier.offset_bytes:
            earlier.delete()


def append(upload: Upload, stream: Readable, offset: int, checksum: tuple[str, bytes] | None = None) -> int:
    """Write the stream behind ``offset`` and return the new offset.

    ``checksum`` is (hashlib name, digest); with one, bytes that do not match it are taken back.
    """
    try:
        with open(upload.path, "ab") as file:
            return _append(upload, file, stream, offset, checksum)
    except OSError as error:  # perhaps while the file is closed
        if probes.is_disk_full(error):
            raise Refused(507, f"{probes.DISK_FULL}: tell its administrator. {GOES_ON}") from error
        raise


def _append(
    upload: Upload, file: BufferedWriter, stream: Readable, offset: int, checksum: tuple[str, bytes] | None
) -> int:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(423, "Another part of this upload is still being written: try again.") from None
    if file.tell() != offset:
        raise Refused(409, f"The upload goes on at byte {file.tell()}, not {offset}.")
    if checksum is None:
        return _copy(stream, file, upload.size_bytes)
    try:
        return _copy(stream, file, upload.size_bytes, checksum)
    except BaseException:
        file.truncate(offset)
        raise


def _copy(stream: Readable, file: BufferedWriter, size_bytes: int, checksum: tuple[str, bytes] | None = None) -> int:
    digest = hashlib.new(checksum[0], usedforsecurity=False) if checksum else None
    while block := stream.read(BLOCK_BYTES):
        if file.tell() + len(block) > size_bytes:
            raise Refused(413, f"More bytes came than the {size_bytes} that were announced.")
        file.write(block)
        if digest:
            digest.update(block)
    file.flush()
    if digest and checksum and digest.digest() != checksum[1]:
        raise Refused(460, "The bytes were damaged on the way: sending this part again.")
    os.fsync(file.fileno())
    return file.tell()


def finish(upload: Upload) -> Dataset:
    """All bytes are there: make the data set and queue its conversion.  Safe to repeat."""
    if upload.continues:
        dataset, path = versions.with_more(upload.continues, upload.id, upload.filename)
    else:
        name = Path(upload.filename).stem[:100]
        dataset = Dataset(id=upload.id, owner=upload.owner, raw_name=upload.filename, name=name)
        path = dataset.raw_path
    dataset.size_bytes = upload.size_bytes
    path.parent.mkdir(parents=True, exist_ok=True)
    if upload.path.exists():
        os.replace(upload.path, path)
    store.push(dataset.dir / "raw")
    with transaction.atomic():
        if Upload.objects.filter(id=upload.id).delete()[0]:  # only one of two requests sees the row go
            versions.save(dataset)
            jobs.enqueue(dataset)
    return Dataset.objects.get(id=upload.id)


def receive(owner: User, file: UploadedFile, continues: Dataset | None = None) -> Dataset:
    """A whole file from a plain form or the API."""
    upload = begin(owner, file.name or "upload", file.size or 0, continues)
    append(upload, file, 0)
    return finish(upload)


def receive_from(owner: User, url: str) -> Dataset:
    """Raw data at a web address, which the conversion fetches.  Raises Refused."""
    dataset = fetch.plan(owner, url)
    with transaction.atomic():
        dataset.save(force_insert=True)
        jobs.enqueue(dataset)
    return dataset
