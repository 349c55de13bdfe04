"""Any file of a table -> columns and rows of strings, and what was noticed on the way.

Encoding, delimiter, quoting and header are sniffed; nothing is converted here (see ``columns.py``).  Only the
standard library is used, since exported models carry this file along.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from automl_engine.errors import DataError
from formatters.encodings import UTF_8, decode_text
from formatters.tables.delimited import (
    DELIMITERS,
    MAX_LINE_BYTES,
    SAMPLE_ROWS,
    cells_of,
    parse,
    preamble_lines,
    sniff_delimiter,
    without_alignment,
    without_double_colons,
    without_formulas,
    without_line_ends,
    without_names,
    without_outer_quotes,
)
from formatters.tables.formats import STRUCTURED_SUFFIXES, WORKBOOKS, read_structured
from formatters.tables.header import distinct_names, has_header_line
from formatters.tables.records import check_width, tidy_cell, tidy_names
from formatters.tables.untidy import check_one_table, tidy, turned_for, without_repeated
from formatters.words import counted

TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".data", ".dat", ".train", ".test", ".trn", ".tst")
CLEANERS = (
    *(without_line_ends, without_formulas, without_double_colons, without_outer_quotes, without_names),
    without_alignment,
)
FASTTEXT_LABEL = "__label__"
COMMENT_MARK = re.compile(r"#+\s*(?=[^\W\d])")  # of a line that names the columns
TURNED = "each column of the file is a row, since one of its lines holds the classes"
RECORD = re.compile(r"\s*\{\s*[\"'][^\n]*:")  # JSON, whatever the name says


@dataclass
class RawTable:
    """Cells as they stand in the file, blanks around them stripped; every row has ``len(columns)`` cells."""

    columns: list[str]
    rows: list[list[str]]
    has_header: bool
    delimiter: str  # "" when there is one column; " " means any white space
    file_name: str = ""
    label: str = ""  # the label column where the file itself names it
    matrix: Literal["", "dense", "sparse"] = ""  # as the AutoML challenge stored one

    @cached_property
    def places(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.columns)}

    def column(self, name: str) -> list[str]:
        at = self.places[name]
        return [row[at] for row in self.rows]


@dataclass
class RawFindings:
    """What was noticed when a table was read."""

    notes: list[str] = field(default_factory=list)  # what was guessed
    left_out: list[str] = field(default_factory=list)  # what was no row
    unread: dict[int, str] = field(default_factory=dict)  # rows that are kept empty, and why


ReadTable = tuple[RawTable, RawFindings]


def read_table(path: Path, has_header: bool | None = None) -> RawTable:
    """The cells alone; see ``read_with_findings``."""
    return read_with_findings(path, has_header)[0]


def read_with_findings(
    path: Path, has_header: bool | None = None, keep_empty: bool = False, wanted: tuple[str, ...] = ()
) -> ReadTable:
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
    return _read(path, has_header, keep_empty, wanted, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=2)
def _read(
    path: Path, has_header: bool | None, keep_empty: bool, wanted: tuple[str, ...], size_bytes: int, mtime_ns: int
) -> ReadTable:
    if path.suffix.lower() in STRUCTURED_SUFFIXES and not is_text(path):
        return _structured(path, has_header, keep_empty, wanted)
    check_lines(path)
    text, encoding = decode_text(path)
    if not text.strip():
        raise DataError(f"{path.name} is empty; it needs a header line and at least one row.")
    if RECORD.match(text):
        try:
            return _structured(path, has_header, keep_empty, wanted)
        except DataError:  # cells in braces
            pass
    if text.startswith(FASTTEXT_LABEL):
        return _fasttext(text, path.name)
    separator = re.match(r"sep=(.)\r?\n", text)  # Excel's way of telling the delimiter
    text = text[separator.end() :] if separator else text
    for without in () if separator else CLEANERS:
        text = without(text)
    skipped = 0 if separator else preamble_lines(text)
    text = "\n" * skipped + text.split("\n", skipped)[-1]  # numbers of lines stay right
    delimiter = separator[1] if separator else sniff_delimiter(text)
    check_width(len(next(cells_of(text[:MAX_LINE_BYTES], delimiter, {}), (0, []))[1]), path.name)
    rows, quoting, ragged, odd = parse(text, delimiter, path.name, keep_odd=keep_empty)
    rows = [[cell.strip() for cell in row] for row in rows]
    rows = rows if text.isascii() else tidy_names(rows)
    if not keep_empty:
        check_one_table(rows, path.name)
    filled = [row for row in rows if keep_empty or any(row)]
    if not filled:
        raise DataError(f"{path.name} is empty: it holds no rows; give a header line and at least one row.")
    tidied = turned_for(filled, wanted) if keep_empty else tidy(filled)
    filled = tidied.rows
    check_width(width := len(filled[0]), path.name)
    has_header = has_header_line(filled[: SAMPLE_ROWS + 1]) if has_header is None else has_header
    header = filled.pop(0) if has_header else [f"column_{i}" for i in range(width)]
    header = list(map(tidy_cell, header))
    header[0] = COMMENT_MARK.sub("", header[0])
    if not filled:
        raise DataError(f"{path.name} has only one line; it needs the names of the columns and the data below them.")
    repeated: list[str] = []
    if has_header and not keep_empty:
        filled, repeated = without_repeated(header, filled)
    columns = distinct_names(header)
    stray_quotes = quoting == "quotes taken literally" and '"' in text
    notes = _notes(delimiter, stray_quotes, encoding, has_header, columns, header)
    empty = 0 if keep_empty else sum(not any(row) for row in rows)
    notes += [
        *[f"{counted(empty, 'empty row')} skipped"] * bool(empty),
        *[f"{counted(skipped, 'line')} above the table skipped"] * bool(skipped),
        *[TURNED] * tidied.turned,
    ]
    left_out = ragged + tidied.left_out + repeated
    notes += [f"left out: {what}" for what in left_out]
    label = tidied.label if tidied.label in columns else ""
    unread = {at - has_header: f"{path.name}, {why}" for at, why in odd.items()}
    return RawTable(columns, filled, has_header, delimiter, path.name, label), RawFindings(notes, left_out, unread)


def is_text(path: Path) -> bool:
    """Is it delimited text that some program calls .xls?

    Raises:
        DataError: it is a web page.
    """
    if path.suffix.lower() != ".xls":
        return False
    with open(path, "rb") as file:
        head = file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if head.startswith((b"<html", b"<!doctype", b"<table", b"<meta", b"<head")):
        raise DataError(f"{path.name} is a web page, whatever its name says; open it as a sheet and save it as CSV.")
    return head.startswith((b"\xff\xfe", b"\xfe\xff")) or not (b"\0" in head or head[:1] in b"<\xd0")


def _fasttext(text: str, name: str) -> ReadTable:
    rows = [fasttext_row(line) for line in text.splitlines() if line.strip()]
    if any("," in label for label, _ in rows):
        rows = [[f"[{labels}]", words] for labels, words in rows]
    notes = ["lines of fastText: labels, then the text"]
    return RawTable(["label", "text"], rows, False, "", name, "label"), RawFindings(notes)


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


def _structured(path: Path, has_header: bool | None, keep_empty: bool, wanted: tuple[str, ...]) -> ReadTable:
    found = read_structured(path, decode_text, wanted)
    found = replace(found, rows=tidy_names(found.rows))
    sheet = path.suffix.lower() in WORKBOOKS and bool(found.rows)
    tidied = (turned_for(found.rows, wanted) if keep_empty else tidy(found.rows)) if sheet else None
    rows = tidied.rows if tidied else found.rows
    check_width(len(rows[0]) if rows else 0, path.name)
    if path.suffix.lower() in WORKBOOKS and has_header is None and rows:
        has_header = has_header_line(rows[: SAMPLE_ROWS + 1])
    header = [f"column_{i}" for i in range(len(rows[0]))] if has_header is False and rows else (rows or [[]]).pop(0)
    if not rows:
        raise DataError(f"{path.name} holds no rows; it needs the names of the columns and the data below them.")
    left_out = found.left_out + (tidied.left_out if tidied else [])
    notes = [f"left out: {what}" for what in left_out] + [TURNED] * bool(tidied and tidied.turned)
    table = RawTable(
        distinct_names(list(map(tidy_cell, header))), rows, has_header is not False, ",", path.name, found.label
    )
    return table, RawFindings(notes, left_out)
