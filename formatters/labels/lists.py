"""Several labels in one cell: "cat|dog", "3 7", "['a', 'b']"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

MAX_COMPARED = 200  # cells, each with each other


def list_separator(cells: Sequence[str], column: str = "") -> str | None:
    """The character that separates several labels in a cell, or None when each cell is one label.

    Parts must come back in other cells, or we would cut "Washington, DC"; blanks separate only numbers, or
    words of a column named in the plural.  Where a comma is no likely part of a name, a list within another is enough.
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
        sets = {frozenset(row) for row in rows[:MAX_COMPARED]}
        within = separator != "," and not numbers and any(one < other for one in sets for other in sets if len(one) > 1)
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
    inner = cell[1:-1] if cell[:1] + cell[-1:] in ("[]", "()", "{}") else cell
    parts = (part.strip().strip("'\"") for part in inner.split(separator))
    return [part for part in parts if part]
