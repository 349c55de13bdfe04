"""Folders below MEDIA_ROOT that all machines share: in the store of STORAGE_URL, with local copies to work on.

Without STORAGE_URL every folder is where it is, and nothing here does anything.  With it, who reads a folder fetches
it first, and who has changed one pushes it.  One job at a time changes a folder: it works on it (``working_on``), and
until then nobody fetches into it.  Files are told apart by size and time, and checked by their SHA-256.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from django.conf import settings

from webapp.store import copies, remote
from webapp.store.remote import Entry, Manifest, StoreError

log = logging.getLogger(__name__)

FRESH_S = 0.5  # for so long a manifest is not asked for again
FOLLOW_S = 0.5  # between two pushes of a folder that grows
PATIENCE_S = 300.0
TRIES = 4
THREADS = 8
MOST_KNOWN = 10_000


class Superseded(StoreError):
    """What this job works on is not its own any more."""


@dataclass
class Known:
    """What this process knows of a folder: the manifest, when it was read, and for which state of its row."""

    manifest: Manifest
    read_s: float
    stamp: object


_known: dict[Path, Known] = {}
_mine: dict[Path, Manifest] = {}
"""Folders that a job of this process works on, with what the store holds of them."""


def is_remote() -> bool:
    return bool(settings.STORAGE_URL)


def fetch(folder: Path, *patterns: str, stamp: object = None, fresh_s: float = FRESH_S) -> Path:
    """The folder, after its files that match a pattern, by default all, were brought up to date.

    Args:
        patterns: as of ``fnmatch``, of paths below the folder; * stands for / as well.
        stamp: changes with the row: then the store is asked, however lately it was.
        fresh_s: else it is asked once in so many seconds.
    """
    if not is_remote() or folder in _mine:
        return folder
    for attempt in range(TRIES):
        if copies.is_reserved(folder):
            return folder
        known = _known.get(folder)
        if known is None or known.stamp != stamp or time.monotonic() > known.read_s + fresh_s or attempt:
            manifest = remote.read(copies.key(folder))
            if manifest is None:
                return _forgotten(folder)
            known = Known(manifest, time.monotonic(), stamp)
            _remember(folder, known)
            _drop_others(folder, manifest, patterns)
        try:
            _bring(folder, known.manifest, patterns)
            return folder
        except FileNotFoundError:  # replaced since its manifest was read
            continue
    raise StoreError(f"{copies.key(folder)} lacks files in the file store; put it back from a backup.")


def push(folder: Path) -> None:
    """Make the store hold what the folder holds: all of it, or, if that fails, what it held before."""
    if not is_remote():
        return
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            _push(folder)
            break
        except Superseded as reason:
            log.info("%s", reason)
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise StoreError(f"{copies.key(folder)} could not be stored: {error}") from error
            log.warning("%s could not be stored (%s); next try in a second", copies.key(folder), error)
            time.sleep(1)
    key = copies.key(folder)
    remote.delete_objects(key, remote.objects(key) - _objects(_known[folder].manifest))


@contextmanager
def working_on(folder: Path) -> Iterator[None]:
    """Fetch it whole; until the end the local files are the truth on this machine, and ``push`` is the job's affair."""
    if not is_remote():
        yield
        return
    fetch(folder, stamp=object())
    with copies.reserved(folder):
        with copies.locked(folder):  # who is fetching into it ends first
            pass
        _mine[folder] = _known[folder].manifest if folder in _known else {}
        try:
            yield
        finally:
            del _mine[folder]
            _known.pop(folder, None)


@contextmanager
def following(folder: Path) -> Iterator[None]:
    """Push the folder again and again while something fills it."""
    if not is_remote():
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(folder, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _follow(folder: Path, ended: threading.Event) -> None:
    while not ended.wait(FOLLOW_S):
        try:
            _push(folder)
        except Superseded as reason:
            log.info("%s", reason)
            return
        except OSError as error:  # also of files that the engine removes meanwhile; the next round repairs it
            log.warning("%s could not be stored now (%s)", copies.key(folder), error)


def remove(folder: Path) -> None:
    """From the store, with all that lies below; the local folder is the caller's affair."""
    if is_remote():
        remote.delete(copies.key(folder))
        for path in [folder, *(known for known in _known if folder in known.parents)]:
            _known.pop(path, None)
        copies.forget(folder)


def size_bytes(folder: Path) -> int:
    """What the store holds of the folder and of all below."""
    return remote.size_bytes(copies.key(folder))


def file_bytes(folder: Path, name: str) -> int:
    """The size of one file; 0 where it is not there."""
    if is_remote():
        entry = (remote.read(copies.key(folder)) or {}).get(name)
        return entry.size_bytes if entry else 0
    return (folder / name).stat().st_size if (folder / name).exists() else 0


def within(folder: Path) -> list[Path]:
    """What the store holds directly below; without a store nothing."""
    return [folder / name for name in remote.names(copies.key(folder))] if is_remote() else []


def changed_s(folder: Path) -> float:
    """Unix time of the last change in the store."""
    return remote.changed_s(copies.key(folder))


def _push(folder: Path) -> None:
    manifest = upload(folder)
    _remember(folder, Known(manifest, 0.0, None))
    if folder in _mine:
        _mine[folder] = manifest


def upload(folder: Path) -> Manifest:
    """Make the store hold what the folder holds now; the folder is not taken for a copy that may go."""
    key = copies.key(folder)
    before = _mine.get(folder)
    stored = before if before is not None else remote.read(key) or {}

    def kept(found: tuple[str, Path]) -> Entry:
        name, path = found
        old = stored.get(name)
        return old if old and copies.is_same(path, old) else remote.upload(key, path)

    found = list(copies.files(folder))
    with ThreadPoolExecutor(THREADS) as pool:
        manifest = dict(zip((name for name, _ in found), pool.map(kept, found), strict=True))
    if manifest != stored:
        if before is not None and (remote.read(key) or {}) != before:
            raise Superseded(f"{key} was deleted, or another job has taken it over: nothing more is stored.")
        remote.write(key, manifest)
        remote.delete_objects(key, _objects(stored) - _objects(manifest))
    return manifest


def _bring(folder: Path, manifest: Manifest, patterns: tuple[str, ...]) -> None:
    key, wanted = copies.key(folder), [name for name in manifest if _fits(name, patterns)]

    def bring(name: str) -> None:
        if not copies.is_same(folder / name, manifest[name]):
            remote.download(key, manifest[name], folder / name)

    if not all(copies.is_same(folder / name, manifest[name]) for name in wanted):
        with copies.locked(folder), ThreadPoolExecutor(THREADS) as pool:
            if not copies.is_reserved(folder):
                list(pool.map(bring, wanted))  # raises what they raise


def _drop_others(folder: Path, manifest: Manifest, patterns: tuple[str, ...]) -> None:
    for name, path in list(copies.files(folder)):
        if name not in manifest and _fits(name, patterns):
            path.unlink(missing_ok=True)


def _forgotten(folder: Path) -> Path:
    """Nothing is stored: what is here was not pushed yet, unless it came from the store, where it was deleted."""
    _known.pop(folder, None)
    if copies.is_from_store(folder):
        shutil.rmtree(folder, ignore_errors=True)
        copies.forget(folder)
    return folder


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _objects(manifest: Manifest) -> set[str]:
    return {entry.object for entry in manifest.values()}


def _remember(folder: Path, known: Known) -> None:
    if len(_known) > MOST_KNOWN:
        _known.clear()
    _known[folder] = known
    copies.use(folder)
