"""Two checkouts of this program on the same data sets: what changes in scores, predictions and time.

    python -m automl_engine.lab.compare BEFORE AFTER --data DIR --out OUT [--sets A,B] [--models auto,ROW]

OUT/sets/NAME/                          the converted sets
OUT/runs/NAME/MODEL/SEED/before|after/  the runs; compare.json, written last, says what was asked
OUT/compare.csv                         a line for each pair, rewritten after each

What is there already is used again: remove ``after`` folders when that checkout has changed.  The two runs of a pair
follow each other, and which comes first alternates, so that a busy hour of the machine hits both.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from automl_engine import clock
from automl_engine.errors import DataError, exit_code
from automl_engine.lab.bench.sets import call, convert, find_sets
from automl_engine.portfolio import load
from automl_engine.run.scoreboard import prediction_files, read_start, write_json

SIDES = ("before", "after")
SAME_ALC = 1e-6


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    before: Path
    after: Path
    data: Path
    out: Path
    sets: Collection[str] = ()
    """Names; all by default."""
    models: Sequence[str] = ("auto",)
    """As ``--model`` of ``run``; a configuration runs on sets of its modality alone."""
    seeds: int = 1
    budget_s: float = 20.0
    clock: str = "virtual"

    def order(self, model: str, seed: int) -> dict[str, Any]:
        """The arguments of ``run``."""
        return {"model": model, "seed": seed, "budget": self.budget_s, "clock": self.clock}


@dataclass(frozen=True)
class Run:
    """One side of a pair."""

    alc: float
    nauc: float
    first_prediction_s: float | None
    predictions: dict[int, Path]
    start_s: float | None
    """From the command to the start of the clock; None on the virtual clock, which starts at a whole second."""
    wall_s: float


@dataclass(frozen=True)
class Pair:
    """The runs of both checkouts: one line of the table."""

    set: str
    modality: str
    order: dict[str, Any]
    """The arguments of ``run``."""
    before: Run
    after: Run

    @property
    def equal_predictions(self) -> int:
        """Files of the same number with the same bytes."""
        before, after = self.before.predictions, self.after.predictions
        return sum(before[k].read_bytes() == after[k].read_bytes() for k in before.keys() & after.keys())

    @property
    def is_equal(self) -> bool:
        """Whether both runs wrote the same predictions and reached the same ALC."""
        same_files = len(self.before.predictions) == len(self.after.predictions) == self.equal_predictions
        return same_files and abs(self.after.alc - self.before.alc) < SAME_ALC

    def line(self) -> dict[str, Any]:
        """For the table."""
        line = {"set": self.set, "modality": self.modality, **self.order, "equal_predictions": self.equal_predictions}
        before, after = asdict(self.before), asdict(self.after)
        for key in before:
            for side, value in zip(SIDES, (before[key], after[key]), strict=True):
                line[f"{key}_{side}"] = len(value) if key == "predictions" else value
        return line


def compare(plan: Plan) -> Iterator[Pair]:
    """Each pair when both of its runs are done; the table is rewritten before.

    Raises:
        DataError: a folder is no checkout, a set does not exist, or a run failed.
    """
    for folder in (plan.before, plan.after):
        if not (folder / "automl_engine" / "__main__.py").is_file():
            raise DataError(f"{folder} holds no automl_engine; give the folder of a checkout.")
    sources = find_sets(plan.data, plan.out, plan.sets)
    modalities = {name: convert(source, plan.out / "sets" / name) for name, source in sources.items()}
    modality_of = {row.name: row.modality for row in load()}
    pairs: list[Pair] = []
    for name, model, seed in product(sources, plan.models, range(plan.seeds)):
        if modality_of.get(model, modalities[name]) != modalities[name]:
            continue
        sides = SIDES if len(pairs) % 2 == 0 else SIDES[::-1]
        runs = {side: _run(plan, name, model, seed, side) for side in sides}
        pairs.append(Pair(name, modalities[name], plan.order(model, seed), **runs))
        _write_table(plan.out / "compare.csv", pairs)
        yield pairs[-1]


def _run(plan: Plan, name: str, model: str, seed: int, side: str) -> Run:
    checkout = plan.before if side == "before" else plan.after
    run_dir = plan.out / "runs" / name / model / str(seed) / side
    asked, done = plan.order(model, seed), run_dir / "compare.json"
    if not (done.is_file() and json.loads(done.read_text("utf-8"))["order"] == asked):
        run_dir.mkdir(parents=True, exist_ok=True)
        done.unlink(missing_ok=True)
        begun, begun_unix = time.monotonic(), time.time()
        command = ["automl_engine", "run", str((plan.out / "sets" / name).resolve()), "--out", str(run_dir.resolve())]
        with open(run_dir / "engine.log", "wb") as log:
            call([*command, "--no-export", *(f"--{key}={value}" for key, value in asked.items())], log, checkout)
        if not prediction_files(run_dir):
            raise DataError(f"{model} on {name} predicted nothing ({side}); {run_dir / 'engine.log'} says why.")
        times = {"wall_s": time.monotonic() - begun, "start_s": None}
        if plan.clock == "wall":
            times["start_s"] = read_start(run_dir)[0] - begun_unix
        write_json(done, {"order": asked, **times})
    return read_run(run_dir)


def read_run(run_dir: Path) -> Run:
    """A finished run."""
    scores = json.loads((run_dir / "scores.json").read_text("utf-8"))
    times = json.loads((run_dir / "compare.json").read_text("utf-8"))
    about = {key: scores[key] for key in ("alc", "nauc", "first_prediction_s")}
    return Run(**about, predictions=prediction_files(run_dir), start_s=times["start_s"], wall_s=times["wall_s"])


def _write_table(path: Path, pairs: Sequence[Pair]) -> None:
    part = path.with_suffix(".part")
    with open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(pairs[0].line()))
        writer.writeheader()
        writer.writerows(pair.line() for pair in pairs)
    part.replace(path)


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m automl_engine.lab.compare", description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, metavar="BEFORE", help="folder of a checkout")
    parser.add_argument("after", type=Path, metavar="AFTER", help="folder of another, or of the same")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="holds zips and AutoDL data sets")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="what is there already is used again")
    parser.add_argument("--sets", type=_names, default=[], metavar="A,B", help="these alone")
    parser.add_argument("--models", type=_names, default=["auto"], metavar="A,B", help="as --model of run (auto)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N - 1 (1)")
    parser.add_argument("--budget", type=float, default=20.0, dest="budget_s", metavar="S", help="of each run (20)")
    parser.add_argument("--clock", choices=clock.MODES, default="virtual", help="as of run (virtual)")
    return exit_code(lambda: _report(Plan(**vars(parser.parse_args(arguments)))))


def _report(plan: Plan) -> int:
    """A line for each pair, and a summary; 0 if all pairs are equal, as on the virtual clock they may be, else 1."""
    pairs = []
    for pair in compare(plan):
        pairs.append(pair)
        before, after, about = pair.before, pair.after, f"{pair.set}, {pair.order['model']}, seed {pair.order['seed']}"
        files = f"{pair.equal_predictions} of {max(len(before.predictions), len(after.predictions))} predictions equal"
        print(f"{about}: ALC {before.alc:.6f} -> {after.alc:.6f}, {files}", flush=True)
    equal = sum(pair.is_equal for pair in pairs)
    change = sum(pair.after.alc - pair.before.alc for pair in pairs) / max(1, len(pairs))
    print(f"{equal} of {len(pairs)} pairs equal; mean change of the ALC {change:+.6f}")
    return int(equal < len(pairs))


if __name__ == "__main__":
    sys.exit(main())
