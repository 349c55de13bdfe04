"""A split that an upload gives is obeyed in whatever words; what only looks like one is told and is no label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from formatters.base import Options
from formatters.convert import convert
from formatters.split_words import part_of
from tests.formatters.toys import image_upload, write_workbook


def converted(source: Path) -> dict[str, Any]:
    return convert(source, source.parent / "out", Options(), say=lambda line: None)


def warnings(report: dict[str, Any]) -> str:
    return "\n".join(doubt["what"] for doubt in report["doubts"] if doubt["level"] == "warning")


def rows(tail: list[str], columns: str = "height,width", mark: str = ",") -> str:
    lines = [
        f"{i * 37 % 61 / 7:.3f},{i * 11 % 13},{tail[i % len(tail)]},{'oak' if i % 3 else 'elm'}" for i in range(60)
    ]
    return "\n".join([f"{columns},NAME,kind", *lines]) + "\n"


def table(folder: Path, name: str, tail: list[str]) -> dict[str, Any]:
    (folder / "trees.csv").write_text(rows(tail).replace("NAME", name), "utf-8")
    return converted(folder / "trees.csv")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Trainingsdaten", "train"),
        ("Validierung", "validation"),
        ("Testdaten", "test"),
        ("conjunto de entrenamiento", "train"),
        ("prueba", "test"),
        ("apprentissage", "train"),
        ("训练集", "train"),
        ("验证集", "validation"),
        ("测试集", "test"),
        ("学習データ", "train"),
        ("обучение", "train"),
        ("train_val_list", "train"),
        ("train_test_split", ""),
        ("tr", ""),  # a language, perhaps
    ],
)
def test_parts_in_many_languages(name, part):
    assert part_of(name) == part


@pytest.mark.parametrize(
    ("name", "tail", "test"),
    [
        ("set", ["tr", "tr", "te"], 20),
        ("conjunto", ["entrenamiento", "entrenamiento", "prueba"], 20),
        ("Aufteilung", ["Training", "Validierung", "Test"], 20),
        ("数据集", ["训练集", "测试集"], 30),
    ],
)
def test_a_column_in_other_words(tmp_path, name, tail, test):
    report = table(tmp_path, name, tail)
    assert (report["split"]["how"], report["counts"]["test"]) == ("given", test)
    assert [column["role"] for column in report["columns"] if column["name"] == name] == ["ignored"]


@pytest.mark.parametrize(
    ("name", "tail"), [("set", ["1", "2", "3"]), ("subset", ["A", "B"]), ("train", ["TRUE", "TRUE", "FALSE"])]
)
def test_a_column_that_may_tell_a_split_is_told_with_a_button_each(tmp_path, name, tail):
    report = table(tmp_path, name, tail)
    doubt = next(doubt for doubt in report["doubts"] if doubt["where"] == name and doubt["level"] == "warning")
    edits = doubt["fixes"][0]["edits"]
    assert edits == [{"do": "split", "columns": [name], "values": [min(tail)]}]
    again = convert(
        tmp_path / "trees.csv", tmp_path / "again", Options(edits=as_edits(tmp_path, edits)), lambda line: None
    )
    assert 0 < again["counts"]["test"] < 60
    assert again["split"]["how"] == "given"


def as_edits(folder: Path, edits: list[dict[str, Any]]) -> tuple[Any, ...]:
    import json

    from formatters.edits.listed import read_edits

    (folder / "edits.json").write_text(json.dumps(edits))
    return read_edits(folder / "edits.json")


@pytest.mark.parametrize(("name", "tail"), [("set", [str(i) for i in range(9)]), ("site", ["A", "B"])])
def test_other_columns_are_not(tmp_path, name, tail):
    assert "split into train and test" not in warnings(table(tmp_path, name, tail))


def test_sheets_named_after_parts_are_one_table(tmp_path):
    lines = [line.split(",") for line in rows(["x"]).replace(",NAME", "").replace(",x", "").splitlines()]
    cells: list[list[Any]] = [lines[0], *([float(a), int(b), c] for a, b, c in lines[1:])]
    write_workbook(
        tmp_path / "trees.xlsx", {"Train": cells[:41], "Test": [cells[0], *cells[41:]], "Notes": [["by me"]]}
    )
    report = converted(tmp_path / "trees.xlsx")
    assert (report["counts"]["train"], report["counts"]["test"], report["options"]["target"]) == (40, 20, "kind")
    assert "'Notes'" in warnings(report)
    assert "'Test'" not in warnings(report)


@pytest.mark.parametrize("cells", ["012", ("train", "val", "test")])
def test_a_table_of_parts_beside_files(tmp_path, cells):
    root = image_upload(tmp_path)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    lines = [f"{file},{cells[at % 3]}" for at, file in enumerate(files)]
    (root / "list_eval_partition.csv").write_text("\n".join(["image_id,partition", *lines]) + "\n")
    report = converted(root)
    assert (report["counts"]["train"], report["counts"]["test"], report["split"]["how"]) == (16, 8, "given")
    assert [label["name"] for label in report["labels"]] == ["bright", "dark"]
    assert not warnings(report)


def test_numbers_that_tell_a_split_are_no_labels(tmp_path):
    root = image_upload(tmp_path)
    for label in ("bright", "dark"):
        lines = [f"{path.name} {1 + at % 2}" for at, path in enumerate(sorted((root / label).iterdir()))]
        (root / f"{label}_test_split1.txt").write_text("\n".join(lines) + "\n")
    report = converted(root)
    assert [label["name"] for label in report["labels"]] == ["bright", "dark"]
    assert "bright_test_split1.txt numbers the files" in warnings(report)
    assert "1 more such file" in warnings(report)


def test_labels_in_a_list_called_split(tmp_path):
    root = image_upload(tmp_path)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    lines = [f"{file} {int('dark' in file)}" for file in files]
    (root / "train_split.txt").write_text("\n".join(lines[::2]) + "\n")
    (root / "test_split.txt").write_text("\n".join(lines[1::2]) + "\n")
    report = converted(root)
    assert (report["counts"]["train"], report["split"]["how"]) == (12, "given")
    assert [label["name"] for label in report["labels"]] == ["0", "1"]


def test_lists_of_train_val_and_test(tmp_path):
    root = image_upload(tmp_path)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    (root / "train_val_list.txt").write_text("\n".join(files[::2]) + "\n")
    (root / "test_list.txt").write_text("\n".join(files[1::2]) + "\n")
    assert converted(root)["split"]["how"] == "given"
