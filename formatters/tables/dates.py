"""Dates and times as people write them: the one format that reads a column.  Standard library only."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import product

DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%B %d %Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%d-%b-%y", "%d %b %y", "%b %d, %y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f", ":%H:%M:%S")
FORMATS = ("iso", *(day + time + zone for time, zone, day in product(TIMES, ("", " %z"), DAYS) if time or not zone))
EPOCHS = {"epoch": 1.0, "epoch_ms": 1e3, "epoch_us": 1e6}  # parts a second since 1970
EPOCH_S = (3e8, 4.2e9)
EPOCH_NAME = re.compile(r"time|date|epoch|(^|_)ts$|created|updated", re.IGNORECASE)
MAX_UNREADABLE_SHARE = 0.2
MAX_CHARS = 40
LOOK_CELLS = 30  # distinct ones, to rule formats out quickly
ZONE_WORD = re.compile(r"(?<=[\dMm])\s*\(?(Z|UTC|GMT|[A-Z]{2,4}T)\)?(?=$|[+-])")
WORDY = re.compile(r"[^\W\d_]|\s\s|[+-]\d\d:?\d\d$")  # else nothing can be left out
NUMBERS = re.compile(r"\d+")
WEEKDAY = re.compile(r"^[A-Za-z]{3,9}\.?,?\s+(?=\d|[A-Za-z]{3,9} \d)")
Moments = dict[str, datetime]  # by cell
CHINESE = str.maketrans(
    {"年": "-", "月": "-", "日": " ", "号": " ", "時": ":", "时": ":", "点": ":", "分": ":"} | {"秒": " "}
)


def parse_date(cell: str, format_: str) -> datetime | None:
    """None for what neither the format nor ISO 8601 reads; times without a zone count as UTC."""
    found = _parse(cell, cell if format_ in EPOCHS or format_ == "iso" else _plain(cell), format_)
    return found or (_parse(cell, cell, "iso") if format_ != "iso" else None)


def _parse(cell: str, plain: str, format_: str) -> datetime | None:
    try:
        if format_ in EPOCHS:
            return datetime.fromtimestamp(float(cell) / EPOCHS[format_], UTC)
        moment = datetime.fromisoformat(cell) if format_ == "iso" else datetime.strptime(plain, format_)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plain(cell: str) -> str:
    """Without the words for a zone and a weekday; a.m. is AM."""
    if not WORDY.search(cell):
        return cell.strip()
    cell = " ".join(cell.translate(CHINESE).split()).strip(" :-")
    cell = re.sub(r"(?<=\d)\s*([ap])\.?m\.?", r" \1m", cell, flags=re.IGNORECASE)
    cell = re.sub(r"(?<=\d)([+-]\d\d:?\d\d)$", r" \1", ZONE_WORD.sub("", cell)) if ":" in cell else cell
    return WEEKDAY.sub("", cell) if cell[:1].isalpha() and not re.match(r"[A-Za-z]{3,9}\.? \d", cell) else cell


def date_format(counts: Counter[str]) -> tuple[str, Moments]:
    """The first format that reads every cell, else the one that reads most of them, or "", and what it reads."""
    cells = list(counts)
    look = {cell: _plain(cell) for cell in cells[:: max(1, len(cells) // LOOK_CELLS)]}
    if sum(_looks_dated(cell) for cell in look) < len(look) / 2:
        return "", {}
    most_missed = int(MAX_UNREADABLE_SHARE * counts.total())
    best: tuple[str, Moments] = ("", {})
    for format_ in FORMATS:
        if sum(_parse(cell, plain, format_) is not None for cell, plain in look.items()) < len(look) / 2:
            continue
        found, missed = _moments(counts, format_, most_missed)
        if missed <= most_missed:
            best, most_missed = (format_, found), missed - 1
        if missed == 0:
            break
    return best


def _looks_dated(cell: str) -> bool:
    return len(cell) <= MAX_CHARS and len(NUMBERS.findall(cell)) > 1


def moments_of(cells: Iterable[str], format_: str) -> Moments:
    """Those of the cells that the format reads."""
    return {cell: moment for cell in cells if (moment := parse_date(cell, format_))}


def _moments(counts: Counter[str], format_: str, most_missed: int) -> tuple[Moments, int]:
    """(what the format reads, how many rows it does not), as soon as these are too many."""
    found: Moments = {}
    missed = 0
    for cell, count in counts.items():
        moment = parse_date(cell, format_)
        if moment:
            found[cell] = moment
        elif (missed := missed + count) > most_missed:
            break
    return found, missed


def epoch_format(name: str, values: set[float]) -> str:
    """Which parts of a second since 1970 a column of whole numbers counts, if it is named like a time; or ""."""
    if not EPOCH_NAME.search(name) or len(values) < 2 or not all(value.is_integer() for value in values):
        return ""
    low, high = min(values), max(values)
    return next((f for f, parts in EPOCHS.items() if EPOCH_S[0] < low / parts <= high / parts < EPOCH_S[1]), "")


def day_and_month_swapped(format_: str) -> str:
    """The format that takes the day for the month, or ""; with dots the day always comes first."""
    if not re.match(r"%d[/-]%m|%m[/-]%d", format_):
        return ""
    return format_.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
