"""Faults of processes that do not speak to the database: told in a file, which the reaper moves into Fault rows."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path


def spool(data_dir: Path, what: str, done: str) -> None:
    """Append one fault: what happened and what was done about it, a sentence each."""
    line = json.dumps({"time": time.time(), "what": what, "done": done}) + "\n"
    descriptor = os.open(data_dir / "faults.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def drain(data_dir: Path) -> list[tuple[datetime, str, str]]:
    """Take all faults told so far: when, what, and what was done."""
    taken = data_dir / "faults.taken.jsonl"
    try:
        os.replace(data_dir / "faults.jsonl", taken)
    except FileNotFoundError:
        return []
    told = [json.loads(line) for line in taken.read_text().splitlines()]
    return [(datetime.fromtimestamp(fault["time"], UTC), fault["what"], fault["done"]) for fault in told]
