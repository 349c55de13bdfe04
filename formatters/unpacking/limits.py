"""How much an upload may hold, the archives inside it included."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from automl_engine.errors import DataError

MAX_FILES = int(os.environ.get("AUTODL_MAX_FILES", 300_000))
MAX_UNPACKED_BYTES = int(os.environ.get("AUTODL_MAX_UNPACKED_BYTES", 20 * 2**30))
MAX_RATIO = float(os.environ.get("AUTODL_MAX_RATIO", 200))  # unpacked : packed, looked at from RATIO_FROM_BYTES on
RATIO_FROM_BYTES = int(os.environ.get("AUTODL_RATIO_FROM_BYTES", 100 * 2**20))


@dataclass
class Tally:
    """What was unpacked so far; each method raises DataError when that is too much."""

    source: Path
    files: int = 0
    unpacked_bytes: int = 0
    packed_bytes: int = 0
    folders: set[PurePosixPath] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.source.is_file():
            self.packed_bytes = self.source.stat().st_size

    def add_file(self, path: PurePosixPath) -> None:
        self.files += 1
        self.folders.update(path.parents)
        self.check()

    def add_bytes(self, count: int) -> None:
        self.unpacked_bytes += count
        self.check()

    def link(self, size_bytes: int) -> None:
        """A file of a folder: as large here as there."""
        if self.source.is_dir():
            self.packed_bytes += size_bytes
        self.add_bytes(size_bytes)

    def check(self, more_files: int = 0, more_bytes: int = 0) -> None:
        """Look ahead to what an archive promises."""
        name, total_bytes = self.source.name, self.unpacked_bytes + more_bytes
        if self.files + len(self.folders) + more_files > MAX_FILES:
            raise DataError(
                f"{name} holds more than {MAX_FILES:,} files and folders, the limit here; upload a part of them."
            )
        if total_bytes > MAX_UNPACKED_BYTES:
            limit_gib = MAX_UNPACKED_BYTES / 2**30
            raise DataError(f"{name} unpacks to more than {limit_gib:.3g} GiB, the limit here; upload a part of it.")
        if total_bytes > max(RATIO_FROM_BYTES, MAX_RATIO * self.packed_bytes):
            raise DataError(
                f"{name} unpacks to more than {MAX_RATIO:.0f} times its size, as only archive bombs do; "
                "pack your real data files."
            )
