"""Tables in other formats than delimited text, made here by the libraries that people use."""

from __future__ import annotations

import bz2
import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
import zstandard
from pyarrow import feather, parquet

from automl_engine.errors import DataError
from formatters.base import Options
from formatters.convert import convert

COLUMNS = ("height", "leaves", "colour", "kind")
ROWS = [(i * 37 % 61 / 8 + 0.5, i % 11, "red" if i % 3 else "blue", "oak" if i % 2 else "elm") for i in range(60)]
TEXT = "\n".join([",".join(COLUMNS), *(",".join(map(str, row)) for row in ROWS)]) + "\n"
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]


def arrow() -> pyarrow.Table:
    return pyarrow.Table.from_pylist(RECORDS)


def database(path: Path) -> None:
    base = sqlite3.connect(path)
    base.execute("create table trees (height real, leaves integer, colour text, kind text)")
    base.executemany("insert into trees values (?, ?, ?, ?)", ROWS)
    base.commit()
    base.close()


def workbook(path: Path) -> None:
    """The least that Excel opens: one sheet with the text in its cells."""

    def cell(value: object) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    rows = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in [("My trees",), (), COLUMNS, *ROWS])
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    sheet = '<sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets>'
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
            f'<Override PartName="/xl/s.xml" ContentType="{kinds}.worksheet+xml"/></Types>',
        )
        link = '<Relationship Id="r1" Type="{}/{}" Target="{}"/>'
        wrapped = f'<Relationships xmlns="{package}/relationships">{{}}</Relationships>'
        file.writestr("_rels/.rels", wrapped.format(link.format(office, "officeDocument", "xl/workbook.xml")))
        file.writestr("xl/_rels/workbook.xml.rels", wrapped.format(link.format(office, "worksheet", "s.xml")))
        file.writestr("xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{office}">{sheet}</workbook>')
        file.writestr("xl/s.xml", f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>')


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
