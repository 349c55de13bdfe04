"""Files and archives to the browser in bounded memory, for a server that speaks ASGI.

Django's own FileResponse is read whole into memory under ASGI, since its iterator is synchronous.
"""

from __future__ import annotations

import asyncio
import csv
import mimetypes
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator
from io import RawIOBase
from itertools import islice
from pathlib import Path
from typing import Any

from asgiref.sync import SyncToAsync, sync_to_async
from django.db import close_old_connections
from django.http import StreamingHttpResponse
from django.utils.http import content_disposition_header

from webapp.csv_lines import csv_line
from webapp.filenames import safe_name

Member = Path | bytes | Iterator[bytes]
BLOCK_BYTES = 2**20
CSV_ROWS = 1000  # at a time


def stream_file(path: Path, filename: str, content_type: str = "") -> StreamingHttpResponse:
    """The file as a download; the caller has checked that this user may have it."""
    response = _response(_blocks(path), filename, content_type)
    response["Content-Length"] = str(path.stat().st_size)
    return response


def stream_csv(path: Path, filename: str) -> StreamingHttpResponse:
    """A CSV file as a download, safe to open in a spreadsheet; the caller has checked that this user may have it."""
    return _response(_csv_blocks(path), filename, "text/csv; charset=utf-8")


def stream_zip(members: Iterable[tuple[Member, str]], filename: str) -> StreamingHttpResponse:
    """A zip (stored, not compressed) of ``(path or content, name inside)``, made while it is sent."""
    return _response(_zip_blocks(members), filename, "application/zip")


async def release_thread() -> None:
    """Give back the thread and the database connection that Django keeps for a request until its answer has ended.

    For answers that may last for hours; what needs a thread afterwards gets a new one.
    """
    await sync_to_async(close_old_connections)()
    context = SyncToAsync.thread_sensitive_context.get(None)
    if context and (thread := SyncToAsync.context_to_thread_executor.pop(context, None)):
        thread.shutdown(wait=False)


def _response(blocks: Iterator[bytes], filename: str, content_type: str) -> StreamingHttpResponse:
    filename = safe_name(filename)  # a data set may be called anything
    kind = content_type or mimetypes.guess_type(filename)[0] or "application/octet-stream"
    response = StreamingHttpResponse(_in_threads(blocks), content_type=kind)
    response["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=filename) or "attachment"
    return response


async def _in_threads(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (block := await asyncio.to_thread(next, blocks, None)) is not None:
        yield block


def _blocks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _csv_blocks(path: Path) -> Iterator[bytes]:
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        while some := list(islice(rows, CSV_ROWS)):
            yield "".join(map(csv_line, some)).encode()


class _Pipe(RawIOBase):
    """What zipfile writes to; ``take`` hands over what has been written since."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.waiting += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self.waiting)
        self.waiting.clear()
        return taken


def _zip_blocks(members: Iterable[tuple[Member, str]]) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for path, name in members:
            if isinstance(path, bytes):
                archive.writestr(name, path)
                continue
            if isinstance(path, Path):
                about, blocks = zipfile.ZipInfo.from_file(path, name, strict_timestamps=False), _blocks(path)
            else:
                about, blocks = zipfile.ZipInfo(name), path
            with archive.open(about, "w", force_zip64=True) as target:
                for block in blocks:
                    target.write(block)
                    yield pipe.take()
    yield pipe.take()
