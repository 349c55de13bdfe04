"""Labels beside a table or in its name; columns that tell the label."""

from __future__ import annotations

from pathlib import Path

import pytest

from automl_engine.errors import DataError
from formatters.base import Options, Table
from formatters.detect import detect
from formatters.modalities import tabular, timeseries
from formatters.tables.files import load


def read(folder: Path, **files: list[str]) -> Table:
    for name, lines in files.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return tabular.read(folder, Options())


def features(start: int, count: int = 40) -> list[str]:
    return ["height,weight", *(f"{(i + start) * 37 % 61 / 7:.3f},{i * 17 % 41}" for i in range(count))]


@pytest.mark.parametrize(("x", "y"), [("X", "y"), ("features", "labels"), ("x_data", "targets")])
def test_labels_in_a_file_beside(tmp_path, x, y):
    table = read(tmp_path, **{x: features(0), y: ["kind", *(["oak", "elm"] * 20)]})
    assert (table.findings.target, list(table.spec.feature_to_index)) == ("kind", ["height", "weight"])
    assert [sample.labels[0] for sample in table.samples[:3]] == ["oak", "elm", "oak"]


def test_labels_beside_both_parts(tmp_path):
    labels = ["kind", *(["oak", "elm"] * 20)]
    table = read(tmp_path, X_train=features(0), y_train=labels, X_test=features(9), y_test=labels)
    assert [sample.split for sample in table.samples] == ["test"] * 40 + ["train"] * 40  # in the order of names


def test_classes_in_the_names_of_files(tmp_path):
    table = read(tmp_path, **{"Fake": features(0), "True": features(9)})
    assert [table.samples[at].labels for at in (0, 79)] == [("Fake",), ("True",)]
    assert list(table.spec.feature_to_index) == ["height", "weight"]
    assert any("name of its file" in doubt.what for doubt in table.findings.doubts if doubt.level == "warning")


def test_file_names_are_no_classes_where_a_column_is_the_label(tmp_path):
    rows = ["height,quality", *(f"{i * 37 % 61 / 7:.3f},{i % 3}" for i in range(40))]
    assert read(tmp_path, red=rows, white=rows).findings.target == "quality"


@pytest.mark.parametrize("leak", [lambda i: i // 30 * 1000 + i % 30 * 3.5, lambda i: "ab"[i // 30]])
def test_columns_that_tell_the_label_are_warned_of(tmp_path, leak):
    rows = [f"{i * 37 % 61 / 7:.3f},{leak(i)},{['oak', 'elm'][i // 30]}" for i in range(60)]
    table = read(tmp_path, a=["height,votes,kind", *rows])
    doubts = [doubt for doubt in table.findings.doubts if "alone tells the label" in doubt.what]
    assert [(doubt.where, doubt.level) for doubt in doubts] == [("votes", "warning")]


def parts_in_txt(folder: Path, header: str, count: int = 4) -> Path:
    for part in range(count):
        rows = [f"{i * 7 % 11 / 2},{i % 5},{'xy'[i % 2]}" for i in range(part, part + 20)]
        (folder / f"part{part}.txt").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_many_txt_files_with_one_header_are_one_table(tmp_path):
    table = tabular.read(parts_in_txt(tmp_path, "height,weight,kind"), Options())
    assert (len(table.samples), table.findings.target) == (80, "kind")
    assert detect(tmp_path, Options(), "parts").formatter == "tabular"


def test_txt_files_of_several_headers_are_no_table(tmp_path):
    parts_in_txt(tmp_path, "height,weight,kind")
    (tmp_path / "part9.txt").write_text("a,b\n1,2\n3,4\n")
    assert load(tmp_path) is None


def test_labels_beside_belong_to_the_rows_that_they_name(tmp_path):
    sizes = [f"{10 * (i % 2) + i % 7 / 7:.2f}" for i in range(40)]
    rows = [f"T{i},{size}" for i, size in enumerate(sizes)]
    labels = [f"T{i},{('elm', 'oak')[i % 2]}" for i in range(40)]
    (tmp_path / "features.csv").write_text("\n".join(["id,size", *rows]))
    (tmp_path / "labels.csv").write_text("\n".join(["id,kind", *sorted(labels)]))  # T1, T10, T11, ...
    table = tabular.read(tmp_path, Options())
    assert [sample.labels for sample in table.samples] == [(("elm", "oak")[i % 2],) for i in range(40)]


def test_a_list_of_what_the_classes_mean_is_no_label(tmp_path):
    rows = [f"{10 * (i % 2) + i % 7},{i % 2}" for i in range(40)]
    table = read(tmp_path, data=["size,kind", *rows], labels=["kind,name", "0,elm", "1,oak"])
    assert table.findings.target == "kind"


def test_numbers_beside_are_a_label_to_cut(tmp_path):
    with pytest.raises(DataError, match=r"the label column .amount. of .* holds 40 different numbers"):
        read(tmp_path, X=features(0), y=["amount", *(f"{i}.5" for i in range(40))])


def test_labels_of_long_series_beside(tmp_path):
    steps = [f"{i},{t},{i * t % 5}.5" for i in range(12) for t in range(8)]
    (tmp_path / "series.csv").write_text("\n".join(["id,t,value", *steps]))
    (tmp_path / "labels.csv").write_text("\n".join(["id,kind", *(f"{i},{'ab'[i % 2]}" for i in range(12))]))
    table = timeseries.read(tmp_path, Options())
    assert (len(table.samples), table.label_names) == (12, ["a", "b"])
