"""Columns of strings: what type each has, how its cells become floats, and what the report says of it.

``profile`` looks at a column once; ``encoder`` turns what it saw into a JSON row of the recipe; ``encode_cells``
applies such a row to old and new cells alike.  Numpy only: exported models carry this file along.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np

from formatters.tables.dates import Moments, date_format, day_and_month_swapped, moments_of, number_format, parse_date
from formatters.tables.numbers import Writing, find_writing, numbers_of

ColumnType = Literal["number", "category", "boolean", "date", "text", "id"]

MISSING = frozenset(["", "?", "na", "n/a", "#n/a", "#nv", "#n/d", "#н/д", "nan", "null", "none", "nil", "-", "--", "."])
ERROR = re.compile(r"#[¡¿]?[A-ZÀ-ÞА-Я]{1,12}(/0)?[!?]")  # of a spreadsheet: #DIV/0!, #WERT!, #¿NOMBRE?
CLASS_WORDS = frozenset(["none", "nil", "-", "--", "n/a"])  # of these, what may well be a class
BOOLEANS = (("false", "true"), ("no", "yes"), ("f", "t"), ("n", "y"), ("0", "1"))  # (0, 1)
ALL_CATEGORIES_UP_TO = 50  # distinct values; beyond, only those that come back are told apart
MIN_CATEGORY_COUNT = 5
MIN_LISTED_NUMBERS = 8
NUMBER_LIST = re.compile(r"[\d\s,;.+eE\[\]-]+")
GEOMETRY = re.compile(r"(SRID=\d+;)?(MULTI)?(POINT|LINESTRING|POLYGON|GEOMETRYCOLLECTION)( ?[ZM]{1,2})? ?\(")  # WKT
FILE_NAME = re.compile(
    r"https?://\S+|[^\n]*\.(jpe?g|png|bmp|gif|webp|tiff?|heic|avif|wav|mp3|flac|ogg|m4a|mp4|avi|mov|webm|mkv|txt|csv|pdf)",
    re.IGNORECASE,
)
MIN_KEYS, MIN_KEY = 50, 1000  # different numbers in a first column without a name: hardly a measure
MAX_CATEGORIES = 200  # that have a code of their own
ID_NAME = re.compile(
    r"(.*[_\s.-])?(id|ids|uuid|guid|idx|index|rowid|rownum)$|.*[a-z]I[dD]$|unnamed.*|row|row[_\s]?n(o|um|umber|ames?)|"
    r"s(erial)?[._\s]?(no|number)\.?|no\.?|#|column_0$",
    re.IGNORECASE,
)
KEY_NAME = re.compile(  # of whole numbers that are all different
    r".*(nummer|numer|номер|编号|号码|番号|学号|电话|電話|phone|barcode)|(n[uú]m[eé]ro|№|n[°º])([\s_].*)?|"
    r"(.*[_\s.-])?(nr|code|c[oó]digo|telefon|fax|ean|isbn|iban|ssn|imei|(id|card)[_\s.-]*number)\.?|"
    r".*(phone|mobile|serial|order|invoice|account|customer|student|ticket|passport)[_\s.-]*number",  # not Reynolds'
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)  # compared by identity: there may be ten thousand
class Column:
    """What one column of a table holds; ``why_ignored`` is empty for a usable feature."""

    name: str
    type: ColumnType
    counts: Counter[str]  # cells that are not missing
    numbers: dict[str, float]  # their values, for numbers
    missing: int
    fillers: Counter[str]  # words for a missing value, which may be classes in a label column
    unreadable: list[str]  # cells of a number column that are no numbers
    date_format: str
    writing: Writing
    why_ignored: str
    moments: Moments = field(default_factory=dict)  # of a column of dates

    @property
    def decimal_comma(self) -> bool:
        return self.writing.decimal_comma

    @property
    def distinct(self) -> int:
        return len(set(self.numbers.values())) if self.numbers else len(self.counts)

    @property
    def present(self) -> int:
        return self.counts.total()


def is_missing(cell: str) -> bool:
    return cell.lower() in MISSING or (cell[:1] == "#" and bool(ERROR.fullmatch(cell)))


def profile(name: str, cells: list[str], delimiter: str = ",") -> Column:
    """Decide on the type of a column from all its cells."""
    counts = Counter(cells)
    fillers = Counter({cell: counts.pop(cell) for cell in list(counts) if is_missing(cell)})
    missing = fillers.total()
    del fillers[""]
    writing = find_writing(counts, delimiter)
    numbers = numbers_of(counts, writing)
    format_ = number_format(name, numbers)
    moments: Moments = moments_of(numbers, format_) if format_ else {}
    kind: ColumnType
    if moments:
        kind, numbers = "date", {}
    elif numbers:
        kind = "boolean" if set(numbers.values()) == {0.0, 1.0} else "number"
    elif boolean_values(counts):
        kind = "boolean"
    else:
        format_, moments = date_format(counts)
        kind = "date" if format_ else _word_type(counts)
    known = numbers or moments
    unreadable = [cell for cell in counts if cell not in known] if known else []
    why = _why_ignored(name, kind, counts, numbers, missing)
    if why.startswith(("a running", "a different")) and kind != "text":
        kind = "id"
    return Column(name, kind, counts, numbers, missing, fillers, unreadable, format_, writing, why, moments)


def parse_number(cell: str, decimal_comma: bool = False) -> float | None:
    """A finite number in plain, decimal-comma, thousands, percent or currency writing; None for anything else."""
    return Writing(decimal_comma).number(cell)


def boolean_values(counts: Counter[str]) -> tuple[str, str] | None:
    """(what means 0, what means 1), in lower case, if these are the only two values."""
    values = {cell.lower() for cell in counts}
    return next((pair for pair in BOOLEANS if values == set(pair)), None)


def as_label(column: Column) -> Column:
    """The column as a label column: "none", "-" and "N/A" are classes, other fillers where one class is left without.

    Amounts stay numbers: what is missing among them is no class.
    """
    words = Counter({cell: count for cell, count in column.fillers.items() if cell.lower() in CLASS_WORDS})
    if column.distinct + len(words) < 2:
        words = column.fillers
    if not words or (column.numbers and column.distinct > 1):
        return column
    counts = column.counts + words
    kind: ColumnType = "boolean" if boolean_values(counts) else "category"
    missing = column.missing - words.total()
    return replace(column, type=kind, counts=counts, numbers={}, missing=missing, fillers=Counter(), why_ignored="")


def _word_type(counts: Counter[str]) -> ColumnType:
    present = counts.total()
    if not present or names_files(counts) or all(NUMBER_LIST.fullmatch(c) or GEOMETRY.match(c) for c in counts):
        return "category"
    words = sum(len(cell.split()) * count for cell, count in counts.items()) / present
    chars = mean_chars(counts)
    fresh = len(counts) / present  # 1: no value comes back
    if present >= 10 and fresh > 0.5 and (words >= 6 or chars >= 40):
        return "text"
    if len(counts) > 100 and words >= 12:
        return "text"
    if present >= 20 and fresh > 0.9 and (words >= 2.5 or chars >= 20):
        return "text"
    return "category"


def holds_lists(counts: Counter[str]) -> bool:
    """Does every cell hold many numbers, such as the pixels of a picture or the corners of a place?"""
    return bool(counts) and all(
        GEOMETRY.match(cell)
        or (NUMBER_LIST.fullmatch(cell) and len(re.findall(r"\d[^\s,;]*", cell)) >= MIN_LISTED_NUMBERS)
        for cell in counts
    )


def names_files(counts: Counter[str]) -> bool:
    """Is each cell the name of another file, or a link?"""
    return len(counts) > counts.total() / 2 and all(map(FILE_NAME.fullmatch, counts))


def mean_chars(counts: Counter[str]) -> float:
    """A Chinese character says as much as two to three Latin ones."""
    sampled = list(counts.items())[:2000]
    length = sum((len(cell) + 1.5 * len(re.findall(r"[\u3040-\u9fff]", cell))) * count for cell, count in sampled)
    return length / max(1, sum(count for _, count in sampled))


def _why_ignored(name: str, kind: ColumnType, counts: Counter[str], numbers: dict[str, float], missing: int) -> str:
    present = counts.total()
    if not counts:
        return "it is empty"
    if len(counts) == 1 and not missing:
        return f"it always holds {next(iter(counts))!r}"
    if kind in ("text", "category") and (held := _held_elsewhere(kind, counts)):
        return held
    named_id = bool(ID_NAME.fullmatch(name))
    if numbers:
        values = set(numbers.values())
        whole = all(value.is_integer() for value in values)
        if whole and len(values) == present > 1 and (named_id or present >= 20):
            consecutive = max(values) - min(values) + 1 == present
            key = present >= MIN_KEYS and min(values) >= MIN_KEY if name == "column_0" else named_id
            key = key or bool(KEY_NAME.fullmatch(name))
            if consecutive or key:
                return "a running number or key, different in every row"
        return ""
    if kind == "category" and present >= 20 and len(counts) > 0.9 * present:
        return "a different value in (nearly) every row"
    if kind == "category" and named_id and len(counts) == present > 1:
        return "a different value in every row"
    if kind == "category" and not missing and not _categories(counts):
        return f"{len(counts):,} values in {present:,} rows, none of them often enough to learn from"
    return ""


def _held_elsewhere(kind: ColumnType, counts: Counter[str]) -> str:
    """Why no category can be learnt from cells that hold, or name, other kinds of data; "" if they do not."""
    if kind == "text":
        return "free text, hardly any value comes back"
    if holds_lists(counts):
        return "each cell holds many numbers, which need columns of their own"
    return "it names files or links, and what they hold is not in the table" if names_files(counts) else ""


def _categories(counts: Counter[str]) -> list[str]:
    """The values told apart, most frequent first."""
    ranked = sorted(counts, key=lambda cell: (-counts[cell], cell))
    if len(ranked) <= ALL_CATEGORIES_UP_TO:
        return ranked
    return [cell for cell in ranked if counts[cell] >= MIN_CATEGORY_COUNT][:MAX_CATEGORIES]


def categories_beyond(column: Column) -> int:
    """How many values come back often enough for a code of their own, but share one, since there are too many."""
    if column.type != "category" or column.numbers:
        return 0
    often = sum(count >= MIN_CATEGORY_COUNT for count in column.counts.values())
    return max(0, often - MAX_CATEGORIES)


def day_and_month_ambiguous(column: Column) -> bool:
    """Could the days be months as well?"""
    swapped = day_and_month_swapped(column.date_format)
    return bool(swapped) and all(parse_date(cell, swapped) for cell in column.counts if cell not in column.unreadable)


def date_order(column: Column) -> str:
    """What comes first in its dates: "day" or "month"; "" where that is no question."""
    return {"%d": "day", "%m": "month"}[column.date_format[:2]] if day_and_month_swapped(column.date_format) else ""


def in_date_order(columns: Sequence[Column], chosen: str | None) -> tuple[list[Column], list[Column]]:
    """(the columns, those of them whose order is not sure).

    Dates that do not tell whether the day or the month comes first follow what was ``chosen``, or the other columns.
    """
    unsure = [column for column in columns if day_and_month_ambiguous(column)]
    sure = {order for column in columns if column not in unsure and (order := date_order(column))}
    wanted = chosen or (sure.pop() if len(sure) == 1 else "")
    turned = {column: _turned(column) for column in unsure if wanted not in ("", date_order(column))}
    decided = wanted and not chosen
    return [turned.get(c, c) for c in columns], [] if decided else [turned.get(column, column) for column in unsure]


def _turned(column: Column) -> Column:
    format_ = day_and_month_swapped(column.date_format)
    return replace(column, date_format=format_, moments=moments_of(column.counts, format_))


def encoder(column: Column) -> dict[str, Any]:
    """The recipe's row for a feature column: how ``encode_cells`` makes floats of its cells."""
    row: dict[str, Any] = {"name": column.name, "type": column.type}
    if column.type == "date":
        return row | {"format": column.date_format, "features": _date_features(column.name)}
    row["features"] = [column.name]
    if column.numbers:
        return row | column.writing.told()
    pair = boolean_values(column.counts)
    if pair:
        return row | {"categories": list(pair), "other": False}
    categories = _categories(column.counts)
    return row | {"categories": categories, "other": len(categories) < len(column.counts)}


