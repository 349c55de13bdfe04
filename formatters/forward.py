"""The stream that tarfile reads: unpacked, forward only, and every byte of it is told, skipped ones included."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

from automl_engine.errors import DataError

MAX_HEADER_BYTES = COPY_BYTES = 2**20  # headers: long names and pax records
OPENERS: dict[bytes, Callable[..., object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"]\0\0": lzma.open,
    b"": Path.open,
}


class Forward:
    """As much of a file as tarfile asks for; ``check`` is given the bytes so far and raises when they are too many."""

    def __init__(self, source: Path, check: Callable[[int], None]) -> None:
        self._name, self._check, self._at = source.name, check, 0
        self._last = b""
        with open(source, "rb") as file:
            head = file.read(6)
        opener = next(opener for magic, opener in OPENERS.items() if head.startswith(magic))
        self._stream = cast(IO[bytes], opener(source, "rb"))

    def tell(self) -> int:
        return self._at

    def read(self, size: int) -> bytes:
        if size > MAX_HEADER_BYTES:
            raise DataError(f"{self._name} holds a header of {size:,} bytes, as only archive bombs do; pack it again.")
        self._last = self._stream.read(size)
        self._at += len(self._last)
        self._check(self._at)
        return self._last

    def seek(self, at: int) -> int:
        while self._at < at and self.read(min(at - self._at, COPY_BYTES)):
            pass
        if self._at > at:
            raise tarfile.ReadError("its parts overlap")
        return self._at

    def finish(self) -> None:
        """Read to the end, where the checksum stands.

        Raises:
            tarfile.ReadError: the members did not end with a block of zeros, so tarfile gave up early.
        """
        if self._last.strip(b"\0"):
            raise tarfile.ReadError("a header in it is broken")
        while self.read(COPY_BYTES):
            pass

    def close(self) -> None:
        self._stream.close()
