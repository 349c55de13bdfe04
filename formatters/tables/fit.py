"""How a new file writes numbers and dates: found anew, and where the file does not tell, as the training data did.

``fit`` changes the recipe's rows of a table; ``flaws`` finds the cells that cannot be read even so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from formatters.tables.columns import is_missing
from formatters.tables.dates import date_format, day_and_month_swapped, number_format, parse_date
from formatters.tables.numbers import Writing, decimal_mark
from formatters.words import counted

MAX_SHOWN_CHARS = 40
MAX_SHOWN, MAX_NOTES = 5, 20  # columns
MARKS = {",": "a decimal comma", ".": "a decimal point"}
ORDERS = {"%d": "the day first", "%m": "the month first", "%Y": "the year first"}
Rows = list[dict[str, Any]]


def fit(rows: Rows, cells: Sequence[list[str]], delimiter: str) -> tuple[Rows, list[str]]:
    """(the recipe's rows as this file needs them, what differs from the training data in words)."""
    distinct = [Counter(cell for cell in column if not is_missing(cell)) for column in cells]
    changed = _numbers(rows, distinct, delimiter) | _dates(rows, distinct)
    columns: dict[str, list[str]] = {}
    for row in changed.values():
        how = ORDERS.get(row["format"][:2], "another format") if "format" in row else MARKS[_mark(row)]
        columns.setdefault(how, []).append(repr(row["name"]))
    told = [
        f"{', '.join(names[:MAX_SHOWN])}{f' and {len(names) - MAX_SHOWN:,} more' * (len(names) > MAX_SHOWN)} "
        f"{'was' if len(names) == 1 else 'were'} read with {how}, unlike the training data"
        for how, names in columns.items()
    ]
    return [changed.get(at, row) for at, row in enumerate(rows)], told


def _mark(row: dict[str, Any]) -> str:
    return "," if row["decimal_comma"] or row.get("dots") else "."


def _numbers(rows: Rows, cells: list[Counter[str]], delimiter: str) -> dict[int, dict[str, Any]]:
    """A column without a sure mark follows the others, but only where one of them differs from the training data."""
    numbers = [at for at, row in enumerate(rows) if "decimal_comma" in row and not row.get("clock")]
    marks = {at: decimal_mark(cells[at], delimiter) for at in numbers}
    if all(mark in ("", _mark(rows[at])) for at, mark in marks.items()):
        return {}
    common = {mark for mark in marks.values() if mark}
    other = common.pop() if len(common) == 1 else ""
    changed = {}
    for at, mark in marks.items():
        if (wanted := mark or other) and wanted != _mark(rows[at]) and cells[at]:
            writing = Writing(wanted == ",", wanted == ",", units=rows[at].get("units", {}))
            kept = {key: value for key, value in rows[at].items() if key != "dots"}
            changed[at] = kept | writing.told()
    return changed


def _dates(rows: Rows, cells: list[Counter[str]]) -> dict[int, dict[str, Any]]:
    dates = [at for at, row in enumerate(rows) if "format" in row and cells[at]]
    unread = {at: _unread(cells[at], rows[at]["format"]) for at in dates}
    swapped = {at: day_and_month_swapped(rows[at]["format"]) for at in dates}
    turned = {at: _unread(cells[at], format_) for at, format_ in swapped.items() if format_}
    sure = {unread[at] > count for at, count in turned.items() if unread[at] != count}
    changed = {}
    for at in dates:
        if sure == {True} and at in turned and turned[at] <= unread[at]:
            changed[at] = rows[at] | {"format": swapped[at]}
        elif unread[at] and (format_ := _format(rows[at]["name"], cells[at], unread[at])):
            changed[at] = rows[at] | {"format": format_}
    return changed


def _format(name: str, cells: Counter[str], most: int) -> str:
    """Another format that leaves fewer cells unread, or ""."""
    try:
        found = number_format(name, {cell: float(cell) for cell in cells})
    except ValueError:
        found, _ = date_format(cells)
    return found if found and found != "iso" and _unread(cells, found) < most else ""


def _unread(cells: Counter[str], format_: str) -> int:
    return sum(count for cell, count in cells.items() if not parse_date(cell, format_))


class Flaws:
    """Cells that have no value for a model: counted by column, and told by row."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, tuple[str, str]] = {}  # column: (a cell, what it is)

    def find(self, row: dict[str, Any], cells: list[str], values: np.ndarray) -> dict[int, str]:
        """What is wrong with the cells of one column, by place; ``values`` are theirs, NaN for none."""
        what = _what(row)
        found = {int(at): cells[at] for at in np.flatnonzero(np.isnan(values)) if not is_missing(cells[at])}
        if found:
            self._counts[row["name"]] += len(found)
            self._first.setdefault(row["name"], (next(iter(found.values())), what))
        return {at: f"{shown(cell)} in column {row['name']!r} {what}" for at, cell in found.items()}

    def notes(self) -> list[str]:
        notes = [
            f"column {name!r}: {counted(count, 'cell counts', 'cells count')} as missing, such as "
            f"{shown(self._first[name][0])}, which {self._first[name][1]}"
            for name, count in self._counts.most_common(MAX_NOTES)
        ]
        more = len(self._counts) - len(notes)
        return notes + [f"the same holds for {counted(more, 'column')} more"] * bool(more)


def _what(row: dict[str, Any]) -> str:
    if "format" in row:
        return "is no date"
    if "categories" not in row:
        return "is no number"
    return "is neither " + " nor ".join(row["categories"]) if row["type"] == "boolean" else "is new to the model"


def shown(cell: str) -> str:
    return repr(cell if len(cell) <= MAX_SHOWN_CHARS else cell[:MAX_SHOWN_CHARS] + "…")
