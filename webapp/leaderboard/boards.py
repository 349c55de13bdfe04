"""The boards: configurations over public data sets, and public data sets with their best run.

Only public, finished runs on public data sets count, and only those of one budget are compared: the area under the
curve depends on it.  A model's score on a data set is the mean ALC of its runs there; models are ranked on each data
set by it (ties share the mean rank), and the average rank decides, as in the challenge.  It is taken over data sets on
which all models compared were run: others would compare unlike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from django.db.models import QuerySet

from webapp.leaderboard.dataset_board import is_baseline
from webapp.portfolio.models import PortfolioRow
from webapp.runs.models import Run

FIELDS = (
    "id",
    "number",
    "model",
    "alc",
    "nauc",
    "accuracy",
    "first_prediction_s",
    "budget_s",
    "dataset_id",
    "dataset__name",
    "dataset__modality",
    "dataset__title",
    "dataset__majority_accuracy",
    "ended",
)


@dataclass
class Cell:
    """A model on a data set."""

    alc: float
    rank: float
    runs: int
    best_run_id: str


@dataclass
class ModelRow:
    """A line of the models' board."""

    model: str
    modalities: list[str]
    mean_accuracy: float | None
    mean_first_prediction_s: float | None
    wins: int
    baseline: bool = False
    average_rank: float | None = None
    """Over the common data sets, as the mean ALC; None if it was not run on all of them."""
    mean_alc: float | None = None
    cells: dict[str, Cell] = field(default_factory=dict)  # by data set id


@dataclass
class Board:
    """Models and data sets at one budget and modality, and what else could be chosen."""

    budget_s: int | None
    modality: str
    budgets: list[int]
    modalities: list[str]
    models: list[ModelRow]
    common: int
    """Number of data sets that the average ranks are over."""
    datasets: list[dict[str, Any]]


def board(budget_s: int | None = None, modality: str = "") -> Board:
    """Two queries; by default the budget with most runs, and all modalities."""
    runs = list(_counted().values(*FIELDS))
    budgets = Counter(run["budget_s"] for run in runs)
    if budget_s not in budgets:
        budget_s = max(budgets, key=lambda b: (budgets[b], b)) if budgets else None
    modalities = sorted({run["dataset__modality"] for run in runs})
    shown = [
        run for run in runs if run["budget_s"] == budget_s and (not modality or run["dataset__modality"] == modality)
    ]
    kinds = dict(PortfolioRow.objects.values_list("name", "model"))
    found, common = model_rows(shown)
    rows = [replace(row, baseline=is_baseline(kinds.get(row.model, row.model))) for row in found]
    return Board(budget_s, modality, sorted(budgets), modalities, rows, common, dataset_rows(shown))


def _counted() -> QuerySet[Run]:
    return Run.objects.filter(public=True, dataset__public=True, state=Run.State.FINISHED, alc__isnull=False)


def model_rows(runs: list[dict[str, Any]]) -> tuple[list[ModelRow], int]:
    """(best average rank first, then what cannot be compared; the number of common data sets)."""
    cells = _cells(runs)
    compared, common = fullest({model: frozenset(of_model) for model, of_model in cells.items()})
    alcs = [[cells[model][dataset_id].alc for model in compared] for dataset_id in common]
    rows = [
        _model_row(model, of_model, [run for run in runs if run["model"] == model]) for model, of_model in cells.items()
    ]
    for row in rows:
        if row.model in compared:
            own = [of_dataset[compared.index(row.model)] for of_dataset in alcs]
            row.average_rank = _mean([_rank(alc, all_) for alc, all_ in zip(own, alcs, strict=True)])
            row.mean_alc = _mean(own)
    return sorted(rows, key=lambda row: (row.average_rank or inf, -(row.mean_alc or 0), row.model)), len(common)


def _cells(runs: list[dict[str, Any]]) -> dict[str, dict[str, Cell]]:
    """By model and data set."""
    by_dataset: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        by_dataset[run["dataset_id"]][run["model"]].append(run)
    cells: dict[str, dict[str, Cell]] = defaultdict(dict)
    for dataset_id, of_models in by_dataset.items():
        means = {model: _mean([run["alc"] for run in own]) for model, own in of_models.items()}
        for model, own in of_models.items():
            best = max(own, key=lambda run: run["alc"])
            cells[model][dataset_id] = Cell(
                means[model], _rank(means[model], list(means.values())), len(own), best["id"]
            )
    return cells


def fullest(run_on: Mapping[str, frozenset[str]]) -> tuple[list[str], list[str]]:
    """The models and the data sets of the largest table without holes, from the data sets that each model was run on.

    Tables of several models come first, then those with most cells, then those of most models.
    """
    choices = {a & b for a in run_on.values() for b in run_on.values()} - {frozenset()}
    tables = [([model for model, own in run_on.items() if sets <= own], sorted(sets)) for sets in choices]
    return max(
        tables,
        key=lambda table: (len(table[0]) > 1, len(table[0]) * len(table[1]), len(table[0]), table[1]),
        default=([], []),
    )


def _model_row(model: str, cells: dict[str, Cell], runs: list[dict[str, Any]]) -> ModelRow:
    first = [run["first_prediction_s"] for run in runs if run["first_prediction_s"] is not None]
    accuracies = [run["accuracy"] for run in runs if run["accuracy"] is not None]
    return ModelRow(
        model=model,
        modalities=sorted({run["dataset__modality"] for run in runs}),
        mean_accuracy=_mean(accuracies) if accuracies else None,
        mean_first_prediction_s=_mean(first) if first else None,
        wins=sum(cell.rank == 1 for cell in cells.values()),
        cells=cells,
    )


def _rank(value: float, values: list[float]) -> float:
    """1 is best; equals share the mean of their ranks."""
    return 1 + sum(other > value for other in values) + (values.count(value) - 1) / 2


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def dataset_rows(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each data set with its number of runs and its best one, by name."""
    of_dataset: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        of_dataset[run["dataset_id"]].append(run)
    rows = [
        {
            "id": dataset_id,
            "name": own[0]["dataset__name"],
            "title": own[0]["dataset__title"],
            "modality": own[0]["dataset__modality"],
            "majority_accuracy": own[0]["dataset__majority_accuracy"],
            "runs": len(own),
            "best": max(own, key=lambda run: run["alc"]),
        }
        for dataset_id, own in of_dataset.items()
    ]
    return sorted(rows, key=lambda row: (row["modality"], row["name"]))
