"""Every entry of FORMATTERS keeps the contract, shown on its toy."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from automl_engine.dataset.reader import open_split
from automl_engine.dataset.spec import Spec
from formatters import FORMATTERS, previews, recipe
from formatters.base import Options
from formatters.convert import convert
from tests.formatters.toys import TOYS
from webapp.engine_samples import shown

REPORT_KEYS = {
    "version", "name", "modality", "title", "why", "task", "labels", "counts", "size_bytes", "spec", "split", "stats",
    "columns", "ignored", "ignored_count", "unreadable", "duplicates", "doubts", "options", "editable",
}  # fmt: skip
PREVIEW_KEYS = {"image": "file", "audio": "file", "video": "file", "text": "text", "row": "row", "series": "series"}


@pytest.fixture(scope="module", params=sorted(FORMATTERS))
def toy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """(key in FORMATTERS, the raw upload, the converted folder)."""
    folder = tmp_path_factory.mktemp(request.param)
    source = TOYS[request.param](folder / "raw")
    convert(source, folder / "out", Options(), say=lambda line: None)
    return request.param, source, folder / "out"


def _report(out: Path) -> dict:
    return json.loads((out / "report.json").read_text())


def test_modality_is_recognised(toy: tuple[str, Path, Path]) -> None:
    key, _, out = toy
    assert _report(out)["modality"] == ("tabular" if key == "native" else key)


def test_report_has_every_field(toy: tuple[str, Path, Path]) -> None:
    report = _report(toy[2])
    assert set(report) == REPORT_KEYS
    assert report["why"]
    counts = report["counts"]
    assert counts["samples"] == counts["train"] + counts["test"]
    assert counts["classes"] == len(report["labels"]) == 2
    assert report["title"].startswith(f"{counts['samples']} ")
    assert report["size_bytes"] > 0
    assert all({"level", "what", "where", "fix", "fixes"} == set(doubt) for doubt in report["doubts"])


def test_files_are_as_the_challenge_wants_them(toy: tuple[str, Path, Path]) -> None:
    out = toy[2]
    report = _report(out)
    data = out / f"{report['name']}.data"
    assert len(list((data / "test").glob("sample*"))) == 1
    for side in ("train", "test"):
        metadata = (data / side / "metadata.textproto").read_text()
        assert f"sample_count: {report['counts'][side]}" in "".join(metadata.splitlines(keepends=True)[:3])
    solution = np.loadtxt(out / f"{report['name']}.solution", ndmin=2)
    assert solution.shape == (report["counts"]["test"], 2)
    assert np.array_equal(solution.sum(0), [label["test"] for label in report["labels"]])


def test_records_fit_the_spec_and_hide_test_labels(toy: tuple[str, Path, Path]) -> None:
    out = toy[2]
    report = _report(out)
    train, test = (open_split(out / f"{report['name']}.data", side) for side in ("train", "test"))
    assert not test.labels.any()
    assert np.array_equal(train.labels.sum(0), [label["train"] for label in report["labels"]])
    spec = train.spec
    wanted = (spec.sequence_size, spec.row_count, spec.col_count, spec.num_channels)
    for tensor in (*train.arrays(), *test.arrays()):
        assert all(want in (-1, got) for want, got in zip(wanted, tensor.shape, strict=True))


def test_both_sides_hold_both_classes(toy: tuple[str, Path, Path]) -> None:
    report = _report(toy[2])
    assert all(label["train"] and label["test"] for label in report["labels"])
    assert report["counts"]["test"] / report["counts"]["samples"] == pytest.approx(0.25, abs=0.05)


def test_previews_line_up_with_the_records(toy: tuple[str, Path, Path]) -> None:
    out = toy[2]
    report = _report(out)
    lines = [json.loads(line) for line in (out / "previews" / "test.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(report["counts"]["test"]))
    solution = np.loadtxt(out / f"{report['name']}.solution", ndmin=2)
    names = [label["name"] for label in report["labels"]]
    for line, row in zip(lines, solution, strict=True):
        assert line["labels"] == [name for name, on in zip(names, row, strict=True) if on]
        key = PREVIEW_KEYS[line["kind"]]
        assert line[key]
        assert key != "file" or (out / "previews" / line["file"]).stat().st_size > 0
    train = [json.loads(line) for line in (out / "previews" / "train.jsonl").read_text().splitlines()]
    assert Counter(label for line in train for label in line["labels"]).keys() == set(names)


@pytest.mark.parametrize(("key", "kind"), [("image", "image/"), ("video", "image/"), ("audio", "audio/wav")])
def test_samples_without_a_file_are_drawn_from_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, kind: str
) -> None:
    monkeypatch.setattr(previews, "MADE_TEST", 1)
    monkeypatch.setattr(previews, "MADE_TRAIN", 2)
    out = tmp_path / "out"
    report = convert(TOYS[key](tmp_path / "raw"), out, Options(), say=lambda line: None)
    for side, made in (("test", 1), ("train", 2)):
        lines = [json.loads(line) for line in (out / "previews" / f"{side}.jsonl").read_text().splitlines()]
        assert [line["index"] for line in lines] == list(range(report["counts"][side]))
        assert sum("file" in line for line in lines) == made
        for line in lines:
            found = shown(out, side, line["index"])
            assert found
            assert found[1].startswith(kind)
    assert shown(out, "test", report["counts"]["test"]) is None


def test_of_a_very_large_data_set_the_list_has_an_end_and_all_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "MADE_TEST", 2)
    monkeypatch.setattr(previews, "MOST_LISTED_BYTES", 1)
    convert(TOYS["text"](tmp_path / "raw"), tmp_path / "out", Options(), say=lambda line: None)
    for side in ("train", "test"):
        lines = [
            json.loads(line) for line in (tmp_path / "out" / "previews" / f"{side}.jsonl").read_text().splitlines()
        ]
        assert len(lines) == 2
        assert side == "test" or len({line["labels"][0] for line in lines}) == 2


def test_same_input_and_seed_give_the_same_bytes(toy: tuple[str, Path, Path], tmp_path: Path) -> None:
    _, source, out = toy
    convert(source, tmp_path / "again", Options(), say=lambda line: None)
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    for path in files:
        assert (out / path).read_bytes() == (tmp_path / "again" / path).read_bytes(), path


def test_recipe_formats_new_data_like_the_training_data(toy: tuple[str, Path, Path]) -> None:
    key, source, out = toy
    made = recipe.load(out / "recipe.json")
    report = _report(out)
    spec = Spec.read(out / f"{report['name']}.data" / "train" / "metadata.textproto")
    assert made["labels"] == spec.labels == [label["name"] for label in report["labels"]]
    if key == "native":
        rows = out.parent / "rows.csv"
        rows.write_text("1,2,3\n4,5,\n")
        np.testing.assert_array_equal(recipe.encode(made, rows).examples.tensor(1).reshape(-1), [4, 5, np.nan])
        return
    new_data = recipe.encode(made, source)
    examples = new_data.examples
    names = [name for name, content in zip(new_data.names, new_data.contents, strict=True) if content is not None]
    assert len(names) == len(examples) == report["counts"]["samples"]
    assert examples.spec.with_count(0) == spec.with_count(0)
    test = open_split(out / f"{report['name']}.data", "test")
    sources = [json.loads(line)["source"] for line in (out / "previews" / "test.jsonl").read_text().splitlines()]
    picks = [names.index(source) for source in sources]
    for at, pick in enumerate(picks):
        np.testing.assert_array_equal(examples.tensor(pick), test.tensor(at))


def test_the_raw_sample_gives_the_test_records_exactly(toy: tuple[str, Path, Path]) -> None:
    out = toy[2]
    new_data = recipe.encode(recipe.load(out / "recipe.json"), out / "sample" / "input")
    names, examples = new_data.names, new_data.examples
    indices = json.loads((out / "sample" / "index.json").read_text())
    test = open_split(next(out.glob("*.data")), "test")
    assert len(names) == len(indices) > 0
    for at, index in enumerate(indices):
        np.testing.assert_array_equal(examples.tensor(at), test.tensor(index))
