"""A file of predictions as a participant sends it: every number is checked before one of them is used."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import IO

import numpy as np

from webapp.engine import DataError
from webapp.sizes import size

NUMBER_BYTES = 32
"""What a number and what separates it from the next may take."""
MOST_BYTES = 64 * 2**20


def most_bytes(labels: Sequence[str], count: int) -> int:
    return min(MOST_BYTES, count * len(labels) * NUMBER_BYTES + _header_chars(labels))


def read(file: IO[bytes], size_bytes: int, labels: Sequence[str], count: int) -> np.ndarray:
    """(count, K) numbers, of CSV whose header names the classes or of the challenge's ``NAME.predict_k``.

    Raises:
        DataError: a sentence that says what is wrong, and where.
    """
    if size_bytes > most_bytes(labels, count):
        most = size(most_bytes(labels, count))
        raise DataError(f"The file has {size(size_bytes)}; predictions of this test set have {most} at most.")
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        return _read(text, labels, count)
    except UnicodeDecodeError as error:
        raise DataError("The file is not text in UTF-8: send CSV, or a .predict file of the challenge.") from error
    except csv.Error as error:
        raise DataError(f"The file could not be read as CSV ({error}).") from error
    finally:
        text.detach()  # the upload closes its file itself


def _read(text: io.TextIOWrapper, labels: Sequence[str], count: int) -> np.ndarray:
    lines = _lines(text, len(labels) * NUMBER_BYTES + _header_chars(labels))
    first = next(lines, "")
    every = chain([first], lines)
    is_csv = "," in first or first.startswith('"')
    split = (line.split() for line in every)
    rows: Iterator[list[str]] = csv.reader(every, skipinitialspace=True) if is_csv else split
    found, columns = np.empty((count, len(labels))), list(range(len(labels)))
    if is_csv:
        columns = _columns(next(rows), labels)
    at = 0
    for line, row in enumerate(rows, 2 if is_csv else 1):
        if not row:
            continue
        if at == count:
            raise DataError(f"Line {line} is one too many: the test set has {count:,} samples.")
        if len(row) != len(labels):
            raise DataError(f"Line {line} has {len(row):,} values, and there are {len(labels):,} classes.")
        found[at, columns] = [_number(cell, line) for cell in row]
        at += 1
    if at < count:
        raise DataError(f"The file has {at:,} rows of predictions, and the test set has {count:,} samples.")
    return found


def _header_chars(labels: Sequence[str]) -> int:
    return 2 * sum(len(label.encode()) + 4 for label in labels) + 100


def _lines(text: io.TextIOWrapper, most_chars: int) -> Iterator[str]:
    """One line at a time, none of which can fill the memory."""
    number = 0
    while line := text.readline(most_chars):
        number += 1
        if len(line) == most_chars and not line.endswith("\n"):
            raise DataError(f"Line {number} is too long for numbers of as many classes as there are.")
        yield line


def _columns(names: Sequence[str], labels: Sequence[str]) -> list[int]:
    """The class of each column, by the header."""
    places = {label.strip(): place for place, label in enumerate(labels)}
    given = [name.strip() for name in names]
    given = [name if name in places else name.removeprefix("'") for name in given]  # put there for spreadsheets
    if missing := [label for label in places if label not in given]:
        raise DataError(f"The first line must name each class once; “{missing[0][:100]}” is missing.")
    if len(given) != len(places):
        raise DataError(f"The first line names {len(given):,} columns, and there are {len(places):,} classes.")
    return [places[name] for name in given]


def _number(cell: str, line: int) -> float:
    try:
        value = float(cell) if cell.isascii() and "_" not in cell else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"Line {line} holds “{cell.strip()[:40]}”, which is not a finite number.")
    return value
