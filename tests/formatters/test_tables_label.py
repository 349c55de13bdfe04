"""Which column is the label, and which words are classes in it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from formatters.base import Options, Table
from formatters.modalities import tabular


def read(folder: Path, header: str, *columns: list[str]) -> Table:
    draw = random.Random(3)
    rows = [[draw.choice(cells) if cells else f"{draw.gauss(5, 2):.3f}" for cells in columns] for _ in range(80)]
    lines = [*([header] if header else []), *map(",".join, rows)]
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    return tabular.read(folder, Options())


def test_columns_of_one_class_each_beside_coordinates(tmp_path):
    rows = [
        f"{i * 37 % 61 / 7},{i * 29 % 53 / 7},{int(i % 3 == 0)},{int(i % 3 == 1)},{int(i % 3 == 2)}" for i in range(60)
    ]
    (tmp_path / "a.csv").write_text("\n".join(["x,y,cat,dog,bird", *rows]) + "\n")
    table = tabular.read(tmp_path, Options())
    assert (table.label_names, table.multi_label) == (["cat", "dog", "bird"], False)


@pytest.mark.parametrize("words", [["none", "worn"], ["N/A", "ok"], ["+", "-"], ["nil", "low", "high"], ["NA", "ok"]])
def test_words_for_a_missing_value_are_classes_of_a_label(tmp_path, words):
    table = read(tmp_path, "a,b,state", [], ["red", "blue"], words)
    assert table.findings.target == "state"
    assert set(table.label_names) == set(words)
    assert len(table.samples) == 80
    assert next(column for column in table.findings.columns if column["role"] == "target")["missing"] == 0


def test_words_for_a_missing_value_are_missing_in_a_feature(tmp_path):
    table = read(tmp_path, "a,b,state", [], ["none", "blue", "red"], ["x", "y"])
    missing = Counter(column["name"] for column in table.findings.columns if column["missing"])
    assert missing == {"b": 1}


@pytest.mark.parametrize(
    ("header", "columns", "target"),
    [
        ("x,y,z,cut", [[], [], [], ["Fair", "Good", "Ideal"]], "cut"),
        ("age,Attrition,dept,years", [[], ["Yes", "No"], ["a", "b"], [str(i) for i in range(18)]], "Attrition"),
        ("a,y,b", [[], ["0", "1"], []], "y"),
        ("kind,a,split", [["u", "v"], [], ["train", "test"]], "kind"),
    ],
)
def test_names_count_where_the_values_suit(tmp_path, header, columns, target):
    assert read(tmp_path, header, *columns).findings.target == target
