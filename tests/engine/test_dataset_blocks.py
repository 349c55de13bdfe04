"""Records of one size are read at once, to the same labels and rows as one by one; others are left to the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from automl_engine.dataset.examples import Steps
from automl_engine.dataset.reader import RecordExamples, open_split
from automl_engine.dataset.records import FOOTER_BYTES, HEADER_BYTES
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.writer import write_split
from automl_engine.errors import DataError
from automl_engine.features.tabular import tabular_values
from automl_engine.lab.bench.synthetic import Documents, Table, make_set

WIDTH = 5


def table(folder: Path, label_lists: list[list[int]], first_id: int = 0) -> RecordExamples:
    cells = np.random.default_rng(0).normal(size=(len(label_lists), 1, 1, WIDTH, 1)).astype("f4")
    spec = Spec("t", 0, 3, 1, 1, WIDTH, 1)
    examples: list[tuple[Steps, list[int]]] = list(zip(cells, label_lists, strict=True))
    write_split(folder / "t.data" / "train", spec, examples, first_id, hide_labels=False)
    return open_split(folder / "t.data", "train")


def one_by_one(examples: RecordExamples) -> np.ndarray:
    return np.stack([examples.steps(i).ravel() for i in range(len(examples))])  # type: ignore[union-attr]


def test_a_run_ends_where_the_number_of_an_example_grows_by_a_byte(tmp_path: Path) -> None:
    classes = np.random.default_rng(0).integers(3, size=1500)
    examples = table(tmp_path, [[c] for c in classes.tolist()], first_id=16_384 - 700)
    assert [(block.first, len(block)) for block in examples._shards[0].blocks] == [(0, 700), (700, 800)]
    np.testing.assert_array_equal(examples.labels, np.eye(3)[classes])
    np.testing.assert_array_equal(tabular_values(examples), one_by_one(examples))
    picks = np.array([1400, 3, 3, 699, 700])
    np.testing.assert_array_equal(examples.rows(picks), one_by_one(examples)[picks])


@pytest.mark.parametrize("label_lists", [[[0, 1], [2, 0], [1, 2]], [[0], [], [0, 2]]])
def test_several_labels(tmp_path: Path, label_lists: list[list[int]]) -> None:
    """Two labels each make blocks; a number that varies makes none."""
    examples = table(tmp_path, label_lists * 300)
    assert bool(examples._shards[0].blocks) == (len(label_lists[1]) == 2)
    expected = np.array([[float(c in labels) for c in range(3)] for labels in label_lists * 300])
    np.testing.assert_array_equal(examples.labels, expected)
    np.testing.assert_array_equal(tabular_values(examples), one_by_one(examples))


def test_contexts_of_all_kinds_in_several_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No, one or up to twelve labels; ids of one and two bytes; the last records stand at the end of the file."""
    monkeypatch.setattr("automl_engine.dataset.reader.FORGET_EVERY", 100)
    generator = np.random.default_rng(0)
    matrix = (generator.random((350, 12)) < generator.random((350, 1))).astype(np.float32)
    spec = Spec("t", 0, 12, 1, 1, WIDTH, 1)
    examples = [(np.zeros((1, 1, WIDTH, 1), "f4"), np.flatnonzero(row).tolist()) for row in matrix]
    write_split(tmp_path / "t.data" / "train", spec, examples, 0, hide_labels=False)
    np.testing.assert_array_equal(open_split(tmp_path / "t.data", "train").labels, matrix)


def test_a_damaged_length_is_told_by_its_number(tmp_path: Path) -> None:
    """Wherever reading on from it has led to."""
    examples = table(tmp_path, [[0]] * 600)
    path, place = examples._shards[0].path, examples._shards[0]._starts[420]
    content = bytearray(path.read_bytes())
    content[place - HEADER_BYTES] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"record 420 of .* its length field is damaged"):
        open_split(tmp_path / "t.data", "train")


def test_a_damaged_row_is_told_by_its_number(tmp_path: Path) -> None:
    examples = table(tmp_path, [[0]] * 600)
    path, place = examples._shards[0].path, examples._shards[0]._ends[420]
    content = bytearray(path.read_bytes())
    content[place - FOOTER_BYTES] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="record 420 of"):
        tabular_values(open_split(tmp_path / "t.data", "train"))


def test_a_table_made_for_measuring(tmp_path: Path) -> None:
    train = open_split(make_set(tmp_path, "made", Table(6, 900, 40)) / "made.data", "train")
    values = tabular_values(train)
    assert values.shape == (900, 6)
    assert 0 < np.isnan(values).mean() < 0.05
    assert set(np.unique(values[:, 0][~np.isnan(values[:, 0])])) <= set(range(8))
    assert (train.labels.sum(1) == 1).all()
    assert np.loadtxt(tmp_path / "made" / "made.solution").sum() == 40


def test_wide_tables_of_many_labels_and_long_documents_are_made_for_measuring(tmp_path: Path) -> None:
    wide = open_split(make_set(tmp_path, "wide", Table(50, 300, 20, 40, several=True)) / "wide.data", "train")
    assert 0.05 < wide.labels.mean() < 0.2
    assert (wide.labels.sum(1) != 1).any()
    assert np.loadtxt(tmp_path / "wide" / "wide.solution").shape == (20, 40)
    long = open_split(make_set(tmp_path, "long", Documents(700, 20, 10)) / "long.data", "train")
    assert long.spec.domain == "text"
    assert {len(long.steps(i)) for i in range(20)} == {700}
    assert (long.labels.sum(0) == 2).all()