def _date_features(name: str) -> list[str]:
    return [f"{name} (days since 1970)", f"{name} (weekday)", f"{name} (month)"]


def encode_cells(row: dict[str, Any], cells: list[str], moments: Moments | None = None) -> np.ndarray:
    """(N, len(row["features"])) float32 of one column; NaN = missing, unreadable or a category never seen.

    Args:
        moments: what cells of dates mean, where that is known, since reading them takes long.
    """
    known = moments or {}
    values: dict[str, tuple[float, ...]] = {}
    for cell in set(cells):
        values[cell] = _date_values(known[cell]) if cell in known else _encode_cell(row, cell)
    return np.array([values[cell] for cell in cells], np.float32).reshape(len(cells), len(row["features"]))


def _encode_cell(row: dict[str, Any], cell: str) -> tuple[float, ...]:
    nothing = (math.nan,) * len(row["features"])
    if is_missing(cell):
        return nothing
    if "format" in row:
        moment = parse_date(cell, row["format"])
        return _date_values(moment) if moment else nothing
    if "categories" not in row:
        value = Writing.of(row).number(cell)
        return nothing if value is None else (value,)
    known = row["categories"]
    key = cell.lower() if row["type"] == "boolean" else cell
    if key in known:
        return (float(known.index(key)),)
    return (float(len(known)),) if row["other"] else nothing


def _date_values(moment: datetime) -> tuple[float, ...]:
    return moment.timestamp() / 86400, moment.weekday(), moment.month


def describe(column: Column, role: str, why: str = "") -> dict[str, Any]:
    """One row of ``columns`` in report.json (docs/formats.md)."""
    row: dict[str, Any] = {"name": column.name, "type": column.type, "role": role, "missing": column.missing}
    row |= {"distinct": column.distinct, "why": why}
    if column.type == "number" and column.distinct > 10:
        values = np.array([column.numbers[cell] for cell in column.numbers])
        weights = np.array([column.counts[cell] for cell in column.numbers])
        counts, edges = np.histogram(values, bins=min(20, column.distinct), weights=weights)
        row["histogram"] = {"edges": [float(f"{edge:.6g}") for edge in edges], "counts": counts.astype(int).tolist()}
    elif column.type not in ("text", "id"):
        row["top"] = [[value, count] for value, count in column.counts.most_common(10)]
    return row
