"""Edits: what a user changes without touching the files, applied as if the upload had come that way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from automl_engine.errors import DataError
from formatters.__main__ import main
from formatters.base import Options
from formatters.convert import convert
from formatters.edits.listed import parse
from tests.formatters.toys import TOYS, image_upload, tabular_upload


def converted(source: Path, edits: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    out = source.parent / f"out{len(list(source.parent.iterdir()))}"
    return convert(source, out, Options(edits=parse(edits), **options), say=lambda line: None) | {"out": out}


def shown(report: dict[str, Any], *sides: str) -> dict[str, list[str]]:
    """Labels by source, of all samples with a preview."""
    paths = [report["out"] / "previews" / f"{side}.jsonl" for side in sides or ("train", "test")]
    lines = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
    return {line["source"]: line["labels"] for line in lines}


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {label["name"]: label["train"] + label["test"] for label in report["labels"]}


def with_rows(folder: Path, lines: list[str]) -> Path:
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    return folder / "data.csv"


def patients(folder: Path, visits: int = 6) -> Path:
    rng = np.random.default_rng(0)
    lines = ["patient_id,site,pressure,ill"]
    for patient in range(12):
        for _ in range(visits):
            ill = patient % 3 == 0
            lines.append(f"p{patient},{'AB'[patient % 2]},{rng.normal(100 + 20 * ill, 5):.2f},{ill}")
    return with_rows(folder, lines)


def test_files_are_excluded_and_relabelled(tmp_path: Path) -> None:
    edits = [
        {"do": "exclude", "items": ["dark/dark_0.png", "bright/bright_1.png"]},
        {"do": "relabel", "items": ["dark/dark_1.png"], "to": ["bright"]},
    ]
    report = converted(image_upload(tmp_path), edits)
    assert counts(report) == {"bright": 12, "dark": 10}
    found = shown(report)
    assert not {"dark/dark_0.png", "bright/bright_1.png"} & found.keys()
    assert found["dark/dark_1.png"] == ["bright"]
    assert "you excluded 2 samples" in report["why"]


def test_rows_are_excluded_and_relabelled_and_a_class_may_be_new(tmp_path: Path) -> None:
    edits = [
        {"do": "exclude", "items": ["row 1", "row 1"]},
        {"do": "relabel", "items": ["row 2", "row 3"], "to": ["tiny"]},
    ]
    before, report = (converted(tabular_upload(tmp_path), some) for some in ([], edits))
    assert report["counts"]["samples"] == before["counts"]["samples"] - 1
    assert counts(report)["tiny"] == 2
    assert shown(report)["row 3"] == ["tiny"]
    assert [label["name"] for label in report["labels"]][-1] == "tiny"


@pytest.mark.parametrize("modality", ["text", "timeseries", "audio"])
def test_every_modality(modality: str, tmp_path: Path) -> None:
    source = TOYS[modality](tmp_path)
    first = converted(source, [])
    (item, labels), *_ = shown(first).items()
    other = next(label["name"] for label in first["labels"] if [label["name"]] != labels)
    excluded = converted(source, [{"do": "exclude", "items": [item]}])
    assert excluded["counts"]["samples"] == first["counts"]["samples"] - 1
    assert item not in shown(excluded)
    assert shown(converted(source, [{"do": "relabel", "items": [item], "to": [other]}]))[item] == [other]


@pytest.mark.parametrize("modality", ["image", "tabular", "text", "timeseries"])
def test_the_others_stay_on_their_side(modality: str, tmp_path: Path) -> None:
    """So that scores before and after can be compared."""
    source = TOYS[modality](tmp_path)
    first = converted(source, [])
    (item, labels), (second, _), *_ = shown(first, "test").items()
    other = next(label["name"] for label in first["labels"] if [label["name"]] != labels)
    edits = [{"do": "exclude", "items": [item]}, {"do": "relabel", "items": [second], "to": [other]}]
    edited = converted(source, edits)
    assert shown(edited, "test").keys() == shown(first, "test").keys() - {item}
    assert shown(edited, "train") == shown(first, "train")
    assert edited["split"]["how"] == first["split"]["how"]
    anew = converted(source, [*edits, {"do": "split anew"}])
    assert anew["counts"] == edited["counts"] | {side: anew["counts"][side] for side in ("train", "test")}


def test_classes_are_merged_and_dropped(tmp_path: Path) -> None:
    lines = ["size,animal", *(f"{i % 13},{('Cat', 'cat', 'dog', 'eel')[i % 4]}" for i in range(80))]
    source = with_rows(tmp_path, lines)
    edits = [
        {"do": "merge", "classes": ["Cat", "cat"], "to": ["cat"]},
        {"do": "drop", "classes": ["eel"]},
    ]
    assert counts(converted(source, edits)) == {"cat": 40, "dog": 20}
    assert counts(converted(source, [{"do": "merge", "classes": ["Cat", "dog"], "to": ["pet"]}]))["pet"] == 40


def test_labels_of_several_at_once(tmp_path: Path) -> None:
    lines = ["size,tags", *(f"{i % 13},{('a;b', 'b', 'a;c', 'c')[i % 4]}" for i in range(80))]
    edits = [
        {"do": "relabel", "items": ["row 1"], "to": ["a", "c"]},
        {"do": "merge", "classes": ["b", "c"], "to": ["b"]},
        {"do": "drop", "classes": ["a"]},
        {"do": "relabel", "items": ["row 2", "row 3"], "to": ["z"]},
        {"do": "relabel", "items": ["row 4"], "to": []},
    ]
    report = converted(with_rows(tmp_path, lines), edits)
    assert report["counts"]["samples"] == 80
    assert counts(report) == {"b": 77, "z": 2}


def test_what_is_found_is_found_in_the_edited_data(tmp_path: Path) -> None:
    """An odd picture leaves the sizes, an empty one the findings."""
    source = image_upload(tmp_path)
    Image.new("L", (40, 30), 90).save(source / "dark" / "empty.png")
    assert "40×30" in converted(source, [])["title"]
    report = converted(source, [{"do": "exclude", "items": ["dark/empty.png"]}])
    assert "16×16" in report["title"]
    assert not any("empty" in doubt["what"] for doubt in report["doubts"])


def copies(folder: Path, parted: bool) -> Path:
    """Pictures in class folders; the first of each class is there three times, and once under the other class."""
    source = image_upload(folder)
    for label, other in (("dark", "bright"), ("bright", "dark")):
        first = (source / label / f"{label}_0.png").read_bytes()
        for i in range(2):
            (source / label / f"copy_{i}.png").write_bytes(first)
        if not parted:
            (source / other / "copy_of_other.png").write_bytes(first)
    if parted:
        for path in sorted(source.rglob("*.png")):
            side = "test" if "copy" in path.name or path.stem.endswith("3") else "train"
            target = source / side / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    return source


def test_copies(tmp_path: Path) -> None:
    source = copies(tmp_path, parted=False)
    assert converted(source, [])["duplicates"]["exact"] == 6
    assert converted(source, [{"do": "keep one copy"}])["duplicates"]["exact"] == 0
    undisputed = converted(source, [{"do": "drop disputed copies"}])
    assert counts(undisputed) == {"bright": 11, "dark": 11}
    for split in (source, copies(tmp_path / "b", parted=True)):
        moved = converted(split, [{"do": "copies to train"}])
        assert moved["duplicates"]["across_split"] == 0
        assert moved["counts"]["samples"] == converted(split, [])["counts"]["samples"]


def test_split_anew_and_by_group_and_by_column(tmp_path: Path) -> None:
    source = patients(tmp_path)
    assert any("patient_id" in doubt["what"] for doubt in converted(source, [])["doubts"])
    report = converted(source, [{"do": "group", "columns": ["patient_id"]}])
    assert not any("stand in train and in test" in doubt["what"] for doubt in report["doubts"])
    report = converted(source, [{"do": "split", "columns": ["site"], "values": ["B"]}])
    assert report["split"]["how"] == "given"
    assert report["counts"]["test"] == 36
    parted = copies(tmp_path / "b", parted=True)
    assert converted(parted, [{"do": "split anew"}])["split"]["how"] == "stratified"


def test_values_and_columns(tmp_path: Path) -> None:
    lines = ["age,weight,leak,ill", *(f"{-999 if i % 5 == 0 else i},{i % 7},{i % 2},{'ny'[i % 2]}" for i in range(80))]
    edits = [
        {"do": "missing", "columns": ["age"], "values": ["-999"]},
        {"do": "ignore", "columns": ["leak"]},
    ]
    columns = {column["name"]: column for column in converted(with_rows(tmp_path, lines), edits)["columns"]}
    assert columns["age"]["missing"] == 16
    assert columns["leak"]["role"] == "ignored"


def test_a_column_of_text_is_left_out(tmp_path: Path) -> None:
    says = "the {} number {} was found to be very {} indeed by those who came"
    rows = [
        f"{says.format('room', i, 'ab'[i % 2])},{says.format('bill', i, 'xy'[i % 3 > 0])},{i % 2}" for i in range(60)
    ]
    source = with_rows(tmp_path, ["first,second,label", *rows])
    roles = [
        {column["name"]: column["role"] for column in converted(source, edits, modality="text")["columns"]}
        for edits in ([], [{"do": "ignore", "columns": ["second"]}])
    ]
    assert [role["second"] for role in roles] == ["feature", "ignored"]


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        ({}, "holds no list"),
        ([{"do": "paint"}], "must do one of"),
        ([3], "must do one of"),
        ([{"do": "exclude"}], "must have the fields do, items"),
        ([{"do": "exclude", "items": [1]}], "must be a list of texts"),
        ([{"do": "exclude", "items": []}], "must be a list of texts"),
        ([{"do": "merge", "classes": ["a"], "to": ["b", "c"]}], "must be a list of one text"),
        ([{"do": "relabel", "items": ["x"], "to": [" "]}], "empty class name"),
    ],
)
def test_lists_that_are_no_edits(edits: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        parse(edits)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"do": "exclude", "items": ["dark/none.png"]}, r"Edit 1 \(exclude\) names 'dark/none.png'"),
        ({"do": "relabel", "items": ["dark/dark_0.png"], "to": ["a", "b"]}, "each sample has one class"),
        ({"do": "merge", "classes": ["darkk"], "to": ["dark"]}, "names the class 'darkk'"),
        ({"do": "merge", "classes": ["dark"], "to": ["bright"]}, "only one class"),
        ({"do": "group", "columns": ["patient"]}, "names the column 'patient'"),
        ({"do": "ignore", "columns": ["patient"]}, "the samples are files"),
    ],
)
def test_edits_that_do_not_fit_are_one_sentence(edit: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        converted(image_upload(tmp_path), [edit])


def test_a_data_set_that_is_one_already_cannot_be_edited(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="taken as it is"):
        converted(TOYS["native"](tmp_path), [{"do": "split anew"}])


def test_command_line(tmp_path: Path, capsys: Any) -> None:
    source = image_upload(tmp_path)
    listed = tmp_path / "edits.json"
    listed.write_text(json.dumps([{"do": "exclude", "items": ["dark/dark_0.png"]}]))
    assert main([str(source), str(tmp_path / "out"), f"--edits={listed}"]) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["counts"]["samples"] == 23
    listed.write_text("[")
    assert main([str(source), str(tmp_path / "out2"), f"--edits={listed}"]) == 2
    assert "cannot be read as JSON" in capsys.readouterr().err
    assert not (tmp_path / "out2").exists()
