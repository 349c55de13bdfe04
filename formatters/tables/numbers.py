"""How a column writes its numbers: decimal mark, marks between thousands, currencies, units, times of day.

Decided for a column at a time and kept in the recipe.  Only the standard library: exported models carry this along.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from statistics import median
from typing import Any

MAX_FLOAT32 = 3.4028234663852886e38
LOOK_CELLS = 4_000  # distinct ones
MAX_JUNK_SHARE = 0.2  # of cells that are no numbers in a number column
MAX_FILLER_SHARE = 0.5  # where these are a few words for "missing"
MAX_FILLERS = 5
MAX_CODES = 10  # whole numbers: beside words they are codes rather than amounts
MAX_CODE_JUNK_SHARE = 0.01
UNIT_SHARE = 0.8  # of the cells with letters behind the number
COMMAS = re.compile(r"[-+]?[1-9]\d{0,2}((,\d{3})+|(,\d{2})+,\d{3})(\.\d+)?")  # 1,234,567 and 12,34,567
DOTS = re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+")
BLANKS = re.compile(r"(?<=\d)['’ \u00a0\u2009\u202f](?=\d{3}(?!\d))")  # between thousands
GROUPED = re.compile(r"[-+]?\d{1,3}(['’ \u00a0\u2009\u202f]\d{3}){1,4}([.,]\d*)?")
BEFORE = re.compile(  # the number, perhaps behind a sign or a bracket
    r"(?:^|(?<=^[-+(]))"
    r"([<>=≤≥~≈]|(usd|eur|gbp|inr|chf|cny|rmb|jpy|cad|aud|rs\.?|r\$|us\$|kr\.?)(?![a-z])|[$€£¥₹₽₩₺₴₦₫฿₱₪₡]|\s)+",
    re.I,
)
SIGN = re.compile(r"[%$€£¥₹₽₩₺₴₦₫฿₱₪₡]|(?<![a-z])(usd|eur|gbp|inr|chf|cny|jpy|cad|aud)(?![a-z])", re.IGNORECASE)
WIDE = str.maketrans(  # of East Asian and Arabic keyboards
    {chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)}
    | dict(zip("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹٪٫٬￥￦", "01234567890123456789%.,¥₩", strict=True))
)
UNCERTAINTY = re.compile(r"(?<=[\d%])\s*(±|\+/-)\s*\d[\d.,]*")  # behind a number
AFTER = re.compile(r"[%$€£¥₹₽₩₺₴₦₫฿₱₪₡+*†‡\s]+$")
UNIT = re.compile(r"(.*\d)[+\s]*([^\W\d_][^\d,;]{0,14}|°\s?[CFKNSEW]?|[\"'′″])")
CLOCK = re.compile(r"(?:(\d+)\s*d(?:ays?)?,?\s+)?(\d{1,3}):(\d{2})(?::(\d{2}(?:\.\d+)?))?\s*([ap])?\.?(?:m\.?)?", re.I)
MAGNITUDES = {"k": 1e3, "m": 1e6, "b": 1e9, "bn": 1e9, "mn": 1e6, "mio": 1e6, "thousand": 1e3, "million": 1e6} | {
    "billion": 1e9,
    "lakh": 1e5,
    "lac": 1e5,
    "crore": 1e7,
    "cr": 1e7,
}
MAGNITUDES_FROM = 1000  # the numbers without a magnitude beside those with "m" or "b" alone
FAMILIES = (  # units that stand for one another
    {"mg": 1e-3, "g": 1.0, "kg": 1e3, "t": 1e6},
    {"mm": 1.0, "cm": 10.0, "m": 1e3, "km": 1e6},
    {"ml": 1.0, "cl": 10.0, "dl": 100.0, "l": 1e3},
    {"ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0},
    {"kb": 1.0, "mb": 1e3, "gb": 1e6, "tb": 1e9},
    {"°n": 1.0, "° n": 1.0, "°s": -1.0, "° s": -1.0},  # latitudes and longitudes
    {"°e": 1.0, "° e": 1.0, "°w": -1.0, "° w": -1.0},
    {"hz": 1.0, "khz": 1e3, "mhz": 1e6, "ghz": 1e9},
)
QUANTITY_SHARE = 0.9
OTHER_UNITS = "d|days?|weeks?|months?|y|yrs?|years?|hours?|hrs|mins?|minutes?|secs?|seconds?|lbs?|oz|ft|in|inch(es)?|mi"
UNITS = "|".join(sorted((re.escape(unit) for family in (*FAMILIES, MAGNITUDES) for unit in family), key=len)[::-1])
PARTS = r"['′°]\s*\d.*|/\s*\d[\d.,]*|\([\d., ]+%?\)|:\d\d\D.*"  # 5'11", 120/80, 3.1 (0.2), 5:32/km
QUANTITY = re.compile(
    rf"[-+]?\d[\d.,]*\s*(°\s?[cfk]|{PARTS}|({UNITS}|{OTHER_UNITS})\.?(\s*\d.*)?)",
    re.IGNORECASE,
)
LONE_UNIT = re.compile(  # a word that tells a unit where it stands alone
    r"[%$€£¥₹]|usd|eur|gbp|[cfku]|iu|[mµμun]?mol|[mµμun]?g|[µμu]l|bpm|mmhg|[kmh]?pa|psi|m?bar|kcal|k?[jw]|kwh|kelvin|celsius|"
    r"fahrenheit|(kilo|milli)?grams?|pounds?|ounces?|(kilo|centi|milli)?met(er|re)s?|miles?|feet|lit(er|re)s?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Writing:
    """``units``: the factor of each word that may stand behind a number; ``clock``: hours of times of day."""

    decimal_comma: bool = False
    dots: bool = False  # between thousands
    clock: bool = False
    units: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, row: dict[str, Any]) -> Writing:
        """From a recipe's row; rows of older recipes tell the decimal mark alone."""
        return cls(**{name: row[name] for name in ("decimal_comma", "dots", "clock", "units") if name in row})

    def told(self) -> dict[str, Any]:
        """What a recipe's row says beside the decimal mark, where it says anything."""
        return {name: value for name, value in asdict(self).items() if value or name == "decimal_comma"}

    def number(self, cell: str) -> float | None:
        """A finite number, None for anything else; those too large for float32 become the largest that it holds."""
        cell = _narrow(cell)
        if self.clock:
            return _hours(cell)
        if not self.dots:
            try:
                return _finite(float(cell), cell)
            except ValueError:
                pass
        if not any(map(str.isdigit, cell)):
            return None
        bare, factor = self._without_unit(UNCERTAINTY.sub("", cell))
        if bare[:1] == "(" and bare[-1:] == ")":  # as accountants write losses
            bare, factor = bare[1:-1], -factor
        elif re.fullmatch(r"\d.*\d-|\d-", bare):  # as SAP writes them
            bare, factor = bare[:-1], -factor
        bare = _plain(AFTER.sub("", BEFORE.sub("", bare.replace("−", "-"), count=1)), self.decimal_comma, self.dots)
        try:
            return _finite(float(bare) * factor, cell)
        except ValueError:
            return None

    def is_marked(self, cell: str) -> bool:
        """Does a sign or letter stand beside the number that a footnote explains ("<0.3", "8.1*", "5.2 b")?"""
        flags = len(self.units) > 1 and set(self.units.values()) == {1.0}
        return cell[:1] in "<>≤≥" or cell[-1:] in "*†‡" or (flags and cell[-1:].isalpha())

    def _without_unit(self, cell: str) -> tuple[str, float]:
        match = UNIT.fullmatch(cell) if self.units else None
        unit = _unit(match[2]) if match else ""
        return (match[1], self.units[unit]) if match and unit in self.units else (cell, 1.0)


