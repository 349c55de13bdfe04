"""Reading delimited text: what is sniffed, what is told, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_engine.errors import DataError
from formatters.encodings import decode_text
from formatters.tables.reader import RawTable, read_table, read_with_findings


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str | bytes, name: str = "x.csv") -> RawTable:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_table(path)

    return read


@pytest.fixture
def notes(tmp_path: Path):
    def notes(content: str) -> list[str]:
        (tmp_path / "x.csv").write_text(content)
        return read_with_findings(tmp_path / "x.csv")[1].notes

    return notes


@pytest.mark.parametrize(
    ("content", "delimiter", "columns", "first_row"),
    [
        ("a,b,c\n1,2,x\n3,4,y\n", ",", ["a", "b", "c"], ["1", "2", "x"]),
        ("a;b;c\n1,5;2;x\n3,5;4;y\n", ";", ["a", "b", "c"], ["1,5", "2", "x"]),
        ("a;b\n1,5;2,5\n3,5;4,0\n", ";", ["a", "b"], ["1,5", "2,5"]),
        ("a\tb\nhello, you\tx\nbye, all\ty\n", "\t", ["a", "b"], ["hello, you", "x"]),
        ("a|b\n1|2\n3|4\n", "|", ["a", "b"], ["1", "2"]),
        ("file,label\na.png,cat;dog\nb.png,dog;cat\n", ",", ["file", "label"], ["a.png", "cat;dog"]),
        ("text\nhello, world\nfoo bar\n", "", ["text"], ["hello, world"]),
        ("1 2.5 3\n2   1.5 4\n", " ", ["column_0", "column_1", "column_2"], ["1", "2.5", "3"]),
        ("sep=;\na;b\n1;2\n", ";", ["a", "b"], ["1", "2"]),
        ("a^b^c\n1^2^x\n3^4^y\n", "^", ["a", "b", "c"], ["1", "2", "x"]),
        ("1::2.5::x\n2::4::y\n", "\t", ["column_0", "column_1", "column_2"], ["1", "2.5", "x"]),
        (
            '8.0   307.0   1\t"old car"\n6.0    98.0   2\t"ute"\n',
            " ",
            [f"column_{i}" for i in range(4)],
            ["8.0", "307.0", "1", "old car"],
        ),
    ],
)
def test_delimiter(read, content, delimiter, columns, first_row):
    table = read(content)
    assert (table.delimiter, table.columns, table.rows[0]) == (delimiter, columns, first_row)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "größe,klasse\n1,süß\n"),
        ("utf-8-sig", "größe,klasse\n1,süß\n"),
        ("utf-16", "größe,klasse\n1,süß\n"),
        ("utf-16-le", "size,class\n1,sweet\n"),
        ("gb18030", "文本,标签\n这个酒店很好,好\n不好,坏\n"),
        ("cp1252", "größe,klasse\ncafé,süß\nécole,“herb”\n"),
    ],
)
def test_encoding(tmp_path, encoding, text):
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode(encoding))
    assert decode_text(path) == (text, encoding)


@pytest.mark.parametrize(
    ("content", "has_header"),
    [
        ("height,weight\n1,2\n3,4\n", True),
        ("6,148,72\n1,85,66\n8,183,64\n", False),
        ("5.1,3.5,Iris-a\n4.9,3.0,Iris-a\n6,3,Iris-b\n", False),
        ("ham\tgo there now\nspam\twin a prize\nham\tok then\n", False),
        ("Bild,Art\na.png,Katze\nb.png,Hund\n", True),
        ("a.png,cat\nb.png,dog\nc.png,dog\n", False),
        ("0,1,2,3,label\n0.1,0.2,0.3,0.4,x\n0.1,0.2,0.3,0.5,y\n", True),
        ("class,title\nA,some words\nB,other words here\n", True),
        ("country,2019,2020,2021\nA,3.5,4,5\nB,1,2,7\n", True),
        ("m,l,k\n1,2,a\nm,l,k\n3,4,b\n", True),
    ],
)
def test_header(read, notes, content, has_header):
    table = read(content)
    assert table.has_header is has_header
    if not has_header:
        assert table.columns[0] == "column_0"
        assert any("no header" in note for note in notes(content))


def test_stray_quotes_are_part_of_the_text(read):
    table = read('ham\t"Hello there\nspam\tWin "now"\nham\tok" then\nspam\t"x" y\n')
    assert len(table.rows) == 4
    assert table.rows[0] == ["ham", '"Hello there']


def test_a_stray_quote_does_not_swallow_lines(read):
    table = read('ham\t"Hello there\nspam\tbye"\nham\tok then\n')
    assert [row[0] for row in table.rows] == ["ham", "spam", "ham"]


def test_quoted_line_breaks_and_doubled_quotes(read):
    table = read('text,label\n"hello\nworld, ""you""",a\n"foo",b\n')
    assert table.rows == [['hello\nworld, "you"', "a"], ["foo", "b"]]


def test_quotes_escaped_by_backslash(read):
    table = read('text,label\n"he said \\"hi\\", twice",a\n"foo, bar",b\n')
    assert table.rows[0] == ['he said "hi", twice', "a"]


def test_names_are_stripped_and_made_distinct(read, notes):
    content = " a , b ,a,\n1, 2 ,3,4\n5,6,7,8\n"
    table = read(content)
    assert table.columns == ["a", "b", "a_2", "column_3"]
    assert table.rows[0] == ["1", "2", "3", "4"]
    assert any("a_2" in note for note in notes(content))


def test_trailing_delimiters_row_names_and_empty_rows(read, notes):
    assert read("a,b\n1,2,\n3,4,\n").rows == [["1", "2"], ["3", "4"]]
    assert read("a,b\nr1,1,2\nr2,3,4\n").columns == ["row", "a", "b"]
    content = "a,b\n1,2\n,\n\n3,4\n"
    assert read(content).rows == [["1", "2"], ["3", "4"]]
    assert "1 empty row skipped" in notes(content)


def test_json_rows(read):
    table = read('[{"a": 1, "b": " x "}, {"b": null, "c": true}]', "x.json")
    assert table.columns == ["a", "b", "c"]
    assert table.rows == [["1", "x", ""], ["", "", "true"]]


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        ("", "x.csv", "x.csv is empty"),
        ("a,b,c\n", "x.csv", "has only one line"),
        ("a,b,c\n1,2,3\n4,5\n6,7,8\n", "x.csv", "line 3 of x.csv has 2 fields but the first line has 3"),
        ("a,b,c\n1,2\n3,4\n", "x.csv", "line 2 of x.csv has 2 fields"),
        ('t,l\n"a\nb",x\n"c",y,z\n', "x.csv", "line 4 of x.csv has 3 fields"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\xff\xfe\x01\x02", "x.csv", "binary file"),
        (b"PK\x03\x04rest", "x.csv", "Excel workbook"),
        ("[]", "x.json", "at least one row"),
        ("{", "x.json", "not valid JSON"),
    ],
)
def test_refused_in_one_sentence(read, content, name, sentence):
    with pytest.raises(DataError, match=sentence.replace("(", r"\(")) as error:
        read(content, name)
    assert "\n" not in str(error.value)
