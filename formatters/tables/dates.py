"""Dates and times as people write them: the one format that reads a column.  Standard library only."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import product

DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%d%b%Y", "%b %d, %Y", "%b %d %Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y", "%d-%b-%y", "%d %b %y", "%b %d, %y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f", ":%H:%M:%S")
YEAR_LAST = ("%b %d %H:%M:%S %Y", "%b %d %H:%M:%S %z %Y")  # as C and Twitter write moments
MONTHLY = ("%Y-%m", "%Y/%m", "%m/%Y", "%b %Y", "%b-%Y", "%b-%y")
FORMATS = (
    *("iso", *(day + time + zone for time, zone, day in product(TIMES, ("", " %z"), DAYS) if time or not zone)),
    *(*YEAR_LAST, *MONTHLY),
)
COMPACT = "%Y%m%d"
MIN_COMPACT = 10  # different ones, where the name does not say that they are dates
EPOCHS = {"epoch": 1.0, "epoch_ms": 1e3, "epoch_us": 1e6}  # parts a second since 1970
EPOCH_S = (3e8, 4.2e9)
EPOCH_NAME = re.compile(r"time|date|epoch|(^|_)ts$|created|updated|when|datum|fecha|日期", re.IGNORECASE)
MAX_UNREADABLE_SHARE = 0.2
MAX_CHARS = 40
LOOK_CELLS = 30  # distinct ones, to rule formats out quickly
ZONE_WORD = re.compile(r"(?<=[\dMm])\s*\(?(Z|UTC|GMT|MSK|[MOW]ES?Z|[A-Z]{2,4}T)\)?(?=$|[+-]|\s\d{4}$)")
SHORT_ZONE = re.compile(r"\s*(?:GMT|UTC)([+-])(\d{1,2})(?::?(\d\d))?$")
WORDY = re.compile(r"[^\W\d_]|\s\s|[+-]\d\d:?\d\d$")  # else nothing can be left out
HOUR = re.compile(r",?\s+(\d{1,2})[:h](\d\d(?::\d\d)?)\s*(?:uhr|h)?$", re.IGNORECASE)  # behind a day
AFTER_YEAR = re.compile(r"(?<=\d{4}),\s+(?=\d{1,2}:\d\d)")
NUMBERS = re.compile(r"\d+")
WORD = re.compile(r"[^\W\d_]{3,}\.?")
FIRST_WORD = re.compile(r"([^\W\d_]+)\.?,?\s+(?=\d|[^\W\d_]{3,} \d)")
AFTER_DAY = re.compile(r"(?<=\d)(st|nd|rd|th)\b|(?<=\d)\.(?=\s?[^\W\d_])|(?<=\s)(de|del|of)(?=\s)", re.IGNORECASE)
MONTHS = {  # in nine languages, without accents
    "Jan": "january januar janvier enero gennaio janeiro januari января январь stycznia",
    "Feb": "february februar fevrier febrero febbraio fevereiro februari февраля февраль lutego",
    "Mar": "march marz mars marzo marco maart марта март marca",
    "Apr": "april avril abril aprile апреля апрель kwietnia",
    "May": "may mai mayo maggio maio mei мая маи maja",
    "Jun": "june juni juin junio giugno junho июня июнь czerwca",
    "Jul": "july juli juillet julio luglio julho июля июль lipca",
    "Aug": "august aout agosto augustus августа август sierpnia",
    "Sep": "september septembre septiembre settembre setembro сентября сентябрь wrzesnia",
    "Oct": "october oktober octobre octubre ottobre outubro октября октябрь pazdziernika",
    "Nov": "november novembre noviembre novembro ноября ноябрь listopada",
    "Dec": "december dezember decembre diciembre dicembre dezembro декабря декабрь grudnia",
}
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
        if format_ == "iso":
            moment = datetime.fromisoformat(cell)
        else:
            moment = datetime.strptime(plain, format_.replace("%B", "%b"))  # of older recipes
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _plain(cell: str) -> str:
    """Without the words for a zone and a weekday; a.m. is AM."""
    if not WORDY.search(cell):
        return cell.strip()
    cell = " ".join(cell.translate(CHINESE).split()).strip(" :-")
    cell = re.sub(r"(?<=\d)\s*([ap])\.?m\.?", r" \1m", cell, flags=re.IGNORECASE)
    cell = HOUR.sub(r" \1:\2", AFTER_YEAR.sub(" ", cell))
    if ":" in cell:
        cell = SHORT_ZONE.sub(lambda zone: f" {zone[1]}{zone[2]:0>2}{zone[3] or '00'}", cell)
        cell = re.sub(r"(?<=\d)([+-]\d\d:?\d\d)$", r" \1", ZONE_WORD.sub("", cell))
    first = FIRST_WORD.match(cell)
    if first and not _month(first[1]):  # a weekday
        cell = cell[first.end() :]
    cell = WORD.sub(lambda word: _month(word[0]) or word[0], AFTER_DAY.sub(" ", cell))
    return " ".join(cell.replace(" ,", ",").split())


@lru_cache(maxsize=1000)
def _month(word: str) -> str:
    """The month that a word, or what it begins with, names, as ``strptime`` knows it; "" if the word names none."""
    letters = "".join(c for c in unicodedata.normalize("NFD", word.lower().rstrip(".")) if not unicodedata.combining(c))
    found = (month for month, names in MONTHS.items() if f" {letters}" in f" {names}")
    return next(found, "") if len(letters) > 2 else ""


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
    numbers = len(NUMBERS.findall(cell))
    return len(cell) <= MAX_CHARS and (numbers > 1 or (numbers == 1 and any(map(_month, WORD.findall(cell)))))


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


def number_format(name: str, numbers: Mapping[str, float]) -> str:
    """How a column of whole numbers writes moments: as parts of a second since 1970, or as 20240131; or "".

    Args:
        numbers: by cell.
    """
    named = bool(EPOCH_NAME.search(name))
    if not named and not 19000101 <= next(iter(numbers.values()), 0) <= 21001231:
        return ""  # seen at once, as in most columns
    values = set(numbers.values())
    if len(values) < 2 or not all(value.is_integer() for value in values):
        return ""
    if 19000101 <= min(values) <= max(values) <= 21001231 and (named or len(values) >= MIN_COMPACT):
        dates = all(len(cell) == 8 and _parse(cell, cell, COMPACT) for cell in numbers)
        return COMPACT if dates else ""
    if not named:
        return ""
    low, high = min(values), max(values)
    return next((f for f, parts in EPOCHS.items() if EPOCH_S[0] < low / parts <= high / parts < EPOCH_S[1]), "")


def day_and_month_swapped(format_: str) -> str:
    """The format that takes the day for the month, or ""; with dots the day always comes first."""
    if not re.match(r"%d[/-]%m|%m[/-]%d", format_):
        return ""
    return format_.replace("%d", "\0").replace("%m", "%d").replace("\0", "%m")