def _narrow(cell: str) -> str:
    return cell if cell.isascii() else cell.translate(WIDE)


def _unit(word: str) -> str:
    word = word.strip(" .").lower()
    return word.removesuffix("s") if len(word) > 2 and word.isalpha() else word


def _plain(bare: str, decimal_comma: bool, dots: bool) -> str:
    bare = BLANKS.sub("", bare) if GROUPED.fullmatch(bare) else bare
    if decimal_comma and bare.count(",") == 1:
        return bare.replace(".", "").replace(",", ".")
    if dots and DOTS.fullmatch(bare):
        return bare.replace(".", "")
    return bare.replace(",", "") if COMMAS.fullmatch(bare) else bare


def _finite(value: float, cell: str) -> float | None:
    return max(-MAX_FLOAT32, min(value, MAX_FLOAT32)) if math.isfinite(value) and "_" not in cell else None


def _hours(cell: str) -> float | None:
    match = CLOCK.fullmatch(cell.strip())
    if not match or int(match[3]) > 59:
        return None
    hours = int(match[2])
    if match[5]:
        hours = hours % 12 + 12 * (match[5].lower() == "p")
    return 24 * int(match[1] or 0) + hours + int(match[3]) / 60 + float(match[4] or 0) / 3600


def _sure(mark: str, between: str) -> re.Pattern[str]:
    """Numbers in which this is the decimal mark, beyond doubt: not "1,234", but "0,123", "1,5" and "1.234,567"."""
    groups = rf"[1-9]\d{{0,2}}({between}\d{{2,3}})"
    whole = rf"0*{mark}\d+|\d+{mark}(\d{{1,2}}|\d{{4,}})|\d{{4,}}{mark}\d+"
    return re.compile(rf"[-+]?({whole}|{groups}+{mark}\d+|{groups}{{2,}})(e[-+]?\d+)?", re.IGNORECASE)


