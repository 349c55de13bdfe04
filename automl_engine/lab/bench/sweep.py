"""``python -m automl_engine bench``: every (set, model, seed) as an ordinary run, one after the other; resumable.

OUT/sets/NAME/               the converted sets
OUT/runs/NAME/MODEL/SEED/    the runs; bench.json, written last, says what was asked and how long it took
OUT/results.csv table.md summary.json plots/     rewritten after each run (report.py, plots.py)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from automl_engine.errors import DataError
from automl_engine.files import write_json
from automl_engine.lab.bench.baselines import BASELINES, TUNED
from automl_engine.lab.bench.report import Result, write_report
from automl_engine.lab.bench.sets import call, convert, find_sets
from automl_engine.portfolio import Row, changed_row, configurations, load

ANY_MODALITY = ("auto", "constant")
SHORT_BASELINES = [name for name in BASELINES if name != TUNED]
START_S = 5.0  # what a run takes beside its budget, until it is measured
BAR_CHARS = 20
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    data: Path
    out: Path
    models: Sequence[str]
    """auto, without or with a row (auto-ROW, auto+ROW), constant, a portfolio row, its name without the modality
    (``linear``), a baseline, or a folder with challenge code; ``baselines``: all of them but the tuned one, which needs
    its time."""
    budgets_s: Mapping[str, float]
    """By modality; that of "" holds for the others."""
    t0_s: float
    seeds: Mapping[str, int]
    """By model; that of "" holds for the others."""
    device: str
    sets: Collection[str] = ()
    """Names; all by default."""
    references: Path | None = None
    clock: str = "wall"


@dataclass(frozen=True)
class Job:
    """One run."""

    set: str
    modality: str
    model: str
    """As it is called in the table."""
    order: dict[str, Any]
    """The arguments of ``run``."""
    run_dir: Path


def bench(plan: Plan, say: Say) -> list[str]:
    """Make what is missing and report all; returns what failed, in plain words.

    Raises:
        DataError: a model or set that is asked for doesn't exist.
    """
    rows = load()
    labels = _labels(plan.models, rows)
    sources = find_sets(plan.data, plan.out, plan.sets)
    modalities, faults = _convert_all(sources, plan.out / "sets", say)
    jobs = _jobs(plan, labels, modalities, rows)
    results = [result for job in jobs if (result := read_result(job))]
    say(f"{len(jobs)} runs, {len(results)} of them done already, {_left(jobs, results)}")
    for job in jobs:
        if read_result(job):
            continue
        result = _run(job, plan.out / "sets" / job.set)
        if result is None:
            faults.append(f"{job.set}, {job.model}, seed {job.order['seed']}: {_last_line(job.run_dir / 'engine.log')}")
            say(faults[-1])
            continue
        results.append(result)
        write_report(plan.out, results, faults, plan.references)
        say(f"{_bar(len(results), len(jobs))}, {_left(jobs, results)} · {_told(result)}")
    write_report(plan.out, results, faults, plan.references)
    return faults + [f"{_told(result)}: {result.reason}" for result in results if not result.predictions]


def _labels(models: Sequence[str], rows: Sequence[Row]) -> dict[str, str]:
    """What each model is called in the table: a folder of challenge code by its name."""
    labels: dict[str, str] = {}
    for model in models:
        configurations(model, rows)  # told before hours of runs
    models = [name for model in models for name in (SHORT_BASELINES if model == "baselines" else [model])]
    for model in dict.fromkeys(models):
        is_code = (Path(model) / "model.py").is_file()
        is_ours = model in BASELINES or bool(changed_row(model, rows)) or any(_is_meant(model, row) for row in rows)
        if not is_code and model not in ANY_MODALITY and not is_ours:
            known = ", ".join([*(row.name for row in rows), "baselines", *BASELINES])
            known = f"auto, auto-ROW, auto+ROW, constant, folders with model.py, and {known}"
            raise DataError(f"--models knows {known}; but got {model!r}.")
        labels[Path(model).resolve().name if is_code else model] = model
    if len(labels) < len(set(models)):
        raise DataError("Two of --models have the same name; rename one of the folders.")
    return labels


def _is_meant(model: str, row: Row) -> bool:
    return model in (row.name, row.name.partition("_")[2])


def _convert_all(sources: Mapping[str, Path], folder: Path, say: Say) -> tuple[dict[str, str], list[str]]:
    """(modality of each set that can be used, why the others can't)."""
    modalities, faults = {}, []
    for name, source in sources.items():
        try:
            modalities[name] = convert(source, folder / name)
            say(f"{name}: {modalities[name]}")
        except DataError as error:
            faults.append(f"{name} is left out: {error}")
            say(faults[-1])
    return modalities, faults


def _jobs(plan: Plan, labels: Mapping[str, str], modalities: Mapping[str, str], rows: Sequence[Row]) -> list[Job]:
    """A row or baseline of another modality is skipped."""
    jobs = []
    for name, modality in modalities.items():
        budget_s = plan.budgets_s.get(modality, plan.budgets_s[""])
        common = {"budget": budget_s, "t0": plan.t0_s, "device": plan.device}
        common |= {"clock": plan.clock} if plan.clock != "wall" else {}
        for label, model in labels.items():
            asked = _asked(label, model, modality, rows)
            for seed in range(plan.seeds.get(label, plan.seeds[""]) if asked else 0):
                run_dir = plan.out / "runs" / name / label / str(seed)
                jobs.append(Job(name, modality, label, {"model": asked, "seed": seed, **common}, run_dir))
    return jobs


def _asked(label: str, model: str, modality: str, rows: Sequence[Row]) -> str | None:
    """``--model`` of the run; None if the model has nothing to do with this modality."""
    if label != model:
        return str(Path(model).resolve())
    if model in ANY_MODALITY:
        return model
    changed = changed_row(model, rows)
    if changed:
        return model if changed.modality == modality else None
    if model in BASELINES:
        return model if modality in BASELINES[model] else None
    return next((row.name for row in rows if row.modality == modality and _is_meant(model, row)), None)


def read_result(job: Job) -> Result | None:
    """The result of a run that is finished and was asked for in the same way."""
    try:
        done = json.loads((job.run_dir / "bench.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    if done["order"] != job.order:
        return None
    scores = json.loads((job.run_dir / "scores.json").read_text("utf-8"))
    return Result.of(scores, job.set, job.modality, job.model, job.order["seed"], done["wall_s"])


def _run(job: Job, folder: Path) -> Result | None:
    """None if it was stopped from outside or could not start."""
    job.run_dir.mkdir(parents=True, exist_ok=True)
    (job.run_dir / "bench.json").unlink(missing_ok=True)
    (job.run_dir / "scores.json").unlink(missing_ok=True)
    options = [f"--{key}={value}" for key, value in job.order.items()]
    start = time.monotonic()
    with open(job.run_dir / "engine.log", "wb") as log:
        command = ["automl_engine", "run", str(folder.resolve()), "--out", str(job.run_dir.resolve()), *options]
        call([*command, "--no-export"], log)
    wall_s = round(time.monotonic() - start, 3)
    try:
        stopped = json.loads((job.run_dir / "scores.json").read_text("utf-8"))["stopped"]
    except FileNotFoundError:
        return None
    if stopped not in ("done", "budget", "failed"):
        return None
    write_json(job.run_dir / "bench.json", {"order": job.order, "wall_s": wall_s})
    return read_result(job)


def _last_line(log: Path) -> str:
    return (log.read_text("utf-8", "replace").strip().splitlines() or ["no word of why"])[-1]


def _told(result: Result) -> str:
    first = "no prediction" if result.first_prediction_s is None else f"first after {result.first_prediction_s:.1f} s"
    scores = f"ALC {result.alc:.3f}, NAUC {result.nauc:.3f}, {first}"
    return f"{result.set}, {result.model}, seed {result.seed}: {scores}"


def _bar(done: int, of_all: int) -> str:
    full = BAR_CHARS * done // of_all
    return f"{'█' * full}{'░' * (BAR_CHARS - full)} {done} of {of_all}"


def _left(jobs: Sequence[Job], results: Sequence[Result]) -> str:
    """The expected time: what the same model took at this budget, else the budget."""
    done = {(result.set, result.model, result.seed) for result in results}
    left_s = 0.0
    for job in jobs:
        if (job.set, job.model, job.order["seed"]) in done:
            continue
        budget_s = job.order["budget"]
        alike = [r.wall_s for r in results if (r.model, r.budget_s, r.modality) == (job.model, budget_s, job.modality)]
        left_s += mean(alike) if alike else budget_s + START_S
    minutes = round(left_s / 60)
    if minutes < 2:
        return f"about {left_s:.0f} s left"
    return f"about {minutes // 60} h {minutes % 60} min left" if minutes >= 90 else f"about {minutes} min left"
