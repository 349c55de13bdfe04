"""Rows to predict: the columns that a recipe needs, found by name in a table of any format."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError
from formatters.base import Doubt, NewData
from formatters.media.order import files_below
from formatters.tables.formats import STRUCTURED_SUFFIXES
from formatters.tables.matrices import read_new_matrix
from formatters.tables.reader import TABLE_SUFFIXES, RawFindings, RawTable, ReadTable, read_with_findings

ROW_SUFFIXES = (*TABLE_SUFFIXES, *STRUCTURED_SUFFIXES, ".txt", "")


@dataclass(frozen=True)
class NewRows:
    """The wanted columns of one table; ``unread`` says by row why it could not be read."""

    names: list[str]
    cells: list[list[str]]
    delimiter: str
    unread: dict[int, str]
    notes: list[str]


def layout(table: RawTable, target: tuple[str, ...]) -> dict[str, Any]:
    """What a recipe keeps of the table it was made from."""
    told = {"columns": table.columns, "has_header": table.has_header, "target": list(target)}
    return told | ({"matrix": table.matrix} if table.matrix else {})


def write_new_rows(table: RawTable, target: Sequence[str], rows: Sequence[int], folder: Path) -> None:
    """``write_raw`` of what comes in rows: a CSV with a header, without the label."""
    shown = [at for at, name in enumerate(table.columns) if name not in target]
    with open(folder / "rows.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([table.columns[at] for at in shown])
        writer.writerows([table.rows[row][at] for at in shown] for row in rows)


def for_each_file(new: NewData, source: Path, read: Callable[[Path, str], None]) -> None:
    """``read(path, name)`` adds what one file holds; a file that it refuses gets an entry that says why.

    Args:
        source: a file, whose name is then "", or a folder.

    Raises:
        DataError: there is only one file, and it is refused.
    """
    if source.is_file():
        read(source, "")
        return
    for name in files_below(source):
        try:
            read(source / name, name)
        except DataError as error:
            new.add(name, None, str(error))


def read_new_rows(path: Path, name: str, layout: dict[str, Any], wanted: list[str]) -> NewRows:
    """The cells of each wanted column; columns may come in any order, the target may be there.

    Args:
        name: of the file among several; "" where it is the only one.

    Raises:
        DataError: a column is missing, or it is no table.
    """
    if path.suffix.lower() not in ROW_SUFFIXES:
        raise DataError(f"{path.name} holds no table; give the rows to predict as a CSV, TSV or JSON file.")
    table, findings = _read(path, layout, wanted)
    places = _positions(table, layout, wanted)
    return NewRows(
        row_names(name, len(table.rows)),
        [[row[place] for row in table.rows] for place in places],
        table.delimiter,
        findings.unread,
        left_out(findings, path.name),
    )


def left_out_doubts(path: str, left_out: Sequence[str]) -> list[Doubt]:
    """For the report of training data."""
    return [
        Doubt(f"{path}: left out {what}", "if rows are in it, write them as the others, in one table", path)
        for what in left_out
    ]


def left_out(findings: RawFindings, file_name: str) -> list[str]:
    """For the notes on new data."""
    return [f"{file_name}: left out {what}" for what in findings.left_out]


def row_names(name: str, count: int) -> list[str]:
    return [f"{name}, row {number}" if name else f"row {number}" for number in range(1, count + 1)]


def _read(path: Path, layout: dict[str, Any], wanted: list[str]) -> ReadTable:
    """With a header where the first line names the columns; a single column may be called anything."""
    if layout.get("matrix") and path.suffix.lower() == ".data":
        columns = [name for name in layout["columns"] if name not in layout["target"]]
        return read_new_matrix(path, columns, layout["matrix"] == "sparse")
    if path.suffix.lower() in STRUCTURED_SUFFIXES or (layout["has_header"] and len(wanted) > 1):
        return read_with_findings(path, True, keep_empty=True, wanted=tuple(wanted))
    bare = read_with_findings(path, False, keep_empty=True)
    first = {cell.casefold() for cell in bare[0].rows[0]}
    named = first <= _folded(layout["columns"]) or _folded(wanted) <= first
    if not named and layout["has_header"]:
        return read_with_findings(path, keep_empty=True)
    return read_with_findings(path, True, keep_empty=True) if named else bare


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
