"""The labels of the rows of a table, from the column or columns that ``target.py`` chose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from automl_engine.errors import DataError
from formatters.base import Doubt
from formatters.labels.cuts import EACH, LabelQuestion, Values, cut
from formatters.labels.lists import flags_by_place, is_unreadable, list_separator, split_list, unlisted
from formatters.labels.target import Target
from formatters.media.order import natural
from formatters.tables.columns import Column, as_label, boolean_values, is_missing
from formatters.tables.reader import RawTable


@dataclass(frozen=True)
class RowLabels:
    """Labels of every row (None: it has none and is left out) and the classes in index order."""

    rows: list[tuple[str, ...] | None]
    names: list[str]
    multi_label: bool
    doubts: list[Doubt]


def read_labels(table: RawTable, columns: Sequence[Column], target: Target, cuts: str | None) -> RowLabels:
    """The labels of every row of a table that is a data set.

    Raises:
        LabelQuestion: the label column holds many numbers, and ``cuts`` says no ranges.
        DataError: fewer than two classes, or no class has two rows.
    """
    if target.kind == "numbers" and cuts != EACH:
        values = numbers_of_rows(table, columns, target)
        if not cuts:
            others = [name for name in target.candidates if name not in target.columns]
            raise LabelQuestion(target.columns[0], table.file_name, values, others)
        ranges, names = cut(values, cuts)
        result = _with_missing(ranges, names, target.columns[0])
    else:
        result = labels_as_written(table, columns, target)
        if cuts:
            what = f"column {target.columns[0]!r} holds classes, so the label cuts {cuts} were not used"
            result.doubts.append(Doubt(what, "leave the cuts out", target.columns[0], "info"))
    _check_classes(table, target, result)
    return result


def numbers_of_rows(table: RawTable, columns: Sequence[Column], target: Target) -> Values:
    """The numbers of a label column that may be cut into ranges."""
    numbers = next(column.numbers for column in columns if column.name == target.columns[0])
    return [numbers.get(cell) for cell in table.column(target.columns[0])]


def labels_as_written(table: RawTable, columns: Sequence[Column], target: Target) -> RowLabels:
    """The labels of every row, numbers as classes."""
    by_name = {column.name: as_label(column) for column in columns}
    name = target.columns[0]
    if target.kind == "columns":
        return _from_columns(table, [by_name[column] for column in target.columns])
    if target.kind == "confidences":
        rows: list[tuple[str, ...] | None] = [tuple(cell.split()[::2]) for cell in table.column(name)]
        what = "confidences of labels are not kept: each named label counts fully"
        return _several(rows, Doubt(what, "remove labels that you are not sure of", name, "info"))
    if target.kind == "lists":
        return _from_lists(table, name)
    return _from_cells(table, by_name[name])


def _from_columns(table: RawTable, columns: list[Column]) -> RowLabels:
    labels: list[list[str]] = [[] for _ in table.rows]
    doubts = []
    for column in columns:
        pair = boolean_values(column.counts)
        for row, cell in zip(labels, table.column(column.name), strict=True):
            if column.numbers.get(cell) == 1 or (pair and cell.lower() == pair[1]):
                row.append(column.name)
        if {-1.0, 0.0} <= set(column.numbers.values()):
            what = f"column {column.name!r} holds -1 beside 0 and 1; both count as no"
            doubts.append(Doubt(what, "write 1 or 0 in each cell", column.name))
    multi_label = any(len(row) != 1 for row in labels)
    return RowLabels([tuple(row) for row in labels], [column.name for column in columns], multi_label, doubts)


def _from_lists(table: RawTable, name: str) -> RowLabels:
    cells = table.column(name)
    separator = list_separator(cells, name.lower()) or ";"
    if flags := flags_by_place([None if is_missing(cell) else cell for cell in cells], separator):
        what = f"column {name!r} holds a 0 or 1 for each label, so the labels are the places of the ones, from 0"
        found = _several(flags, Doubt(what, "write the names of the labels to see them", name, "info"))
        several = any(row is not None and len(row) != 1 for row in flags)
        return replace(found, multi_label=several, doubts=found.doubts + _left_out(flags, name))
    _check_objects(cells, name)
    rows: list[tuple[str, ...] | None] = [tuple(dict.fromkeys(split_list(cell, separator))) for cell in cells]
    held = "lists of objects" if any(cell.startswith("[{") for cell in cells) else f"lists separated by {separator!r}"
    what = f"column {name!r} holds {held}, so samples may have several labels"
    return _several(rows, Doubt(what, "if each value is one label, write it without that character", name, "info"))


def _check_objects(cells: Sequence[str], name: str) -> None:
    if wrong := next((row for row, cell in enumerate(cells, 1) if is_unreadable(cell)), 0):
        raise DataError(
            f"Row {wrong} of column {name!r} begins like a list of objects with names, but cannot be read as one; "
            "perhaps it was cut off. Write it as [{'name': 'a'}, {'name': 'b'}]."
        )


def _several(rows: list[tuple[str, ...] | None], doubt: Doubt) -> RowLabels:
    return RowLabels(rows, sorted({label for row in rows for label in row or ()}, key=natural), True, [doubt])


def _from_cells(table: RawTable, column: Column) -> RowLabels:
    cells = table.column(column.name)
    _check_objects(cells, column.name)
    present = [None if is_missing(cell) and cell not in column.counts else cell for cell in cells]
    if _written_in_several_ways(column):
        present = [None if cell is None else str(int(column.numbers[cell])) for cell in present]
    present = unlisted(present)
    held = {cell for cell in present if cell is not None}
    if {cell.removesuffix(".") + "." for cell in held} < held:  # as in the test part of a public table
        present = [None if cell is None else cell.removesuffix(".") for cell in present]
    names = sorted({cell for cell in present if cell is not None}, key=_number_or_natural)
    return _with_missing(present, names, column.name)


def _written_in_several_ways(column: Column) -> bool:
    """Whole numbers as "1.0" or "+1"; "007" and "1E2" are names."""
    whole = bool(column.numbers) and all(column.numbers.get(cell, 0.5).is_integer() for cell in column.counts)
    names = any(re.fullmatch(r"0\d+|\d+[eE]\d+", cell) for cell in column.counts)
    return whole and not (names and len({*map(len, column.counts)}) == 1)


def _with_missing(cells: list[str | None], names: list[str], column: str) -> RowLabels:
    rows = [None if cell is None else (cell,) for cell in cells]
    return RowLabels([*rows], names, False, _left_out(rows, column))


def _left_out(rows: Sequence[tuple[str, ...] | None], column: str) -> list[Doubt]:
    missing = sum(row is None for row in rows)
    if not missing:
        return []
    what = f"{missing:,} of {len(rows):,} rows have no label in column {column!r} and are left out"
    return [Doubt(what, "fill in the labels, or remove the rows", f"row {list(rows).index(None) + 1}")]


def _number_or_natural(label: str) -> tuple[float, tuple[tuple[int, int, str], ...]]:
    try:
        return float(label), natural(label)
    except ValueError:
        return float("inf"), natural(label)


def _check_classes(table: RawTable, target: Target, labels: RowLabels) -> None:
    where = f"{', '.join(map(repr, target.columns[:8]))} of {table.file_name}"
    counts = dict.fromkeys(labels.names, 0)
    for row in labels.rows:
        for label in row or ():
            counts[label] += 1
    if len(labels.names) < 2:
        held = ", ".join(map(repr, labels.names))
        raise DataError(f"target {where} has only one class ({held}); add rows of another class.")
    if max(counts.values()) < 2:
        raise DataError(
            f"every class in {where} has a single row; a class needs at least two, one to learn from and one to test."
        )
