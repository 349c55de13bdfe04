"""Values as cells of text, and how large a table may be.  Standard library only: exported models carry this along."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError

MAX_CELLS, MAX_COLUMNS = 20_000_000, 60_000


def written(value: Any) -> str:
    """A value as a cell of text: whole numbers without a decimal point, dates as ISO, nothing as ""."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, datetime | date | time):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value).strip()


def check_width(columns: int, name: str) -> None:
    if columns > MAX_COLUMNS:
        raise DataError(f"{name} has {columns:,} columns; keep the {MAX_COLUMNS:,} most useful ones, the limit here.")


def check_size(path: Path, rows: int, columns: int) -> None:
    check_width(columns, path.name)
    if rows * columns > MAX_CELLS:
        raise DataError(f"{path.name} holds more than {MAX_CELLS:,} cells, the limit here; upload a part of it.")
