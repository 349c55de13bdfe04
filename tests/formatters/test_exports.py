"""What contests, labelling tools and spreadsheet programs hand out: read rightly, or told."""

from __future__ import annotations

import base64
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet as pq

from automl_engine.errors import DataError
from formatters.labels.lists import list_separator
from formatters.tables.formats import _check_formulas
from formatters.tables.untidy import tidy
from tests.formatters.test_awkward_uploads import classes, converted, features, number, put, table, warnings

KINDS = ("oak", "elm")


def lines(header: str, rows: int, row: Any) -> str:
    return "\n".join([header, *(row(i) for i in range(rows))]) + "\n"


def pictures(folder: Path, names: list[str]) -> Path:
    rng = np.random.default_rng(0)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(path)
    return folder


def test_several_labels_in_a_table_of_targets(tmp_path: Path) -> None:
    source = put(
        tmp_path,
        {
            "train_features.csv": lines("sig_id,g,c", 60, lambda i: f"id_{i:03d},{number(i)},{number(i + 7)}"),
            "train_targets.csv": lines("sig_id,one,two", 60, lambda i: f"id_{i:03d},{i % 2},{int(i % 3 == 0)}"),
            "sample_submission.csv": lines("sig_id,one,two", 90, lambda i: f"id_{i + 60:03d},0.5,0.5"),
        },
    )
    report = converted(source)
    assert report["task"] == "multi_label"
    assert classes(report) == {"one": 30, "two": 20}
    assert features(report) == ["g", "c"]


def test_a_longer_table_without_label_is_not_the_one(tmp_path: Path) -> None:
    source = put(
        tmp_path,
        {
            "main.csv": lines("id,TARGET,a,b", 60, lambda i: f"{i},{i % 2},{number(i)},{number(i + 3)}"),
            "loans.csv": lines("id,active,days", 150, lambda i: f"{i % 60},{KINDS[i % 2]},{i % 17}"),
        },
    )
    report = converted(source)
    assert report["counts"]["samples"] == 60
    assert report["options"]["target"] == "TARGET"
    assert "loans.csv and its 150 rows are not used" in warnings(report)


@pytest.mark.parametrize("labels", ["y_train.csv", "metadata.csv"])
def test_labels_of_series_by_a_key(tmp_path: Path, labels: str) -> None:
    """Several columns a series, and times of any name that go up."""
    header = "id,group,target" if labels == "metadata.csv" else "id,group,surface"
    source = put(
        tmp_path,
        {
            "X_train.csv" if labels == "y_train.csv" else "set.csv": lines(
                "row_id,id,mjd,x", 480, lambda i: f"{i // 20}_{i % 20},{i // 20},{3.1 * (i % 20) + i // 20},{number(i)}"
            ),
            labels: lines(header, 24, lambda i: f"{i},{i // 4},{KINDS[i % 2]}"),
        },
    )
    report = converted(source)
    assert report["modality"] == "timeseries"
    assert classes(report) == {"oak": 12, "elm": 12}


def test_headers_that_differ_in_case(tmp_path: Path) -> None:
    train, test = table("H,Kind", list(KINDS)), table("h,kind", list(KINDS), rows=20)
    report = converted(put(tmp_path, {"train.csv": train, "test.csv": test}))
    assert report["counts"]["train"] == 60
    assert report["counts"]["test"] == 20


def test_rows_in_quotes_below_a_bare_header(tmp_path: Path) -> None:
    source = put(tmp_path, {"d.csv": lines("h,w,kind", 60, lambda i: f'"{number(i)},{i % 7},{KINDS[i % 2]}"')})
    assert classes(converted(source)) == {"oak": 30, "elm": 30}


def test_files_as_letters(tmp_path: Path) -> None:
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(90)).decode()
    source = put(tmp_path, {"d.csv": lines("image,label", 30, lambda i: f"{picture}{i:04d},{KINDS[i % 2]}")})
    with pytest.raises(DataError, match=r"'image' of d\.csv holds files as letters"):
        converted(source)


@pytest.mark.parametrize(
    ("cells", "column", "separator"),
    [
        (["haze primary", "agriculture clear primary water", "clear primary"], "tags", " "),
        (["a|b", "a|b|c"], "kind", "|"),
        (["Washington, DC", "Washington, DC, USA"], "place", None),
        (["New York", "New York City"], "place", None),
    ],
)
def test_lists_within_lists(cells: list[str], column: str, separator: str | None) -> None:
    assert list_separator(cells, column) == separator


def test_answers_of_label_studio(tmp_path: Path) -> None:
    """It writes one answer bare, and several as {"choices": [..]}."""
    answers = ["sunny", {"choices": ["sunny", "windy"]}, "windy"]
    rows = [{"image": f"/data/upload/1/{i:03d}.png", "choice": answers[i % 3]} for i in range(30)]
    source = pictures(tmp_path / "in", [f"{i:03d}.png" for i in range(30)])
    (source / "project.json").write_text(json.dumps(rows))
    assert classes(converted(source)) == {"sunny": 20, "windy": 20}


