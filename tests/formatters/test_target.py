"""One choice of the label column: the same for a table and for a table beside files."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from automl_engine.errors import DataError
from formatters.base import Options
from formatters.labels.cuts import LabelQuestion
from formatters.labels.target import Target, choose
from formatters.media.labels import labelled_files
from formatters.modalities import tabular
from formatters.tables.columns import profile
from formatters.tables.reader import RawTable

ROWS = 120
CELLS = {  # kinds of columns
    "money": lambda draw, i: str(draw.choice((2500, 7500, 15000, 35000, 75000))),
    "few": lambda draw, i: str(draw.choice((4, 6, 8))),
    "words": lambda draw, i: draw.choice(("red", "blue", "green")),
    "pair": lambda draw, i: draw.choice(("yes", "no")),
    "flag": lambda draw, i: str(draw.randrange(2)),
    "count": lambda draw, i: str(draw.randrange(14)),
    "real": lambda draw, i: f"{draw.gauss(5, 2):.3f}",
    "age": lambda draw, i: str(draw.randrange(18, 90)),
    "unique": lambda draw, i: f"item{i}",
    "text": lambda draw, i: " ".join(draw.choices(("a", "long", "remark", "about", "nothing"), k=9)) + f" {i}",
    "day": lambda draw, i: f"2024-{1 + i % 12:02d}-{1 + draw.randrange(28):02d}",
    "part": lambda draw, i: "train" if i % 4 else "test",
    "list": lambda draw, i: "|".join(draw.sample(("cat", "dog", "owl"), 1 + i % 3)),
}
TABLES = {  # "name:kind ..." and the label
    "a:real b:words thing:pair": "thing",
    "a:real target:words b:pair": "target",
    "y:real a:real kind:words": "kind",
    "species:words a:real class:unique": "species",
    "label:text species:words a:real": "species",
    "target:real species:words a:flag": "species",
    "a:real b:flag price:real": "price",
    "a:real Attrition:pair years:count": "Attrition",
    "a:real emotion:words remark:text": "emotion",
    "a:real kind:words seen:day": "kind",
    "a:real kind:words set:part": "kind",
    "a:real tags:list b:real": "tags",
    "sex:pair a:real diagnosis:words": "diagnosis",
    "Klasse:words a:real b:pair": "Klasse",
    "类别:words a:real b:pair": "类别",
}


def rows_of(layout: str) -> tuple[list[str], list[list[str]]]:
    draw = random.Random(5)
    columns = [part.split(":") for part in layout.split()]
    return [name for name, _ in columns], [[CELLS[kind](draw, i) for _, kind in columns] for i in range(ROWS)]


def chosen(layout: str) -> Target:
    names, rows = rows_of(layout)
    table = RawTable(names, rows, True, ",", "a.csv")
    return choose(table, [profile(name, table.column(name)) for name in names])


@pytest.mark.parametrize("layout", TABLES)
def test_the_label_column(layout: str) -> None:
    assert chosen(layout).columns == (TABLES[layout],)


@pytest.mark.parametrize("layout", TABLES)
def test_a_table_beside_files_has_the_same_label(tmp_path: Path, layout: str) -> None:
    """The column of the files stands first, and the files are nothing that could be read."""
    names, rows = rows_of(layout)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.csv").write_text("\n".join(",".join(row) for row in [names, *rows]))
    beside = [["photo", *names], *([f"{i}.png", *row] for i, row in enumerate(rows))]
    for i in range(ROWS):
        (tmp_path / f"{i}.png").touch()
    (tmp_path / "info.csv").write_text("\n".join(",".join(row) for row in beside))
    options = Options(label_cuts="median") if TABLES[layout] == "price" else Options()
    assert tabular.read(tmp_path / "plain", options).findings.target == TABLES[layout]
    assert labelled_files(tmp_path, (".png",), options, "images").findings.target == TABLES[layout]


def test_the_runner_up_is_named() -> None:
    close = chosen("kind:words a:real b:real colour:words").doubts
    assert [(doubt.level, "'kind' could be it too" in doubt.what) for doubt in close] == [("warning", True)]
    far = chosen("a:real kind:words b:real thing:pair").doubts
    assert [(doubt.level, "next likeliest is 'kind'" in doubt.what) for doubt in far] == [("info", True)]
    assert [doubt.level for doubt in chosen("a:real label:words b:real class:words").doubts] == ["warning"]
    assert not chosen("kind:words a:real b:real label:words").doubts


@pytest.mark.parametrize(
    ("layout", "label"),
    [
        ("region:words sex:pair income:money vote:words", "vote"),  # amounts and places describe who voted
        ("price:real cylinders:few origin:words", "origin"),  # a count beside words
        ("Sex:words length:real size_group:words", "size_group"),
        ("sp:pair sex:pair length:real", "sp"),
    ],
)
def test_columns_that_describe_are_no_runners_up(layout: str, label: str) -> None:
    target = chosen(layout)
    assert target.columns == (label,)
    assert not [doubt for doubt in target.doubts if doubt.level == "warning"]


def files_with_table(root: Path, table: str, folders: tuple[str, ...] = ("",)) -> Path:
    for i in range(ROWS):
        path = root / folders[i % len(folders)] / f"{i}.png"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (root / "info.csv").write_text(table)
    return root


AGES = "photo,years\n" + "".join(f"{i}.png,{18 + i % 60}\n" for i in range(ROWS))


def test_numbers_beside_files_are_asked_for(tmp_path: Path) -> None:
    root = files_with_table(tmp_path, AGES)
    with pytest.raises(LabelQuestion, match=r"'years' of info\.csv holds 60 different numbers"):
        labelled_files(root, (".png",), Options(), "images")
    found = labelled_files(root, (".png",), Options(label_cuts="30,50"), "images")
    assert found.label_names == ["≤ 30", "> 30 to 50", "> 50"]


def test_limits_are_those_of_all_tables(tmp_path: Path) -> None:
    for i in range(ROWS):
        (tmp_path / f"{i}.png").touch()
    for name, picks in (("train.csv", range(90)), ("test.csv", range(90, ROWS))):
        (tmp_path / name).write_text("photo,years\n" + "".join(f"{i}.png,{i * i}\n" for i in picks))
    found = labelled_files(tmp_path, (".png",), Options(label_cuts="median"), "images")
    assert {sample.labels[0] for sample in found.samples if sample.split == "test"} == {"> 3540.5"}


def test_folders_of_classes_need_no_numbers(tmp_path: Path) -> None:
    root = files_with_table(tmp_path, AGES, ("oak", "elm"))
    assert labelled_files(root, (".png",), Options(), "images").label_names == ["elm", "oak"]
    with pytest.raises(LabelQuestion):
        labelled_files(root, (".png",), Options(target="years"), "images")


def test_cuts_without_numbers(tmp_path: Path) -> None:
    for folder in ("oak", "elm"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.png").touch()
    with pytest.raises(DataError, match="no labels table with a column of numbers"):
        labelled_files(tmp_path, (".png",), Options(label_cuts="median"), "images")
