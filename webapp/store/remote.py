"""What the store holds: under each key its contents, as objects with random names, and a manifest that names them.

The manifest is written last, in one piece.  So what it names is whole, whatever happens to whoever writes.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from automl_engine.files import atomic_write

MANIFEST, OBJECTS = "manifest.json", "objects"
BLOCK_BYTES = 2**23


class StoreError(OSError):
    """The store does not answer, or what it holds is damaged."""


@dataclass(frozen=True)
class Entry:
    """One file: the name of its object, and how to recognise it."""

    object: str
    size_bytes: int
    sha256: str
    mtime_ns: int


Manifest = dict[str, Entry]
"""Path below the folder -> its entry."""


@lru_cache(maxsize=2)
def _filesystem(url: str, process: int) -> tuple[Any, str]:
    """One for each process: connections do not survive a fork, and setting them up takes long."""
    from fsspec.core import url_to_fs  # only where there is a store

    options = {"use_listings_cache": False} if url.startswith("s3:") else {"auto_mkdir": True}
    return url_to_fs(url, skip_instance_cache=True, **options)


@contextmanager
def _opened(key: str) -> Iterator[tuple[Any, str]]:
    """The file system, and the whole path of a key.  Raises StoreError where it does not answer."""
    from botocore.exceptions import BotoCoreError

    try:
        filesystem, root = _filesystem(settings.STORAGE_URL, os.getpid())
        yield filesystem, f"{root}/{key}"
    except BotoCoreError as error:  # all other errors are OSErrors already
        raise StoreError(f"The file store does not answer ({type(error).__name__}).") from error


def prepare() -> None:
    """Make the bucket, should it not be there."""
    with _opened("") as (store, path):
        root = path.rstrip("/")
        if not store.exists(root):
            store.makedirs(root, exist_ok=True)


def read(key: str) -> Manifest | None:
    """None where nothing was written, or it was deleted."""
    with _opened(f"{key}/{MANIFEST}") as (store, path):
        try:
            content = store.cat_file(path)
        except FileNotFoundError:
            return None
    return {name: Entry(**entry) for name, entry in json.loads(content)["files"].items()}


def write(key: str, manifest: Manifest) -> None:
    content = {"version": 1, "files": {name: asdict(entry) for name, entry in manifest.items()}}
    with _opened(f"{key}/{MANIFEST}") as (store, path):
        store.pipe_file(path, json.dumps(content).encode())


def upload(key: str, path: Path) -> Entry:
    """The file as long as it is now: what is appended meanwhile is left for the next time."""
    name, digest = secrets.token_hex(12), hashlib.sha256()
    with _opened(f"{key}/{OBJECTS}/{name}") as (store, target), open(path, "rb") as source:
        status = os.fstat(source.fileno())
        left = status.st_size
        with store.open(target, "wb", block_size=BLOCK_BYTES) as out:
            while left and (block := source.read(min(left, BLOCK_BYTES))):
                out.write(block)
                digest.update(block)
                left -= len(block)
    return Entry(name, status.st_size - left, digest.hexdigest(), status.st_mtime_ns)


def download(key: str, entry: Entry, path: Path) -> None:
    """The file appears when it is whole.

    Raises:
        FileNotFoundError: a newer manifest names another object.
        StoreError: it is not what was written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opened(f"{key}/{OBJECTS}/{entry.object}") as (store, source), atomic_write(path) as part:
        store.get_file(source, str(part))
        with open(part, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != entry.sha256:
            raise StoreError(f"{key}/{path.name} is damaged in the file store; put it back from a backup.")
        os.utime(part, ns=(entry.mtime_ns, entry.mtime_ns))


def digest(key: str, entry: Entry) -> str:
    """SHA-256 of what the store really holds; empty where it holds nothing."""
    with _opened(f"{key}/{OBJECTS}/{entry.object}") as (store, source):
        try:
            with store.open(source, "rb", block_size=BLOCK_BYTES) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return ""


def delete_objects(key: str, names: set[str]) -> None:
    with _opened(f"{key}/{OBJECTS}") as (store, path), suppress(FileNotFoundError):
        if names:
            store.rm([f"{path}/{name}" for name in names])


def objects(key: str) -> set[str]:
    """The names of all objects, also those that no manifest names any more."""
    with _opened(f"{key}/{OBJECTS}") as (store, path):
        return {found.rsplit("/", 1)[-1] for found in store.find(path)}


def delete(key: str) -> None:
    """All that is below; the manifests first, so that nothing is there in part."""
    with _opened(key) as (store, path):
        found = store.find(path)
        for is_manifest in (True, False):
            if some := [name for name in found if name.endswith(f"/{MANIFEST}") == is_manifest]:
                store.rm(some)


def size_bytes(key: str) -> int:
    with _opened(key) as (store, path):
        return sum(about["size"] for about in store.find(path, detail=True).values())


def names(key: str) -> set[str]:
    """What lies directly below."""
    with _opened(key) as (store, path):
        try:
            return {found.rstrip("/").rsplit("/", 1)[-1] for found in store.ls(path, detail=False)}
        except FileNotFoundError:
            return set()


def changed_s(key: str) -> float:
    """Unix time of the last change below."""
    with _opened(key) as (store, path):
        return max((store.modified(found).timestamp() for found in store.find(path)), default=0.0)
