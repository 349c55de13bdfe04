"""The layout of the AutoML challenge: NAME_train.data beside NAME_train.solution."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automl_engine.errors import DataError
from formatters.base import Options
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
