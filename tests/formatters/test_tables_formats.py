"""Tables in other formats than delimited text, made here by the libraries that people use."""

from __future__ import annotations

import bz2
import gzip
import json
import sqlite3
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
