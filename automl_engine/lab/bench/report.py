"""What a benchmark found: results.csv (a line a run), summary.json and table.md (a line a set), and the plots.

A cell is the median over the seeds with its range.  Models are ranked on each set by their median ALC; a model's
average rank is over the sets that it was run on, among the models that were run there.  ``auto`` has a table of its
own: against published results, which were made on other splits of the sets, and against the baselines on this one.
"""

from __future__ import annotations

import csv
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import psutil

from automl_engine.errors import DataError
from automl_engine.files import atomic_write, write_json
from automl_engine.lab.bench import comparisons, plots
from automl_engine.lab.bench.baselines import BASELINES, TUNED
from automl_engine.lab.bench.ranks import rankings
from automl_engine.portfolio import MODALITIES
from automl_engine.run.scoring import average_rank

REFERENCES = Path(__file__).with_name("references.csv")


@dataclass(frozen=True)
class Result:
    """One finished run: a line of results.csv, and its curve."""

    set: str
    modality: str
    model: str
    seed: int
    budget_s: float
    t0_s: float
    alc: float
    nauc: float
    best_nauc: float
    """The highest on the curve."""
    accuracy: float | None
    first_prediction_s: float | None
    predictions: int
    wall_s: float
    stopped: str
    reason: str
    device: str
    versions: dict[str, str] = field(default_factory=dict)
    curve: list[tuple[float, float]] = field(default_factory=list)
    """(s, NAUC) of each prediction."""
    clock: str = "wall"

    @classmethod
    def of(cls, scores: dict[str, Any], set_: str, modality: str, model: str, seed: int, wall_s: float) -> Result:
        """From a run's ``scores.json``."""
        curve = [(point["t"], point["nauc"]) for point in scores["predictions"]]
        keys = ("budget_s", "t0_s", "alc", "nauc", "accuracy", "first_prediction_s", "stopped", "reason", "device")
        return cls(
            set=set_,
            modality=modality,
            model=model,
            seed=seed,
            best_nauc=max((nauc for _, nauc in curve), default=0.0),
            predictions=len(curve),
            wall_s=wall_s,
            versions=scores["versions"],
            curve=curve,
            clock=scores.get("clock", "wall"),
            **{key: scores[key] for key in keys},
        )


def write_report(out: Path, results: Sequence[Result], faults: Sequence[str], references: Path | None = None) -> None:
    """All files of OUT that are made from the results."""
    if not results:
        return
    summary = summarise(results, read_references(references or REFERENCES))
    summary |= {"made": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "faults": list(faults)}
    summary["plots"] = plots.write_plots(results, summary, out / "plots")
    _write_results(out / "results.csv", results)
    write_json(out / "summary.json", summary)
    with atomic_write(out / "table.md") as part:
        part.write_text(markdown(summary), encoding="utf-8")


