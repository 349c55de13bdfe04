"""CSV for people who open it in a spreadsheet: no cell is taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_line(values: Iterable[Any]) -> str:
    """One line; text that a spreadsheet would run gets an apostrophe in front, numbers stay."""
    line = io.StringIO()
    csv.writer(line).writerow([_text(value) if isinstance(value, str) else value for value in values])
    return line.getvalue()


def _text(value: str) -> str:
    if not value.startswith(FORMULA_SIGNS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
