"""Every real data set through formatters, engine and export, as its user would: its figures as CSV.

    python -m tests.data_sweep [--budget 20] [--seeds 0] [--sets titanic,cifar10] [--write]

Ends with 1 when a set fails, gives fewer than two predictions, predicts first after 2 s, or (from 60 s on) falls
below its floor.  ``--write`` leaves docs/results/all_sets_BUDGETs.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("AUTODL_TEST_DATA", ROOT.parent / "shared" / "data"))
RESULTS = ROOT / "docs" / "results"
FIRST_PREDICTION_LIMIT_S = 2.0
FLOOR_BUDGET_S = 60
COLUMNS = (
    *("set", "modality", "samples", "state", "converted in s", "final NAUC", "ALC", "first prediction s"),
    *("predictions", "largest difference of the exported bundle"),
)
FLOORS = {  # final test NAUC after 60 s on 2 cores, median of 3 seeds
    "mnist_png": 0.97,
    "sign_language_digits": 0.90,
    "cifar10": 0.65,
    "free_spoken_digits": 0.96,
    "music_speech_silence": 0.98,
    "sms_spam": 0.96,
    "ag_news": 0.93,
    "chnsenticorp_hotel_zh": 0.88,
    "titanic": 0.68,
    "penguins": 0.98,
    "wine_quality_white": 0.60,
    "music_emotions_multilabel": 0.65,
    "gunpoint_csv": 0.93,
    "japanese_vowels": 0.95,
    "basic_motions": 0.95,
    "kth_person15_clips": 0.75,
}


@dataclass
class Result:
    """One set: a figure a seed, in the order of the seeds."""

    name: str
    modality: str = ""
    samples: int = 0
    convert_s: float = 0.0
    alc: list[float] = field(default_factory=list)
    nauc: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    predictions: list[int] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    parity: list[float] = field(default_factory=list)
    error: str = ""

    def faults(self, budget_s: int) -> list[str]:
        """What is not as promised."""
        if self.error:
            return [self.error]
        out = []
        if min(self.predictions) < 2:
            out.append(f"only {min(self.predictions)} prediction")
        if max(self.first_s) > FIRST_PREDICTION_LIMIT_S:
            out.append(f"first prediction after {max(self.first_s):.2f} s")
        if budget_s >= FLOOR_BUDGET_S and median(self.nauc) < FLOORS.get(self.name, -1):
            out.append(f"NAUC below the floor of {FLOORS[self.name]:.2f}")
        return out


def sources() -> list[Path]:
    """The zips of every modality and the native bundles."""
    return sorted(DATA.glob("*/*.zip")) + [DATA / "autodl_native" / name for name in ("miniciao", "Monkeys")]


def sweep(source: Path, budget_s: int, seeds: list[int], work: Path) -> Result:
    result = Result(source.stem)
    data = work / source.stem
    start = time.monotonic()
    converted = _call("formatters", str(source), str(data))
    result.convert_s = time.monotonic() - start
    if converted.returncode:
        result.error = converted.stderr.strip()
        return result
    report = json.loads((data / "report.json").read_text())
    result.modality, result.samples = report["modality"], report["counts"]["samples"]
    for seed in seeds:
        run = work / f"{source.stem}-{seed}"
        start = time.monotonic()
        options = ["--budget", str(budget_s), "--seed", str(seed), "--no-export"]
        done = _call("automl_engine", "run", str(data), "--out", str(run), *options)
        result.wall_s.append(time.monotonic() - start)
        exported = _call("automl_engine", "export", str(run))
        if done.returncode or exported.returncode:
            result.error = (done.stderr + exported.stderr).strip().splitlines()[-1]
            return result
        scores = json.loads((run / "scores.json").read_text())
        result.alc.append(scores["alc"])
        result.nauc.append(scores["nauc"])
        result.first_s.append(scores["first_prediction_s"])
        result.predictions.append(len(scores["predictions"]))
        result.parity.append(_parity(run / "model.zip"))
    return result


def _parity(model_zip: Path) -> float:
    with zipfile.ZipFile(model_zip) as archive:
        return json.loads(archive.read("verify.json"))["max_difference"]


def _call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, cwd=ROOT)


def write(results: list[Result], budget_s: int, seeds: list[int]) -> None:
    """One line a set; its conditions on every line, so that tables can be joined."""
    conditions = {"budget s": budget_s, "seeds": len(seeds), "date": date.today(), "machine": machine()}
    with (RESULTS / f"all_sets_{budget_s}s.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, *conditions], lineterminator="\n")
        writer.writeheader()
        writer.writerows(_line(result, budget_s) | conditions for result in results)


def _line(result: Result, budget_s: int) -> dict[str, object]:
    values: list[object] = [result.name, result.modality, result.samples, "; ".join(result.faults(budget_s)) or "ok"]
    if not result.error:
        values += [f"{result.convert_s:.1f}", _spread(result.nauc, 3), _spread(result.alc, 3)]
        values += [_spread(result.first_s, 2), median(result.predictions), f"{max(result.parity):.1g}"]
    return dict(zip(COLUMNS, values, strict=False))  # a set that failed has no figures


def _spread(values: list[float], digits: int) -> str:
    middle = f"{median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def machine() -> str:
    """Processor, cores and the library versions that matter."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "lightgbm", "numpy"))
    name = cpu[1] if cpu else platform.machine()
    return f"{os.cpu_count()} cores of {name}, Python {platform.python_version()}, {libraries}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=20)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--sets", default="")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    seeds = [int(seed) for seed in arguments.seeds.split(",")]
    wanted = set(filter(None, arguments.sets.split(",")))
    results = []
    with tempfile.TemporaryDirectory(prefix="autodl-sweep-") as work:
        for source in sources():
            if wanted and source.stem not in wanted:
                continue
            result = sweep(source, arguments.budget, seeds, Path(work))
            results.append(result)
            shown = _spread(result.nauc, 3) if result.nauc else "-"
            faults = "; ".join(result.faults(arguments.budget)) or "ok"
            print(
                f"{result.name:28} NAUC {shown:26} first {max(result.first_s, default=0):.2f} s  {faults}", flush=True
            )
    if arguments.write:
        write(results, arguments.budget, seeds)
    return int(any(result.faults(arguments.budget) for result in results))


if __name__ == "__main__":
    sys.exit(main())
