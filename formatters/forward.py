"""Packed streams (gzip, bzip2, xz, Zstandard), read forward only; every byte of them is told, skipped ones included."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from automl_engine.errors import DataError

MAX_HEADER_BYTES = COPY_BYTES = 2**20  # headers: long names and pax records
ZSTANDARD_BLOCK_BYTES = 512  # packed bytes that are unpacked at once, whatever comes out


class _Zstandard(io.RawIOBase):
    """All frames of a file; the library's own stream takes a file that was cut off for a whole one."""

    def __init__(self, source: Path, mode: str) -> None:
        import zstandard

        self._file, self._error = io.FileIO(source, mode), zstandard.ZstdError
        self._start: Callable[[], Any] = zstandard.ZstdDecompressor().decompressobj
        self._frame, self._rest, self._out = self._start(), b"", b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._out:
            packed = self._rest or self._file.read(ZSTANDARD_BLOCK_BYTES)
            if not packed and not self._frame.eof:
                raise EOFError("it ends too early")
            if not packed:
                return 0
            if self._frame.eof:
                self._frame = self._start()
            try:
                self._out = self._frame.decompress(packed)
            except self._error as error:
                raise OSError(str(error)) from error
            self._rest = self._frame.unused_data
        count = min(len(buffer), len(self._out))
        buffer[:count], self._out = self._out[:count], self._out[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _zstandard(source: Path, mode: str) -> IO[bytes]:
    return io.BufferedReader(_Zstandard(source, mode), COPY_BYTES)


OPENERS: dict[bytes, Callable[..., object]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"]\0\0": lzma.open,
    b"\x28\xb5\x2f\xfd": _zstandard,
}


def opener_of(source: Path) -> Callable[..., object] | None:
    """What unpacks this file, by its first bytes; None where it is not packed."""
    with open(source, "rb") as file:
        head = file.read(6)
    return next((opener for magic, opener in OPENERS.items() if head.startswith(magic)), None)


class Forward:
    """As much of a file as tarfile asks for; ``check`` is given the bytes so far and raises when they are too many."""

    def __init__(self, source: Path, check: Callable[[int], None]) -> None:
        self._name, self._check, self._at = source.name, check, 0
        self._last = b""
        self._stream = cast(IO[bytes], (opener_of(source) or Path.open)(source, "rb"))

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
