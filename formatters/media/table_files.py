"""Files that hold labels, as tables: CSV and the like, JSON in its usual shapes, JSON lines, workbooks, lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError
from formatters.split_words import PART_WORDS, part_of
from formatters.tables.formats import read_workbook
from formatters.tables.header import distinct_names
from formatters.tables.reader import RawTable, decode_text, is_text, read_table
from formatters.tables.records import MAX_CELLS, SPLIT, flat_rows

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".xlsx", ".xls", ".ods", ".txt", ".lst")
WORKBOOKS = (".xlsx", ".xls", ".ods")
MAX_KEYS = 500  # of the objects in the cells of a column
FLAGS = {"1", "-1", "0"}
MIN_CLASSES = 2


def read_label_table(path: Path) -> RawTable:
    """The rows of a file that may hold labels.

    Raises:
        DataError: it cannot be read as a table.
    """
    suffix = path.suffix.lower()
    if suffix in WORKBOOKS and not is_text(path):
        return _workbook(path)
    if suffix in (".json", ".jsonl", ".ndjson"):
        return _json(path)
    return _without_objects(_two_columns(read_table(path)))


def _without_objects(table: RawTable) -> RawTable:
    """Columns of JSON objects, as tools for annotation write them, become a column for each key."""
    for at in reversed(range(len(table.columns))):
        if not all(row[at].startswith("{") for row in table.rows):
            continue
        try:
            objects = [json.loads(row[at]) for row in table.rows]
        except (ValueError, RecursionError):  # of the first kind: numbers of thousands of digits, too
            continue
        keys = list(dict.fromkeys(key for one in objects for key in one))
        if len(keys) > MAX_KEYS or (len(table.columns) + len(keys)) * len(objects) > MAX_CELLS:
            continue
        rows = [
            [*row[:at], *(_cell(one.get(key)) for key in keys), *row[at + 1 :]]
            for row, one in zip(table.rows, objects, strict=True)
        ]
        table = replace(table, columns=[*table.columns[:at], *keys, *table.columns[at + 1 :]], rows=rows)
    return replace(table, columns=distinct_names(table.columns))


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
    except (ValueError, RecursionError) as error:
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


def class_of_list(path: str, table: RawTable) -> str:
    """The class of a list such as cat_train.txt of Pascal VOC, a file and 1, -1 or 0 a line; "" of other tables."""
    flags = {row[-1] for row in _lines(table)}
    name, _, part = Path(path).stem.rpartition("_")
    return name if len(table.columns) == 2 and {"1", "-1"} <= flags <= FLAGS and part in PART_WORDS else ""


def _lines(table: RawTable) -> list[list[str]]:
    """The rows, and before them the first line where it was taken for a header, but is a row like the others."""
    return [table.columns, *table.rows] if table.columns[-1] in FLAGS else table.rows


def joined_lists(lists: Mapping[str, RawTable]) -> RawTable | None:
    """A column of files, one of parts and one of 0 and 1 for each class; None if there are fewer than two classes."""
    names = list(dict.fromkeys(class_of_list(path, table) for path, table in lists.items()))
    if len(names) < MIN_CLASSES:
        return None
    parts: dict[str, str] = {}
    held: dict[str, set[str]] = {}
    for path, table in lists.items():
        part = Path(path).stem.rpartition("_")[2]
        for file, flag in _lines(table):
            held.setdefault(file, set()).update([class_of_list(path, table)] if flag != "-1" else [])  # 0: hard to see
            if part != "trainval" or file not in parts:
                parts[file] = part_of(part)
    rows = [[file, parts[file], *(str(int(name in held[file])) for name in names)] for file in held]
    return RawTable(["file", SPLIT, *names], rows, True, " ", "the lists of classes")
