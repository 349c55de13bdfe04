"""AutoDL data sets as people pack them: at any depth, in the layouts of the challenge's site, several at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_engine.dataset import records
from automl_engine.errors import DataError
from formatters.__main__ import main
from formatters.base import Options, Question
from formatters.convert import convert
from tests.formatters import toys

META = """is_sequence: false
sample_count: {count}
output_dim: 2
matrix_spec {{
  col_count: 3
  row_count: 1
  format: DENSE
}}
"""


def read(source: Path, out: Path, **options: Any) -> dict[str, Any]:
    return convert(source, out, Options(**options), say=lambda line: None)


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    return tmp_path / "upload"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return toys.native_upload(tmp_path)


def test_a_data_set_lies_at_any_depth_beside_other_files(toy: Path, upload: Path, tmp_path: Path) -> None:
    shutil.copytree(toy, upload / "kit" / "AutoDL_sample_data" / "toynative")
    (upload / "README.md").write_text("A data set.")
    report = read(upload, tmp_path / "out")
    assert (report["name"], report["counts"]["test"]) == ("toynative", 6)
    assert {"path": "README.md", "why": "not part of the data set"} in report["ignored"]


@pytest.mark.parametrize("named", [True, False])
def test_labels_may_lie_in_a_folder_of_their_own(named: bool, toy: Path, upload: Path, tmp_path: Path) -> None:
    data = upload / "input_data" / "toynative.data" if named else upload / "input_data"
    shutil.copytree(toy / "toynative.data", data)
    (upload / "reference_data").mkdir()
    shutil.copy(toy / "toynative.solution", upload / "reference_data")
    assert read(upload, tmp_path / "out")["name"] == "toynative"
    assert (tmp_path / "out" / "toynative.solution").read_bytes() == (toy / "toynative.solution").read_bytes()


def test_a_single_solution_may_have_any_name(toy: Path, tmp_path: Path) -> None:
    (toy / "toynative.solution").rename(toy / "labels.solution")
    assert read(toy, tmp_path / "out")["name"] == "toynative"
    shutil.copy(toy / "labels.solution", toy / "valid.solution")
    with pytest.raises(DataError, match=r"\(labels.solution, valid.solution\); keep one"):
        read(toy, tmp_path / "again")


def test_labels_beside_the_records_are_not_shown_to_a_model(toy: Path, tmp_path: Path) -> None:
    (toy / "toynative.solution").rename(toy / "toynative.data" / "test" / "toynative.solution")
    read(toy, tmp_path / "out")
    assert not list((tmp_path / "out" / "toynative.data").rglob("*.solution"))


def test_several_data_sets_are_a_question(
    toy: Path, upload: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, name in (("a", "one"), ("b", "two")):
        shutil.copytree(toy / "toynative.data", upload / place / f"{name}.data")
        shutil.copy(toy / "toynative.solution", upload / place / f"{name}.solution")
    with pytest.raises(Question) as question:
        read(upload, tmp_path / "out")
    assert question.value.asked == {"data_sets": ["one", "two"]}
    assert main([str(upload), str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out.split("Question: ")[1]) == {"data_sets": ["one", "two"]}
    assert "choose one with --data-set: one, two." in said.err
    report = read(upload, tmp_path / "out", data_set="two")
    assert (report["name"], report["options"]["data_set_candidates"]) == ("two", ["one", "two"])
    with pytest.raises(DataError, match="no AutoDL data set 'three'; choose one of one, two"):
        read(upload, tmp_path / "again", data_set="three")


def test_data_sets_of_one_name_are_told_apart_by_their_folders(toy: Path, upload: Path, tmp_path: Path) -> None:
    for place in ("a", "b"):
        shutil.copytree(toy, upload / place)
    (upload / "b" / "toynative.solution").write_text("1 0\n" * 3 + "0 1\n" * 3)
    with pytest.raises(Question, match=r"a/toynative, b/toynative\."):
        read(upload, tmp_path / "out")
    read(upload, tmp_path / "out", data_set="b/toynative")
    solution = tmp_path / "out" / "toynative.solution"
    assert solution.read_text() == (upload / "b" / "toynative.solution").read_text()


def write_shard(path: Path, numbers: range, parts: str = "both") -> None:
    """Rows of a table with two classes by turns; ``parts``: the examples, the labels, or both."""
    rng = np.random.default_rng(numbers.start)
    framed = []
    for i in numbers:
        context: dict[str, Any] = {"id": np.array([i])}
        if parts != "examples":
            context |= {"label_index": np.array([i % 2]), "label_score": np.ones(1, np.float32)}
        row = (rng.normal(size=(1, 3)) + i % 2).astype(np.float32)
        framed.append(
            records.frame(records.encode_example(context, {} if parts == "labels" else {"0_dense_input": row}))
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(framed))


def test_records_that_nobody_has_split(upload: Path, tmp_path: Path) -> None:
    for shard in range(2):
        write_shard(upload / "toy" / f"toy-0000{shard}-of-00002.tfrecord", range(20 * shard, 20 * shard + 20))
    (upload / "toy" / "metadata.textproto").write_text(META.format(count=20))
    report = read(upload, tmp_path / "out")
    assert report["counts"] == {"samples": 40, "train": 30, "test": 10, "classes": 2}
    assert report["split"]["how"] == "stratified"


def test_records_with_labels_apart(upload: Path, tmp_path: Path) -> None:
    write_shard(upload / "toy-train-00000-of-00001.tfrecord", range(30))
    for shard in range(2):
        numbers = range(30 + 5 * shard, 35 + 5 * shard)
        write_shard(upload / f"toy-test-examples-0000{shard}-of-00002.tfrecord", numbers, "examples")
    write_shard(upload / "toy-test-labels.tfrecord", range(30, 40), "labels")
    (upload / "metadata.textproto").write_text(META.format(count=30))
    report = read(upload, tmp_path / "out")
    assert report["counts"] == {"samples": 40, "train": 30, "test": 10, "classes": 2}
    assert report["split"]["how"] == "given"
    write_shard(upload / "toy-test-labels.tfrecord", range(31, 41), "labels")
    with pytest.raises(DataError, match="in their order"):
        read(upload, tmp_path / "again")
    (upload / "toy-test-labels.tfrecord").unlink()
    with pytest.raises(DataError, match="no labels"):
        read(upload, tmp_path / "again")
