"""Delimited text -> rows of cells: the delimiter, the way of quoting, lines of another length.

Only the standard library is used, since exported models carry this file along.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from operator import eq
from typing import Any

from automl_engine.errors import DataError
from formatters.tables.untidy import with_odd_emptied, without_ragged
from formatters.words import counted

DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar", "^": "caret"}  # in order of preference
QUOTINGS: dict[str, dict[str, Any]] = {
    "quotes doubled inside quotes": {"strict": True},
    "quotes escaped by a backslash": {"escapechar": "\\", "doublequote": False, "strict": True},
    "quotes taken literally": {"quoting": csv.QUOTE_NONE},
    "loose quotes": {},
    "single quotes": {"quotechar": "'"},
}
SAMPLE_CHARS, MAX_SAMPLE_CHARS = 200_000, 4_000_000
SAMPLE_ROWS = 500
WHOLLY_QUOTED = re.compile(r'"(?:[^"]|"")*+"')
BARE_FORMULA = re.compile(r'(^|[,;\t])="([^"\n]*)"(?=[,;\t\r]|$)', re.MULTILINE)
QUOTED_FORMULA = re.compile(r'"=""([^"\n]*)"""')
NAMED_CELL = re.compile(r"\s*([^\W\d_][^,;|:=\"'\t]{0,39}?)\s*[:=](?!//)(.*)")
NAME = re.compile(r"\W*[^\W\d]")  # of a column
ALIGNED = re.compile(r"\S  +\S")  # columns filled up with blanks
MIN_EVEN_SHARE = 0.9  # of the lines, for cells that blanks separate
MIN_EVEN_LINES = 5  # whose columns are filled up with blanks
MAX_PREAMBLE_LINES = 5  # but for comments
MIN_ROWS_BELOW_PREAMBLE = 5
MAX_LINE_BYTES = 2**24
csv.field_size_limit(MAX_LINE_BYTES)


def without_line_ends(text: str) -> str:
    """Some programs end each line with a semicolon, whatever separates the cells."""
    sample = [line.rstrip() for line in text.split("\n", SAMPLE_ROWS)[:SAMPLE_ROWS] if line.strip()]
    if not all(line.find(";") == len(line) - 1 and re.search(r"[,\t|]", line) for line in sample):
        return text
    return "\n".join(line.rstrip().rstrip(";") for line in text.split("\n"))


def without_formulas(text: str) -> str:
    """Exports for Excel write ="00123" for a cell that shall stay as it is."""
    if '="' not in text and '"=""' not in text:
        return text
    return BARE_FORMULA.sub(r'\1"\2"', QUOTED_FORMULA.sub(r'"\1"', text))


def without_double_colons(text: str) -> str:
    """Some public tables separate cells by "::"."""
    sample = [line for line in text.split("\n", SAMPLE_ROWS)[:SAMPLE_ROWS] if line.strip()]
    even = len({line.count("::") for line in sample}) == 1 and sample[0].count("::") > 1
    return text.replace("::", "\t") if even and "\t" not in text else text


def without_outer_quotes(text: str) -> str:
    """Some programs put each line as a whole in quotes, as if it were one cell, perhaps but for the header."""
    sample = [line.rstrip() for line in text.split("\n", SAMPLE_ROWS)[:SAMPLE_ROWS] if line.strip()]
    if len(sample) < 2 or not all(WHOLLY_QUOTED.fullmatch(line) for line in sample[1:]):
        return text
    inner = [_unquoted(line) for line in sample]
    if not any(len({line.count(mark) for line in inner}) == 1 and mark in inner[0] for mark in DELIMITERS):
        return text
    return "\n".join(map(_unquoted, text.split("\n")))


def _unquoted(line: str) -> str:
    line = line.strip()
    return line[1:-1].replace('""', '"') if WHOLLY_QUOTED.fullmatch(line) else line


