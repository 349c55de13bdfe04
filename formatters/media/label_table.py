"""The labels table beside files: which column names the files, and the labels, side and group of each file.

Which column holds the labels is chosen as in any other table (``labels/target.py``); a file may have several rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from automl_engine.errors import DataError
from formatters.base import Doubt, Options, Side
from formatters.groups import names_groups
from formatters.labels.cuts import EACH, LabelQuestion
from formatters.labels.row_labels import labels_as_written, numbers_of_rows
from formatters.labels.target import NoLabelError, choose
from formatters.media.file_index import FileIndex
from formatters.split_words import Part, part_of_path, parts_of_cells, sides_of_parts
from formatters.tables.columns import Column, profile
from formatters.tables.reader import RawTable
from formatters.words import counted

GROUP_COLUMNS = {"group", "group_id", "groups"}
BOXES = ({"xmin", "ymin"}, {"x_min", "y_min"}, {"bbox"}, {"bbox_x", "bbox_y"}, {"x1", "y1", "x2", "y2"})
MISSING_SHARE = 0.2  # of the rows may name files that are not there
MATCH_ROWS = 2000  # all over the table, looked at to find the file column
MATCH_SHARE = 0.2  # of rows that name a file of ours: then the column holds file names


@dataclass
class FileLabels:
    """What one table says: labels, side and group by file path."""

    labels: dict[str, tuple[str, ...]]
    label_order: list[str] | None  # for 0/1 columns: the order of the columns
    multi_label: bool
    target: str
    candidates: list[str]
    sides: dict[str, Side] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    comes_from: dict[str, dict[str, str]] = field(default_factory=dict)  # column of speakers or the like: of each file
    numbers: dict[str, float | None] = field(default_factory=dict)  # to be cut into ranges, over all tables at once
    doubts: list[Doubt] = field(default_factory=list)


def file_column(table: RawTable, index: FileIndex) -> int | None:
    """The column whose cells name the most files, each file in few rows."""
    rows = table.rows[:: _stride(table)]
    best, best_share = None, 0.0
    for at in range(len(table.columns)):
        files = {found[0] for found in (index.find(row[at]) for row in rows if row[at]) if found}
        share = len(files) / len(rows)
        if share > best_share:
            best, best_share = at, share
    return best if best_share >= MATCH_SHARE else None


def _stride(table: RawTable) -> int:
    return -(-len(table.rows) // MATCH_ROWS)


def read_labels(table: RawTable, at: int, path: str, index: FileIndex, options: Options) -> FileLabels | None:
    """The labels in a table whose column ``at`` names files; None when no other column can be a label.

    Raises:
        LabelQuestion: the label column holds many numbers, and the options say no ranges.
        DataError: a row names a file that is missing or ambiguous, or the target is no column of the table.
    """
    columns = label_columns(table, at)
    try:
        target = choose(table, columns, options.target, beside=True)
    except NoLabelError:
        return None
    values = numbers_of_rows(table, columns, target) if target.kind == "numbers" else []
    if values and not options.label_cuts:
        raise LabelQuestion(target.columns[0], path, values, target.candidates[1:])
    table, files, missing = _files_of_rows(table, at, path, index)
    found = labels_as_written(table, columns, target)
    labels = _merged(files, found.rows)
    doubts = target.doubts + missing + (found.doubts if target.kind != "classes" else [])
    if _stride(table) > 1:
        what = f"{MATCH_ROWS:,} rows of {path} told that column {table.columns[at]!r} names the files"
        doubts.append(Doubt(what, "nothing needs to be done if that is right", path, "info"))
    if any(box <= set(map(_plain, table.columns)) for box in BOXES):
        what = f"{path} tells boxes of objects; each file gets the classes of its boxes, and where they are is not used"
        doubts.append(Doubt(what, "cut the objects out if each is to be classified", path))
    several = 0 if found.multi_label else sum(len(names) > 1 for names in labels.values())
    if several:
        what = counted(several, "file has", "files have")
        what += " several rows with different labels, so files may have several labels"
        doubts.append(Doubt(what, "if each file should have one label, keep one row for each file", path))
    result = FileLabels(
        labels,
        found.names if target.kind == "columns" else None,
        found.multi_label or several > 0,
        ",".join(target.columns),
        target.candidates,
        doubts=doubts,
    )
    if values and options.label_cuts != EACH:
        result.numbers = dict(zip(files, numbers_of_rows(table, columns, target), strict=True))
    _add_sides_and_groups(result, table, files)
    return result


def label_columns(table: RawTable, file_at: int) -> list[Column]:
    """The columns beside that of the files which may hold labels."""
    return [
        profile(name, table.column(name), table.delimiter)
        for at, name in enumerate(table.columns)
        if at != file_at and not _parts(table, at) and _plain(name) not in GROUP_COLUMNS
    ]


def _merged(files: list[str], rows: list[tuple[str, ...] | None]) -> dict[str, tuple[str, ...]]:
    """The labels of each file by all its rows."""
    merged: dict[str, dict[str, None]] = {}
    for file, labels in zip(files, rows, strict=True):
        merged.setdefault(file, {}).update(dict.fromkeys(labels or ()))
    return {file: tuple(names) for file, names in merged.items()}


def _files_of_rows(table: RawTable, at: int, path: str, index: FileIndex) -> tuple[RawTable, list[str], list[Doubt]]:
    """(the table without the rows whose file is missing, the file of each row left, what was left out)."""
    near = path.rpartition("/")[0]
    parts = _parts_of_rows(table, at, path)
    files: list[str] = []
    rows: list[list[str]] = []
    missing: list[tuple[int, str]] = []
    for number, row in enumerate(table.rows, start=1 + table.has_header):
        found = index.find(row[at], near, parts[len(files) + len(missing)])
        if len(found) > 1:
            raise DataError(
                f"row {number} of {path} names {row[at]!r}, which can be {found[0]} or {found[1]}; "
                "write the paths with their folders."
            )
        if found:
            files.append(found[0])
            rows.append(row)
        else:
            missing.append((number, row[at]))
    if not missing:
        return table, files, []
    number, name = missing[0]
    others = counted(len(missing) - 1, "more row names a missing file", "more rows name missing files")
    more = f" (and {others})" if len(missing) > 1 else ""
    what = f"names {name!r}, which is not in the upload" if name else "has no file name"
    if len(missing) >= MISSING_SHARE * len(table.rows):
        raise DataError(f"row {number} of {path} {what}{more}; add the file or remove the row.")
    told = Doubt(f"row {number} of {path} {what}{more}; left out", "add the files or remove the rows", path)
    return replace(table, rows=rows), files, [told]


def _parts_of_rows(table: RawTable, file_at: int, path: str) -> list[Part]:
    """The part ("train", "test") of each row, by a column or the table's own name; else what is labelled is train."""
    for at in range(len(table.columns)):
        if parts := _parts(table, at):
            return parts
    once = len({row[file_at] for row in table.rows}) == len(table.rows)
    return [part_of_path(path) or ("train" if once else "")] * len(table.rows)


def _add_sides_and_groups(result: FileLabels, table: RawTable, files: list[str]) -> None:
    for at, name in enumerate(table.columns):
        if parts := _parts(table, at):
            sides = sides_of_parts(set(parts))
            result.sides = {file: sides[part] for file, part in zip(files, parts, strict=True)}
        elif name not in result.target.split(",") and names_groups(name, {row[at] for row in table.rows}):
            result.comes_from[name] = {file: row[at] for file, row in zip(files, table.rows, strict=True)}
        elif _plain(name) in GROUP_COLUMNS:
            result.groups = {file: row[at] for file, row in zip(files, table.rows, strict=True)}


def _parts(table: RawTable, at: int) -> list[Part]:
    """The part of each row, if this column tells it; else []."""
    parts = parts_of_cells(table.columns[at], {row[at] for row in table.rows})
    return [] if "unlabelled" in parts.values() else [parts[row[at]] for row in table.rows] if parts else []


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())
