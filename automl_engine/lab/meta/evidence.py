"""What a benchmark found, for the tables: ``python -m automl_engine meta scores --bench OUT [--tables FOLDER]``.

``python -m automl_engine bench`` runs rows on data sets (and on variations of them, variations.py); this adds what it
found to ``scores.csv`` and the meta-features of its sets to ``features_MODALITY.csv``.  What is there already stays.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from automl_engine import __version__
from automl_engine.errors import DataError
from automl_engine.lab.meta.tables import (
    Score,
    append_scores,
    features_path,
    read_features,
    read_scores,
    write_features,
)
from automl_engine.metalearning import TABLES
from automl_engine.metalearning.sources import source_of
from automl_engine.portfolio import load


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("--bench", type=Path, required=True, nargs="+", metavar="OUT", help="folders of benchmarks")
    parser.add_argument(
        "--tables", type=Path, default=TABLES, metavar="FOLDER", help="the tables to add to (the built-in)"
    )
    parser.add_argument("--device", metavar="TEXT", help="description of the machine of the runs")
    parser.add_argument("--again", action="store_true", help="compute the meta-features again")


def main(options: argparse.Namespace) -> int:
    """Adds scores first, then meta-features, so that a score never lacks its run."""
    for out in options.bench:
        known = {_key(score) for score in read_scores(options.tables / "scores.csv")}
        new = [score for score in found_scores(out, options.device) if _key(score) not in known]
        append_scores(new, options.tables / "scores.csv")
        modalities = {score.dataset: score.modality for score in found_scores(out)}
        count = sum(_add_features(out / "sets" / name, kind, options) for name, kind in modalities.items())
        print(f"{out.name}: {len(new)} runs and the meta-features of {count} data sets are added.", flush=True)
    return 0


def found_scores(out: Path, device: str | None = None) -> Iterator[Score]:
    """A ``Score`` for each run of a portfolio row that the benchmark finished.

    Raises:
        DataError: there is no benchmark.
    """
    rows = {row.name for row in load()}
    path = out / "results.csv"
    if not path.exists():
        raise DataError(f"{out} must hold the results.csv that python -m automl_engine bench writes.")
    day = date.fromtimestamp(path.stat().st_mtime).isoformat()
    with open(path, newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line["model"] in rows:
                run_dir = out / "runs" / line["set"] / line["model"] / line["seed"]
                known = {"device": device or line["device"], "wall_s": _took_s(run_dir) or line["wall_s"]}
                yield _score(line | known, day)


def _took_s(run_dir: Path) -> str | None:
    """On the run's own clock, by its ``end.txt``."""
    path = run_dir / "end.txt"
    if not path.exists():
        return None
    return dict(line.split(": ", 1) for line in path.read_text("utf-8").splitlines())["ingestion_duration"]


def _score(line: dict[str, str], day: str) -> Score:
    numbers = {key: float(line[key] or "nan") for key in ("budget_s", "t0_s", "alc", "nauc", "wall_s")}
    first_s = float(line["first_prediction_s"] or "nan")
    return Score(
        dataset=line["set"],
        source=source_of(line["set"]),
        modality=line["modality"],
        row=line["model"],
        version=1,
        seed=int(line["seed"]),
        device=line["device"],
        first_prediction_s=first_s,
        engine=__version__,
        date=day,
        **numbers,
    )


def _key(score: Score) -> tuple[object, ...]:
    return score.dataset, score.row, score.version, score.budget_s, score.t0_s, score.seed, score.device


def _add_features(folder: Path, modality: str, options: argparse.Namespace) -> bool:
    """Whether the meta-features of a set were made now."""
    from automl_engine.dataset.reader import open_split
    from automl_engine.lab.meta.features import meta_features

    path = features_path(modality, options.tables)
    if folder.name in read_features(path) and not options.again:
        return False
    train = open_split(folder / f"{folder.name}.data", "train")
    values = meta_features(train, modality)
    write_features(path, {folder.name: values}, {folder.name: source_of(folder.name)})
    return True