def without_alignment(text: str) -> str:
    """Tables for the eye fill their columns up with blanks, two or more between them."""
    lines = text.split("\n")
    sample = [re.split(r"\s{2,}", line.strip()) for line in lines[:SAMPLE_ROWS] if line.strip()]
    widths = {len(cells) for cells in sample[1:]}
    even = len(widths) == 1 and min(widths) > 1 and len(sample[0]) in (min(widths), min(widths) - 1)
    if not even or len(sample) < MIN_EVEN_LINES or sniff_delimiter(text):
        return text
    return "\n".join(re.sub(r"\s{2,}", "\t", line.strip()) for line in lines)


def without_names(text: str) -> str:
    """Some devices write into each cell what it is, "Temp:23.4,Hum:41": the names are the header, once."""
    first = text.lstrip("\n").partition("\n")[0]
    for mark in ",;\t|":
        names = [named[1] for cell in first.split(mark) if (named := NAMED_CELL.match(cell))]
        if len(names) < 2 or len(set(names)) < len(names) or len(names) < first.count(mark) + 1:
            continue
        rows = [mark.join(names)]
        for line in filter(str.strip, text.split("\n")):
            cells = [named for cell in line.split(mark) if (named := NAMED_CELL.match(cell))]
            if [cell[1] for cell in cells] != names or len(cells) <= line.count(mark):
                break
            rows.append(mark.join(cell[2].strip() for cell in cells))
        else:
            return "\n".join(rows)
    return text


def preamble_lines(text: str) -> int:
    """How many lines of a title or of comments stand above a table that is even without them."""
    lines = text.split("\n", SAMPLE_ROWS)[:-1]
    commented = next((at for at, line in enumerate(lines) if not line.startswith("#")), 0)
    tops = sorted({*range(MAX_PREAMBLE_LINES + 1), max(0, commented - 1), commented})  # the last may name the columns
    for top in (top for top in tops if top <= max(0, len(lines) - MIN_ROWS_BELOW_PREAMBLE)):
        rest = "\n".join(lines[top:])
        delimiter = sniff_delimiter(rest)
        rows = [row for _, row in cells_of(rest, delimiter, {})]
        lengths = [len(row) for row in rows]
        widths = set(lengths)
        if delimiter == " " and lengths[0] + 1 in widths:  # the column of names has none
            widths = set(lengths[1:])
        title = delimiter and min(widths) > 2 and lines[top].strip()
        title = title and delimiter not in lines[top].rstrip(f"{delimiter}\r") and _names_follow(rows)
        if delimiter and len(widths) == 1 and not title:  # some programs fill titles up with delimiters
            comments = all(line.startswith("#") for line in lines[:top])
            bare = all(delimiter not in line.rstrip(f"{delimiter}\r") for line in lines[:top])
            return top if comments or (bare and min(widths) > 2) else 0
    return 0


def _names_follow(rows: list[list[str]]) -> bool:
    """Is the first row of several cells a header: another word in each cell, and none of them comes back below it?"""
    head = next((row for row in rows if sum(map(bool, row)) > 1), [""])
    comes_back = any(any(map(eq, row, head)) for row in rows if row != head)
    return not comes_back and len(set(head)) == len(head) and all(map(NAME.match, head))


