"""A run as challenge result: the challenge's scoring, applied to its files, gives our numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import rankdata

from automl_engine.package import challenge_result
from automl_engine.run import events
from automl_engine.run.ingestion import text_of
from automl_engine.run.scoreboard import Scoreboard
from tests.engine.test_curve_scoring import VECTORS, matrix, names, needs_golden


def official_scores(folder: Path, solution: np.ndarray) -> tuple[float, list[float]]:
    """(ALC, NAUC of each prediction) by the rules of the challenge's scoring program."""
    fields = dict(line.split(": ") for line in (folder / "start.txt").read_text().splitlines())
    start, budget_s = float(fields["start_time"]), float(fields["time_budget"])
    times, k = [], 0
    while str(k) in fields:
        times.append(float(fields[str(k)]) - start)
        k += 1
    files = sorted(folder.glob("*.predict_*"), key=lambda path: int(path.name.split("_")[-1]))
    naucs = [official_nauc(solution, np.loadtxt(path, ndmin=2)) for path in files]
    x = [0.0, *(math.log(1 + t / 60) / math.log(1 + budget_s / 60) for t in times), 1.0]
    y = [0.0, *naucs]
    return sum(y[i] * (x[i + 1] - x[i]) for i in range(len(y))), naucs


def official_nauc(solution: np.ndarray, prediction: np.ndarray) -> float:
    aucs = []
    for truth, scores in zip(solution.T, prediction.T, strict=True):
        positive = int((truth == 1).sum())
        if 0 < positive < len(truth):
            ranks = rankdata(scores)[truth == 1].sum()
            aucs.append((ranks - positive * (positive + 1) / 2) / (positive * (len(truth) - positive)))
    return 2 * float(np.mean(aucs)) - 1


def write_run(
    folder: Path, solution: np.ndarray, predictions: list[np.ndarray], times: list[float], budget_s: int
) -> dict:
    """What ingestion and the supervisor leave; returns the last score."""
    folder.mkdir()
    lines = {"ingestion_pid": 1, "task_name": "toy", "time_budget": float(budget_s), "start_time": 1000.0}
    lines |= {str(k): 1000.0 + t for k, t in enumerate(times)}
    (folder / "start.txt").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    (folder / "end.txt").write_text("ingestion_duration: 9\ningestion_success: 1\nend_time: 2000\n")
    about = {"budget_s": budget_s, "t0_s": 60, "model": "", "device": "", "clock": "wall", "versions": {}}
    board = Scoreboard(folder, solution, [str(i) for i in range(solution.shape[1])], about)
    for k, prediction in enumerate(predictions):
        (folder / f"toy.predict_{k}").write_bytes(text_of(prediction))
        point = board.score(k, "toy")
        events.append(folder / "events.jsonl", "score", **(point or {}), alc=board.alc())
    return board.write("done")


def unpacked(run_dir: Path, folder: Path) -> dict[str, Any]:
    """The files of the download in ``folder``; returns its scores.txt."""
    folder.mkdir()
    for content, name in challenge_result.members(run_dir):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    told = dict(line.split(": ", 1) for line in (folder / "scores.txt").read_text().splitlines())
    return {key: json.loads(value) for key, value in told.items()}


@needs_golden
@pytest.mark.parametrize("vector", VECTORS["end_to_end"], ids=names)
def test_the_files_give_the_official_scores(vector: dict, tmp_path: Path) -> None:
    solution, predictions = matrix(vector["solution"]), [matrix(rows) for rows in vector["predictions"]]
    write_run(tmp_path / "run", solution, predictions, vector["relative_timestamps"], vector["time_budget"])
    ours = unpacked(tmp_path / "run", tmp_path / "result")
    official = dict(line.split(": ", 1) for line in vector["official_scores_txt"].splitlines())
    assert ours.keys() == official.keys()
    for key, value in official.items():
        assert ours[key] == pytest.approx(json.loads(value), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_scoring_the_files_gives_our_scores(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    solution = np.eye(4)[rng.integers(0, 4, 50)] if seed % 2 else rng.integers(0, 2, (50, 4)).astype(float)
    predictions = [rng.random((50, 4)) + k * solution / 9 for k in range(8)]
    scores = write_run(tmp_path / "run", solution, predictions, np.sort(rng.random(8) * 120).tolist(), 120)
    told = unpacked(tmp_path / "run", tmp_path / "result")
    alc, naucs = official_scores(tmp_path / "result", solution)
    assert scores["alc"] == pytest.approx(alc, abs=1e-9)
    assert told["score"] == pytest.approx(alc, abs=1e-9)
    assert told["nauc_scores"] == pytest.approx(naucs, abs=1e-9)
    assert ("accuracy" in told) == (seed % 2 == 1)


OFFICIAL = json.loads(Path(__file__).with_name("official_scores.json").read_text("utf-8"))
"""What score.py (VERSION v20191219) of the official starting kit writes about the folders of ``made_run``."""


def made_run(folder: Path, seed: int) -> dict:
    """A run folder, always the same for a seed: classes of different sizes, ties, NAUC that rises and falls."""
    rng = np.random.default_rng(seed)
    count, classes = int(rng.integers(30, 90)), int(rng.integers(2, 7))
    if seed % 2:
        solution = np.eye(classes)[np.minimum(rng.geometric(0.5, count), classes) - 1]
    else:
        solution = (rng.random((count, classes)) < rng.random(classes)).astype(float)
    shares = rng.uniform(-0.1, 0.9, int(rng.integers(2, 12)))
    predictions = [np.round((1 - s) * rng.random(solution.shape) + max(s, 0) * solution, 2 + seed % 3) for s in shares]
    times = np.sort(rng.uniform(0.2, 119, len(shares))).round(3).tolist()
    return write_run(folder, solution, predictions, times, 120)


@pytest.mark.parametrize("seed", range(5))
def test_the_official_program_gives_the_same_scores(seed: int, tmp_path: Path) -> None:
    scores = made_run(tmp_path / "run", seed)
    official = OFFICIAL[str(seed)]
    assert scores["alc"] == pytest.approx(official["score"], abs=1e-9)
    assert [point["nauc"] for point in scores["predictions"]] == pytest.approx(official["nauc_scores"], abs=1e-9)
    told = unpacked(tmp_path / "run", tmp_path / "result")
    assert told["score"] == pytest.approx(official["score"], abs=1e-9)
    assert told.get("accuracy", []) == pytest.approx(official.get("accuracy", []), abs=1e-9)


def test_a_run_without_a_prediction_and_one_without_a_clock(tmp_path: Path) -> None:
    write_run(tmp_path / "run", np.eye(2), [], [], 20)
    assert unpacked(tmp_path / "run", tmp_path / "result") == {
        "score": 0,
        "Duration": 0,
        "timestamps": [],
        "nauc_scores": [],
    }
    assert challenge_result.members(tmp_path) == []


def test_recalls_are_told_of_a_hundred_predictions_at_most(tmp_path: Path) -> None:
    solution = np.eye(2)[[0, 1, 0, 1]]
    predictions = [np.eye(2)[[0, 1, 0, k % 2]] for k in range(130)]
    write_run(tmp_path / "run", solution, predictions, [float(k) for k in range(130)], 200)
    recalls = json.loads((tmp_path / "run" / "results.json").read_text())["classes"][1]["recalls"]
    assert len(recalls) == 80, "every second one of the first hundred, then all"
    assert recalls[:50] == [0.5] * 50
    assert recalls[50:] == [0.5, 1.0] * 15
