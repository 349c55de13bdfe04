"""The list of edits: a JSON file, checked before anything is read.

Each edit is ``{"do": one of FIELDS, field: [text, ..], ..}``; they apply in their order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError
from formatters.words import counted

MAX_BYTES = 64 * 2**20
FIELDS: dict[str, tuple[str, ...]] = {
    "exclude": ("items",),
    "relabel": ("items", "to"),
    "merge": ("classes", "to"),
    "drop": ("classes",),
    "keep one copy": (),
    "drop disputed copies": (),
    "copies to train": (),
    "similar to train": (),
    "group": ("columns",),
    "split": ("columns", "values"),
    "split anew": (),
    "missing": ("columns", "values"),
    "ignore": ("columns",),
}
ROW = re.compile(r"row \d+")
SINGLE = {("merge", "to"), ("group", "columns"), ("split", "columns"), ("missing", "columns")}


@dataclass(frozen=True)
class Edit:
    """One change; ``items`` are sources of samples, as the previews name them."""

    number: int  # from 1
    do: str
    items: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    to: tuple[str, ...] = ()

    def misfit(self, what: str) -> DataError:
        """What of it does not fit the data."""
        return DataError(f"Edit {self.number} ({self.do}) {what}; correct it, or take it off the list.")

    def of_table(self, path: str) -> Edit:
        """The same where rows are named with the path of their table, since there is another one now."""
        items = tuple(f"{path}, {item}" if ROW.fullmatch(item) else item for item in self.items)
        return replace(self, items=items)

    def told(self) -> str:
        """For the report."""
        names = ", ".join(map(repr, self.classes or self.columns))
        match self.do:
            case "exclude":
                return f"you excluded {counted(len(self.items), 'sample')}"
            case "relabel":
                return f"you relabelled {counted(len(self.items), 'sample')} as {', '.join(self.to) or 'nothing'}"
            case "merge":
                return f"you merged the classes {names} into {self.to[0]!r}"
            case "drop":
                return f"you left out {'the class' if len(self.classes) == 1 else 'the classes'} {names}"
            case "split":
                return f"you split by column {names}: the test set has {', '.join(map(repr, self.values))}"
            case "missing":
                return f"you count {', '.join(map(repr, self.values))} in column {names} as missing"
            case "group":
                return f"you keep each {names} on one side of the split"
            case "ignore":
                return f"you left out {'the column' if len(self.columns) == 1 else 'the columns'} {names}"
        return {
            "keep one copy": "you keep one of each set of exact copies",
            "drop disputed copies": "you left out exact copies whose labels differ",
            "copies to train": "test samples that are nearly the same as train samples moved to the training set",
            "similar to train": "test samples that are similar to train samples moved to the training set",
            "split anew": "the split given in your files is not used",
        }[self.do]


def read_edits(path: Path) -> tuple[Edit, ...]:
    """The edits of a JSON file.

    Raises:
        DataError: it is no list of known edits.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path.name} is larger than {MAX_BYTES:,} bytes; give fewer edits.")
        return parse(json.loads(path.read_text("utf-8")), path.name)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read as JSON ({error}); write a list of edits.") from error


def parse(listed: Any, name: str = "the list of edits") -> tuple[Edit, ...]:
    """Checked edits.

    Raises:
        DataError: something of it is no known edit.
    """
    if not isinstance(listed, list):
        raise DataError(f"{name} holds no list; write the edits as [{{...}}, {{...}}].")
    return tuple(_edit(number, entry, name) for number, entry in enumerate(listed, start=1))


def _edit(number: int, entry: Any, name: str) -> Edit:
    do = entry.get("do") if isinstance(entry, dict) else None
    if not isinstance(do, str) or do not in FIELDS:
        raise DataError(f"Edit {number} of {name} does {do!r}; it must do one of: {', '.join(FIELDS)}.")
    wrong = set(entry) ^ {"do", *FIELDS[do]}
    if wrong:
        raise DataError(
            f"Edit {number} of {name} ({do}) must have the fields {', '.join(('do', *FIELDS[do]))}, and no others."
        )
    for field in FIELDS[do]:
        _check_texts(entry[field], f"Edit {number} of {name} ({do}): {field}", (do, field) in SINGLE)
    return Edit(number, do, **{field: tuple(entry[field]) for field in FIELDS[do]})


def _check_texts(values: Any, where: str, single: bool) -> None:
    good = isinstance(values, list) and all(isinstance(value, str) for value in values)
    if not good or (single and len(values) != 1) or (not values and not where.endswith("to")):
        raise DataError(f"{where} must be a list of {'one text' if single else 'texts'}.")
    if where.endswith("to") and not all(value.strip() for value in values):
        raise DataError(f"{where} holds an empty class name; give each class a name.")


def of_kind(edits: Sequence[Edit], *kinds: str) -> list[Edit]:
    return [edit for edit in edits if edit.do in kinds]
