"""The labels table beside files: which column names the files, which one (or several) holds the labels.

Handles one label a file, several 0/1 columns, separated lists ("cat|dog", "3 7", "['a', 'b']"), the challenge's
``FileName,Labels`` and ``FileName,LabelConfidencePairs``, one row per label, and columns named split or group.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from automl_engine.errors import DataError
from formatters.base import Doubt, Side
from formatters.media.file_index import FileIndex
from formatters.split_words import Part, is_split_name, part_of, part_of_path, sides_of_parts
from formatters.tables.reader import RawTable
from formatters.words import counted

GROUP_COLUMNS = {"group", "group_id", "groups"}
LABEL_COLUMNS = (
    *("label", "labels", "class", "classes", "category", "categories", "target", "tags", "tag", "y"),
    *("class_name", "classname", "label_name", "class_id", "classid", "label_id"),
)
LABEL_HINTS = ("label", "class", "categor", "target", "species", "diagnosis", "emotion", "genre")
CONFIDENCE_COLUMN = "labelconfidencepairs"
MISSING_SHARE = 0.2  # of the rows may name files that are not there
YES_NO = {
    "1": True,
    "0": False,
    "-1": False,
    "-1.0": False,
    "1.0": True,
    "0.0": False,
    "true": True,
    "false": False,
    "yes": True,
    "no": False,
}
MAX_CLASSES = 1000
MATCH_ROWS = 2000  # looked at to find the file column
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
    doubts: list[Doubt] = field(default_factory=list)


def file_column(table: RawTable, index: FileIndex) -> int | None:
    """The column whose cells name the most files, each file in few rows."""
    rows = table.rows[:MATCH_ROWS]
    best, best_share = None, 0.0
    for at in range(len(table.columns)):
        files = {found[0] for found in (index.find(row[at]) for row in rows if row[at]) if found}
        share = len(files) / len(rows)
        if share > best_share:
            best, best_share = at, share
    return best if best_share >= MATCH_SHARE else None


def read_labels(table: RawTable, at: int, path: str, index: FileIndex, target: str | None) -> FileLabels | None:
    """The labels in a table whose column ``at`` names files; None when no other column can be a label.

    Raises:
        DataError: a row names a file that is missing or ambiguous, or ``target`` is no column of the table.
    """
    choice = _choose_target(table, at, target)
    if choice is None:
        return None
    table, files, missing = _files_of_rows(table, at, path, index)
    labels_of_rows, multi_label, doubts = _parse_labels(table, choice)
    doubts += missing
    merged: dict[str, dict[str, None]] = {}
    for file, labels in zip(files, labels_of_rows, strict=True):
        merged.setdefault(file, {}).update(dict.fromkeys(labels))
    several = sum(len(names) > 1 for names in merged.values())
    if several and not multi_label:
        multi_label = True
        doubts.append(
            Doubt(
                counted(several, "file has", "files have")
                + " several rows with different labels, so files may have several labels",
                "if each file should have one label, keep one row for each file",
                path,
            )
        )
    result = FileLabels(
        {file: tuple(names) for file, names in merged.items()},
        choice.columns if choice.kind == "yes_no" else None,
        multi_label,
        ",".join(choice.columns),
        choice.candidates,
        doubts=choice.doubts + doubts,
    )
    _add_sides_and_groups(result, table, files)
    return result


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
        if _is_split_column(table, at):
            return [part_of(row[at]) for row in table.rows]
    once = len({row[file_at] for row in table.rows}) == len(table.rows)
    return [part_of_path(path) or ("train" if once else "")] * len(table.rows)


def _add_sides_and_groups(result: FileLabels, table: RawTable, files: list[str]) -> None:
    for at, name in enumerate(table.columns):
        if _is_split_column(table, at):
            parts = [part_of(row[at]) for row in table.rows]
            sides = sides_of_parts(set(parts))
            result.sides = {file: sides[part] for file, part in zip(files, parts, strict=True)}
        elif _plain(name) in GROUP_COLUMNS:
            result.groups = {file: row[at] for file, row in zip(files, table.rows, strict=True)}


def _is_split_column(table: RawTable, at: int) -> bool:
    return is_split_name(table.columns[at]) and all(part_of(row[at]) not in ("", "unlabelled") for row in table.rows)


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


@dataclass
class _Choice:
    """The label column (or the 0/1 columns), and which others could be it."""

    columns: list[str]
    kind: Literal["one", "yes_no"]
    candidates: list[str]
    doubts: list[Doubt] = field(default_factory=list)


def _choose_target(table: RawTable, file_at: int, target: str | None) -> _Choice | None:
    others = [
        name
        for at, name in enumerate(table.columns)
        if at != file_at and not _is_split_column(table, at) and _plain(name) not in GROUP_COLUMNS
    ]
    cells = {name: [cell for cell in table.column(name) if cell] for name in others}
    candidates = [name for name in others if _can_be_label(cells[name], len(table.rows), _plain(name))]
    if target:
        return _given_target(table, target, cells, candidates)
    yes_no = [name for name in others if cells[name] and all(cell.lower() in YES_NO for cell in cells[name])]
    varying = [name for name in yes_no if len({YES_NO[cell.lower()] for cell in cells[name]}) > 1]
    named = [name for name in candidates if _plain(name) in (*LABEL_COLUMNS, CONFIDENCE_COLUMN)]
    if len(varying) >= 2 and not named:
        return _Choice(yes_no, "yes_no", candidates)
    if not candidates:
        return None
    hinted = [name for name in candidates if any(hint in _plain(name) for hint in LABEL_HINTS)]
    ordered = sorted(named, key=lambda name: _rank(_plain(name))) or hinted or candidates
    chosen = ordered[0]
    rest = [name for name in candidates if name != chosen]
    doubts = []
    if rest:
        level: Literal["warning", "info"] = "info" if named or hinted else "warning"
        doubts.append(
            Doubt(
                f"the label is taken from column {chosen!r}; {', '.join(map(repr, rest[:5]))} could be it too",
                "choose another target column if this is not what you want to predict",
                chosen,
                level,
            )
        )
    return _Choice([chosen], "one", candidates, doubts)


def _rank(name: str) -> int:
    return LABEL_COLUMNS.index(name) if name in LABEL_COLUMNS else len(LABEL_COLUMNS)


def _given_target(table: RawTable, target: str, cells: dict[str, list[str]], candidates: list[str]) -> _Choice:
    names = [target] if target in cells else [name.strip() for name in target.split(",")]
    unknown = [name for name in names if name not in cells]
    if unknown:
        raise DataError(f"{table.file_name} has no column {unknown[0]!r} for labels; choose one of {', '.join(cells)}.")
    if len(names) == 1:
        return _Choice(names, "one", candidates)
    for name in names:
        wrong = next((cell for cell in cells[name] if cell.lower() not in YES_NO), None)
        if wrong is not None:
            raise DataError(f"target column {name!r} holds {wrong!r}; several target columns must hold 0 or 1 each.")
    return _Choice(names, "yes_no", candidates)


def _can_be_label(cells: list[str], row_count: int, name: str) -> bool:
    """Few values that come back; a column named like a label may hold lists, which come back less."""
    distinct = len(set(cells))
    if not cells or distinct > MAX_CLASSES:
        return name == CONFIDENCE_COLUMN
    if name in (*LABEL_COLUMNS, CONFIDENCE_COLUMN):
        return True
    if distinct < 2 or distinct > row_count / 2:
        return False
    return distinct <= 20 or not all(re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell) for cell in cells)


def _parse_labels(table: RawTable, choice: _Choice) -> tuple[list[list[str]], bool, list[Doubt]]:
    """(labels of every row, multi-label?, doubts)."""
    if choice.kind == "yes_no":
        columns = [(name, table.column(name)) for name in choice.columns]
        rows = [
            [name for name, cells in columns if YES_NO.get(cells[i].lower(), False)] for i in range(len(table.rows))
        ]
        unsure = [name for name, cells in columns if {"-1", "-1.0"} & set(cells) and {"0", "0.0"} & set(cells)]
        doubts = [
            Doubt(f"column {name!r} holds -1 beside 0 and 1; both count as no", "write 1 or 0 in each cell", name)
            for name in unsure
        ]
        return rows, any(len(labels) != 1 for labels in rows), doubts
    cells = table.column(choice.columns[0])
    if _plain(choice.columns[0]) == CONFIDENCE_COLUMN:
        what = "confidences of labels are not kept: each named label counts fully"
        told = Doubt(what, "remove labels that you are not sure of", choice.columns[0], "info")
        return [cell.split()[::2] for cell in cells], True, [told]
    separator = list_separator(cells, _plain(choice.columns[0]))
    if separator is None:
        return [[cell] if cell else [] for cell in cells], False, []
    rows = [split_list(cell, separator) for cell in cells]
    told = Doubt(
        f"column {choice.columns[0]!r} holds lists separated by {separator!r}, so files may have several labels",
        "if each value is one label, write it without that character",
        choice.columns[0],
        "info",
    )
    return rows, True, [told]


def list_separator(cells: Sequence[str], column: str = "") -> str | None:
    """The character that separates several labels in a cell, or None when each cell is one label.

    Parts must come back in other cells, or we would cut "Washington, DC"; blanks separate only numbers, or
    words of a column named in the plural.
    """
    filled = [cell for cell in cells if cell]
    bracketed = bool(filled) and all(cell.startswith("[") and cell.endswith("]") for cell in filled)
    for separator in "|;, ":
        rows = [split_list(cell, separator) for cell in filled]
        if max(map(len, rows), default=0) < 2:
            continue
        parts = Counter(part for row in rows for part in row)
        values = set(filled)
        numbers = all(part.isdecimal() for part in parts)
        if bracketed and separator != " ":
            return separator
        if separator == " " and not numbers and column not in ("labels", "tags", "classes", "categories"):
            continue
        alone = {row[0] for row in rows if len(row) == 1}
        listed = {part for row in rows if len(row) > 1 for part in row}
        if len(parts) < len(values) or (listed & alone) or (numbers and separator != ","):
            return separator
    return None


def split_list(cell: str, separator: str) -> list[str]:
    """The labels in one cell."""
    inner = cell[1:-1] if cell[:1] + cell[-1:] in ("[]", "()", "{}") else cell
    parts = (part.strip().strip("'\"") for part in inner.split(separator))
    return [part for part in parts if part]
