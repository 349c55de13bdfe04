"""Tables in other formats than delimited text, made here by the libraries that people use."""

from __future__ import annotations

import bz2
import gzip
import json
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow
import pytest
import zstandard
from pyarrow import feather, parquet

from automl_engine.errors import DataError
from formatters.base import Options
from formatters.convert import convert
from formatters.tables.delimited import without_alignment, without_outer_quotes
from formatters.tables.formats import _fill_merged
from formatters.tables.reader import read_table
from tests.formatters.toys import write_workbook

COLUMNS = ("height", "leaves", "colour", "kind")
ROWS = [(i * 37 % 61 / 8 + 0.5, i % 11, "red" if i % 3 else "blue", "oak" if i % 2 else "elm") for i in range(60)]
TEXT = "\n".join([",".join(COLUMNS), *(",".join(map(str, row)) for row in ROWS)]) + "\n"
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def arrow() -> pyarrow.Table:
    return pyarrow.Table.from_pylist(RECORDS)


def decimals() -> pyarrow.Table:
    table = arrow()
    leaves = pyarrow.array([timedelta(hours=row[1]) for row in ROWS])
    height = table["height"].cast(pyarrow.decimal128(10, 4))
    return table.set_column(0, "height", height).set_column(1, "leaves", leaves)


def database(path: Path) -> None:
    base = sqlite3.connect(path)
    base.execute("create table trees (height real, leaves integer, colour text, kind text)")
    base.executemany("insert into trees values (?, ?, ?, ?)", ROWS)
    base.commit()
    base.close()


def workbook(path: Path) -> None:
    write_workbook(path, {"a": [("My trees",), (), COLUMNS, *ROWS]})


ARFF = """% made by hand
@RELATION trees
@attribute height numeric
@attribute leaves integer
@attribute 'colour' {red, blue}
@attribute kind {oak, elm}

@data
""" + TEXT.partition("\n")[2]

MAKERS: dict[str, Callable[[Path], object]] = {
    "a.xlsx": workbook,
    "a.parquet": lambda path: parquet.write_table(arrow(), path),
    "a.feather": lambda path: feather.write_feather(arrow(), str(path)),
    "a.sqlite": database,
    "a.json": lambda path: path.write_text(json.dumps(RECORDS)),
    "columns.json": lambda path: path.write_text(json.dumps(arrow().to_pydict())),
    "below.json": lambda path: path.write_text(json.dumps({"version": 2, "rows": RECORDS})),
    "index.json": lambda path: path.write_text(json.dumps(dict(enumerate(RECORDS)))),
    "names.json": lambda path: path.write_text(json.dumps({f"tree {i}": row for i, row in enumerate(RECORDS)})),
    "pandas.json": lambda path: path.write_text(
        json.dumps({name: dict(enumerate(cells)) for name, cells in arrow().to_pydict().items()})
    ),
    "one_key.json": lambda path: path.write_text(json.dumps({"trees": RECORDS})),
    "python.txt": lambda path: path.write_text("\n".join(map(str, RECORDS))),
    "lines.txt": lambda path: path.write_text("\n".join(map(json.dumps, RECORDS))),
    "decimal.parquet": lambda path: parquet.write_table(decimals(), path),
    "split.json": lambda path: path.write_text(json.dumps({"columns": COLUMNS, "index": [], "data": ROWS})),
    "deep.json": lambda path: path.write_text(json.dumps({"data": {"trees": {"rows": RECORDS}}})),
    "lists.json": lambda path: path.write_text(json.dumps([COLUMNS, *ROWS])),
    "listed_labels.jsonl": lambda path: path.write_text(
        "\n".join(json.dumps(row | {"kind": [row["kind"]]}) for row in RECORDS)
    ),
    "a.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, RECORDS))),
    "a.arff": lambda path: path.write_text(ARFF),
    "a.csv.gz": lambda path: path.write_bytes(gzip.compress(TEXT.encode())),
    "a.tsv.bz2": lambda path: path.write_bytes(bz2.compress(TEXT.replace(",", "\t").encode())),
    "a.csv.zst": lambda path: path.write_bytes(zstandard.compress(TEXT.encode())),
    "sep.csv": lambda path: path.write_text("sep=;\n" + TEXT.replace(",", ";")),
}


@pytest.mark.parametrize("name", MAKERS)
def test_formats(tmp_path, name):
    MAKERS[name](tmp_path / name)
    report = convert(tmp_path / name, tmp_path / "out", Options(), say=lambda line: None)
    assert (report["modality"], report["options"]["target"]) == ("tabular", "kind")
    assert {row["name"]: row["train"] + row["test"] for row in report["labels"]} == {"elm": 30, "oak": 30}
    features = {row["name"]: row["type"] for row in report["columns"] if row["role"] == "feature"}
    assert features == {"height": "number", "leaves": "number", "colour": "category"}


