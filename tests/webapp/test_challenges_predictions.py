"""Files of predictions: what fits is read as it stands, all else is one sentence that says what and where."""

from __future__ import annotations

import io

import numpy as np
import pytest

from webapp.challenges import predictions
from webapp.csv_lines import csv_line
from webapp.engine import DataError

LABELS = ["dark", "light"]


def read(content: bytes, labels: list[str] | None = None, count: int = 2) -> np.ndarray:
    return predictions.read(io.BytesIO(content), len(content), labels or LABELS, count)


@pytest.mark.parametrize(
    "content",
    [
        b"dark,light\n0.25,0.75\n1,-2e3\n",
        b"\xef\xbb\xbfdark,light\r\n0.25,0.75\r\n1,-2e3\r\n\r\n",
        b'light , "dark"\n.75, .25\n-2000,1.0',
        b"0.25 0.75\n1 -2000\n",
        b"  0.25\t0.75 \n\n1 -2000",
    ],
)
def test_both_formats(content: bytes) -> None:
    assert read(content).tolist() == [[0.25, 0.75], [1, -2000]]


def test_names_with_commas_quotes_and_lines() -> None:
    labels = ['a, "b"', "c\nd"]
    assert read(b'"c\nd","a, ""b"""\n1,2\n3,4\n', labels).tolist() == [[2, 1], [4, 3]]


def test_the_file_to_begin_with_can_be_sent_whatever_the_classes_are_called() -> None:
    labels = ["=1+1", "-", "'quoted", "@home"]
    assert read((csv_line(labels) + "1,2,3,4\n").encode(), labels, 1).tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 rows"),
        (b"dark,light\n", "0 rows of predictions, and the test set has 2"),
        (b"dark,light\n1,2\n", "1 rows"),
        (b"dark,light\n1,2\n3,4\n5,6\n", "Line 4 is one too many: the test set has 2 samples"),
        (b"dark,light\n1,2\n3\n", "Line 3 has 1 values, and there are 2 classes"),
        (b"dark,light\n1,2\n3,4,5\n", "Line 3 has 3 values"),
        (b"1 2\n3 4 5\n", "Line 2 has 3 values"),
        (b"1,2\n3,4\n", "must name each class once; “dark” is missing"),
        (b"dark,dark\n3,4\n", "“light” is missing"),
        (b"dark,light,id\n1,2,3\n", "names 3 columns, and there are 2 classes"),
        (b"dark light\n1 2\n3 4\n", "Line 1 holds “dark”, which is not a finite number"),
        (b"dark,light\n1,nan\n3,4\n", "Line 2 holds “nan”"),
        (b"1 2\n1 inf\n", "Line 2 holds “inf”"),
        (b"1 2\n1 1e999\n", "Line 2 holds “1e999”"),
        (b"1 2\n1 1_0\n", "“1_0”"),
        ("1 2\n1 ١\n".encode(), "“١”"),
        (b"dark,light\n1,\n3,4\n", "Line 2 holds “”"),
        (b"dark,light\n1,<script>\n3,4\n", "“<script>”"),
        (b"1 2\n\x00 2\n", "which is not a finite number"),
        (b"\xff\xfe1\x00 \x002\x00", "not text in UTF-8"),
        (b"PK\x03\x04\x14\x00\xff\xff", "not text in UTF-8"),
        (b"1 2\n3 " + b"4" * 700, "predictions of this test set have"),
        (b"1" * 300 + b"\n", "predictions of this test set have"),
    ],
)
def test_what_is_wrong_is_one_sentence(content: bytes, said: str) -> None:
    with pytest.raises(DataError) as error:
        read(content)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_line_without_end_fills_no_memory() -> None:
    with pytest.raises(DataError, match="Line 2 is too long"):
        read(b"1 2\n" + b"1 " * 300, count=100)
    with pytest.raises(DataError, match="Line 1 is too long"):
        read(b'"' + b"a," * 300, count=100)


def test_an_open_quote_ends_somewhere() -> None:
    with pytest.raises(DataError):
        read(b'dark,light\n"1,2\n' + b"3,4\n" * 50, count=100)