def test_columns_beside_files_that_may_be_the_label(tmp_path: Path) -> None:
    names = [f"{i:03d}.png" for i in range(30)]
    source = pictures(tmp_path / "in", names)
    ages = ("young", "old", "grown")
    rows = lines("file,age,gender,checked", 30, lambda i: f"{names[i]},{ages[i % 3]},{'mf'[i % 2]},{i % 5 < 2}")
    (source / "labels.csv").write_text(rows)
    assert "'age', 'gender' could be it too" in warnings(converted(source))


def test_labels_of_folders(tmp_path: Path) -> None:
    """A folder of frames is no class."""
    source = pictures(tmp_path / "in", [f"v/{100 + i}/{frame}.png" for i in range(8) for frame in range(4)])
    (source / "train.csv").write_text(lines("video;gesture", 8, lambda i: f"{100 + i};{KINDS[i % 2]}"))
    assert "gives labels to folders" in warnings(converted(source))


def test_folders_in_class_folders_that_may_be_the_classes(tmp_path: Path) -> None:
    below = ("a/abbey", "a/arch", "b/shop", "b/kitchen")
    source = pictures(tmp_path / "in", [f"{folder}/{i}.png" for folder in below for i in range(6)])
    assert "class folders hold folders" in warnings(converted(source))


def test_recordings_in_order_of_a_number(tmp_path: Path) -> None:
    def row(i: int) -> str:
        return f"{i % 240 * 33} {i * 37 % 61} {i * 53 % 67} {(0, 101, 102)[i // 40 % 3]}"

    source = put(tmp_path, {"S1.dat": lines("t x y kind", 960, row)})
    assert "stand in the order of 't'" in warnings(converted(source))
    rare = lines("t,x,Class", 500, lambda i: f"{i * 3},{i * 37 % 61},{int(i in (50, 333))}")
    assert "stand in the order" not in warnings(converted(put(tmp_path / "rare", {"d.csv": rare})))


def test_formulas_without_results(tmp_path: Path) -> None:
    def book(cell: str) -> zipfile.ZipFile:
        with zipfile.ZipFile(tmp_path / "d.xlsx", "w") as file:
            file.writestr("xl/worksheets/sheet1.xml", "".join(f'<c r="A{i}"{cell}</c>' for i in range(9)))
        return zipfile.ZipFile(tmp_path / "d.xlsx")

    with pytest.raises(DataError, match=r"d\.xlsx holds formulas without their results"):
        _check_formulas(book("><f>B1+C1</f><v />"), "d.xlsx")
    _check_formulas(book("><f>B1+C1</f><v>3</v>"), "d.xlsx")
    _check_formulas(book(' t="str"><f>IF(B1,"","x")</f><v></v>'), "d.xlsx")


def test_a_note_under_the_table() -> None:
    rows = [["nr", "h", "kind"], *([str(i), number(i), KINDS[i % 2]] for i in range(9))]
    noted = tidy([*rows, ["Total", "30.2", ""], ["Source: forest agency", "", ""]])
    assert noted.rows == rows
    assert len(noted.left_out) == 2


def test_lines_of_chinese_texts_beside_their_words(tmp_path: Path) -> None:
    def part(rows: int) -> str:
        return "".join(f"{('体育', '财经')[i % 2]}\t马晓旭意外受伤让国奥警惕{i}无奈大雨\n" for i in range(rows))

    files = {"news.train.txt": part(40), "news.val.txt": part(20), "news.test.txt": part(20)}
    report = converted(put(tmp_path, {**files, "news.vocab.txt": "的\n一\n"}))
    assert report["counts"]["train"] == 60
    assert classes(report) == {"体育": 40, "财经": 40}


def test_tables_named_after_their_part_alone(tmp_path: Path) -> None:
    row = "1 2 3 {}\n"
    files = {
        f"shuttle.{part}": "".join(row.format(1 + i % 2).replace("2 3", f"{i} {i * 7 % 11}") for i in range(rows))
        for part, rows in (("trn", 60), ("tst", 20))
    }
    report = converted(put(tmp_path, files))
    assert report["counts"]["train"] == 60
    assert report["counts"]["test"] == 20


@pytest.mark.parametrize("name", ["d.numbers", "d.accdb", "d.dta"])
def test_kinds_that_are_to_be_exported(tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    source.write_bytes(b"\0\1\0\0Standard" + bytes(90))
    with pytest.raises(DataError, match="CSV"):
        converted(source)


def test_parquet_of_long_lists_or_letters(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": [[0.0] * 2_100_000] * 10, "kind": ["a", "b"] * 5}), tmp_path / "lists.parquet")
    with pytest.raises(DataError, match="more than 20,000,000 cells"):
        converted(tmp_path / "lists.parquet")
    pq.write_table(pa.table({"text": ["x" * 17_000_000, "y"], "kind": ["a", "b"]}), tmp_path / "long.parquet")
    with pytest.raises(DataError, match=r"'text' of long\.parquet has a cell of more than"):
        converted(tmp_path / "long.parquet")
