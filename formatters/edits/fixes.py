"""The buttons beside doubts: what each says, and the edits or options that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from formatters.base import Fix

SHOWN = 3  # names in a sentence
MAX_ITEMS = 10_000  # in one button


def exclude(items: Sequence[str], title: str = "") -> list[Fix]:
    if len(items) > MAX_ITEMS:
        return []
    title = title or ("Exclude them" if len(items) > 1 else "Exclude it")
    what = f"{len(items):,} samples are" if len(items) > 1 else f"{items[0]} is"
    return [Fix(title, f"{what} left out of the data set.", [{"do": "exclude", "items": list(items)}])]


def few_classes(names: Sequence[str]) -> list[Fix]:
    """Of classes with hardly any sample."""
    left_out = [{"do": "drop", "classes": list(names)}]
    if len(names) < 2:
        return [Fix("Leave out the class", f"The samples of {names[0]!r} are left out.", left_out)]
    together = [{"do": "merge", "classes": list(names), "to": ["other"]}]
    return [
        Fix("Merge them into one", f"{_listed(names)} become the class 'other'.", together),
        Fix("Leave out the classes", f"The samples of {_listed(names)} are left out.", left_out),
    ]


def drop(names: Sequence[str]) -> list[Fix]:
    title = "Leave out the labels" if len(names) > 1 else "Leave out the label"
    edits = [{"do": "drop", "classes": list(names)}]
    return [Fix(title, f"{_listed(names)} will not be learned; the samples stay.", edits)]


def same_spelling(
    twins: Sequence[Sequence[str]], counts: Mapping[str, int], title: str = "Merge the spellings"
) -> list[Fix]:
    """Each set of classes becomes that of its most frequent spelling."""
    edits: list[dict[str, Any]] = []
    told: list[str] = []
    for names in twins:
        usual = max(names, key=lambda name: counts[name])
        edits.append({"do": "merge", "classes": list(names), "to": [usual]})
        told.append(f"{_listed(names)} become {usual!r}")
    more = f" (and {len(told) - 1:,} more)" if len(told) > 1 else ""
    return [Fix(title, f"{told[0]}{more}.", edits)]


def split_anew() -> list[Fix]:
    changes = "The given split is dropped, and a stratified share of all samples becomes the test set."
    return [Fix("Split anew", changes, [{"do": "split anew"}])]


def copies(across: bool) -> list[Fix]:
    one = Fix(
        "Keep one copy of each", "Of samples that are exact copies only the first stays.", [{"do": "keep one copy"}]
    )
    return [*to_train("copies"), one] if across else [one]


def disputed_copies() -> list[Fix]:
    changes = "All copies that have several labels are left out, since none is known to be right."
    return [Fix("Leave out the disputed copies", changes, [{"do": "drop disputed copies"}])]


TO_TRAIN = {"copies": "the copies", "similar": "similar samples"}


def to_train(which: str) -> list[Fix]:
    changes = "These test samples become train samples, so the scores are honest and the test set is smaller."
    return [Fix(f"Move {TO_TRAIN[which]} to the training set", changes, [{"do": f"{which} to train"}])]


def group(column: str) -> list[Fix]:
    changes = f"All samples with the same {column!r} stand either in train or in test."
    return [Fix(f"Group the split by {column!r}", changes, [{"do": "group", "columns": [column]}])]


def split_by(column: str, values: Sequence[str]) -> list[Fix]:
    """Each of a few values may be that of the test set; or the column tells nothing."""
    by_value = [
        Fix(
            f"Test on {value!r}",
            f"The test set is the samples with {value!r} in column {column!r}.",
            [{"do": "split", "columns": [column], "values": [value]}],
        )
        for value in values[:SHOWN]
    ]
    return [*by_value, *ignore([column])]


def ignore(columns: Sequence[str]) -> list[Fix]:
    title = "Leave out the column" + "s" * (len(columns) > 1)
    changes = f"Nothing is learned from {_listed(columns)}, and new data does not need it."
    return [Fix(title, changes, [{"do": "ignore", "columns": list(columns)}])]


def missing(column: str, values: Sequence[str]) -> list[Fix]:
    changes = f"{_listed(values)} in column {column!r} count as missing."
    return [Fix("Count as missing", changes, [{"do": "missing", "columns": [column], "values": list(values)}])]


def read_as(modality: str, noun: str) -> list[Fix]:
    return [Fix(f"Read as {noun}", f"The files are read as {noun}.", options={"modality": modality})]


def predict(columns: Sequence[str]) -> list[Fix]:
    """Other columns that may be the label."""
    return [
        Fix(
            f"Predict {name!r} instead",
            f"Column {name!r} becomes the label.",
            options={"target": name, "label_cuts": ""},
        )
        for name in columns[:SHOWN]
    ]


def date_order(order: str) -> list[Fix]:
    changes = f"The dates are read with the {order} first."
    return [Fix(f"The {order} comes first", changes, options={"date_order": order})]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:SHOWN]))
    return shown + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")