def sniff_delimiter(text: str) -> str:
    """The delimiter that cuts most sampled lines into as many cells as the first line."""
    wide = len("\n".join(text[:MAX_SAMPLE_CHARS].split("\n", 3)[:3]))  # a few lines at least
    sample = text[: max(SAMPLE_CHARS, wide + 1)].lstrip("\n")
    if quoted := _delimiter_of_apostrophes(sample):
        return quoted
    fits: dict[str, float] = {}
    for delimiter in DELIMITERS:
        for quoting in ({}, {"quoting": csv.QUOTE_NONE}):
            rows = [row for _, row in islice(cells_of(sample, delimiter, quoting), SAMPLE_ROWS)]
            rows = rows[:-1] if len(text) > max(SAMPLE_CHARS, wide + 1) else rows
            if rows and len(rows[0]) > 1:
                same = sum(len(row) in (len(rows[0]), len(rows[0]) + 1) for row in rows[1:])
                fits[delimiter] = max(fits.get(delimiter, 0.0), same / max(1, len(rows) - 1))
    fitting = [d for d, share in fits.items() if share == max(fits.values())]
    if not fitting or (fitting == ["\t"] and all(map(ALIGNED.search, sample.splitlines()[1:SAMPLE_ROWS]))):
        return " " if _is_space_delimited(sample) else "".join(fitting)
    if {",", ";"} <= set(fitting):
        fields = [f for line in sample.splitlines()[1:50] for f in line.split(";") if "," in f]
        decimal = sum(bool(re.fullmatch(r'\s*"?[-+]?\d+,\d+"?\s*', f)) for f in fields)
        fitting.remove("," if decimal > len(fields) / 2 else ";")
    return fitting[0]


def _delimiter_of_apostrophes(text: str) -> str:
    """The delimiter beside single quotes where most lines have a cell in them; "" elsewhere."""
    lines = [line.rstrip() for line in text[:SAMPLE_CHARS].splitlines()[:SAMPLE_ROWS]] if "'" in text else []
    found: Counter[str] = Counter()
    for line in lines:
        beside = re.search(r"(?<=')[,;\t|]|[,;\t|](?=')", line)
        if beside and (line.startswith("'") or f"{beside[0]}'" in line):
            found[beside[0]] += line.endswith("'") or f"'{beside[0]}" in line
    best = found.most_common(1)
    return best[0][0] if best and best[0][1] > len(lines) / 2 else ""


def _is_space_delimited(sample: str) -> bool:
    """Old research archives separate plain numbers by blanks, R any cells, the words among them in quotes.

    The first line may lack a name for the column of names.
    """
    try:
        rows = [row for _, row in islice(cells_of(sample, " ", {}), 50)][: 49 if len(sample) >= SAMPLE_CHARS else 50]
    except csv.Error:
        return False
    numbers = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?|nan|\?", re.IGNORECASE)
    cells = [cell for row in rows[1:] for cell in row]
    widths = Counter(len(row) for row in rows if row)
    first = len(rows[0]) if rows else 0
    same = len(rows) > 1 and first > 1 and widths[first] >= MIN_EVEN_SHARE * widths.total()
    named = len(rows) > MIN_EVEN_LINES and first > 1 and widths[first + 1] == len(rows) - 1
    in_quotes = bool(re.match(r'("[^"\n]*"[ \t]+)+"[^"\n]*"[ \t]*\r?\n', sample))
    fitting = sum(" " in cell or bool(numbers.fullmatch(cell)) for cell in cells)  # a blank only within quotes
    return (same or named) and (in_quotes or fitting > 0.7 * len(cells))