def _write_results(path: Path, results: Iterable[Result]) -> None:
    rows = [asdict(result) for result in results]
    names = [name for name in rows[0] if name not in ("versions", "curve")]
    with atomic_write(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def read_references(path: Path) -> list[dict[str, Any]]:
    """Published results: set, entry, budget_s, t0_s, alc, nauc, first_s (None where unknown), conditions.

    Raises:
        DataError: the file is no such table.
    """
    numbers = ("budget_s", "t0_s", "alc", "nauc", "first_s")
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [row | {key: float(row[key]) if row[key] else None for key in numbers} for row in rows]
    except (OSError, ValueError, KeyError) as error:
        columns = ", ".join(("set", "entry", *numbers, "conditions"))
        raise DataError(f"{path.name} cannot be read as a CSV with {columns} ({error!r}).") from error


def summarise(results: Sequence[Result], references: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sets with a cell for each model, and models, best average rank first."""
    models = list(dict.fromkeys(result.model for result in results))
    sets = []
    for name in dict.fromkeys(result.set for result in results):
        own = [result for result in results if result.set == name]
        sets.append(_set(name, own, models, references))
    seeds = {model: max(row["cells"][model]["seeds"] for row in sets if model in row["cells"]) for model in models}
    sets.sort(key=lambda row: (MODALITIES.index(row["modality"]), row["set"]))
    return {
        "version": 1,
        "t0_s": results[0].t0_s,
        "clocks": sorted({result.clock for result in results}),
        "seeds": max(seeds.values()),
        "repeated": sorted(model for model, count in seeds.items() if count > 1) if len({*seeds.values()}) > 1 else [],
        "versions": _versions(results),
        "devices": sorted({result.device for result in results}),
        "models": sorted((_model(model, sets) for model in models), key=lambda row: row["average_rank"]),
        "sets": sets,
        "ranks": [asdict(ranked) for ranked in rankings(sets)],
        **comparisons.comparisons(sets),
    }


def _set(
    name: str, own: Sequence[Result], models: Sequence[str], references: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    budget_s, t0_s = own[0].budget_s, own[0].t0_s
    known = [row for row in references if (row["set"], row["budget_s"], row["t0_s"]) == (name, budget_s, t0_s)]
    present = [model for model in models if any(result.model == model for result in own)]
    cells = {model: _cell([result for result in own if result.model == model]) for model in present}
    ranks = average_rank(np.array([[cell["alc"][0] for cell in cells.values()]]))
    for cell, rank in zip(cells.values(), ranks.tolist(), strict=True):
        cell |= {"rank": rank, "best": cell["alc"][0] == max(other["alc"][0] for other in cells.values())}
    with_alc = [row for row in known if row["alc"] is not None]
    baselines = [{"model": model, "alc": cells[model]["alc"][0]} for model in cells if model in BASELINES]
    best_here = max(cell["nauc"][0] for cell in cells.values())
    return {
        "set": name,
        "modality": own[0].modality,
        "budget_s": budget_s,
        "cells": cells,
        "reference": max(with_alc, key=lambda row: row["alc"]) if with_alc else None,
        "baseline": max(baselines, key=lambda row: row["alc"], default=None),
        "best_nauc_here": best_here,
        "best_known_nauc": max([best_here, *(row["nauc"] for row in known if row["nauc"] is not None)]),
    }


def _cell(own: Sequence[Result]) -> dict[str, Any]:
    """A model on a set: [median, min, max] over its seeds."""
    return {
        "seeds": len(own),
        "alc": _spread([r.alc for r in own]),
        "nauc": _spread([r.nauc for r in own]),
        "first_share": _spread([r.curve[0][1] / r.nauc for r in own if r.curve and r.nauc > 0]),
        "fall": max(r.best_nauc - r.nauc for r in own),
        "accuracy": _spread([r.accuracy for r in own]),
        "first_prediction_s": _spread([r.first_prediction_s for r in own]),
        "duration_s": _spread([r.curve[-1][0] if r.curve else None for r in own]),
        "predictions": median(r.predictions for r in own),
        "wall_s": _spread([r.wall_s for r in own]),
    }


def _spread(values: Iterable[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None]
    return [median(known), min(known), max(known)] if known else None


def _model(model: str, sets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    own = [(row, row["cells"][model]) for row in sets if model in row["cells"]]
    by_modality: dict[str, list[dict[str, Any]]] = {}
    for row, cell in own:
        by_modality.setdefault(row["modality"], []).append(cell)
    known = [(row, cell) for row, cell in own if row["reference"]]
    shares = [cell["alc"][0] / row["best_known_nauc"] for row, cell in own if row["best_known_nauc"] > 0]
    return {
        "model": model,
        "sets": len(own),
        "average_rank": mean(cell["rank"] for _, cell in own),
        "wins": sum(cell["best"] for _, cell in own),
        "mean_alc": mean(cell["alc"][0] for _, cell in own),
        "by_modality": {name: mean(cell["alc"][0] for cell in cells) for name, cells in by_modality.items()},
        "nauc_by_modality": {name: mean(cell["nauc"][0] for cell in cells) for name, cells in by_modality.items()},
        "share_of_best_nauc": mean(shares) if shares else None,
        "above_reference": sum(cell["alc"][0] > row["reference"]["alc"] for row, cell in known),
        "with_reference": len(known),
    }


def _versions(results: Iterable[Result]) -> dict[str, str]:
    """Several, separated by commas, if a package changed between runs."""
    found: dict[str, list[str]] = {}
    for result in results:
        for package, version in result.versions.items():
            if version not in found.setdefault(package, []):
                found[package].append(version)
    return {package: ", ".join(versions) for package, versions in found.items()}


def machine() -> dict[str, Any]:
    """Processor, cores, memory and accelerators."""
    info = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return {
        "cpu": name[1] if name else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": _gpus(),
    }


def _gpus() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.split("\n")[:-1]


def markdown(summary: dict[str, Any]) -> str:
    """``table.md``: models, sets, everything, plots."""
    parts = [conditions(summary), _models_table(summary), _sets_table(summary), *comparisons.markdown(summary)]
    parts += [*auto_table(summary), _details_table(summary)]
    parts += ["\n".join(f"![{plot['title']}](plots/{plot['file']})" for plot in summary["plots"])]
    if summary["faults"]:
        parts.append("## What failed\n" + "\n".join(f"- {fault}" for fault in summary["faults"]))
    return "# Benchmark\n\n" + "\n\n".join(parts) + "\n"


def conditions(summary: dict[str, Any]) -> str:
    """Under which the figures were made, in one paragraph."""
    at, versions = summary["machine"], ", ".join(f"{k} {v}" for k, v in summary["versions"].items())
    return (
        f"Made {summary['made'][:10]} on {at['cores']} cores of {at['cpu']}, {at['memory_gb']:g} GiB, "
        f"{', '.join([*at['gpus'], *summary['devices']])}; {versions}.\n"
        f"{_seeds(summary)}; t0 = {summary['t0_s']:g} s; T = budget; {' and '.join(summary['clocks'])} clock. "
        "References are others' code on a machine of their own: conditions in summary.json."
    )


def _seeds(summary: dict[str, Any]) -> str:
    if summary["seeds"] == 1:
        return "One run each"
    told = f"Median of {summary['seeds']} seeds (min to max)"
    return f"{', '.join(summary['repeated'])}: {told}; the others: one run" if summary["repeated"] else told


def _models_table(summary: dict[str, Any]) -> str:
    modalities = list(dict.fromkeys(row["modality"] for row in summary["sets"]))
    rows = [["model", "average rank", "wins", "sets", "mean ALC", *modalities, "ALC / best NAUC", "above reference"]]
    for row in summary["models"]:
        by = [_number(row["by_modality"].get(modality)) for modality in modalities]
        share, above = _number(row["share_of_best_nauc"]), _above(row)
        rank = f"{row['average_rank']:.2f}"
        rows.append([row["model"], rank, row["wins"], row["sets"], _number(row["mean_alc"]), *by, share, above])
    return "## Models\n" + _table(rows)


def _sets_table(summary: dict[str, Any]) -> str:
    models = [row["model"] for row in summary["models"]]
    rows = [["set", "modality", "T in s", *models, "best reference"]]
    for row in summary["sets"]:
        told = []
        for model in models:
            cell = row["cells"].get(model)
            text = _range(cell["alc"]) if cell else "–"
            told.append(f"**{text}**" if cell and cell["best"] else text)
        best = row["reference"]
        reference = f"{best['alc']:.3f} {best['entry']}" if best else "–"
        rows.append([row["set"], row["modality"], f"{row['budget_s']:g}", *told, reference])
    return "## ALC\n" + _table(rows)


def auto_table(summary: dict[str, Any]) -> list[str]:
    """``auto`` against references and baselines, with the mean of every modality; nothing where it was not run."""
    told = [(row, _against(row)) for row in summary["sets"] if "auto" in row["cells"]]
    if not told:
        return []
    head = ["ALC", "over the best reference", "over the best baseline", "over both", "ALC / best NAUC known"]
    head += ["ALC / best NAUC on this split", "NAUC over the tuned baseline", "first / final NAUC", "fall"]
    rows = [["set", *head, "first prediction s", "best reference", "best baseline"]]
    for row, figures in told:
        reference, baseline = row["reference"], row["baseline"]
        names = [reference["entry"] if reference else "–", baseline["model"] if baseline else "–"]
        first = _range(row["cells"]["auto"]["first_prediction_s"], 2)
        rows.append([row["set"], *(_number(figure) for figure in figures), first, *names])
    for modality in dict.fromkeys(row["modality"] for row, _ in told):
        columns = zip(*(figures for row, figures in told if row["modality"] == modality), strict=True)
        known = [[figure for figure in column if figure is not None] for column in columns]
        means = [_number(mean(column)) if column else "–" for column in known]
        rows.append([f"**mean of {modality}**", *means, "", "", ""])
    return [f"## auto against the rest\n{_table(rows)}"]


def _against(row: dict[str, Any]) -> list[float | None]:
    """The figures of a line of the table, None where there is nothing to compare with."""
    cell, tuned = row["cells"]["auto"], row["cells"].get(TUNED)
    alc, nauc = cell["alc"][0], cell["nauc"][0]
    rivals = [rival["alc"] if rival else None for rival in (row["reference"], row["baseline"])]
    best = max((rival for rival in rivals if rival is not None), default=None)
    over = [None if rival is None else alc - rival for rival in (*rivals, best)]
    shares = [alc / row[key] if row[key] > 0 else None for key in ("best_known_nauc", "best_nauc_here")]
    first = cell["first_share"][0] if cell["first_share"] else None
    return [alc, *over, *shares, nauc - tuned["nauc"][0] if tuned else None, first, cell["fall"]]


def _details_table(summary: dict[str, Any]) -> str:
    head = ["set", "model", "ALC", "final NAUC", "fall from the best", "accuracy", "first prediction s"]
    rows = [[*head, "predictions", "wall s"]]
    for row in summary["sets"]:
        for model, cell in row["cells"].items():
            scores = [_range(cell["alc"]), _range(cell["nauc"]), f"{cell['fall']:.3f}", _range(cell["accuracy"])]
            times = [_range(cell["first_prediction_s"], 2), f"{cell['predictions']:g}", _range(cell["wall_s"], 1)]
            rows.append([row["set"], model, *scores, *times])
    return "## Everything\n" + _table(rows)


def _above(row: dict[str, Any]) -> str:
    return f"{row['above_reference']} of {row['with_reference']}" if row["with_reference"] else "–"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _range(spread: Sequence[float] | None, digits: int = 3) -> str:
    if spread is None:
        return "–"
    middle, low, high = (f"{value:.{digits}f}" for value in spread)
    return middle if low == high else f"{middle} ({low} to {high})"


def _table(rows: Sequence[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
