"""Any delimited text file -> columns and rows of strings, with what was guessed told in words.

Encoding, delimiter, quoting and header are sniffed; nothing is converted here (see ``columns.py``).  Only the
standard library is used, since exported models carry this file along.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from automl_engine.errors import DataError
from formatters.encodings import UTF_8, decode_text
from formatters.tables.formats import (
    STRUCTURED_SUFFIXES,
    WORKBOOKS,
    check_width,
    read_structured,
)
from formatters.tables.header import distinct_names, has_header_line
from formatters.tables.untidy import Tidied, tidy, with_odd_emptied, without_ragged
from formatters.words import counted

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".data", ".dat")
DELIMITERS = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}  # in order of preference
QUOTINGS: dict[str, dict[str, Any]] = {
    "quotes doubled inside quotes": {"strict": True},
    "quotes escaped by a backslash": {"escapechar": "\\", "doublequote": False, "strict": True},
    "quotes taken literally": {"quoting": csv.QUOTE_NONE},
    "loose quotes": {},
    "single quotes": {"quotechar": "'"},
}
SAMPLE_CHARS, MAX_SAMPLE_CHARS = 200_000, 4_000_000
SAMPLE_ROWS = 500
FASTTEXT_LABEL = "__label__"
MAX_PREAMBLE_LINES = 5
MIN_ROWS_BELOW_PREAMBLE = 5
MAX_LINE_BYTES = 2**24
csv.field_size_limit(MAX_LINE_BYTES)


@dataclass
class RawTable:
    """Cells as they stand in the file, blanks around them stripped; every row has ``len(columns)`` cells."""

    columns: list[str]
    rows: list[list[str]]
    has_header: bool
    delimiter: str  # "" when there is one column; " " means any white space
    encoding: str
    notes: list[str] = field(default_factory=list)  # what was guessed
    file_name: str = ""
    label: str = ""  # the label column where the file itself names it
    left_out: list[str] = field(default_factory=list)  # what was no row
    unread: dict[int, str] = field(default_factory=dict)  # rows that are kept empty, and why
    matrix: Literal["", "dense", "sparse"] = ""  # as the AutoML challenge stored one

    @cached_property
    def places(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.columns)}

    def column(self, name: str) -> list[str]:
        at = self.places[name]
        return [row[at] for row in self.rows]


def read_table(
    path: Path, has_header: bool | None = None, keep_empty: bool = False, wanted: tuple[str, ...] = ()
) -> RawTable:
    """Read a CSV, TSV or the like, or a JSON list of ``{column: value}``.

    Args:
        has_header: None = see whether there is one.
        keep_empty: keep rows of empty cells (never blank lines): each row to predict needs its answer.
        wanted: columns by which the sheet of a workbook is chosen.

    The last two files read are remembered, as several formatters look at the same upload: don't modify them.

    Raises:
        DataError: empty, binary, ragged, or a header without rows.
    """
    stat = path.stat()
    return _read_table(path, has_header, keep_empty, wanted, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=2)
def _read_table(
    path: Path, has_header: bool | None, keep_empty: bool, wanted: tuple[str, ...], size_bytes: int, mtime_ns: int
) -> RawTable:
    if path.suffix.lower() in STRUCTURED_SUFFIXES:
        return _structured(path, has_header, keep_empty, wanted)
    check_lines(path)
    text, encoding = decode_text(path)
    if not text.strip():
        raise DataError(f"{path.name} is empty; it needs a header line and at least one row.")
    if text.startswith(FASTTEXT_LABEL):
        rows = [fasttext_row(line) for line in text.splitlines() if line.strip()]
        if any("," in label for label, _ in rows):
            rows = [[f"[{labels}]", words] for labels, words in rows]
        notes = ["lines of fastText: labels, then the text"]
        return RawTable(["label", "text"], rows, False, "", encoding, notes, path.name, "label")
    separator = re.match(r"sep=(.)\r?\n", text)  # Excel's way of telling the delimiter
    text = text[separator.end() :] if separator else text
    text = text if separator else _without_line_ends(text)
    skipped = 0 if separator else _preamble_lines(text)
    text = "\n" * skipped + text.split("\n", skipped)[-1]  # numbers of lines stay right
    delimiter = separator[1] if separator else _sniff_delimiter(text)
    check_width(len(next(_reader(text[:MAX_LINE_BYTES], delimiter, {}), (0, []))[1]), path.name)
    rows, quoting, ragged, odd = _parse(text, delimiter, path.name, keep_odd=keep_empty)
    rows = [[cell.strip() for cell in row] for row in rows]
    width = len(rows[0])
    filled = [row for row in rows if keep_empty or any(row)]
    if not filled:
        raise DataError(f"{path.name} is empty: it holds no rows; give a header line and at least one row.")
    tidied = Tidied(filled) if keep_empty else tidy(filled)
    filled = tidied.rows
    has_header = has_header_line(filled[: SAMPLE_ROWS + 1]) if has_header is None else has_header
    header = filled.pop(0) if has_header else [f"column_{i}" for i in range(width)]
    if not filled:
        raise DataError(f"{path.name} has only one line; it needs the names of the columns and the data below them.")
    columns = distinct_names(header)
    stray_quotes = quoting == "quotes taken literally" and '"' in text
    notes = _notes(delimiter, stray_quotes, encoding, has_header, columns, header)
    empty = 0 if keep_empty else sum(not any(row) for row in rows)
    notes += [f"{counted(empty, 'empty row')} skipped"] * bool(empty)
    notes += [f"{counted(skipped, 'line')} above the table skipped"] * bool(skipped)
    left_out = ragged + tidied.left_out
    notes += [f"left out: {what}" for what in left_out]
    label = tidied.label if tidied.label in columns else ""
    unread = {at - has_header: f"{path.name}, {why}" for at, why in odd.items()}
    return RawTable(columns, filled, has_header, delimiter, encoding, notes, path.name, label, left_out, unread)


def fasttext_row(line: str) -> list[str]:
    """Labels, joined by commas, and the text."""
    words = line.split()
    count = next((at for at, word in enumerate(words) if not word.startswith(FASTTEXT_LABEL)), len(words))
    return [",".join(word.removeprefix(FASTTEXT_LABEL) for word in words[:count]), " ".join(words[count:])]


def check_lines(path: Path) -> None:
    """Look for a line without end before the file is read into memory.

    Raises:
        DataError: a line is longer than MAX_LINE_BYTES (those of twice that length are always found).
    """
    with open(path, "rb") as file:
        while len(block := file.read(MAX_LINE_BYTES)) == MAX_LINE_BYTES:
            if b"\n" not in block and b"\r" not in block:
                raise DataError(
                    f"{path.name} has a line of more than {MAX_LINE_BYTES:,} bytes; write one row a line as plain text."
                )


def _without_line_ends(text: str) -> str:
    """Some programs end each line with a semicolon, whatever separates the cells."""
    sample = [line.rstrip() for line in text.split("\n", SAMPLE_ROWS)[:SAMPLE_ROWS] if line.strip()]
    if not all(line.find(";") == len(line) - 1 and re.search(r"[,\t|]", line) for line in sample):
        return text
    return "\n".join(line.rstrip().rstrip(";") for line in text.split("\n"))


def _preamble_lines(text: str) -> int:
    """How many lines of a title or of comments stand above a table that is even without them."""
    lines = text.split("\n", SAMPLE_ROWS)[:-1]
    for top in range(min(MAX_PREAMBLE_LINES, len(lines) - MIN_ROWS_BELOW_PREAMBLE) + 1):
        rest = "\n".join(lines[top:])
        delimiter = _sniff_delimiter(rest)
        widths = {len(row) for _, row in _reader(rest, delimiter, {})}
        if delimiter and len(widths) == 1:
            comments = all(line.startswith("#") for line in lines[:top])
            bare = all(delimiter not in line.rstrip(f"{delimiter}\r") for line in lines[:top])
            return top if comments or (bare and min(widths) > 2) else 0
    return 0


def _sniff_delimiter(text: str) -> str:
    """The delimiter that cuts most sampled lines into as many cells as the first line."""
    wide = len("\n".join(text[:MAX_SAMPLE_CHARS].split("\n", 3)[:3]))  # a few lines at least
    sample = text[: max(SAMPLE_CHARS, wide + 1)].lstrip("\n")
    if quoted := _delimiter_of_apostrophes(sample):
        return quoted
    fits: dict[str, float] = {}
    for delimiter in DELIMITERS:
        for quoting in ({}, {"quoting": csv.QUOTE_NONE}):
            rows = [row for _, row in islice(_reader(sample, delimiter, quoting), SAMPLE_ROWS)]
            rows = rows[:-1] if len(text) > max(SAMPLE_CHARS, wide + 1) else rows
            if rows and len(rows[0]) > 1:
                same = sum(len(row) in (len(rows[0]), len(rows[0]) + 1) for row in rows[1:])
                fits[delimiter] = max(fits.get(delimiter, 0.0), same / max(1, len(rows) - 1))
    fitting = [d for d, share in fits.items() if share == max(fits.values())]
    if not fitting:
        return " " if _is_space_delimited(sample) else ""
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
    """Old research archives separate plain numbers by blanks."""
    rows = [line.split() for line in sample.splitlines()[:50]][: 49 if len(sample) >= SAMPLE_CHARS else 50]
    numbers = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?|nan|\?", re.IGNORECASE)
    cells = [cell for row in rows[1:] for cell in row]
    same = len(rows) > 1 and len({len(row) for row in rows if row}) == 1 and len(rows[0]) > 1
    return same and sum(bool(numbers.fullmatch(cell)) for cell in cells) > 0.7 * len(cells)


def _reader(text: str, delimiter: str, quoting: dict[str, Any]) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each line that is not empty; a cell with line breaks spans several lines."""
    lines = io.StringIO(text, newline="")
    if delimiter == " ":
        yield from ((number, line.split()) for number, line in enumerate(lines, 1) if line.strip())
        return
    reader = csv.reader(lines, delimiter=delimiter or "\x1f", skipinitialspace=True, **quoting)
    yield from ((reader.line_num, row) for row in reader if row)


