"""Two checkouts side by side: the same one is equal to itself, and what differs is counted."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from automl_engine.lab.compare import Pair, main, read_run
from tests.engine.toys import write_table

ROOT = str(Path(__file__).parents[2])
ORDER = {"model": "constant", "seed": 0, "budget": 9.0, "clock": "virtual"}


def written_run(folder: Path, alc: float, predictions: list[str]) -> Path:
    folder.mkdir()
    scores = {"alc": alc, "nauc": 0.5, "first_prediction_s": 0.1}
    (folder / "scores.json").write_text(json.dumps(scores))
    (folder / "compare.json").write_text(json.dumps({"start_s": None, "wall_s": 2.0}))
    for k, text in enumerate(predictions):
        (folder / f"toy.predict_{k}").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("alc", "predictions", "equal"),
    [(0.5, ["a", "b"], 2), (0.5, ["a", "c"], 1), (0.5, ["a"], 1), (0.50001, ["a", "b"], 2)],
)
def test_what_differs_is_counted(tmp_path: Path, alc: float, predictions: list[str], equal: int) -> None:
    before = read_run(written_run(tmp_path / "before", 0.5, ["a", "b"]))
    pair = Pair("toy", "tabular", ORDER, before, read_run(written_run(tmp_path / "after", alc, predictions)))
    assert pair.equal_predictions == equal
    assert pair.is_equal == ((alc, predictions) == (0.5, ["a", "b"]))


def test_a_checkout_is_equal_to_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(tmp_path / "data" / "toy")
    arguments = [ROOT, ROOT, "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--budget", "2"]
    arguments += ["--models", "constant,image_linear", "--clock", "wall"]  # the second has nothing to do here
    assert main(arguments) == 0
    assert "1 of 1 pairs equal" in capsys.readouterr().out
    with open(tmp_path / "out" / "compare.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["set"], row["model"], row["predictions_before"], row["equal_predictions"]) == (
        "toy",
        "constant",
        "1",
        "1",
    )
    assert float(row["start_s_after"]) > 0
    done = tmp_path / "out" / "runs" / "toy" / "constant" / "0" / "after" / "compare.json"
    before = done.stat().st_mtime_ns
    assert main(arguments) == 0
    assert done.stat().st_mtime_ns == before  # used again


def test_a_folder_that_is_no_checkout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([ROOT, str(tmp_path), "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert f"{tmp_path} holds no automl_engine" in capsys.readouterr().err
