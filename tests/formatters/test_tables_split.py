"""Columns that tell a split are never the label."""

from __future__ import annotations

from pathlib import Path

import pytest

from formatters.base import Options, Table
from formatters.modalities import tabular
from formatters.split_words import is_split_name, part_of


def read(folder: Path, header: str, tail: list[str]) -> Table:
    rows = [f"{i * 37 % 61 / 7:.3f},{'oak' if i % 3 else 'elm'},{tail[i % len(tail)]}" for i in range(60)]
    (folder / "a.csv").write_text("\n".join([header, *rows]) + "\n")
    return tabular.read(folder, Options())


@pytest.mark.parametrize(
    ("name", "tail", "test"),
    [
        ("split", ["train", "train", "test"], 20),
        ("Usage", ["Training", "PublicTest", "PrivateTest"], 40),
        ("data_set", ["training_set", "dev"], 30),
        ("partition", ["train", "val", "hold-out"], 20),
        ("phase", ["train", "valid", "test"], 20),  # the words are enough
        ("is_train", ["1", "1", "0"], 20),
        ("isTestSet", ["False", "True", "False"], 20),
    ],
)
def test_a_split_column_is_obeyed_and_no_label(tmp_path, name, tail, test):
    table = read(tmp_path, f"height,kind,{name}", tail)
    assert (table.findings.target, list(table.spec.feature_to_index)) == ("kind", ["height"])
    assert sum(sample.split == "test" for sample in table.samples) == test


def test_folds_are_neither_label_nor_feature(tmp_path):
    table = read(tmp_path, "height,kind,k_fold", list("01234"))
    assert (table.findings.target, list(table.spec.feature_to_index)) == ("kind", ["height"])
    assert table.samples[0].split is None


def test_unlabelled_parts_are_left_out_and_told(tmp_path):
    table = read(tmp_path, "height,kind,subset", ["train", "test", "unsup"])
    assert len(table.samples) == 40
    assert any("20 rows of unlabelled parts" in why for why in table.findings.why)


def test_words_of_a_split():
    names = ("seg_train", "test1", "training_set", "Val", "TestImages", "cat")
    assert [part_of(name) for name in names] == ["train", "test", "train", "validation", "test", ""]
    assert part_of("unsup") == part_of("pred") == "unlabelled"
    assert not any(map(is_split_name, ("settings", "kind", "usage_kwh", "set_price", "dataset_size")))