SURE = {",": _sure(",", r"\."), ".": _sure(r"\.", ",")}


def decimal_mark(cells: Collection[str], delimiter: str) -> str:
    """The decimal mark, "," or ".", where distinct cells of a column show it; "" where they do not, or show both."""
    bare = [_bare(cell) for cell in map(_narrow, cells) if "," in cell or "." in cell]
    found = {mark for mark, sure in SURE.items() if any(map(sure.fullmatch, bare))}
    if not found and delimiter == ";" and any(re.fullmatch(r"[-+]?\d+,\d+", cell) for cell in bare):
        return ","  # who separates cells by semicolons needs the comma for decimals
    return found.pop() if len(found) == 1 else ""


def _bare(cell: str) -> str:
    """Without currencies, units and blanks between thousands."""
    unit = UNIT.fullmatch(cell)
    cell = AFTER.sub("", BEFORE.sub("", (unit[1] if unit else cell).replace("−", "-"), count=1)).strip("()")
    cell = cell.rstrip("-")
    return BLANKS.sub("", cell) if GROUPED.fullmatch(cell) else cell


def find_writing(cells: Collection[str], delimiter: str) -> Writing:
    """The writing that fits the distinct cells of a column."""
    cells = list(map(_narrow, islice(cells, LOOK_CELLS)))
    timed = sum(bool(CLOCK.fullmatch(cell)) for cell in cells)
    if timed > (1 - MAX_JUNK_SHARE) * len(cells):
        return Writing(clock=True)
    bare = [_bare(cell) for cell in cells]
    commas = [cell for cell in bare if re.match(r"[-+(]?[\d.'’ \u00a0\u2009\u202f]*,\d", cell)]
    grouped = all(COMMAS.fullmatch(cell) for cell in commas) and delimiter != ";"
    several = any(cell.count(",") > 1 or re.search(r",.*\.", cell) for cell in commas)
    decimal_comma = bool(commas) and not grouped and not several
    writing = Writing(decimal_comma=decimal_comma, dots=not commas and _dots(bare, delimiter))
    return Writing(writing.decimal_comma, writing.dots, False, _units(cells, writing))


def _dots(cells: list[str], delimiter: str) -> bool:
    """Do dots part thousands?  Decimals beside whole numbers are not filled up with zeros, so 1.230 is none there."""
    dotted = [cell for cell in cells if DOTS.fullmatch(cell)]
    whole = [cell for cell in cells if re.fullmatch(r"[-+]?\d{1,3}", cell)]
    numbers = [cell for cell in cells if cell[-1:].isdigit() and cell.lstrip("-+.")[:1].isdigit()]
    if not dotted or len(dotted) + len(whole) < len(numbers):
        return False
    trimmed = not any(cell.endswith("0") for cell in dotted)
    return any(cell.count(".") > 1 for cell in dotted) or (bool(whole) and (delimiter == ";" or not trimmed))


