"""``python -m automl_engine meta costs --data DIR ...``: what each operation takes on this machine, for virtual clocks.

After "Meta-learning for image/video classification", section 5.4: the time of every operation is measured on a
reference machine and looked up afterwards.  Every portfolio row runs for some seconds on each data set under a
recording clock; then the time of an operation is fitted as a fixed part and a factor for each of its amounts, none of
them negative, by the least squares of relative errors.  A sum of such products also says what larger sizes take.

costs.csv: operation, amount ("" = the fixed part), seconds (of one), points (sizes that were measured), error (the
median relative one), and where and when: device, date, versions.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from automl_engine import clock
from automl_engine.errors import DataError
from automl_engine.files import atomic_write

Notes = dict[tuple[str, tuple[tuple[str, float], ...]], list[float]]
"""Seconds by operation and its amounts."""
SMALL_S = 1e-4
"""Seconds below which the error of a predicted time hardly counts, since measuring errs as much."""
PRIOR, FIXED_PRIOR = 0.03, 0.3
"""How strongly the factors of the amounts, and the fixed part, are drawn to zero."""
COLUMNS = ("operation", "amount", "seconds", "points", "error", "device", "date", "versions")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("--data", type=Path, nargs="+", default=[], metavar="DIR", help="folders with NAME.data")
    parser.add_argument(
        "--rows", nargs="+", metavar="ROW", help="configurations to measure beside auto (default: all of the modality)"
    )
    parser.add_argument(
        "--budget", type=float, default=5.0, metavar="S", help="training time of a configuration on a data set (5)"
    )
    parser.add_argument("--notes", type=Path, metavar="FILE", help="file of measurements, to which this call adds")
    parser.add_argument("--out", type=Path, default=clock.COSTS, metavar="CSV", help="the table (the built-in one)")


def main(options: argparse.Namespace) -> int:
    """Measures, adds to the notes, and writes the table."""
    notes: Notes = read_notes(options.notes) if options.notes and options.notes.exists() else {}
    for folder in options.data:
        for told, found in measure(folder, options.rows, options.budget):
            merge(notes, found)
            if options.notes:
                append_notes(options.notes, found)
            print(told, flush=True)
    if not notes:
        raise DataError("There is nothing to make a table of; name data sets with --data, or --notes of earlier calls.")
    lines = table(notes)
    write_table(options.out, lines)
    print(f"{len({line['operation'] for line in lines})} operations are in {options.out}.")
    return 0


def measure(folder: Path, only: Sequence[str] | None, budget_s: float) -> Iterator[tuple[str, Notes]]:
    """Run rows on one data set in this process: (a line of progress, what was noted) for each.

    Raises:
        DataError: the folder holds no data set.
    """
    from automl_engine.run.ingestion import Ingestion
    from automl_engine.run.supervisor import find_dataset

    data_dir, _ = find_dataset(folder)
    for name, model, params in _jobs(data_dir):
        if only and name not in only:
            continue
        order = {"name": name, "model": model, "params": params, "budget_s": budget_s, "t0_s": 60.0, "seed": 0}
        recorder = clock.Recorder()
        with TemporaryDirectory() as run_dir, clock.using(recorder):
            ingestion = Ingestion(Path(run_dir), {**order, "device": "cpu"}, recorder.now_s)
            ingestion.run(data_dir)
            spent_s = ingestion.elapsed_s()
        share = sum(map(sum, recorder.notes.values())) / max(spent_s, SMALL_S)
        yield f"{folder.name}, {name}: {spent_s:.1f} s, {share:.0%} of it in known operations", recorder.notes


def _jobs(data_dir: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(name, key of MODELS, parameters) of auto and of every row that can run on this data here."""
    from automl_engine.dataset.modality import modality
    from automl_engine.dataset.reader import open_split
    from automl_engine.models.configuration import can_join
    from automl_engine.portfolio import load

    kind, _ = modality(open_split(data_dir, "train"))
    rows = [row for row in load() if row.modality == kind]
    for row in rows:
        if can_join(row.model, row.params):
            yield row.name, row.model, dict(row.params)
    yield "auto", "auto", {"rows": [asdict(row) for row in rows if row.enabled]}


def merge(notes: Notes, more: Notes) -> None:
    """Add measurements to ``notes``."""
    for key, seconds in more.items():
        notes.setdefault(key, []).extend(seconds)


def append_notes(path: Path, notes: Notes) -> None:
    """JSON, a line an operation with its amounts."""
    with open(path, "a", encoding="utf-8") as file:
        for (operation, amounts), seconds in notes.items():
            file.write(json.dumps([operation, amounts, seconds]) + "\n")


def read_notes(path: Path) -> Notes:
    """What ``append_notes`` wrote.

    Raises:
        DataError: the file holds something else.
    """
    notes: Notes = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            operation, amounts, seconds = json.loads(line)
            merge(notes, {(operation, tuple((name, amount) for name, amount in amounts)): seconds})
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} holds no measurements of meta costs ({error}).") from error
    return notes


def table(notes: Notes) -> list[dict[str, Any]]:
    """The lines of costs.csv."""
    from automl_engine.dataset.decode import CORES
    from automl_engine.lab.bench.report import machine
    from automl_engine.run.supervisor import versions

    used = {name: number for name, number in versions().items() if not name.startswith("tensorflow")}
    here = {
        "device": f"{CORES} of {machine()['cores']} cores of {machine()['cpu']}",
        "date": date.today().isoformat(),
        "versions": " ".join(f"{name} {number}" for name, number in used.items()),
    }
    lines = []
    for operation in sorted({name for name, _ in notes}):
        points = [(dict(amounts), median(seconds)) for (name, amounts), seconds in notes.items() if name == operation]
        factors, error = fit(points)
        for amount, seconds in factors.items():
            about = {"points": len(points), "error": f"{error:.2f}", **here}
            lines.append({"operation": operation, "amount": amount, "seconds": f"{seconds:.4g}", **about})
    return lines


def fit(points: Sequence[tuple[dict[str, float], float]]) -> tuple[dict[str, float], float]:
    """(seconds by amount, with "" for the fixed part; the median relative error) from (amounts, seconds).

    What few measurements leave open is shared among the amounts rather than called fixed: so larger sizes take longer.
    """
    import numpy as np
    from scipy.optimize import nnls

    names = ["", *sorted({name for amounts, _ in points for name in amounts})]
    amounts = np.array([[1.0, *(found.get(name, 0.0) for name in names[1:])] for found, _ in points])
    seconds = np.array([taken for _, taken in points])
    weights = 1 / (seconds + SMALL_S)
    scale = np.maximum(amounts.max(0), 1e-12)
    prior = PRIOR * weights[amounts.argmax(0)]
    prior[0] = FIXED_PRIOR * np.median(weights)
    equations = np.concatenate([amounts / scale * weights[:, None], np.diag(prior)])
    found, _ = nnls(equations, np.append(seconds * weights, np.zeros(len(names))), maxiter=100 * len(names))
    errors = np.abs(amounts / scale @ found - seconds) * weights
    return dict(zip(names, (found / scale).tolist(), strict=True)), float(np.median(errors))


def write_table(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
