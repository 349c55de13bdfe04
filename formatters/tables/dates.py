"""Dates and times as people write them: the one format that reads a column.  Standard library only."""

from __future__ import annotations

import re
from collections import Counter
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
WEEKDAY = re.compile(r"^[A-Za-z]{3,9}\.?,?\s+(?=\d|[A-Za-z]{3,9} \d)")
CHINESE = str.maketrans(
    {"年": "-", "月": "-", "日": " ", "号": " ", "時": ":", "时": ":", "点": ":", "分": ":"} | {"秒": " "}
)


def parse_date(cell: str, format_: str) -> datetime | None:
    """None for what the format doesn't read; times without a zone count as UTC."""
    try:
        if format_ in EPOCHS:
            return datetime.fromtimestamp(float(cell) / EPOCHS[format_], UTC)
        moment = datetime.fromisoformat(cell) if format_ == "iso" else datetime.strptime(_plain(cell), format_)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plain(cell: str) -> str:
    """Without the words for a zone and a weekday; a.m. is AM."""
    cell = " ".join(cell.translate(CHINESE).split()).strip(" :-")
    cell = re.sub(r"(?<=\d)\s*([ap])\.?m\.?", r" \1m", cell, flags=re.IGNORECASE)
    cell = re.sub(r"(?<=\d)([+-]\d\d:?\d\d)$", r" \1", ZONE_WORD.sub("", cell)) if ":" in cell else cell
    return WEEKDAY.sub("", cell) if cell[:1].isalpha() and not re.match(r"[A-Za-z]{3,9}\.? \d", cell) else cell


def date_format(counts: Counter[str]) -> str:
    """The first format that reads every cell, else the one that reads most of them, or ""."""
    likely = [cell for cell in counts if 6 <= len(cell) <= MAX_CHARS and any(map(str.isdigit, cell))]
    allowed = MAX_UNREADABLE_SHARE * counts.total()
    if not likely or counts.total() - sum(counts[cell] for cell in likely) > allowed:
        return ""
    best, fewest = "", allowed
    look = likely[:: max(1, len(likely) // LOOK_CELLS)]
    for format_ in FORMATS:
        if sum(parse_date(cell, format_) is not None for cell in look) < len(look) / 2:
            continue
        unread = 0
        for cell, count in counts.items():
            if parse_date(cell, format_) is None and (unread := unread + count) > fewest:
                break
        else:
            if not unread:
                return format_
            if unread < fewest or not best:
                best, fewest = format_, unread
    return best


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
