"""A backup's folder: every content once, under its SHA-256, and ``manifest.json``, which says what lies where.

A further backup into the same folder copies only what is new.  The manifest is replaced last: until then the folder
holds the backup before.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from automl_engine.files import write_json

VERSION = 1
BLOCK_BYTES = 2**20
MANIFEST, BLOBS = "manifest.json", "blobs"


class BackupError(Exception):
    """It cannot be made or restored; the message is one sentence with what to do."""


@dataclass(frozen=True)
class Kept:
    """One file as it was: its content, and when it was last changed."""

    sha256: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Manifest:
    """What a backup holds.

    Args:
        form: of the rows: sqlite (a database file) or jsonl (Django's serialization).
        migrations: those that the database had, as APP.NAME.
        files: by their path below the data folder.
    """

    made: str = ""
    form: str = ""
    migrations: list[str] = field(default_factory=list)
    rows: Kept | None = None
    files: dict[str, Kept] = field(default_factory=dict)

    @property
    def contents(self) -> set[str]:
        """The SHA-256 of everything that belongs to it."""
        return {kept.sha256 for kept in (*self.files.values(), *filter(None, [self.rows]))}


class Store:
    """Reads and writes one backup folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def prepare(self) -> Manifest:
        """Make the folder; returns the backup that it holds, an empty one if none.

        Raises:
            BackupError: it holds something else.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # it will hold everybody's data
        if not (self.folder / MANIFEST).exists() and {path.name for path in self.folder.iterdir()} - {BLOBS}:
            raise BackupError(f"{self.folder} holds other files; name an empty folder, or one with a backup.")
        (self.folder / BLOBS).mkdir(exist_ok=True)
        return self.read() if (self.folder / MANIFEST).exists() else Manifest()

    def read(self) -> Manifest:
        """Raises BackupError where there is no whole manifest."""
        path = self.folder / MANIFEST
        try:
            content = json.loads(path.read_bytes())
            if content.pop("checksum") != _checksum(content):
                raise ValueError("checksum")
        except FileNotFoundError:
            raise BackupError(f"{self.folder} holds no backup: it has no {MANIFEST}.") from None
        except (ValueError, KeyError, AttributeError):
            raise BackupError(f"{path} is damaged; use another backup.") from None
        if content.pop("version") != VERSION:
            raise BackupError(f"{path} was written by another version of this program; restore it with that one.")
        files = {name: Kept(**kept) for name, kept in content.pop("files").items()}
        return Manifest(rows=Kept(**content.pop("rows")), files=files, **content)

    def write(self, manifest: Manifest) -> None:
        content = {"version": VERSION, **asdict(manifest)}
        write_json(self.folder / MANIFEST, content | {"checksum": _checksum(content)})

    def keep(self, path: Path, before: Kept | None = None) -> Kept:
        """Copy a file, unless it has not changed since the backup before."""
        status = path.stat()
        same = before and (before.size_bytes, before.mtime_ns) == (status.st_size, status.st_mtime_ns)
        if before and same and self.blob(before.sha256).exists():
            return before
        digest, size_bytes, part = sha256(), 0, self.folder / BLOBS / ".part"
        with open(path, "rb") as source, open(part, "wb") as target:
            for block in _blocks(source):
                digest.update(block)
                size_bytes += target.write(block)
        part.replace(self.blob(digest.hexdigest()))
        return Kept(digest.hexdigest(), size_bytes, status.st_mtime_ns)

    def blob(self, name: str) -> Path:
        return self.folder / BLOBS / name

    def verify(self, manifest: Manifest) -> None:
        """Raises BackupError unless every content is there and unchanged."""
        for name in sorted(manifest.contents):
            digest = sha256()
            try:
                with open(self.blob(name), "rb") as file:
                    for block in _blocks(file):
                        digest.update(block)
            except FileNotFoundError:
                raise BackupError(f"The backup is damaged: {self.blob(name)} is missing; use another one.") from None
            if digest.hexdigest() != name:
                raise BackupError(f"The backup is damaged: {self.blob(name)} has changed; use another one.")

    def put(self, kept: Kept, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.blob(kept.sha256), target)
        os.utime(target, ns=(kept.mtime_ns, kept.mtime_ns))

    def prune(self, manifest: Manifest) -> None:
        """Remove what only earlier backups held."""
        contents = manifest.contents
        for path in list((self.folder / BLOBS).iterdir()):
            if path.name not in contents:
                path.unlink()


def _blocks(file: Any) -> Iterable[bytes]:
    return iter(lambda: file.read(BLOCK_BYTES), b"")


def _checksum(content: dict[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def regular_files(place: Path) -> Iterator[Path]:
    """``place`` itself, or all files below it, without links."""
    if place.is_file():
        yield place
    for folder, _, names in os.walk(place):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path
