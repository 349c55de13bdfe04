"""What a chosen start is worth: auto that knows other data sets beside auto that knows none.

    python -m automl_engine meta start --data SETS --out OUT [--budget 60] [--seeds 3] [--clock virtual]

For each data set the tables are copied without its source, so that nothing is known of it or of its variations; then
auto runs with them and with empty ones, with the same seeds.  What is in OUT already is not run again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from automl_engine import clock
from automl_engine.errors import DataError
from automl_engine.lab.meta.evaluate import interval
from automl_engine.metalearning.sources import source_of
from automl_engine.metalearning.tables import (
    HERE,
    append_scores,
    features_path,
    read_features,
    read_scores,
    write_features,
)
from automl_engine.portfolio import MODALITIES

ARMS = ("chosen", "fixed")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("--data", type=Path, required=True, metavar="SETS", help="folder of NAME/NAME.data")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="output folder of the runs")
    parser.add_argument("--sets", default="", metavar="A,B", help="only these data sets")
    parser.add_argument(
        "--tables", type=Path, default=HERE, metavar="FOLDER", help="tables of known data sets (built-in)"
    )
    parser.add_argument("--budget", type=float, default=60.0, metavar="S")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 (3)")
    parser.add_argument(
        "--clock", choices=clock.MODES, default="virtual", help="virtual: independent of the load of the machine"
    )


def main(options: argparse.Namespace) -> int:
    """Runs both arms, and tells the difference for each data set and in the mean."""
    folders = sorted(path.parent for path in options.data.glob("*/*.solution"))
    wanted = set(filter(None, options.sets.split(",")))
    folders = [folder for folder in folders if not wanted or folder.name in wanted]
    if not folders:
        raise DataError(f"{options.data} must hold NAME/NAME.solution of a data set that is asked for.")
    print("| set | chosen ALC | fixed ALC | difference |\n|---|---|---|---|")
    differences = []
    for folder in folders:
        alc = {arm: [_alc(folder, arm, seed, options) for seed in range(options.seeds)] for arm in ARMS}
        differences.append(np.subtract(alc["chosen"], alc["fixed"]).mean())
        chosen, fixed = (float(np.mean(alc[arm])) for arm in ARMS)
        print(f"| {folder.name} | {chosen:.4f} | {fixed:.4f} | {differences[-1]:+.4f} |", flush=True)
    low, high = interval(np.array(differences), [source_of(folder.name) for folder in folders])
    print(f"Mean difference {np.mean(differences):+.4f} (95 % interval over sources {low:+.4f} to {high:+.4f}).")
    return 0


def _alc(folder: Path, arm: str, seed: int, options: argparse.Namespace) -> float:
    run_dir = options.out / arm / folder.name / str(seed)
    knowledge = options.out / "knowledge" / (source_of(folder.name) if arm == "chosen" else "none")
    if not knowledge.exists():
        forget(options.tables, knowledge)
    order = [f"--budget={options.budget}", f"--seed={seed}", f"--clock={options.clock}", f"--knowledge={knowledge}"]
    if not (run_dir / "done").exists():
        command = [sys.executable, "-m", "automl_engine", "run", str(folder), f"--out={run_dir}", "--no-export", *order]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (run_dir / "done").touch()
    return float(json.loads((run_dir / "scores.json").read_text("utf-8"))["alc"])


def forget(tables: Path, out: Path) -> None:
    """Copy tables without the source that ``out`` is called by; ``none``: nothing is left."""
    out.mkdir(parents=True)
    if out.name == "none":
        return
    append_scores(
        [score for score in read_scores(tables / "scores.csv") if score.source != out.name], out / "scores.csv"
    )
    for modality in MODALITIES:
        features = read_features(features_path(modality, tables))
        kept = {name: values for name, values in features.items() if source_of(name) != out.name}
        if kept:
            write_features(features_path(modality, out), kept, {name: source_of(name) for name in kept})
