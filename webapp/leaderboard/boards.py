"""The boards: configurations over public data sets, and public data sets with their best run.

Only public, finished runs on public data sets count, and only those of one budget are compared: the area under the
curve depends on it.  A model's score on a data set is the mean ALC of its runs there; models are ranked on each data
set by it (ties share the mean rank), and the average rank decides, as in the challenge.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
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
    average_rank: float
    mean_accuracy: float | None
    mean_alc: float
    mean_first_prediction_s: float | None
    wins: int
    baseline: bool = False
    cells: dict[str, Cell] = field(default_factory=dict)  # by data set id


@dataclass
class Board:
    """Models and data sets at one budget and modality, and what else could be chosen."""

    budget_s: int | None
    modality: str
    budgets: list[int]
    modalities: list[str]
    models: list[ModelRow]
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
    rows = [replace(row, baseline=is_baseline(kinds.get(row.model, row.model))) for row in model_rows(shown)]
    return Board(budget_s, modality, sorted(budgets), modalities, rows, dataset_rows(shown))


def _counted() -> QuerySet[Run]:
    return Run.objects.filter(public=True, dataset__public=True, state=Run.State.FINISHED, alc__isnull=False)


def model_rows(runs: list[dict[str, Any]]) -> list[ModelRow]:
    """Best average rank first."""
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
    rows = [_model_row(model, own, [run for run in runs if run["model"] == model]) for model, own in cells.items()]
    return sorted(rows, key=lambda row: (row.average_rank, -row.mean_alc, row.model))


def _model_row(model: str, cells: dict[str, Cell], runs: list[dict[str, Any]]) -> ModelRow:
    first = [run["first_prediction_s"] for run in runs if run["first_prediction_s"] is not None]
    accuracies = [run["accuracy"] for run in runs if run["accuracy"] is not None]
    return ModelRow(
        model=model,
        modalities=sorted({run["dataset__modality"] for run in runs}),
        average_rank=_mean([cell.rank for cell in cells.values()]),
        mean_accuracy=_mean(accuracies) if accuracies else None,
        mean_alc=_mean([cell.alc for cell in cells.values()]),
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