def are_quantities(cells: Collection[str]) -> bool:
    """Are nearly all of these numbers with units of several kinds or parts (36 °C and 97 °F, 1h 20m, 120/80)?"""
    looked = list(islice(cells, LOOK_CELLS))
    return len(looked) > MAX_CODES and sum(map(bool, map(QUANTITY.fullmatch, looked))) >= QUANTITY_SHARE * len(looked)


def is_unit(cell: str) -> bool:
    """Is it a unit of numbers, such as "kg" or "mg/dL", or a currency?"""
    parts = re.split(r"\s*(?:/|\bper\b)\s*", cell.strip())
    return all(LONE_UNIT.fullmatch(part) or QUANTITY.fullmatch(f"1 {part}") for part in parts)


def mixed_signs(numbers: Mapping[str, float]) -> list[str]:
    """A cell of each of two currencies, or of percents and of the shares that these are; [] of what can be compared."""
    if all(cell[-1:].isdecimal() and cell[:1] in "-+.0123456789" for cell in numbers):  # as in most columns
        return []
    first: dict[str, str] = {}
    largest: dict[str, float] = {}
    for cell, value in numbers.items():
        sign = found[0].lower().strip() if (found := SIGN.search(cell)) else ""
        first.setdefault(sign, cell)
        largest[sign] = max(largest.get(sign, 0.0), abs(value))
    currencies = [cell for sign, cell in first.items() if sign not in ("", "%")]
    if len(currencies) > 1:
        return currencies[:2]
    shares = largest.keys() >= {"", "%"} and largest[""] <= 1 < largest["%"]
    return [first["%"], first[""]] if shares else []


def _units(cells: Collection[str], writing: Writing) -> dict[str, float]:
    found: Counter[str] = Counter()
    for cell in cells:
        match = UNIT.fullmatch(cell)
        if match and writing.number(cell) is None and writing.number(match[1]) is not None:
            found[_unit(match[2])] += 1
    if not found:
        return {}
    plain = [abs(value) for cell in cells if (value := writing.number(cell)) is not None]
    marked = found.total() < len(plain)  # a few among plain numbers
    large = marked and median(plain) >= MAGNITUDES_FROM
    if set(found) <= set(MAGNITUDES) and (len(found) > 1 or large or "k" in found):
        return {unit: MAGNITUDES[unit] for unit in found}
    for family in FAMILIES:
        if len(found) > 1 and set(found) <= set(family):
            return {unit: family[unit] for unit in found}
    if marked and all(len(unit) == 1 for unit in found):  # what a footnote explains
        return dict.fromkeys(found, 1.0)
    unit, count = found.most_common(1)[0]
    return {unit: 1.0} if count >= UNIT_SHARE * found.total() and found.total() > 1 else {}


def _plain_numbers(cells: Collection[str]) -> dict[str, float]:
    """The values if all cells are written as Python does; nothing if one is not, is infinite or too large."""
    try:
        values = list(map(float, cells))
    except ValueError:
        return {}
    usual = all(-MAX_FLOAT32 <= value <= MAX_FLOAT32 for value in values) and not any("_" in cell for cell in cells)
    return dict(zip(cells, values, strict=True)) if usual else {}


def numbers_of(counts: Counter[str], writing: Writing) -> dict[str, float]:
    """The value of each distinct cell if nearly all are numbers, else nothing."""
    numbers = {} if writing.dots or writing.clock else _plain_numbers(counts)
    if numbers:
        return numbers
    junk, words, present = 0, 0, counts.total()
    look = list(counts)[:: max(1, len(counts) // LOOK_CELLS)]
    if sum(writing.number(cell) is None for cell in look) > (MAX_FILLER_SHARE + 0.1) * len(look) > MAX_FILLERS:
        return {}  # words, seen quickly
    for cell, count in counts.items():
        value = writing.number(cell)
        if value is not None:
            numbers[cell] = value
            continue
        junk, words = junk + count, words + 1
        if junk > MAX_FILLER_SHARE * present or (words > MAX_FILLERS and junk > MAX_JUNK_SHARE * present):
            return {}
    values = set(numbers.values())
    if len(values) < len(numbers) <= MAX_CODES and any(map(writing.is_marked, numbers)):  # <=50K and >50K are words
        return {}
    codes = len(values) <= MAX_CODES and all(value.is_integer() for value in values)
    return {} if codes and junk > MAX_CODE_JUNK_SHARE * present else numbers
