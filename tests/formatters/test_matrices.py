"""The layout of the AutoML challenge: NAME_train.data beside NAME_train.solution."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automl_engine.errors import DataError
from formatters import recipe
from formatters.base import NewData, Options
from formatters.convert import convert

ROWS = [[i % 5, (i * 7) % 11 / 4, i % 3] for i in range(60)]
CLASSES = [i % 3 for i in range(60)]


def dense(row: list[float]) -> str:
    return " ".join(map(str, row)) + " "


def sparse(row: list[float]) -> str:
    return " ".join(f"{at}:{value}" for at, value in enumerate(row, 1) if value)


def places(row: list[float]) -> str:
    return " ".join(str(at) for at, value in enumerate(row, 1) if value)


def one_hot(label: int) -> str:
    return " ".join(str(int(label == at)) for at in range(3))


def made(
    folder: Path, row: Callable[[list[float]], str] = dense, label: Callable[[int], str] = one_hot, name: str = "toy"
) -> Path:
    folder.mkdir()
    lines = [row(one) for one in ROWS]
    for part, start, end in (("train", 0, 40), ("valid", 40, 50), ("test", 50, 60)):
        (folder / f"{name}_{part}.data").write_text("\n".join(lines[start:end]) + "\n")
    (folder / f"{name}_train.solution").write_text("\n".join(map(label, CLASSES[:40])) + "\n")
    (folder / f"{name}_public.info").write_text(f"usage = '{name}'\ntask = 'multiclass.classification'\n")
    (folder / f"{name}_feat.type").write_text("Numerical\n" * 3)
    return folder


def converted(source: Path, out: Path) -> dict[str, Any]:
    return convert(source, out, Options(), say=lambda line: None)


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {row["name"]: row["train"] + row["test"] for row in report["labels"]}


@pytest.mark.parametrize("row", [dense, sparse, places])
def test_kinds_of_rows(tmp_path: Path, row: Callable[[list[float]], str]) -> None:
    report = converted(made(tmp_path / "in", row), tmp_path / "out")
    assert (report["modality"], counts(report)) == ("tabular", {"0": 14, "1": 13, "2": 13})
    assert [column["name"] for column in report["columns"]] == ["column_0", "column_1", "column_2", "label"]
    unused = {entry["path"]: entry["why"] for entry in report["ignored"]}
    assert unused["toy_test.data"] == unused["toy_valid.data"] == "it lacks the column 'label'"
    assert unused["toy_public.info"] == "it is no table of rows"


def test_classes_and_features_have_the_names_beside(tmp_path: Path) -> None:
    folder = made(tmp_path / "in")
    (folder / "toy_label.name").write_text("ash\nelm\noak\n")
    (folder / "toy_feat.name").write_text("a\nb\nc\n")
    report = converted(folder, tmp_path / "out")
    assert counts(report) == {"ash": 14, "elm": 13, "oak": 13}
    assert [column["name"] for column in report["columns"]] == ["a", "b", "c", "label"]


def test_solutions_of_the_test_part_make_the_split(tmp_path: Path) -> None:
    folder = made(tmp_path / "in")
    (folder / "toy_test.solution").write_text("\n".join(map(one_hot, CLASSES[50:])) + "\n")
    (folder / "toy_valid.solution").write_text("\n".join(map(one_hot, CLASSES[40:50])) + "\n")
    report = converted(folder, tmp_path / "out")
    assert report["split"]["how"] == "given"
    assert (report["counts"]["train"], report["counts"]["test"]) == (50, 10)


def test_two_classes_in_one_column(tmp_path: Path) -> None:
    report = converted(made(tmp_path / "in", label=lambda one: str(int(one > 0))), tmp_path / "out")
    assert counts(report) == {"0": 14, "1": 26}


def test_several_labels_a_row(tmp_path: Path) -> None:
    report = converted(made(tmp_path / "in", label=lambda one: f"{int(one > 0)} {int(one < 2)} 1"), tmp_path / "out")
    assert (report["task"], counts(report)) == ("multi_label", {"label_0": 26, "label_1": 27})


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("toy_train.solution", "1 0 0\n", "toy_train.data has 40 lines but toy_train.solution has 1"),
        ("toy_test.data", "1 2 3\n1 2\n", "line 1 of toy_train.data holds"),
    ],
)
def test_faults_are_told(tmp_path: Path, file: str, content: str, said: str) -> None:
    folder = made(tmp_path / "in")
    (folder / file).write_text(content)
    with pytest.raises(DataError, match=said):
        converted(folder, tmp_path / "out")


def encoded(folder: Path, content: str, row: Callable[[list[float]], str]) -> NewData:
    converted(made(folder / "in", row), folder / "out")
    (folder / "new.data").write_text(content)
    return recipe.encode(recipe.load(folder / "out" / "recipe.json"), folder / "new.data")


@pytest.mark.parametrize(
    ("row", "content", "values"),
    [
        (dense, "1 0.5 0\n0 0 2\n\n", [[1, 0.5, 0], [0, 0, 2]]),
        (sparse, "1:1 2:0.5\n3:2\n", [[1, 0.5, 0], [0, 0, 2]]),
        (sparse, "\n2:1\n\n", [[0, 0, 0], [0, 1, 0], [0, 0, 0]]),  # a row of zeros is an empty line
        (places, "1 2\n\n3\n", [[1, 1, 0], [0, 0, 0], [0, 0, 1]]),
        (sparse, "1:1 2:0.5\r\n3:2\r\n", [[1, 0.5, 0], [0, 0, 2]]),
    ],
)
def test_each_new_line_is_a_row(
    tmp_path: Path, row: Callable[[list[float]], str], content: str, values: list[list[float]]
) -> None:
    new = encoded(tmp_path, content, row)
    assert [tensor.ravel().tolist() for tensor, _ in new.examples] == values
    assert not new.problems


def test_a_new_line_that_is_no_row_is_told(tmp_path: Path) -> None:
    new = encoded(tmp_path, "1:1\n2:x\n1:2 7:1 9:1\n", sparse)
    assert (len(new.names), new.contents[1]) == (3, None)
    assert "line 2 of new.data holds '2:x'" in new.problems[1]
    assert new.contents[2].ravel().tolist() == [2, 0, 0]
    assert new.notes[0].startswith(
        "new.data: left out place 7 of line 3, which, like 1 more, is beyond the 3 columns of the model"
    )


def test_a_new_dense_line_of_another_width_is_told(tmp_path: Path) -> None:
    new = encoded(tmp_path, "1 2 3\n1 2\n", dense)
    assert new.problems == {1: "line 2 of new.data has 2 numbers but the model needs 3."}
    assert len(new.examples) == 1


def test_an_empty_last_line_is_a_row_of_zeros(tmp_path: Path) -> None:
    folder = made(tmp_path / "in", sparse)
    lines = (folder / "toy_train.data").read_text().split("\n")[:39]
    (folder / "toy_train.data").write_text("\n".join([*lines, "", ""]))
    assert converted(folder, tmp_path / "out")["counts"]["samples"] == 40