def cells_of(text: str, delimiter: str, quoting: dict[str, Any]) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line that is not empty; a cell with line breaks spans several lines."""
    lines = io.StringIO(text, newline="")
    if delimiter == " ":
        found = csv.reader(
            (line.expandtabs(1).strip() for line in lines), delimiter=" ", skipinitialspace=True, **quoting
        )
        yield from ((found.line_num, row) for row in found if row)
        return
    found = csv.reader(lines, delimiter=delimiter or "\x1f", skipinitialspace=True, **quoting)
    yield from ((found.line_num, row) for row in found if row)


def parse(
    text: str, delimiter: str, name: str, keep_odd: bool
) -> tuple[list[list[str]], str, list[str], dict[int, str]]:
    """Rows of equal length, the way of quoting that gave them, the lines left out, and those emptied by place.

    Lines of another length are left out, or emptied if ``keep_odd``.
    """
    quotings = [how for how in QUOTINGS if how != "single quotes"] if '"' in text else ["quotes taken literally"]
    if '\\"' not in text:
        quotings = [how for how in quotings if "backslash" not in how]
    if not delimiter and len(quotings) > 1:
        quotings.remove("quotes taken literally")
    if _delimiter_of_apostrophes(text) == delimiter != "":
        quotings = ["single quotes"]
    parsed: dict[str, list[list[str]]] = {}
    for how in quotings:
        try:
            rows = _even([row for _, row in cells_of(text, delimiter, QUOTINGS[how])])
        except csv.Error:
            continue
        if rows:
            parsed[how] = rows
            if not any("\n" in cell for row in rows for cell in row):
                break
    if len(parsed) > 1 and _quotes_are_the_rule(parsed.get("quotes taken literally", [])):
        del parsed["quotes taken literally"]
    if not parsed:
        return _parse_ragged(text, delimiter, name, keep_odd)
    # A stray quote swallows the lines up to the next one, so the reading with more rows is the right one.
    how = max(parsed, key=lambda how: len(parsed[how]))
    return parsed[how], how, [], {}


def _parse_ragged(
    text: str, delimiter: str, name: str, keep_odd: bool
) -> tuple[list[list[str]], str, list[str], dict[int, str]]:
    """``parse`` where no way of quoting gives rows of equal length.

    Raises:
        DataError: the lines differ too much.
    """
    loose = "loose quotes" if '"' in text else "quotes taken literally"
    for how in ("single quotes", loose) if "'" in text else (loose,):
        numbered = [(line, row) for line, row in cells_of(text, delimiter, QUOTINGS[how]) if any(row) or len(row) > 1]
        if even := _even([row for _, row in numbered]):
            return even, how, [], {}
        if keep_odd and (emptied := with_odd_emptied(numbered) if numbered else None):
            return emptied[0], how, [], emptied[1]
        tolerated = None if keep_odd or not numbered else without_ragged(numbered)
        if tolerated:
            return tolerated[0], how, [tolerated[1]], {}
    raise _ragged(text, delimiter, QUOTINGS[loose], name)


def _quotes_are_the_rule(rows: list[list[str]]) -> bool:
    """Rows with quotes kept: when every second one has a cell that begins with one, they are no stray marks."""
    return sum(any(cell.lstrip().startswith('"') for cell in row) for row in rows) > len(rows) / 3


def _even(rows: list[list[str]]) -> list[list[str]] | None:
    """The rows if all have one length; row names without a header and trailing delimiters are put right."""
    if not rows:
        return None
    width = len(rows[0])
    if width > 1:  # lines of blanks are no rows
        rows = [row for row in rows if len(row) > 1 or row[0].strip()]
    widths = {len(row) for row in rows}
    if len(widths) == 1:
        return rows
    if widths == {width, width - 1} and not any(row[-1].strip() for row in rows if len(row) == width):
        return [row[: width - 1] for row in rows]
    if {len(row) for row in rows[1:]} == {width + 1}:
        if all(not row[-1].strip() for row in rows[1:]):
            return [rows[0], *(row[:-1] for row in rows[1:])]
        return [["row", *rows[0]], *rows[1:]]
    return None


def _ragged(text: str, delimiter: str, quoting: dict[str, Any], name: str) -> DataError:
    """What is wrong with the first line with an unusual number of cells."""
    width = 0
    try:
        for line, row in cells_of(text, delimiter, quoting):
            width = width or len(row)
            if len(row) != width:
                return DataError(
                    f"line {line} of {name} has {counted(len(row), 'field')} but the first line has {width}; give each "
                    f"line as many fields, and put cells that hold a {DELIMITERS.get(delimiter, 'blank')} in quotes."
                )
    except csv.Error as error:
        return DataError(f"{name} cannot be cut into cells ({error}); save the table as plain CSV.")
    return DataError(f"the quotes in {name} do not match; close every quote, and double those inside a cell.")
