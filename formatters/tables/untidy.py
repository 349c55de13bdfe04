"""What people leave in tables beside the rows: units and types under the header, two header lines, totals, quotes.

Works on rows of cells; the first row is the header.  Standard library only: exported models carry this file along.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise
from operator import eq

from automl_engine.errors import DataError
from formatters.words import counted

LOOK_ROWS = 200
NUMBER_SHARE = 0.6  # of the cells below, for a column of numbers
MIN_ROWS = 5
MAX_RAGGED_SHARE = 0.05
MIN_EVEN_ROWS = 20
MOST_SUMS = 5  # lines at the end: sums, and below them perhaps means
TOTAL = re.compile(
    r"((grand|sub)[\s-]?)?(totals?|sum|average|avg|mean|gesamt|summe|insgesamt|mittelwert|totale|"
    r"итого|всего|合计|总计|合計|計)\s*:?",
    re.IGNORECASE,
)
LABEL_NAMES = frozenset("class classes label labels target species diagnosis outcome category group".split())  # noqa: SIM905
MIN_SAMPLES = 8  # columns of a table that is turned
SUBTOTAL = re.compile(rf"({TOTAL.pattern})(\s|$)|.*\S\s+(sub)?totals?$", re.IGNORECASE)
WORD = re.compile(r"[^\W\d_]+")
HEAD = re.compile(r"[^\W\d_]\D{2}")  # a name in a header
LOOK_HEAD, MOST_HEADS = 20, 20
SAME_END = 0.8  # of the rows of the longest table
MAX_TOTAL_CHARS = 60
MAX_SUBTOTALS = 0.34  # of the rows
SURVEY_WORDS = ({"Response"}, {"Open-Ended Response"}, {"Response", "Open-Ended Response"})
BRACKETED = re.compile(r"[\[(].*[\])]")
ORANGE_TYPES = frozenset("c d s t continuous discrete string time".split())  # noqa: SIM905
ORANGE_ROLES = frozenset(["", "class", "meta", "ignore", "c", "m", "i", "weight", "w"])


@dataclass
class Tidied:
    """The rows with their header; ``label``: the label column if the file names it; what was left out in words.

    ``turned``: they were the columns of the file.
    """

    rows: list[list[str]]
    label: str = ""
    left_out: list[str] = field(default_factory=list)
    turned: bool = False


def tidy(rows: list[list[str]]) -> Tidied:
    """Leave out what is no row."""
    if _is_turned(rows):
        return Tidied([list(column) for column in zip(*rows, strict=True)], turned=True)
    rows, beside = without_tables_beside(rows)
    found = _without_second_header(Tidied(rows, left_out=beside))
    for _ in range(MOST_SUMS):
        found = _without_total(_without_note(found))
    found = _without_subtotals(found)
    _strip_quotes(found.rows)
    return found


def turned_for(rows: list[list[str]], wanted: Sequence[str]) -> Tidied:
    """Rows to predict, turned if what names the wanted columns stands in the first cells of the lines."""
    names = {row[0].casefold() for row in rows}
    folded = {name.casefold() for name in wanted}
    if not folded or not folded <= names or folded <= {cell.casefold() for cell in rows[0]}:
        return Tidied(rows)
    return Tidied([list(column) for column in zip(*rows, strict=True)], turned=True)


def without_tables_beside(rows: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """The rows without what stands beside a table, behind an empty column, and ends earlier; what that was in words."""
    width = len(rows[0])
    empty = [at for at in range(width) if not any(row[at] for row in rows)]
    blocks = [range(left + 1, right) for left, right in pairwise([-1, *empty, width]) if right - left > 1]
    ends = [max(at for at, row in enumerate(rows) if any(row[block.start : block.stop])) for block in blocks]
    short = [
        block
        for block, end in zip(blocks, ends, strict=True)
        if end < SAME_END * max(ends) and not _are_columns(rows[0][block.start : block.stop])
    ]
    if not short:
        return rows, []
    lost = {at for block in short for at in block}
    shown = ", ".join(filter(None, (cell for row in rows[:2] for at, cell in enumerate(row) if at in lost)))[:60]
    told = f"{counted(len(lost), 'column')} beside the table that end earlier, as another table or notes do ({shown})"
    return [[cell for at, cell in enumerate(row) if at not in lost] for row in rows], [told]


def _are_columns(names: list[str]) -> bool:
    """Do these cells of the header rather belong to the table: one name alone, or a label among them?"""
    return (len(names) == 1 and bool(names[0])) or any(LABEL_NAMES & set(WORD.findall(cell.lower())) for cell in names)


def check_one_table(rows: list[list[str]], name: str) -> None:
    """Raises DataError: between the rows stands another header, different words above each column, with rows below.

    It stands below an empty line, or numbers begin or end there in a column.
    """
    width = len(rows[0]) if rows else 0
    numeric = [at for at in range(width) if _mostly_numbers([row[at] for row in rows[1:LOOK_HEAD]])]
    if len(numeric) < 2:
        return
    filled = [at for at, row in enumerate(rows[:LOOK_ROWS]) if _has_number(row[numeric[0]])]
    places = range(filled[MIN_ROWS] if len(filled) > MIN_ROWS else len(rows), len(rows) - MIN_ROWS)
    for at in islice((at for at in places if HEAD.match(rows[at][numeric[0]])), MOST_HEADS):
        row = rows[at]
        comes_back = any(other is not row and any(map(eq, other, row)) for other in rows)
        if (
            not comes_back
            and (not any(rows[at - 1]) or _kind_changes(rows, at))
            and len(set(row)) == len(row)
            and all(map(HEAD.match, row))
        ):
            held = ", ".join(row)[:60]
            raise DataError(f"{name} holds two tables, the second begins with the line {held!r}; make a file of each.")


def _kind_changes(rows: list[list[str]], at: int) -> bool:
    """Has a column only numbers above this row and none below it, or the other way round?"""
    above, below = (
        [[_has_number(cell) for cell in column if cell] for column in zip(*part, strict=True)]
        for part in (rows[max(1, at - LOOK_HEAD) : at], rows[at + 1 : at + LOOK_HEAD])
    )
    return any(
        min(len(one), len(other)) >= MIN_ROWS - 1 and len({*one}) == len({*other}) == 1 and one[0] != other[0]
        for one, other in zip(above, below, strict=True)
    )


def _is_turned(rows: list[list[str]]) -> bool:
    """Is a sample a column, as in tables of genes: numbers in nearly every row, and classes in the one named so?"""
    names = [row[0].strip().lower() for row in rows]
    labels = [at for at, name in enumerate(names) if name in LABEL_NAMES]
    if len(labels) != 1 or len(rows[0]) < MIN_SAMPLES or len(set(names)) < len(names):
        return False
    classes = rows[labels[0]][1:]
    if len(set(classes)) > len(classes) / 2 or LABEL_NAMES & {cell.lower() for cell in rows[0][1:]}:
        return False
    others = [row[1:] for at, row in enumerate(rows[1:], 1) if at not in labels]
    return len(others) > 1 and sum(map(_mostly_numbers, others)) >= 0.8 * len(others)


def _without_second_header(found: Tidied) -> Tidied:
    rows = found.rows
    if len(rows) < MIN_ROWS:
        return found
    header, first = rows[0], rows[1]
    if _are(ORANGE_TYPES, first) and all(first) and _are(ORANGE_ROLES, rows[2]):
        roles = [role.lower() for role in rows[2]]
        label = header[roles.index("class")] if "class" in roles else ""
        return Tidied([header, *rows[3:]], label, [*found.left_out, "two lines of types and roles under the header"])
    if survey := _lines_of_survey(rows):
        told = f"{counted(survey, 'line')} of a survey tool under the header"
        return Tidied([header, *rows[survey + 1 :]], "", [*found.left_out, told])
    if not _is_no_row(first, rows[2 : LOOK_ROWS + 2]):
        return found
    merged = "" in header or len(set(header)) < len(header)
    if merged and all(first) and len(set(first)) == len(first):
        return Tidied([first, *rows[2:]], "", [*found.left_out, "the upper one of two header lines"])
    told = f"a line under the header that is no row ({', '.join(first)[:60]})"
    return Tidied([header, *rows[2:]], "", [*found.left_out, told])


def _lines_of_survey(rows: list[list[str]]) -> int:
    """How many lines under the header survey tools wrote: questions and ImportIds, or the word Response."""
    for at in (2, 1):
        if all(cell.startswith('{"ImportId":') for cell in rows[at]):
            return at
    return int({cell for cell in rows[1] if cell} in SURVEY_WORDS)


def _are(words: frozenset[str], cells: list[str]) -> bool:
    return all(cell.lower() in words for cell in cells)


def _is_no_row(cells: list[str], below: list[list[str]]) -> bool:
    """Words above every column of numbers, and nothing in the others that comes back: units, or names."""
    numeric = [at for at in range(len(cells)) if _mostly_numbers([row[at] for row in below])]
    words = [cells[at] for at in numeric if cells[at]]
    if not words or any(map(_has_number, words)):
        return False
    others = [at for at in range(len(cells)) if at not in numeric and cells[at]]
    recurring = any(row[at] == cells[at] for row in below for at in range(len(cells)) if cells[at])
    enough = len(words) > 1 or BRACKETED.fullmatch(words[0])
    return not recurring and bool(enough) and len(words) + len(others) > len(cells) / 3


def _mostly_numbers(cells: list[str]) -> bool:
    present = [cell for cell in cells if cell]
    return len(present) > 2 and sum(map(_has_number, present)) > NUMBER_SHARE * len(present)


def _has_number(cell: str) -> bool:
    return bool(re.match(r"[<>~$€£¥₹]?\s*[-+−]?[.,]?\d", cell))


def _without_note(found: Tidied) -> Tidied:
    """A last line of words in one cell, below one that is full or sums up, says something about the table."""
    rows = found.rows
    filled = [at for at, cell in enumerate(rows[-1]) if cell] if len(rows) > MIN_ROWS else []
    if len(filled) != 1 or len(rows[0]) <= 2 or sum(map(bool, rows[1])) <= 2:
        return found
    at, cell = filled[0], rows[-1][filled[0]]
    if _has_number(cell) or not re.search(r"[^\W\d_]{3}", cell) or any(row[at] == cell for row in rows[:-1]):
        return found
    told = f"the last line ({cell[:60]!r}), which is a note"
    return Tidied(rows[:-1], found.label, [*found.left_out, told])


def _without_total(found: Tidied) -> Tidied:
    rows = found.rows
    at = next((i for i, cell in enumerate(rows[-1]) if cell), None) if len(rows) > MIN_ROWS else None
    if at is None or not TOTAL.fullmatch(rows[-1][at]) or any(row[at] == rows[-1][at] for row in rows[:-1]):
        return found
    if all(rows[-1]) and not _mostly_numbers([row[at] for row in rows[1 : LOOK_ROWS + 1]]):
        return found
    return Tidied(
        rows[:-1], found.label, [*found.left_out, f"the last line ({rows[-1][at]!r}), which sums up the others"]
    )


def _without_subtotals(found: Tidied) -> Tidied:
    """Lines between the rows that sum up those above: "Subtotal North", without cells that all rows have."""
    rows = found.rows
    firsts = [next(filter(None, row), "")[:MAX_TOTAL_CHARS] for row in rows]
    sums = {at for at, cell in enumerate(firsts) if not cell[:1].isdecimal() and SUBTOTAL.match(cell)} - {0}
    sums = {at for at in sums if all(map(_has_number, list(filter(None, rows[at]))[1:]))}
    if not sums or len(sums) > MAX_SUBTOTALS * len(rows):
        return found
    others = [row for at, row in enumerate(rows) if at not in sums]
    full = [at for at in range(len(rows[0])) if all(row[at] for row in others)]
    if not all(any(not rows[at][column] for column in full) for at in sums):
        return found
    told = f"{counted(len(sums), 'line')} between the rows such as {firsts[min(sums)]!r}, which sum up others"
    return Tidied(others, found.label, [*found.left_out, told])


def without_repeated(header: list[str], rows: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """(the rows that do not repeat the header, as those of files put together do, what is left out)."""
    kept = [row for row in rows if row != header]
    count = len(rows) - len(kept)
    return (kept, [counted(count, "line that repeats", "lines that repeat") + " the header"]) if count else (rows, [])


def _strip_quotes(rows: list[list[str]]) -> None:
    """Single quotes around every cell of a column are no part of the cells."""
    for at in range(len(rows[0])):
        if not any(row[at][:1] == "'" for row in rows[1:3]):
            continue
        quoted = {row[at] for row in rows[1:] if row[at]}
        if all(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in quoted - {"?", "nan", "NA"}):
            for row in rows:
                if len(row[at]) > 1 and row[at][0] == row[at][-1] == "'":
                    row[at] = row[at][1:-1].strip()


def with_odd_emptied(numbered: list[tuple[int, list[str]]]) -> tuple[list[list[str]], dict[int, str]] | None:
    """The rows, those of another length than the first emptied, and by place what they were; None if most are so."""
    width = len(numbered[0][1])
    odd = {
        at: f"line {line} has {len(row)} fields instead of {width}; put cells that hold the separator in quotes."
        for at, (line, row) in enumerate(numbered)
        if len(row) != width
    }
    if width < 2 or 2 * len(odd) > len(numbered):
        return None
    return [[""] * width if at in odd else row for at, (_, row) in enumerate(numbered)], odd


def without_ragged(numbered: list[tuple[int, list[str]]]) -> tuple[list[list[str]], str] | None:
    """The rows but for a few lines of another length, and what is left out; None when they are too many."""
    widths = Counter(len(row) for _, row in numbered)
    width, count = widths.most_common(1)[0]
    odd = [(line, len(row)) for line, row in numbered if len(row) != width]
    if count < MIN_EVEN_ROWS or len(odd) > MAX_RAGGED_SHARE * len(numbered):
        return None
    if len(numbered[0][1]) != width or width < 2:
        return None
    line, fields = odd[0]
    told = f"line {line}, which has {fields} fields instead of {width}"
    told += f", and {len(odd) - 1:,} more such lines" if len(odd) > 1 else ""
    return [row for _, row in numbered if len(row) == width], told
