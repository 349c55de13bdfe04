"""Values as cells of text, how large a table may be, and JSON in all shapes of tables -> rows, the header first.

Standard library only: exported models carry this file along.
"""

from __future__ import annotations

import ast
import json
import unicodedata
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError
from formatters.split_words import part_of
from formatters.tables.header import distinct_names, has_header_line

MAX_CELLS, MAX_COLUMNS = 20_000_000, 60_000
MAX_NAME_CHARS = 30  # on average
INVISIBLE = "\u200b\u200e\u200f\u2060\ufeff"  # no joiners: these belong to letters
SPLIT = "split"
SHEET = "sheet_name"  # the column that tells it where sheets are joined
MAX_DEPTH = 6  # of objects whose parts become columns
LOOK_ROWS = 500  # for a header
Rows = list[list[str]]


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


def tidy_cell(cell: str) -> str:
    """Without blanks and invisible marks around it, its accents joined to their letters: what looks alike is alike."""
    cell = cell.strip()
    return cell if cell.isascii() else unicodedata.normalize("NFC", cell).strip(INVISIBLE).strip()


def tidy_names(rows: Rows) -> Rows:
    """The rows, with tidy cells in columns of short ones, such as names of classes; texts stay as they are."""
    for at in range(len(rows[0]) if rows else 0):
        cells = [row[at] for row in rows]
        if not all(map(str.isascii, cells)) and sum(map(len, cells)) <= MAX_NAME_CHARS * len(cells):
            for row in rows:
                row[at] = tidy_cell(row[at])
    return rows


def check_width(columns: int, name: str) -> None:
    if columns > MAX_COLUMNS:
        raise DataError(f"{name} has {columns:,} columns; keep the {MAX_COLUMNS:,} most useful ones, the limit here.")


def check_size(path: Path, rows: int, columns: int) -> None:
    check_width(columns, path.name)
    if rows * columns > MAX_CELLS:
        raise DataError(f"{path.name} holds more than {MAX_CELLS:,} cells, the limit here; upload a part of it.")


def records(text: str, name: str) -> Rows:
    """JSON: {column: value} objects in a list, one a line, or below one key; or {column: [values]}."""
    try:
        content = json.loads(text) if not name.lower().endswith((".jsonl", ".ndjson")) else _lines(text)
    except (ValueError, RecursionError) as error:
        try:
            content = _lines(text)  # one object a line, whatever the name says
        except (ValueError, RecursionError):
            raise DataError(f"{name} is not valid JSON ({error}); give a list of {{column: value}} objects.") from error
    if isinstance(content, dict):
        content = _records_of(content)
    if isinstance(content, list) and content and all(isinstance(item, list) for item in content):
        content = _named(content)
    if not isinstance(content, list) or not content or not all(isinstance(item, dict) and item for item in content):
        raise DataError(f"{name} must hold a list of {{column: value}} objects; give at least one row.")
    flat = flat_rows(content)
    columns = list(dict.fromkeys(key for item in flat for key in item))
    check_width(len(columns), name)
    if len(flat) * len(columns) > MAX_CELLS:
        raise DataError(f"{name} makes a table of more than {MAX_CELLS:,} cells; save it as CSV.")
    return [[_half(key) for key in columns], *([_half(written(item.get(key))) for key in columns] for item in flat)]


def _lines(text: str) -> list[Any]:
    """An object a line, as JSON or as Python writes it."""
    lines = [line for line in text.splitlines() if line.strip()]
    try:
        return [json.loads(line) for line in lines]
    except ValueError:
        if not text.lstrip().startswith("{'"):
            raise
    try:
        return [ast.literal_eval(line) for line in lines]
    except (SyntaxError, TypeError, MemoryError) as error:
        raise ValueError(error) from error


def _records_of(content: dict[str, Any]) -> list[Any]:
    if {"columns", "data"} <= set(content) and isinstance(content["data"], list):  # pandas: orient="split"
        return [dict(zip(map(str, content["columns"]), row, strict=False)) for row in content["data"]]
    lists = [value for value in content.values() if isinstance(value, list)]
    records = [value for value in lists if value and all(isinstance(item, dict) for item in value)]
    if len(records) == 1:
        return records[0]
    if len(records) == len(content) and all(map(part_of, content)):  # {"train": [...], "test": [...]}
        return [{**item, SPLIT: part} for part, items in content.items() for item in items]
    if len(lists) == len(content) and len({len(value) for value in lists}) == 1 and not records:
        return [dict(zip(content, row, strict=True)) for row in zip(*lists, strict=True)]
    if (
        content
        and all(map(part_of, content))
        and all(_are_rows(value) for value in lists)
        and len(lists) == len(content)
    ):
        return [{SPLIT: part, **row} for part, rows in content.items() for row in _named(rows)]
    inner = [value for value in content.values() if isinstance(value, dict)]
    if len(content) == len(inner) == 1:
        return _records_of(inner[0])
    if not inner or len(inner) < len(content) or len(content) < 2:
        return [content]
    if not _names_rows(content) and len({tuple(value) for value in inner}) == 1:
        return [{name: content[name][key] for name in content} for key in inner[0]]  # pandas: {column: {row: value}}
    return [{"row": name, **value} for name, value in content.items()]


def _are_rows(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(row, list) and len(row) == len(value[0]) > 1 for row in value)


def _named(rows: list[Any]) -> list[Any]:
    """Rows without names as records; the first row of words above numbers, or named as columns often are, has names."""
    if not _are_rows(rows):
        return rows
    cells = [[written(value) for value in row] for row in rows[:LOOK_ROWS]]
    headed = has_header_line(cells)
    names = distinct_names(cells[0]) if headed else [f"column_{at}" for at in range(len(cells[0]))]
    return [dict(zip(names, row, strict=True)) for row in rows[headed:]]


def _names_rows(content: dict[str, dict[str, Any]]) -> bool:
    """Do the keys name rows, and those below them columns?  Numbers name rows; else the longer side does."""
    below = next(iter(content.values()))
    numbered = [all(key.isdecimal() for key in keys) for keys in (content, below)]
    return numbered[0] if numbered[0] != numbered[1] else len(content) > len(below)


def flat_rows(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The objects as rows; "choice" and "choice.choices" are one column: Label Studio writes a single answer bare."""
    flat = [dict(flattened(item)) for item in items]
    keys = {key for item in flat for key in item}
    bare = {f"{key}.choices": key for key in keys if f"{key}.choices" in keys}
    return [{bare.get(key, key): value for key, value in item.items()} for item in flat] if bare else flat


def flattened(item: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Columns of an object: what stands within another, or alone in a list, is named "outer.inner"."""
    for key, value in item.items():
        inner = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(inner, dict) and inner and prefix.count(".") < MAX_DEPTH:
            yield from flattened(inner, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _half(text: str) -> str:
    """JSON can name half a character, which no file can hold."""
    return text.encode("utf-8", "replace").decode()
