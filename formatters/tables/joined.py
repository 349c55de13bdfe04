"""Labels that stand outside a table: in a file beside it, a row for a row (X.csv and y.csv), or in its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from formatters.base import Doubt
from formatters.labels.target import CLEAR_NAME, MAX_CLASSES, name_score
from formatters.split_words import part_of
from formatters.tables.reader import RawFindings, RawTable, ReadTable

MIN_NAMED = 0.8  # of the rows that have a label in the file beside
LABEL = "label"
LABEL_FILES = frozenset(["y", "label", "labels", "target", "targets", "classes", "answers"])


def with_labels_beside(read: dict[str, ReadTable]) -> dict[str, ReadTable]:
    """Tables named like labels (y_train.csv) become columns of a table of the same part.

    A column that both have says which rows belong together, where its values name the rows of the labels; else the
    table of as many rows is meant, a row for a row.
    """
    found = dict(read)
    for path, (labels, _) in read.items():
        if not set(_words(path)) & LABEL_FILES:
            continue
        if not labels.has_header:  # no columns of the table, whatever they are called there
            numbered = [f"{LABEL}_{at}" for at in range(1, len(labels.columns))]
            labels = replace(labels, columns=[LABEL, *numbered])
        same_part = {other: one for other, one in found.items() if other != path and _part(other) == _part(path)}
        keys = {other: key for other, (table, _) in same_part.items() if (key := _key(table, labels))}
        partners = list(keys) or [
            other
            for other, (table, _) in same_part.items()
            if len(table.rows) == len(labels.rows) and _same_rows(table, labels)
        ]
        new = [name for name in labels.columns if partners and name not in found[partners[0]][0].columns]
        if len(new) > 1:  # what hardly comes back, such as a date, is no class
            new = [name for name in new if len(set(labels.column(name))) <= len(labels.rows) / 2]
        if len(partners) == 1 and len(new) == 1 and not _explains(found[partners[0]][0], labels, new[0]):
            found[partners[0]] = _beside(*found[partners[0]], labels, new[0], keys.get(partners[0], ""))
            del found[path]
    return found


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


def _beside(table: RawTable, findings: RawFindings, labels: RawTable, name: str, key: str) -> ReadTable:
    cells = labels.column(name)
    if key:
        of_key = dict(zip(labels.column(key), cells, strict=True))
        cells = [of_key.get(cell, "") for cell in table.column(key)]
    note = f"column {name!r} was taken from {labels.file_name}, " + (f"by column {key!r}" if key else "a row for a row")
    return replace(with_column(table, name, cells), label=name), replace(findings, notes=[*findings.notes, note])


def with_column(table: RawTable, name: str, cells: Sequence[str]) -> RawTable:
    rows = [[*row, cell] for row, cell in zip(table.rows, cells, strict=True)]
    return replace(table, columns=[*table.columns, name], rows=rows)


def named_by_class(group: list[str], columns: list[str]) -> bool:
    """Fake.csv and True.csv: files of the same columns, named by words, where no column is named like a label."""
    stems = [Path(path).stem for path in group]
    words = all(re.fullmatch(r"[^\W\d_]{2,}([\s_-][^\W\d_]+){0,2}", stem) and not part_of(stem) for stem in stems)
    distinct = 1 < len(set(stems)) == len(stems) <= MAX_CLASSES
    return words and distinct and max(map(name_score, columns)) < CLEAR_NAME


def with_class_column(table: RawTable, classes: list[str]) -> RawTable:
    name = "file_name" if "file_name" not in table.columns else "class_by_file_name"
    return replace(with_column(table, name, classes), label=name)


def class_doubt(name: str, group: list[str]) -> Doubt:
    what = f"no column is named like a label, so the class of a row is the name of its file ({', '.join(group[:4])})"
    return Doubt(what, "choose another target if a column holds the labels", name)