def _parse(
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
            rows = _even([row for _, row in _reader(text, delimiter, QUOTINGS[how])])
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
    """``_parse`` where no way of quoting gives rows of equal length.

    Raises:
        DataError: the lines differ too much.
    """
    loose = "loose quotes" if '"' in text else "quotes taken literally"
    for how in ("single quotes", loose) if "'" in text else (loose,):
        numbered = [(line, row) for line, row in _reader(text, delimiter, QUOTINGS[how]) if any(row) or len(row) > 1]
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
        for line, row in _reader(text, delimiter, quoting):
            width = width or len(row)
            if len(row) != width:
                return DataError(
                    f"line {line} of {name} has {counted(len(row), 'field')} but the first line has {width}; give each "
                    f"line as many fields, and put cells that hold a {DELIMITERS.get(delimiter, 'blank')} in quotes."
                )
    except csv.Error as error:
        return DataError(f"{name} cannot be cut into cells ({error}); save the table as plain CSV.")
    return DataError(f"the quotes in {name} do not match; close every quote, and double those inside a cell.")


def _notes(
    delimiter: str, stray_quotes: bool, encoding: str, has_header: bool, columns: list[str], header: list[str]
) -> list[str]:
    notes = []
    if delimiter not in (",", ""):
        notes.append(f"cells are separated by {DELIMITERS.get(delimiter, 'blank')}s")
    if encoding not in UTF_8:
        notes.append(f"the file is not UTF-8; it was read as {encoding}")
    if stray_quotes:
        notes.append("quotation marks are part of the cells")
    if not has_header:
        notes.append("there is no header line; the columns were named column_0, column_1, ...")
    renamed = [new for new, old in zip(columns, header, strict=True) if new != old]
    if renamed:
        notes.append(f"columns without a name or with a name used twice are now called {', '.join(renamed[:5])}")
    return notes


def _structured(path: Path, has_header: bool | None, keep_empty: bool, wanted: tuple[str, ...]) -> RawTable:
    found = read_structured(path, decode_text, wanted)
    tidied = tidy(found.rows) if path.suffix.lower() in WORKBOOKS and found.rows and not keep_empty else None
    rows = tidied.rows if tidied else found.rows
    if path.suffix.lower() in WORKBOOKS and has_header is None and rows:
        has_header = has_header_line(rows[: SAMPLE_ROWS + 1])
    header = [f"column_{i}" for i in range(len(rows[0]))] if has_header is False and rows else (rows or [[]]).pop(0)
    if not rows:
        raise DataError(f"{path.name} holds no rows; it needs the names of the columns and the data below them.")
    left_out = found.left_out + (tidied.left_out if tidied else [])
    notes = [f"left out: {what}" for what in left_out]
    return RawTable(
        *(distinct_names(header), rows, has_header is not False, ",", "utf-8", notes, path.name, found.label, left_out)
    )
