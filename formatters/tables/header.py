"""Is the first line of a table the names of its columns?  Standard library only: for exports."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path

HEADER_NAMES = frozenset(
    """id index name file filename file_name path image img audio video text review sentence message comment content
    title description label labels class classes category target y species sentiment type subset split fold group
    speaker date time value sex gender age tag tags""".split()  # noqa: SIM905
)
NUMBER = re.compile(r"[-+]?\d{1,12}(\.\d{1,12})?")
CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::00)?")
DAY = re.compile(r"(\d{4})[-/](\d\d?)(?:[-/](\d\d?))?")
MIN_YEARS = 3
MAX_REPEATS = 0.2  # share of lines that repeat a header
MIN_AXIS = 8  # numbers


def has_header_line(rows: list[list[str]]) -> bool:
    """Votes of the columns: does the first cell differ in kind from those below it?"""
    first = rows[0]
    rest = [row for row in rows[1:] if row != first] or rows[1:]  # files put together repeat their header
    repeats = rows[1:].count(first)
    if repeats > max(2, MAX_REPEATS * len(rows)) or (len(first) == 1 and repeats):  # classes, which come back
        return False
    if not rest:
        return not any(_is_number(cell) for cell in first)
    if is_axis(first) and not any(map(is_axis, rest[:5])):
        return True
    if any(counts(first) and not all(counts(row) for row in rest[:5]) for counts in (_counts_up, are_years)):
        return True
    votes = sum(_header_vote(first[i], [row[i] for row in rest]) for i in range(len(first)))
    if votes:
        return votes > 0
    return len(set(first)) == len(first) and all(0 < len(cell) < 40 and not _is_number(cell) for cell in first)


def _header_vote(first: str, below: list[str]) -> int:
    below = [cell for cell in below if cell]
    if not first or not below:
        return 0
    numeric = sum(map(_is_number, below)) / len(below)
    if numeric > 0.9:
        return -1 if _is_number(first) else 1
    if first in below:
        return -2
    if first.lower().replace(" ", "_") in HEADER_NAMES:
        return 3
    if _is_number(first):
        return -1
    suffixes = Counter(Path(cell).suffix.lower() for cell in below)
    suffix, count = suffixes.most_common(1)[0]
    if 1 < len(suffix) < 6 and count > 0.9 * len(below):
        return -2 if first.lower().endswith(suffix) else 2
    if len(set(below)) <= len(below) / 4:  # categories come back; a name that never does is none of them
        return 1
    lengths = sorted(map(len, below))
    return 1 if len(first) < lengths[len(lengths) // 20] else 0


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return cell in ("?", "")
    return True


def _counts_up(cells: list[str]) -> bool:
    """Are these 0, 1, 2, ... but for a few words, as pandas names columns?"""
    numbers = [int(cell) for cell in cells if cell.isdecimal() and len(cell) < 10]
    if len(numbers) < 3 or len(numbers) < len(cells) - 3:
        return False
    return numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def are_years(cells: list[str]) -> bool:
    """Are these years in equal steps, but for a few words?"""
    years = [int(cell) for cell in cells if re.fullmatch(r"1[89]\d\d|20\d\d|2100", cell)]
    if len(years) < MIN_YEARS or len(years) < len(cells) - 3:
        return False
    return years[1] != years[0] and len({after - before for before, after in pairwise(years)}) == 1


def axis_value(cell: str) -> float | None:
    """The place on an axis of a number, a time of day in hours or a date in days; None for anything else."""
    if NUMBER.fullmatch(cell):
        return float(cell)
    if clock := CLOCK.fullmatch(cell):
        return int(clock[1]) + int(clock[2]) / 60
    if day := DAY.fullmatch(cell):
        try:
            return float(date(int(day[1]), int(day[2]), int(day[3] or 1)).toordinal())
        except ValueError:
            return None
    return None


def is_axis(cells: list[str]) -> bool:
    """Are these numbers, times or dates in equal steps, up or down, but for a few words: what stands above series?"""
    numbers = [value for cell in cells if (value := axis_value(cell)) is not None]
    if len(numbers) < MIN_AXIS or len(numbers) < len(cells) - 3:
        return False
    steps = [after - before for before, after in pairwise(numbers)]
    return min(steps) * max(steps) > 0 and max(map(abs, steps)) < 1.5 * min(map(abs, steps))


def distinct_names(header: list[str]) -> list[str]:
    names: dict[str, None] = {}  # in order
    copies: dict[str, int] = {}  # of a name so far: not counted anew for each
    for i, cell in enumerate(header):
        base = name = cell or f"column_{i}"
        while name in names:
            copies[base] = copies.get(base, 1) + 1
            name = f"{base}_{copies[base]}"
        names[name] = None
    return list(names)
