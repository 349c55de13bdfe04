"""A run as the challenge's programs leave it: the output of ingestion, which scoring reads, and its ``scores.txt``."""

from __future__ import annotations

from pathlib import Path

from automl_engine.run import events
from automl_engine.run.scoreboard import prediction_files


def members(run_dir: Path) -> list[tuple[Path | bytes, str]]:
    """(file or content, name) of each part; empty if the clock has not started.

    A run that was killed has no ``end.txt``, as in the challenge.
    """
    if not (run_dir / "start.txt").exists():
        return []
    notes = [path for path in (run_dir / "start.txt", run_dir / "end.txt") if path.exists()]
    files = [*notes, *prediction_files(run_dir).values()]
    return [*((path, path.name) for path in files), (_scores(run_dir).encode(), "scores.txt")]


def _scores(run_dir: Path) -> str:
    """The keys of the challenge's scoring program; its accuracy is the share of each row on the true class."""
    points = [event for event in events.read(run_dir / "events.jsonl")[0] if event["event"] == "score"]
    last = points[-1] if points else {"alc": 0.0, "t": 0, "accuracy": None}
    scores = {
        "score": last["alc"],
        "Duration": last["t"],
        "timestamps": [point["t"] for point in points],
        "nauc_scores": [point["nauc"] for point in points],
    }
    if last["accuracy"] is not None:
        scores["accuracy"] = [point["soft_accuracy"] for point in points]
    return "".join(f"{key}: {value}\n" for key, value in scores.items())
