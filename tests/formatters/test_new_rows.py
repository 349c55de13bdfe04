"""New rows as people hand them in: each row gets its answer, or one sentence says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_engine.errors import DataError
from formatters import recipe
from formatters.base import Options
from formatters.convert import convert

ROW = {"size": 3.5, "colour": "red", "weight": 7}


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A table, and texts in a single column with and without a header."""
    folder = tmp_path_factory.mktemp("recipes")
    table = "size,colour,weight,label\n" + "".join(
        f"{i}.5,{['red', 'blue'][i % 2]},{i % 9},{i % 2}\n" for i in range(40)
    )
    text = "".join(f"{'xy'[i % 2]}\tthis is text number {i} of many more\n" for i in range(40))
    made = {}
    for name, content in (("table.csv", table), ("bare.tsv", text), ("named.tsv", "label\treview\n" + text)):
        (folder / name).write_text(content)
        convert(folder / name, folder / name.split(".")[0], Options(), say=lambda line: None)
        made[name.split(".")[0]] = recipe.load(folder / name.split(".")[0] / "recipe.json")
    return made


def encode(recipes: dict[str, Any], which: str, name: str, content: str, tmp_path: Path) -> list[np.ndarray]:
    (tmp_path / name).write_text(content, encoding="utf-8")
    new_data = recipe.encode(recipes[which], tmp_path / name)
    names, examples = new_data.names, new_data.examples
    assert len(names) == len(examples)
    return [tensor for tensor, _ in examples]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("one_row.csv", "size,colour,weight\n3.5,red,7\n"),
        ("other_order.csv", "weight,colour,size\n7,red,3.5\n"),
        ("with_label.csv", "size,colour,weight,label\n3.5,red,7,1\n"),
        ("more_columns.csv", "id,size,colour,weight,note\n1,3.5,red,7,x\n"),
        ("other_case.csv", "SIZE,Colour,weight\n3.5,red,7\n"),
        ("excel.csv", "\ufeffsep=;\nsize;colour;weight\n3.5;red;7\n"),
        ("tabs.tsv", "size\tcolour\tweight\n3.5\tred\t7\n"),
        ("decimal_comma.csv", "size;colour;weight\n3,5;red;7\n"),
        ("quoted_comma.csv", 'size,colour,weight\n"3,5",red,7\n'),
        ("list.json", json.dumps([ROW])),
        ("object.json", json.dumps(ROW)),
    ],
)
def test_one_row_of_a_table(recipes: dict[str, Any], tmp_path: Path, name: str, content: str) -> None:
    (row,) = encode(recipes, "table", name, content, tmp_path)
    assert row.ravel()[[0, 2]].tolist() == [3.5, 7]
    assert row.ravel()[1] == recipes["table"]["columns"][1]["categories"].index("red")


def test_unknown_and_missing_cells_are_missing_and_every_row_counts(recipes: dict[str, Any], tmp_path: Path) -> None:
    rows = encode(recipes, "table", "x.csv", "size,colour,weight\n,,\n1,green,many\n,,\n2,blue,3\n", tmp_path)
    assert [np.isnan(row).sum() for row in rows] == [3, 2, 3, 0]


@pytest.mark.parametrize(
    ("which", "content", "count"),
    [
        ("named", "review\nfirst text\nsecond text\n", 2),
        ("named", "anything\nfirst text of three words\nsecond text of three words\n", 2),
        ("named", 'review\n""\nsecond text\n', 2),
        ("named", "label,review\nx,first text\n", 1),
        ("bare", "first text of them\nsecond text\n", 2),
        ("bare", "column_1\nfirst text\n", 1),
        ("bare", "x\tfirst text\ny\tsecond text\n", 2),
        ("bare", "COLUMN_1,more\nfirst text,1\n", 1),
    ],
)
def test_texts_by_row(recipes: dict[str, Any], tmp_path: Path, which: str, content: str, count: int) -> None:
    assert len(encode(recipes, which, "new.tsv" if "\t" in content else "new.csv", content, tmp_path)) == count


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.csv", "size,colour\n1,red\n", "lacks the column 'weight'"),
        ("x.csv", "size,colour,weight\n", "has only one line"),
        ("x.png", "no table", "holds no table; give the rows to predict as a CSV, TSV or JSON file"),
        ("x.json", "[]", "at least one row"),
    ],
)
def test_refused(recipes: dict[str, Any], tmp_path: Path, name: str, content: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        encode(recipes, "table", name, content, tmp_path)