@pytest.mark.parametrize(
    "name", ["a.xlsx", "a.parquet", "a.feather", "a.sqlite", "a.json", "a.arff", "a.csv.gz", "a.csv.zst"]
)
def test_damaged_files_are_told_in_one_sentence(tmp_path, name):
    MAKERS[name](tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:150])
    with pytest.raises(DataError, match=name.removesuffix(".gz").removesuffix(".zst")):
        convert(tmp_path / name, tmp_path / "out", Options(), say=lambda line: None)


def test_a_database_of_several_tables_is_told(tmp_path):
    database(tmp_path / "a.db")
    base = sqlite3.connect(tmp_path / "a.db")
    base.execute("create table birds (name text)")
    base.close()
    with pytest.raises(DataError, match="2 tables"):
        convert(tmp_path / "a.db", tmp_path / "out", Options(), say=lambda line: None)


def test_no_part_file_is_lost(tmp_path):
    (tmp_path / "in").mkdir()
    for part in range(80):
        (tmp_path / "in" / f"part-{part:05}.csv").write_text(TEXT)
    report = convert(tmp_path / "in", tmp_path / "out", Options(), say=lambda line: None)
    assert report["counts"]["samples"] == 80 * 60


@pytest.mark.parametrize("cell", ["9 x", "-1 x", "x 1", "9" * 5000 + " x"])
def test_a_place_that_no_attribute_has_is_told(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "a.arff"
    path.write_text("@relation r\n@attribute n numeric\n@attribute class {x,y}\n@data\n{0 1, 1 y}\n{" + cell + "}\n")
    with pytest.raises(DataError, match=r"data line 2 of a\.arff names attribute"):
        read_table(path)


def test_what_stands_within_objects_and_lists_of_one_has_columns(tmp_path: Path) -> None:
    rows = [{"data": {"size": i % 9}, "notes": [{"value": {"choices": ["ab"[i % 2]]}}]} for i in range(40)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    report = convert(tmp_path / "a.json", tmp_path / "out", Options(), say=lambda line: None)
    assert report["options"]["target"] == "notes.value.choices"
    assert [label["name"] for label in report["labels"]] == ["a", "b"]


def test_rows_of_parts_in_json(tmp_path: Path) -> None:
    rows = [[f"a story of {'joy' if i % 2 else 'grief'} and of {i} others", "ab"[i % 2]] for i in range(40)]
    (tmp_path / "a.json").write_text(json.dumps({"train": rows, "test": rows[:10]}))
    report = convert(tmp_path / "a.json", tmp_path / "out", Options(), say=lambda line: None)
    assert (report["modality"], report["counts"]["train"], report["counts"]["test"]) == ("text", 40, 10)


@pytest.mark.parametrize("value", [{"bytes": b"\x89PNG\r\n", "path": "1.png"}, b"\x89PNG\r\n"])
def test_files_in_the_cells_are_told(tmp_path: Path, value: object) -> None:
    parquet.write_table(pyarrow.table({"image": [value] * 4, "label": [0, 1, 0, 1]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"column 'image' of a\.parquet holds files"):
        read_table(tmp_path / "a.parquet")


def test_merged_cells_hold_for_each_of_their_rows() -> None:
    rows = [["kind", "size"], ["oak", "1"], ["", "2"], ["", "3"], ["elm", "4"]]
    _fill_merged(rows, [((2, 1), (4, 1)), ((2, 1), (9, 1)), ((0, 0), (3, 0)), ((7, 9), (9, 9))], (1, 1))
    assert [row[0] for row in rows] == ["kind", "oak", "oak", "oak", "elm"]


@pytest.mark.parametrize("cell", ["https://example.org/photos/{}", "images/img_{}.jpg"])
def test_names_of_files_are_no_texts(tmp_path: Path, cell: str) -> None:
    lines = ["image,label", *(f"{cell.format(i * 7919)},{'ab'[i % 2]}" for i in range(40))]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="'image': it names files or links, and what they hold is not in the table"):
        convert(tmp_path / "a.csv", tmp_path / "out", Options(), say=lambda line: None)


@pytest.mark.parametrize("line", ['"' + 200_000 * "a", '"' + 200_000 * '""' + "x", 200_000 * "a  "], ids=len)
def test_a_long_line_is_looked_at_once(line: str) -> None:
    """A pattern that tries every place for the end of a quote would take hours."""
    begun_s = time.process_time()
    assert without_outer_quotes(line) == line
    assert without_alignment(line) == line
    assert time.process_time() - begun_s < 2
