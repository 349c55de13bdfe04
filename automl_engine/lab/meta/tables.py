"""The tables: what is known of each row on each known data set.

scores.csv              one line a run (``Score``); grows with every run
features_MODALITY.csv   one line a data set: dataset, source, then its meta-features (features.py)

Foreign tables work as well: one line a data set whose first column names it, one column a configuration or feature.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from automl_engine.errors import DataError
from automl_engine.files import atomic_write
from automl_engine.metalearning import TABLES

SCORES = TABLES / "scores.csv"


@dataclass(frozen=True)
class Score:
    """What one run of one row on one data set reached."""

    dataset: str
    source: str
    """The data set that this one is a variation of; its own name if of none."""
    modality: str
    row: str
    version: int
    """Of the row."""
    budget_s: float
    t0_s: float
    seed: int
    device: str
    alc: float
    """NaN where the run failed."""
    nauc: float
    first_prediction_s: float
    wall_s: float
    """Duration of the run in seconds on its clock, which may be a virtual one."""
    engine: str
    """Version of the engine."""
    date: str


@dataclass(frozen=True)
class Table:
    """ALC of rows (columns) on data sets (lines)."""

    datasets: list[str]
    sources: list[str]
    rows: list[str]
    alc: np.ndarray
    """(D, C); NaN where a row was not run or failed."""
    budget_s: float | None = None
    """Of the runs, where it is known."""

    def select(self, keep: Sequence[int]) -> Table:
        """Some of the data sets."""
        names, sources = ([column[i] for i in keep] for column in (self.datasets, self.sources))
        return Table(names, sources, self.rows, self.alc[list(keep)], self.budget_s)


def features_path(modality: str, folder: Path = TABLES) -> Path:
    return folder / f"features_{modality}.csv"


def read_scores(path: Path = SCORES) -> list[Score]:
    """All lines of a table of runs; none if there is no such file.

    Raises:
        DataError: the file is no such table.
    """
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [_score(line, f"{path.name}, line {number}") for number, line in enumerate(csv.DictReader(file), 2)]


def _score(line: dict[str, str], where: str) -> Score:
    kinds = {"int": int, "float": float, "str": str}
    try:
        return Score(**{item.name: kinds[str(item.type)](line[item.name]) for item in fields(Score)})
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where} is no line of a score table ({error!r}).") from error


def append_scores(scores: Iterable[Score], path: Path = SCORES) -> None:
    """Each line in one write, so that several processes may add to the same table."""
    names = [item.name for item in fields(Score)]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(",".join(names) + "\n", encoding="utf-8")
    with open(path, "a", newline="", encoding="utf-8") as file:
        for score in scores:
            csv.DictWriter(file, names, lineterminator="\n").writerow(asdict(score))
            file.flush()


def wide(scores: Iterable[Score], modality: str) -> Table:
    """The mean ALC over runs of the newest version of each row, one modality.

    Only runs of the most frequent budget and t0 count: others are not comparable.
    """
    scores = [score for score in scores if score.modality == modality]
    conditions = [(score.budget_s, score.t0_s) for score in scores]
    usual = max(set(conditions), key=conditions.count, default=None)
    newest: dict[str, int] = {}
    for score in scores:
        newest[score.row] = max(score.version, newest.get(score.row, 0))
    scores = [s for s in scores if (s.budget_s, s.t0_s) == usual and s.version == newest[s.row]]
    sources = {score.dataset: score.source for score in scores}
    datasets, rows = list(sources), list(dict.fromkeys(score.row for score in scores))
    alc = np.full((len(datasets), len(rows)), np.nan)
    for i, dataset in enumerate(datasets):
        for j, row in enumerate(rows):
            found = [s.alc for s in scores if s.dataset == dataset and s.row == row]
            alc[i, j] = np.mean(found) if found else np.nan
    return Table(datasets, list(sources.values()), rows, alc, usual[0] if usual else None)


def read_table(path: Path, modality: str = "image") -> Table:
    """A table of runs (``Score``; one modality of it) or a foreign one: data sets × configurations.

    Raises:
        DataError: it is neither.
    """
    header = _lines(path)[0]
    if "alc" in header:
        return wide(read_scores(path), modality)
    datasets, rows, alc = read_numbers(path)
    return Table(datasets, list(datasets), rows, alc)


def read_numbers(path: Path) -> tuple[list[str], list[str], np.ndarray]:
    """(names of the lines, names of the columns, (D, C) numbers): the first column names, ``source`` and
    ``modality`` are left out, an empty cell is NaN.

    Raises:
        DataError: there is no such table.
    """
    header, *lines = _lines(path)
    columns = [i for i, name in enumerate(header) if i and name not in ("source", "modality")]
    try:
        cells = [[float(line[i] or "nan") for i in columns] for line in lines]
    except (ValueError, IndexError) as error:
        raise DataError(f"{path.name} must hold numbers beside the names in its first column ({error}).") from error
    numbers = np.array(cells, np.float64).reshape(len(lines), len(columns))
    return [line[0] for line in lines], [header[i] for i in columns], numbers


def _lines(path: Path) -> list[list[str]]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The table {path} cannot be read ({error}).") from error
    if len(lines) < 2:
        raise DataError(f"The table {path.name} is empty.")
    return lines


def read_features(path: Path) -> dict[str, dict[str, float]]:
    """Meta-features by data set; none if there is no such file."""
    if not path.exists():
        return {}
    names, columns, numbers = read_numbers(path)
    return {name: dict(zip(columns, line, strict=True)) for name, line in zip(names, numbers.tolist(), strict=True)}


def write_features(path: Path, features: dict[str, dict[str, float]], sources: dict[str, str]) -> None:
    """One line a data set; what the file holds of other sets stays."""
    known: dict[str, dict[str, str]] = {}
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            known = {line["dataset"]: line for line in csv.DictReader(file)}
    for name, values in features.items():
        numbers = {key: f"{value:.6g}" for key, value in values.items()}
        known[name] = {"dataset": name, "source": sources[name], **numbers}
    columns = list(dict.fromkeys(key for line in known.values() for key in line))
    with atomic_write(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(known.values())
