"""Files and folders that appear under their names only when they are whole."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """The file to write instead: it becomes ``path`` when the block ends, and is removed if the block fails."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Atomic, and strict JSON."""
    with atomic_write(path) as part:
        part.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")


def replace_folder(fresh: Path, target: Path) -> None:
    """Put ``fresh`` in the place of ``target`` by renames: a reader sees the old or the new one, never a mixture.

    A kill between the renames leaves the old one as ``NAME.old``.
    """
    old = target.with_name(f"{target.name}.old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
