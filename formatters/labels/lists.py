"""Several labels in one cell: "cat|dog", "3 7", "['a', 'b']", "[{'id': 7, 'name': 'a'}]"."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

MAX_COMPARED = 200  # cells, each with each other
PLURAL = ("labels", "tags", "classes", "categories", "genres", "topics", "keywords")
SPACED = PLURAL[:4]  # others hold names of several words: "Classic Rock"
ALONE_TOO = "/+&"  # marks that stand within names as well
MIN_COMBINATIONS = 3  # different ones: "yes/no" beside "yes" and "no" is a class
NAME_KEYS = ("name", "label", "title", "class", "category", "tag", "choice", "value", "id")


def list_separator(cells: Sequence[str], column: str = "") -> str | None:
    """The character that separates several labels in a cell, or None when each cell is one label.

    Parts must come back in other cells, or we would cut "Washington, DC"; a list within another is enough in a column
    named in the plural, and for other marks.  Blanks separate only numbers, or words of a column "labels", say; of what
    "/", "+" and "&" separate, each part must stand alone somewhere, and several combinations must occur.
    """
    filled = [cell for cell in cells if cell]
    bracketed = bool(filled) and all(
        cell[:1] + cell[-1:] == "[]" or (cell[:1] + cell[-1:] == "{}" and ":" not in cell) for cell in filled
    )
    for separator in f"|;,{ALONE_TOO} ":
        rows = [split_list(cell, separator) for cell in filled]
        if max(map(len, rows), default=0) < 2:
            continue
        parts = Counter(part for row in rows for part in row)
        values = set(filled)
        numbers = all(part.isdecimal() for part in parts)
        if bracketed and separator in "|;,":
            return separator
        if separator == " " and not numbers and column not in SPACED:
            continue
        alone = {row[0] for row in rows if len(row) == 1}
        listed = {part for row in rows if len(row) > 1 for part in row}
        if separator in ALONE_TOO:
            combinations = {frozenset(row) for row in rows if len(row) > 1}
            within_names = any(separator in (cell[0], cell[-1]) for cell in values)  # "C++"
            if not numbers and not within_names and listed <= alone and len(combinations) >= MIN_COMBINATIONS:
                return separator
            continue
        sets = {frozenset(row) for row in rows[:MAX_COMPARED]}
        unlikely = (separator != "," or column in PLURAL) and not numbers
        within = unlikely and any(one < other for one in sets for other in sets if len(one) > 1)
        if within or len(parts) < len(values) or (listed & alone) or (numbers and separator != ","):
            return separator
    return None


def unlisted(cells: Sequence[str | None]) -> list[str | None]:
    """Cells that are all lists of at most one label, as that label."""
    if not all(cell[:1] + cell[-1:] == "[]" for cell in cells if cell is not None):
        return list(cells)
    return [next(iter(split_list(cell, ",")), None) if cell is not None else None for cell in cells]


def split_list(cell: str, separator: str) -> list[str]:
    """The labels in one cell."""
    if cell.startswith("[{"):
        return list(_names(cell))
    inner = cell[1:-1] if cell[:1] + cell[-1:] in ("[]", "()", "{}") else cell
    parts = (part.strip().strip("'\"") for part in inner.split(separator))
    return [part for part in parts if part]


def is_unreadable(cell: str) -> bool:
    """Whether it begins like a list of objects and is none, or an object has no name."""
    return cell.startswith("[{") and _names(cell) == (cell,)


@lru_cache(maxsize=2**11)  # asked for each separator
def _names(cell: str) -> tuple[str, ...]:
    """What the objects of a list are called; of what is no such list, the cell."""
    for read in (json.loads, ast.literal_eval):
        try:
            items = read(cell)
            return tuple(str(next(item[key] for key in NAME_KEYS if item.get(key) is not None)) for item in items)
        except (ValueError, SyntaxError, TypeError, AttributeError, RuntimeError, RecursionError, MemoryError):
            continue
    return (cell,)


def flags_by_place(cells: Sequence[str | None], separator: str) -> list[tuple[str, ...] | None] | None:
    """The places of the ones in cells such as [0, 1, 1], which hold a 0 or 1 for each label; None for other cells.

    A cell that is None stays so.
    """
    rows = [None if cell is None else split_list(cell, separator) for cell in cells]
    known = [row for row in rows if row is not None]
    width = max(map(len, known), default=0)
    flags = {"0": False, "0.0": False, "0.": False, "1": True, "1.0": True, "1.": True}
    if width < 2 or not all(len(row) in (0, width) and flags.keys() >= set(row) for row in known):
        return None
    return [None if row is None else tuple(str(at) for at, flag in enumerate(row) if flags[flag]) for row in rows]
