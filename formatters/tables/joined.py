"""Labels that stand outside a table: in a file beside it, a row for a row (X.csv and y.csv), or in its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from automl_engine.errors import DataError
from formatters.base import Doubt
from formatters.labels.target import CLEAR_NAME, MAX_CLASSES, SURE_NAME, NoLabelError, choose, name_score
from formatters.split_words import PART_WORDS, part_of
from formatters.tables.columns import profile
from formatters.tables.reader import RawFindings, RawTable, ReadTable
from formatters.tables.records import SHEET

MIN_NAMED = 0.8  # of the rows that have a label in the file beside
MIN_STEPS = 5  # of a series, on average
LOOK_ROWS = 200
LABEL = "label"
NUMBER = re.compile(r"\d+")
LABEL_FILES = frozenset(["y", "label", "labels", "target", "targets", "classes", "answers"])


def with_labels_beside(read: dict[str, ReadTable]) -> dict[str, ReadTable]:
    """Tables of labels (y_train.csv, metadata.csv with a target) become columns of a table of the same part.

    A column that both have says which rows belong together, where its values name the rows of the labels; else the
    table of as many rows is meant, a row for a row.
    """
    found = dict(read)
    for path, (labels, _) in read.items():
        by_name = bool(set(_words(path)) & LABEL_FILES)
        if not by_name and not _holds_the_label(path, read):
            continue
        if not labels.has_header:  # no columns of the table, whatever they are called there
            numbered = [f"{LABEL}_{at}" for at in range(1, len(labels.columns))]
            labels = replace(labels, columns=[LABEL, *numbered])
        same_part = {other: one for other, one in found.items() if other != path and _part(other) == _part(path)}
        keys = {
            other: key
            for other, (table, _) in same_part.items()
            if (key := _key(table, labels)) and (by_name or _are_steps(table, labels))
        }
        partners = list(keys) or [
            other
            for other, (table, _) in same_part.items()
            if by_name and len(table.rows) == len(labels.rows) and _same_rows(table, labels)
        ]
        if len(partners) != 1:
            continue
        table, findings = found[partners[0]]
        new = [name for name in labels.columns if name not in table.columns]
        if len(new) > 1:  # what hardly comes back, such as a date, is no class
            new = [name for name in new if len(set(labels.column(name))) <= len(labels.rows) / 2]
        label = _label_of(labels, new)
        if label and not (len(new) == 1 and _explains(table, labels, new[0])):
            found[partners[0]] = _beside(table, findings, labels, new, label, keys.get(partners[0], ""))
            del found[path]
    return found


def _holds_the_label(path: str, read: dict[str, ReadTable]) -> bool:
    """Has it a column that is surely the label, and no other table of its part one that may be it?"""
    best = {
        other: max(map(name_score, table.columns)) for other, (table, _) in read.items() if _part(other) == _part(path)
    }
    return best.pop(path) >= SURE_NAME and max(best.values(), default=CLEAR_NAME) < CLEAR_NAME


def _are_steps(table: RawTable, labels: RawTable) -> bool:
    """Has it a row for each of the labels, or many, as series have?  Fewer are rather other things about the same."""
    return len(table.rows) == len(labels.rows) or len(table.rows) >= MIN_STEPS * len(labels.rows)


def _label_of(labels: RawTable, names: list[str]) -> str:
    """The label among these columns of a table of labels, or the labels, joined by commas; "" if there is none."""
    if len(names) < 2:
        return "".join(names)
    try:
        columns = [profile(name, labels.column(name), labels.delimiter) for name in names]
        return ",".join(choose(labels, columns, beside=True).columns)
    except NoLabelError:
        return ""


def _key(table: RawTable, labels: RawTable) -> str:
    """The column in both whose values name the rows of the labels, and the rows of the table with few exceptions."""
    for name in (name for name in labels.columns if name in table.places and table.has_header):
        named = set(labels.column(name))
        cells = table.column(name)
        if len(named) == len(labels.rows) and sum(cell in named for cell in cells) >= MIN_NAMED * len(cells):
            return name
    return ""


def _explains(table: RawTable, labels: RawTable, name: str) -> bool:
    """Is it shorter, and does each cell stand once, as in a list of what the classes mean?"""
    return len(set(labels.column(name))) == len(labels.rows) < len(table.rows)


def _same_rows(table: RawTable, labels: RawTable) -> bool:
    """Do the columns that both have say the same, a row for a row?"""
    shared = [name for name in labels.columns if name in table.places and table.has_header]
    return all(table.column(name) == labels.column(name) for name in shared)


def _part(path: str) -> str:
    return part_of(Path(path).stem)


def _words(path: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", Path(path).stem).lower())


def _beside(
    table: RawTable, findings: RawFindings, labels: RawTable, names: list[str], label: str, key: str
) -> ReadTable:
    """The table with these columns of the labels."""
    for name in names:
        cells = labels.column(name)
        if key:
            of_key = dict(zip(labels.column(key), cells, strict=True))
            cells = [of_key.get(cell, "") for cell in table.column(key)]
        table = with_column(table, name, cells)
    taken = f"columns {', '.join(map(repr, names))} were" if len(names) > 1 else f"column {names[0]!r} was"
    note = f"{taken} taken from {labels.file_name}, " + (f"by column {key!r}" if key else "a row for a row")
    unused = [name for name in labels.columns if name not in table.columns]
    note += f"; its columns {', '.join(map(repr, unused))} are not used" * bool(unused)
    return replace(table, label=label), replace(findings, notes=[*findings.notes, note])


def with_column(table: RawTable, name: str, cells: Sequence[str]) -> RawTable:
    rows = [[*row, cell] for row, cell in zip(table.rows, cells, strict=True)]
    return replace(table, columns=[*table.columns, name], rows=rows)


def with_header_of_first(read: dict[str, ReadTable]) -> dict[str, ReadTable]:
    """The tables; of parts numbered in turn, of which only the first names the columns, the others have its names."""
    found = dict(read)
    firsts = {NUMBER.sub("", path): table for path, (table, _) in reversed(read.items()) if table.has_header}
    for path, (table, findings) in read.items():
        first = firsts.get(NUMBER.sub("", path))
        if first and not table.has_header and _alike(first, table):
            found[path] = replace(table, columns=first.columns, has_header=True), findings
    return found


def _alike(one: RawTable, other: RawTable) -> bool:
    """Have both as many columns, of numbers at the same places?"""
    kinds = [
        [
            bool(profile(name, [row[at] for row in table.rows[:LOOK_ROWS]]).numbers)
            for at, name in enumerate(one.columns)
        ]
        for table in (one, other)
        if len(table.columns) == len(one.columns)
    ]
    return len(kinds) == 2 and kinds[0] == kinds[1]


def data_with_labels(paths: Sequence[str]) -> list[str]:
    """Of plain text files those called X and y in each part (X_train.txt, y_train.txt): rows, and their labels."""
    parts: dict[str, dict[str, list[str]]] = {}
    for path in paths:
        words = set(_words(path)) - PART_WORDS.keys()
        kind = "label" if len(words & LABEL_FILES) == 1 == len(words) else "data" if words == {"x"} else ""
        parts.setdefault(_part(path), {}).setdefault(kind, []).append(path)
    pairs = [(part["data"], part["label"]) for part in parts.values() if {"data", "label"} <= part.keys()]
    return [path for data, label in pairs if len(data) == len(label) == 1 for path in (*data, *label)]


def named_by_class(group: list[str], columns: list[str]) -> bool:
    """Fake.csv and True.csv: files of the same columns, named by words, where no column is named like a label."""
    stems = [Path(path).stem for path in group]
    words = all(re.fullmatch(r"[^\W\d_]{2,}([\s_-][^\W\d_]+){0,2}", stem) and not part_of(stem) for stem in stems)
    distinct = 1 < len(set(stems)) == len(stems) <= MAX_CLASSES
    return words and distinct and max(map(name_score, columns)) < CLEAR_NAME


def with_class_column(table: RawTable, classes: list[str]) -> RawTable:
    name = "file_name" if "file_name" not in table.columns else "class_by_file_name"
    return replace(with_column(table, name, classes), label=name)


def with_sheets_as_classes(read: ReadTable) -> ReadTable:
    """The table; the column that names the sheet of each row is the label if no other can be, else left out."""
    table, findings = read
    if table.columns[-1] != SHEET:
        return read
    sheets = list(dict.fromkeys(table.column(SHEET)))
    if not table.label and named_by_class(sheets, table.columns) and _lacks_a_label(table):
        return replace(table, label=SHEET), findings
    told = f"the rows of the sheets {', '.join(map(repr, sheets))} are joined"
    bare = replace(table, columns=table.columns[:-1], rows=[row[:-1] for row in table.rows])
    return bare, replace(findings, notes=[*findings.notes, told])


def _lacks_a_label(table: RawTable) -> bool:
    columns = [profile(name, table.column(name), table.delimiter) for name in table.columns[:-1]]
    try:
        return len(columns) == 1 or not choose(table, columns)
    except NoLabelError:
        return True
    except DataError:  # raised again unless the user chooses another target
        return False


def class_doubt(name: str, group: list[str], of: str = "file") -> Doubt:
    what = f"no column is named like a label, so the class of a row is the name of its {of} ({', '.join(group[:4])})"
    return Doubt(what, "choose another target if a column holds the labels", name)
