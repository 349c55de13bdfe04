"""Files that hold labels, as tables: CSV and the like, JSON in its usual shapes, JSON lines, workbooks, lists."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError
from formatters.tables.formats import read_workbook
from formatters.tables.reader import RawTable, decode_text, read_table
from formatters.tables.records import flat_rows

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".xlsx", ".xls", ".ods", ".txt", ".lst")
WORKBOOKS = (".xlsx", ".xls", ".ods")


def read_label_table(path: Path) -> RawTable:
    """The rows of a file that may hold labels.

    Raises:
        DataError: it cannot be read as a table.
    """
    suffix = path.suffix.lower()
    if suffix in WORKBOOKS:
        return _workbook(path)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return _json(path)
    return _two_columns(read_table(path))


def _workbook(path: Path) -> RawTable:
    cells = max(read_workbook(path).values(), key=lambda rows: sum(map(len, rows)), default=[])
    return _table(cells[0], [row for row in cells[1:] if any(row)], path) if cells else _table([], [], path)


def _json(path: Path) -> RawTable:
    text, _ = decode_text(path)
    try:
        if path.suffix.lower() == ".json":
            content = json.loads(text)
        else:
            content = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path.name} is not valid JSON ({error}); save the labels as CSV.") from error
    return _table(*_rows(content), path)


def _rows(content: Any) -> tuple[list[str], list[list[str]]]:
    """(columns, rows) of a list of objects or pairs, of file: label, of label: [files], or of {name: one of these}."""
    if isinstance(content, dict):
        if content and all(isinstance(value, str | int | float) for value in content.values()):
            return ["file", "label"], [[name, _cell(value)] for name, value in content.items()]
        if len(content) == 1 and isinstance(only := next(iter(content.values())), list | dict):
            return _rows(only)
        if content and all(isinstance(value, dict) for value in content.values()):
            return _rows([{"file": name, **value} for name, value in content.items()])
        if content and all(_are_texts(value) for value in content.values()):
            if all("." in item for items in content.values() for item in items):
                return ["file", "label"], [[file, label] for label, files in content.items() for file in files]
            return ["file", "labels"], [[name, json.dumps(labels)] for name, labels in content.items()]
    elif isinstance(content, list) and content and all(isinstance(item, dict) for item in content):
        flat = flat_rows(content)
        columns = list(dict.fromkeys(key for item in flat for key in item))
        return columns, [[_cell(item.get(column)) for column in columns] for item in flat]
    elif isinstance(content, list) and content and all(isinstance(i, list) and len(i) == 2 for i in content):
        return ["file", "label"], [[_cell(one), _cell(other)] for one, other in content]
    return [], []


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _table(columns: list[str], rows: list[list[str]], path: Path) -> RawTable:
    if not columns or not rows:
        raise DataError(f"{path.name} holds no rows of file names and labels; save the labels as CSV.")
    names = [name or f"column_{at}" for at, name in enumerate(columns)]
    return RawTable(names, rows, True, ",", path.name)


def _two_columns(table: RawTable) -> RawTable:
    """Lists such as "images/1.png 3" have blanks between the name, perhaps other cells, and the label."""
    if len(table.columns) > 1 or not all(" " in row[0] for row in table.rows):
        return table
    rows, first = [row[0].split() for row in table.rows], table.columns[0].split()
    counts = {len(row) for row in rows}
    if len(counts) > 1 or not all(Path(row[0]).suffix for row in rows):  # blanks in the names
        rows, first = [row[0].rsplit(maxsplit=1) for row in table.rows], table.columns[0].rsplit(maxsplit=1)
    if (
        len(first) == len(rows[0]) and Path(first[0]).suffix == Path(rows[0][0]).suffix != ""
    ):  # taken for a header, but a row like the others
        rows, first = [first, *rows], []
    between = [f"column_{at}" for at in range(1, len(rows[0]) - 1)]
    header = first if len(first) == len(rows[0]) else ["file", *between, "label"]
    return replace(table, columns=header, rows=rows, has_header=header == first)
