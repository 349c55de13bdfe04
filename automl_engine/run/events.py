"""The run's journal: ``events.jsonl``, one JSON object a line, appended and tailed.

Several processes append to the same file, each line with a single ``write`` on a descriptor opened
with ``O_APPEND``; a reader waits for the newline, so it never sees half a line.
The kinds and their fields are listed in ``docs/formats.md``.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = ("started", "order", "chosen", "progress", "prediction", "score", "note", "failed", "stopped", "finished")


def append(path: Path, kind: str, **fields: Any) -> None:
    """Append one event; ``time`` (Unix seconds) is added.

    Raises:
        OSError: it cannot be written, or not wholly.
    """
    if kind not in KINDS:
        raise ValueError(f"event kind must be one of {KINDS} but got {kind!r}")
    line = json.dumps({"event": kind, "time": round(time.time(), 3), **fields}, ensure_ascii=False) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        data = line.encode()
        if os.write(descriptor, data) < len(data):  # as a full disk does
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def read(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the whole events behind byte ``offset`` and the offset after them; a line that a full disk cut is lost."""
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            block = file.read()
    except FileNotFoundError:
        return [], offset
    end = block.rfind(b"\n") + 1
    found = (_parsed(line) for line in block[:end].split(b"\n"))
    return [event for event in found if event], offset + end


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        return json.loads(line)
    except ValueError:
        return None


def tail(path: Path, poll_s: float = 0.1) -> Iterator[dict[str, Any]]:
    """Yield events as they come, until ``finished``."""
    offset = 0
    while True:
        events, offset = read(path, offset)
        for event in events:
            yield event
            if event["event"] == "finished":
                return
        time.sleep(poll_s)
