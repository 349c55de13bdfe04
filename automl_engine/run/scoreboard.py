"""A run's predictions, scored: from the challenge's files to ``scores.json`` and ``results.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.dataset.metrics import check_prediction
from automl_engine.errors import DataError
from automl_engine.files import write_json
from automl_engine.run import curve, scoring

MOST_RECALLS = 100
"""Number of predictions whose recalls are told, at most; of more, every second one."""


def read_start(run_dir: Path) -> tuple[float, float, dict[int, float]]:
    """(start of the clock, budget in s, Unix time of each prediction by k) from ``start.txt``.

    Raises:
        FileNotFoundError: the clock has not started.
    """
    whole_lines = (run_dir / "start.txt").read_text(encoding="utf-8").split("\n")[:-1]  # the last is being written
    fields = dict(line.split(": ", 1) for line in whole_lines if ": " in line)
    times = {int(key): float(value) for key, value in fields.items() if key.isdigit()}
    return float(fields["start_time"]), float(fields["time_budget"]), times


def prediction_files(run_dir: Path) -> dict[int, Path]:
    """``NAME.predict_k`` by k, in order."""
    found = {}
    for path in run_dir.glob("*.predict_*"):
        match = re.fullmatch(r"[^.].*\.predict_(\d+)", path.name)
        if match:
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def read_solution(path: Path) -> np.ndarray:
    """(N_test, K) of 0 and 1.

    Raises:
        DataError: the file is missing or no matrix of numbers.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; give the file NAME.solution.")
    try:
        return scoring.read_matrix(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read as rows of 0 and 1 ({error}).") from error


class Scoreboard:
    """The scores of one run so far, and the files that tell them."""

    def __init__(self, run_dir: Path, solution: np.ndarray, labels: Sequence[str], about: dict[str, Any]) -> None:
        """``about``: budget_s, t0_s, model, device, clock, versions, as they stand in ``scores.json``."""
        self.run_dir, self.solution, self.labels, self.about = run_dir, solution, labels, about
        self.points: list[dict[str, Any]] = []
        self.rejected: dict[int, str] = {}
        self._recalls: list[list[float | None]] = []  # of each class, by prediction
        self._single = scoring.is_single_label(solution)

    def unscored(self) -> list[int]:
        known = {point["k"] for point in self.points} | set(self.rejected)
        return [k for k in prediction_files(self.run_dir) if k not in known]

    def score(self, k: int, by: str) -> dict[str, Any] | None:
        """Score prediction k and rewrite the files; None, with the reason in ``rejected``, when it doesn't count."""
        start, budget_s, times = read_start(self.run_dir)
        path = prediction_files(self.run_dir)[k]
        if k not in times:
            self.rejected[k] = f"prediction {k} has no time in start.txt"
            return None
        t = times[k] - start
        if t > budget_s:
            self.rejected[k] = f"prediction {k} came {t - budget_s:.1f} s after the end of the budget"
            return None
        try:
            prediction = scoring.read_matrix(path)
            check_prediction(prediction, self.solution.shape)
        except ValueError as error:
            self.rejected[k] = f"prediction {k} cannot be scored: {error}"
            return None
        results = scoring.explain(self.solution, prediction, self.labels, k)
        point = {
            "k": k,
            "t": t,
            "nauc": results["nauc"],
            "accuracy": results["accuracy"]["share"] if self._single else None,
            "soft_accuracy": results["soft_accuracy"],
            "by": by,
        }
        self.points.append(point)
        self._add_recalls(results["classes"])
        write_json(self.run_dir / "results.json", results)
        self.write()
        return point

    def _add_recalls(self, classes: list[dict[str, Any]]) -> None:
        """Tell of each class how its recall has changed, where they are not too many to be shown."""
        if len(classes) > scoring.MAX_CONFUSION_CLASSES:
            return
        if len(self._recalls) == MOST_RECALLS:
            del self._recalls[1::2]
        self._recalls.append([found["recall"] for found in classes])
        for found, recalls in zip(classes, zip(*self._recalls, strict=True), strict=True):
            found["recalls"] = list(recalls)

    def alc(self) -> float:
        """As if the run ended now at its budget."""
        times, naucs = [p["t"] for p in self.points], [p["nauc"] for p in self.points]
        return curve.alc(times, naucs, self.about["budget_s"], self.about["t0_s"])

    def write(self, stopped: str | None = None, reason: str = "") -> dict[str, Any]:
        """Rewrite ``scores.json``; ``stopped`` is None while the run goes on."""
        last = self.points[-1] if self.points else {"nauc": 0.0, "accuracy": None, "soft_accuracy": None}
        scores = {
            "alc": self.alc(),
            **{key: last[key] for key in ("nauc", "accuracy", "soft_accuracy")},
            "first_prediction_s": self.points[0]["t"] if self.points else None,
            **{key: self.about[key] for key in ("budget_s", "t0_s")},
            "stopped": stopped,
            "reason": reason,
            **{key: self.about[key] for key in ("model", "device", "clock", "versions")},
            "predictions": [{key: p[key] for key in ("k", "t", "nauc", "accuracy", "by")} for p in self.points],
        }
        write_json(self.run_dir / "scores.json", scores)
        return scores


def rescore(run_dir: Path, solution: Path) -> dict[str, Any]:
    """Score a run folder again, also one that another program made with the challenge's files.

    Class names are those of the last ``results.json``, else the indices.

    Raises:
        DataError: the folder is no run, or the solution doesn't belong to it.
    """
    matrix = read_solution(solution)
    old, results = (_read_json(run_dir / name) for name in ("scores.json", "results.json"))
    try:
        _, budget_s, _ = read_start(run_dir)
    except FileNotFoundError:
        raise DataError(f"{run_dir.name} holds no start.txt; give the folder that a run wrote.") from None
    defaults = {"t0_s": curve.T0_S, "model": "unknown", "device": "unknown", "clock": "wall", "versions": {}}
    about = {key: old.get(key, value) for key, value in defaults.items()} | {"budget_s": budget_s}
    names = results.get("labels") or [str(c) for c in range(matrix.shape[1])]
    board = Scoreboard(run_dir, matrix, names, about)
    made_by = {p["k"]: p["by"] for p in old.get("predictions", [])}
    for k in board.unscored():
        board.score(k, made_by.get(k, ""))
    if board.rejected and not board.points:
        raise DataError(f"No prediction counts: {next(iter(board.rejected.values()))}.")
    return board.write(old.get("stopped") or "done", old.get("reason", ""))


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
