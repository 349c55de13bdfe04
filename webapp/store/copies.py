"""The local copies of stored folders: their files, who works on them, and which of them go.

There is a file in ``DATA_DIR/store`` for each copy; its time is that of the last use.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote, unquote

from django.conf import settings

from webapp.store.remote import Entry

EVICT_EVERY_S = 300.0
IDLE_S = 3600.0  # longer than any job: what was used more recently stays
KEPT_S = 24 * 3600.0  # what was not used for so long goes, since it may have been deleted elsewhere
APART = ("runs/*/predictions", "runs/*/why")
"""What lies in these folders is pushed and fetched for itself: it comes later, from several jobs at once."""
_evicted_s = -EVICT_EVERY_S


def key(folder: Path) -> str:
    """Its name in the store."""
    return folder.relative_to(settings.MEDIA_ROOT).as_posix()


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Regular files that belong to the folder, with their paths below it; what is being written is left out."""
    for place, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not _is_apart(Path(place, name))]
        for path in (Path(place, name) for name in names):
            if path.is_file() and not path.is_symlink() and not (path.name.startswith(".") and path.suffix == ".part"):
                yield path.relative_to(folder).as_posix(), path


def _is_apart(folder: Path) -> bool:
    name = key(folder)
    return any(fnmatchcase(name, pattern) and name.count("/") == pattern.count("/") for pattern in APART)


def is_same(path: Path, entry: Entry) -> bool:
    """By size and time."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return (status.st_size, status.st_mtime_ns) == (entry.size_bytes, entry.mtime_ns)


def use(folder: Path) -> None:
    _marker(folder).touch()


def is_from_store(folder: Path) -> bool:
    return _marker(folder).exists()


def forget(folder: Path) -> None:
    """The folder, and all below, is no copy any more."""
    for marker in _markers().glob("*"):
        if f"{unquote(marker.name)}/".startswith(f"{key(folder)}/"):
            marker.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One fetches at a time."""
    with open(_lock(folder, "fetch"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """No other process of this machine fetches into it.  A frozen job does not keep the one that takes over."""
    with open(_lock(folder, "job"), "a") as lock:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def is_reserved(folder: Path) -> bool:
    try:
        with open(_lock(folder, "job")) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def look_after() -> None:
    """A duty of workers and of the reaper."""
    global _evicted_s  # of this process
    if settings.STORAGE_URL and time.monotonic() > _evicted_s + EVICT_EVERY_S:
        _evicted_s = time.monotonic()
        evict()


def evict() -> None:
    """Remove copies: those that were not used for a day, and the least recently used beyond the limit."""
    used = sorted((marker.stat().st_mtime, marker) for marker in _markers().glob("*"))
    folders = [(used_s, Path(settings.MEDIA_ROOT) / unquote(marker.name)) for used_s, marker in used]
    sizes = {folder: sum(path.stat().st_size for _, path in files(folder)) for _, folder in folders}
    total_bytes = sum(sizes.values())
    for used_s, folder in folders:
        idle_s = time.time() - used_s
        if idle_s > KEPT_S or (idle_s > IDLE_S and total_bytes > settings.STORAGE_CACHE_BYTES):
            drop(folder)
            total_bytes -= sizes[folder]


def drop(folder: Path) -> None:
    """Remove a copy."""
    with locked(folder):
        for _, path in list(files(folder)):
            path.unlink()
        for place, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):  # it holds something else
                os.rmdir(place)
        _marker(folder).unlink()
        _lock(folder, "job").unlink(missing_ok=True)


def _markers() -> Path:
    place = Path(settings.MEDIA_ROOT).with_name("store")
    place.mkdir(parents=True, exist_ok=True)
    return place


def _marker(folder: Path) -> Path:
    return _markers() / quote(key(folder), safe="")


def _lock(folder: Path, whose: str) -> Path:
    place = _markers().with_name("store-locks")
    place.mkdir(exist_ok=True)
    return place / f"{quote(key(folder), safe='')}.{whose}"
