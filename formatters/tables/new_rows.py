"""Rows to predict: the columns that a recipe needs, found by name in a CSV, TSV or JSON file (or a folder of them)."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError
from formatters.tables.columns import profile
from formatters.tables.formats import STRUCTURED_SUFFIXES
from formatters.tables.reader import TABLE_SUFFIXES, RawTable, read_table

ROW_SUFFIXES = (*TABLE_SUFFIXES, *STRUCTURED_SUFFIXES)


def layout(table: RawTable, target: tuple[str, ...]) -> dict[str, Any]:
    """What a recipe keeps of the table it was made from."""
    return {"columns": table.columns, "has_header": table.has_header, "target": list(target)}


def write_new_rows(table: RawTable, target: Sequence[str], rows: Sequence[int], folder: Path) -> None:
    """``write_raw`` of what comes in rows: a CSV with a header, without the label."""
    shown = [at for at, name in enumerate(table.columns) if name not in target]
    with open(folder / "rows.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([table.columns[at] for at in shown])
        writer.writerows([table.rows[row][at] for at in shown] for row in rows)


def table_paths(source: Path) -> list[Path]:
    """The file itself, or all tables in a folder (.txt only where there is nothing else); [] when none is a table."""
    if source.is_file():
        return [source] if _is_table(source, (".txt", "")) else []
    files = sorted(path for path in source.rglob("*") if path.is_file())
    tables = [path for path in files if _is_table(path)]
    return tables or [path for path in files if path.suffix.lower() == ".txt"]


def _is_table(path: Path, more: tuple[str, ...] = ()) -> bool:
    return path.suffix.lower() in (*ROW_SUFFIXES, *more)


def read_new_rows(
    source: Path, layout: dict[str, Any], wanted: list[str], numbers: Collection[str] = ()
) -> tuple[list[str], list[list[str]]]:
    """(names of the rows, the cells of each wanted column); columns may come in any order, the target may be there.

    Args:
        numbers: those of the wanted columns that hold numbers; each file may write them in its own way.

    Raises:
        DataError: a column is missing, or there is no table.
    """
    paths = table_paths(source)
    if not paths:
        raise DataError(f"{source.name} holds no table; give the rows to predict as a CSV, TSV or JSON file.")
    names: list[str] = []
    cells: list[list[str]] = [[] for _ in wanted]
    for path in paths:
        table = _read(path, layout, wanted)
        at = _positions(table, layout, wanted)
        for name, column, position in zip(wanted, cells, at, strict=True):
            new = [row[position] for row in table.rows]
            column += _plain_numbers(name, new, table.delimiter) if name in numbers else new
        prefix = f"{path.name}, " if len(paths) > 1 else ""
        names += [f"{prefix}row {number}" for number in range(1, len(table.rows) + 1)]
    return names, cells


def _plain_numbers(name: str, cells: list[str], delimiter: str) -> list[str]:
    """With a decimal point, where this file's own cells say which mark it uses ("1,234" alone does not)."""
    commas = {cell for cell in cells if "," in cell}
    unclear = delimiter != ";" and all(re.fullmatch(r"[-+]?\d{1,3},\d{3}", cell) for cell in commas)
    if unclear:
        return cells
    numbers = profile(name, cells, delimiter).numbers
    return [repr(numbers[cell]) if cell in numbers else cell for cell in cells]


def _read(path: Path, layout: dict[str, Any], wanted: list[str]) -> RawTable:
    """With a header where the first line names the columns; a single column may be called anything."""
    if path.suffix.lower() in STRUCTURED_SUFFIXES or (layout["has_header"] and len(wanted) > 1):
        return read_table(path, True, keep_empty=True)
    table = read_table(path, False, keep_empty=True)
    first = {cell.casefold() for cell in table.rows[0]}
    named = first <= _folded(layout["columns"]) or _folded(wanted) <= first
    if not named and layout["has_header"]:
        return read_table(path, keep_empty=True)
    return read_table(path, True, keep_empty=True) if named else table


def _folded(names: Sequence[str]) -> set[str]:
    return {name.casefold() for name in names}


def _positions(table: RawTable, layout: dict[str, Any], wanted: list[str]) -> list[int]:
    """Where each wanted column stands: by name, or by place in files without a header."""
    names = table.columns
    if len(wanted) == len(names) == 1:
        return [0]
    if not table.has_header:
        features = [name for name in layout["columns"] if name not in layout["target"]]
        same_width = [known for known in (layout["columns"], features) if len(known) == len(names)]
        if not same_width:
            raise DataError(
                f"{table.file_name} has {len(names)} columns but {len(features)} (or {len(layout['columns'])} with the "
                "label) are needed; give the rows in the layout of the training data."
            )
        names = same_width[0]
    at = {name.casefold(): position for position, name in enumerate(names)}
    at |= {name: position for position, name in enumerate(names)}
    places = [at.get(name, at.get(name.casefold())) for name in wanted]
    missing = [name for name, place in zip(wanted, places, strict=True) if place is None]
    if missing:
        raise DataError(
            f"{table.file_name} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing[:20]))}"
            f"{', ...' if len(missing) > 20 else ''}; the header must name all columns that the model learned from."
        )
    return [place for place in places if place is not None]
