"""What a table is meant to predict: which column (or 0/1 columns) holds the labels, and the labels of each row.

``choose`` guesses from names, position, type and number of values, or obeys ``--target``; ``read_labels`` makes
label names of the cells.  What is not certain becomes a Doubt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from automl_engine.errors import DataError
from formatters.base import Doubt
from formatters.media.label_table import list_separator, split_list
from formatters.media.order import natural
from formatters.split_words import is_split_name
from formatters.tables.columns import ID_NAME, Column, as_label, boolean_values, is_missing
from formatters.tables.reader import RawTable

Kind = Literal["classes", "columns", "lists", "median"]

NAME_SCORES: dict[str, int] = (
    dict.fromkeys(("target", "label", "labels", "class", "classes"), 9)
    | dict.fromkeys(("y", "outcome", "species", "survived", "sentiment", "category", "diagnosis", "quality"), 8)
    | dict.fromkeys(("result", "response", "churn", "exited", "income", "variety", "activity", "emotion", "spam"), 6)
    | dict.fromkeys(("attrition", "default", "defaulted", "approved", "purchased", "subscribed", "stroke", "fault"), 6)
    | dict.fromkeys(("topic", "genre", "fraud", "disease", "type", "status", "grade", "rating", "score", "price"), 2)
)
NAME_PARTS = {"target": 4, "label": 4, "class": 3, "outcome": 3, "survived": 3, "sentiment": 3, "churn": 3}
NO_LABEL_NAME = re.compile(  # where, when and who rather than what
    r"(^|[^a-z])(year|month|day|week|hour|zip|postcode|latitude|longitude|lat|lon)([^a-z]|$)", re.IGNORECASE
)
SURE_NAME = 9  # nobody names anything else so
CLEAR_NAME = 4  # a name that settles the matter
CLOSE_CALL = 2.0  # scores nearer than this make a doubt
MAX_CLASSES = 1000
MAX_NUMERIC_CLASSES = 20
MAX_COUNTED_CLASSES = 10  # more whole numbers are a count or an age rather than classes


@dataclass(frozen=True)
class Target:
    """The columns that hold the labels; candidates are what a user may choose instead, likeliest first."""

    columns: tuple[str, ...]
    kind: Kind
    why: str
    candidates: list[str]
    doubts: list[Doubt] = field(default_factory=list)


@dataclass(frozen=True)
class RowLabels:
    """Labels of every row (None: it has none and is left out) and the classes in index order."""

    rows: list[tuple[str, ...] | None]
    names: list[str]
    multi_label: bool
    doubts: list[Doubt]


def choose(table: RawTable, columns: Sequence[Column], wanted: str | None = None) -> Target:
    """The target of a table.

    Raises:
        DataError: a wanted column does not exist or cannot be a target, or nothing can be.
    """
    words = [c for c in map(as_label, columns) if not c.numbers and c.type == "category" and not is_split_name(c.name)]
    only_words = words[0] if len(words) == 1 else None
    columns = [as_label(column) for column in columns]
    able = [at for at, column in enumerate(columns) if not is_split_name(column.name)]
    places = {0: 1.0, max(able, default=0): 3.0}  # a split often stands behind the label
    scores = {
        column.name: _score(column, places.get(at, -1.0)) + (2 if column is only_words else 0)
        for at, column in enumerate(columns)
    }
    order = {column.name: at for at, column in enumerate(columns)}
    ranked = sorted(scores, key=lambda name: (-scores[name], -order[name]))
    ranked = [name for name in ranked if scores[name] > -5]
    by_name = {column.name: column for column in columns}
    if len(columns) == 1:
        raise DataError(
            f"{table.file_name} has only the column {columns[0].name!r}; a table needs columns to learn from and a "
            "column of labels, separated by commas, tabs or semicolons."
        )
    if wanted or table.label:
        return _wanted(table, by_name, wanted or table.label, ranked)
    block = _label_block(columns)
    if block and max((name_score(name) for name in ranked), default=0) < CLEAR_NAME:
        return _block_target(table, block, ranked)
    _check_named_label(table, columns, ranked)
    if not ranked:
        raise DataError(
            f"{table.file_name} has no column that could be a label ({_listed(list(by_name))}); "
            "add one with the class of each row, with at least two different values."
        )
    chosen = by_name[ranked[0]]
    target = replace(_single(table, chosen, ranked), why=_why(chosen, order[chosen.name], len(columns)))
    rivals = [name for name in ranked[1:] if scores[name] > scores[chosen.name] - CLOSE_CALL]
    if name_score(chosen.name) < CLEAR_NAME:
        what = f"column {chosen.name!r} was taken as the label" + (
            f", but {_listed(rivals)} could be it too" * bool(rivals)
        )
        fix = "choose another target if you want to predict something else"
        target.doubts.append(Doubt(what, fix, chosen.name, "warning" if rivals else "info"))
    return target


def _check_named_label(table: RawTable, columns: Sequence[Column], ranked: list[str]) -> None:
    """A column called "label" that cannot be one is a mistake to tell, and no reason to take another."""
    if any(name_score(name) >= CLEAR_NAME for name in ranked):
        return
    for column in columns:
        if NAME_SCORES.get(column.name.lower(), 0) < SURE_NAME or column.type == "text":
            continue
        if column.distinct < 2:
            held = f"always holds {next(iter(column.counts))!r}" if column.counts else "is empty"
            raise DataError(
                f"the label column {column.name!r} of {table.file_name} {held}, so there is only one class; "
                "add rows of another class, or choose another target."
            )
        raise DataError(
            f"the label column {column.name!r} of {table.file_name} has {column.distinct:,} different values in "
            f"{column.present:,} rows, but a class needs several samples; group the values, or choose another target."
        )


def _score(column: Column, place: float) -> float:
    """How much a column looks like a label; ``place``: for where it stands."""
    if column.distinct < 2 or column.type in ("text", "date") or column.present < 2 or is_split_name(column.name):
        return -10
    if column.type == "id" or (not column.numbers and column.distinct > min(MAX_CLASSES, column.present / 2)):
        return -10
    name = name_score(column.name)
    if _is_continuous(column) and name < SURE_NAME:  # x, y and z are measures, a price is one
        name = min(name, 2.0)
    score = name + place
    if NO_LABEL_NAME.search(column.name) or (ID_NAME.fullmatch(column.name) and column.name != "column_0"):
        score -= 4
    each = column.present / column.distinct
    if _is_continuous(column):
        score -= 1
    elif each >= 5 and column.distinct <= 20:
        score += (0 if column.numbers and column.distinct > MAX_COUNTED_CLASSES else 2) + (column.distinct == 2)
    elif each >= 10:
        score += 1
    elif each < 2:
        score -= 3
    missing_share = column.missing / (column.missing + column.present)
    return score - (5 if missing_share > 0.3 else 2 if missing_share > 0.02 else 0)


def name_score(name: str) -> float:
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    parts = re.split(r"[^a-z]+", plain)
    return max([NAME_SCORES.get(plain, 0), *(NAME_PARTS.get(part, 0) for part in parts)])


def _is_continuous(column: Column) -> bool:
    """Is it a quantity rather than a class number?"""
    if not column.numbers or column.distinct <= 2:
        return False
    whole = all(value.is_integer() for value in column.numbers.values())
    return column.distinct > (MAX_NUMERIC_CLASSES if whole else 10) and (
        not whole or column.distinct > 100 or column.present / column.distinct < 10
    )


def _why(column: Column, at: int, count: int) -> str:
    reasons = [f"has {column.distinct:,} values"]
    if name_score(column.name) > 0:
        reasons.insert(0, "is named like a label")
    if at in (0, count - 1):
        reasons.insert(0, "stands last" if at else "stands first")
    return f"column {column.name!r} is the label: it {' and '.join(reasons)}"


def _single(table: RawTable, column: Column, ranked: list[str]) -> Target:
    kind: Kind = "classes"
    doubts = []
    if _is_continuous(column):
        kind = "median"
        what = f"column {column.name!r} is a quantity with {column.distinct:,} values; it was cut at its median"
        fix = "choose another target, or group its values into classes before the upload"
        doubts.append(Doubt(f"{what} into two classes of equal size", fix, column.name))
    elif column.type == "category" and list_separator(list(column.counts)[:2000], column.name.lower()) is not None:
        kind = "lists"
    return Target((column.name,), kind, "", ranked, doubts)


def _wanted(table: RawTable, by_name: dict[str, Column], wanted: str, ranked: list[str]) -> Target:
    names = [wanted] if wanted in by_name else [name.strip() for name in wanted.split(",") if name.strip()]
    unknown = [name for name in names if name not in by_name]
    if unknown or not names:
        raise DataError(
            f"{table.file_name} has no column {(unknown or [wanted])[0]!r} to use as target; "
            f"choose one of {_listed(list(by_name), 30)}."
        )
    why = f"column {_listed(names)} was chosen as the label"
    if len(names) == 1:
        column = by_name[names[0]]
        if column.distinct < 2:
            raise DataError(
                f"target column {column.name!r} of {table.file_name} has fewer than two values; "
                f"choose one of {_listed(ranked) or 'the others'}."
            )
        if not column.numbers and column.distinct > min(MAX_CLASSES, column.present / 2):
            raise DataError(
                f"target column {column.name!r} of {table.file_name} has {column.distinct:,} different values in "
                f"{column.present:,} rows, too many to be classes; choose one of {_listed(ranked) or 'the others'}."
            )
        return replace(_single(table, column, ranked), why=why)
    for name in names:
        if by_name[name].type != "boolean":
            cell = next((c for c in by_name[name].counts if c not in ("0", "1")), "")
            raise DataError(
                f"target column {name!r} of {table.file_name} holds {cell!r}; "
                "several target columns must hold 0 or 1 each."
            )
    return Target(tuple(names), "columns", why, ranked)


def _listed(names: Sequence[str], limit: int = 8) -> str:
    return ", ".join(map(repr, names[:limit])) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _label_block(columns: Sequence[Column]) -> list[Column]:
    """Two or more 0/1 columns side by side at one end, where no other column is 0/1: several labels a row."""
    flags = [set(column.numbers.values()) == {0.0, 1.0} and not column.missing for column in columns]
    count = sum(flags)
    if count < 2 or count > len(columns) - 1:
        return []
    if all(flags[-count:]):
        return list(columns[-count:])
    return list(columns[:count]) if all(flags[:count]) else []


def _block_target(table: RawTable, block: list[Column], ranked: list[str]) -> Target:
    names = tuple(column.name for column in block)
    what = f"the {len(names)} columns {_listed(names)} hold only 0 and 1 and were taken as one label each"
    level: Literal["info", "warning"] = "warning" if len(names) == 2 else "info"
    doubt = Doubt(what, f"choose the target {names[-1]!r} alone if the others are features", names[0], level)
    why = f"the {len(names)} 0/1 columns {_listed(names)} side by side are the labels"
    return Target(names, "columns", why, list(dict.fromkeys([*reversed(names), *ranked])), [doubt])


def read_labels(table: RawTable, columns: Sequence[Column], target: Target) -> RowLabels:
    """The labels of every row.

    Raises:
        DataError: fewer than two classes, or no class has two rows.
    """
    by_name = {column.name: as_label(column) for column in columns}
    if target.kind == "columns":
        result = _from_columns(table, [by_name[name] for name in target.columns])
    elif target.kind == "lists":
        result = _from_lists(table, target.columns[0])
    else:
        result = _from_cells(table, by_name[target.columns[0]], target.kind == "median")
    _check_classes(table, target, result)
    return result


def _from_columns(table: RawTable, columns: list[Column]) -> RowLabels:
    labels: list[list[str]] = [[] for _ in table.rows]
    for column in columns:
        pair = boolean_values(column.counts)
        for row, cell in zip(labels, table.column(column.name), strict=True):
            if column.numbers.get(cell) == 1 or (pair and cell.lower() == pair[1]):
                row.append(column.name)
    multi_label = any(len(row) != 1 for row in labels)
    return RowLabels([tuple(row) for row in labels], [column.name for column in columns], multi_label, [])


def _from_lists(table: RawTable, name: str) -> RowLabels:
    cells = table.column(name)
    separator = list_separator(cells, name.lower()) or ";"
    rows = [tuple(dict.fromkeys(split_list(cell, separator))) for cell in cells]
    what = f"column {name!r} holds lists separated by {separator!r}, so a row may have several labels"
    doubt = Doubt(what, "if each value is one label, write it without that character", name, "info")
    return RowLabels(list(rows), sorted({label for row in rows for label in row}, key=natural), True, [doubt])


def _from_cells(table: RawTable, column: Column, cut: bool) -> RowLabels:
    cells = table.column(column.name)
    present = [None if is_missing(cell) and cell not in column.counts else cell for cell in cells]
    if cut:
        present, names = _cut_at_median(cells, column)
    else:
        if all(column.numbers.get(cell, 0.5).is_integer() for cell in set(present) if cell is not None):
            present = [None if cell is None else str(int(column.numbers[cell])) for cell in present]  # "1.0" is "1"
        names = sorted({cell for cell in present if cell is not None}, key=_number_or_natural)
    doubts = []
    missing = sum(cell is None for cell in present)
    if missing:
        what = f"{missing:,} of {len(cells):,} rows have no label in column {column.name!r} and are left out"
        where = f"row {present.index(None) + 1}"
        doubts.append(Doubt(what, "fill in the labels, or remove the rows", where))
    return RowLabels([None if cell is None else (cell,) for cell in present], names, False, doubts)


def _number_or_natural(label: str) -> tuple[float, list[tuple[int, int, str]]]:
    try:
        return float(label), natural(label)
    except ValueError:
        return float("inf"), natural(label)


def _cut_at_median(cells: list[str], column: Column) -> tuple[list[str | None], list[str]]:
    """Regression as the challenge does it: two classes, at most and above the median."""
    values = [column.numbers.get(cell, math.nan) for cell in cells]
    median = float(np.nanmedian(values))
    top_heavy = median == max(column.numbers.values())
    names = [f"< {median:g}", f"≥ {median:g}"] if top_heavy else [f"≤ {median:g}", f"> {median:g}"]
    above = [value >= median if top_heavy else value > median for value in values]
    return [None if math.isnan(value) else names[side] for value, side in zip(values, above, strict=True)], names


def _check_classes(table: RawTable, target: Target, labels: RowLabels) -> None:
    where = f"{_listed(target.columns)} of {table.file_name}"
    counts = dict.fromkeys(labels.names, 0)
    for row in labels.rows:
        for label in row or ():
            counts[label] += 1
    if len(labels.names) < 2:
        raise DataError(f"target {where} has only one class ({_listed(labels.names)}); add rows of another class.")
    if max(counts.values()) < 2:
        raise DataError(
            f"every class in {where} has a single row; a class needs at least two, one to learn from and one to test."
        )
