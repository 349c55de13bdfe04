"""The boards: configurations over public data sets, and public data sets with their best run.

Only public, finished runs on public data sets count, and only those of one budget are compared: the area under the
curve depends on it.  A model's score on a data set is the mean ALC of its runs there; models are ranked on each data
set by it (ties share the mean rank), and the average rank decides, as in the challenge.  It is taken over data sets on
which all models compared were run: others would compare unlike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf
from typing import Any

from django.db.models import Avg, Count, F, Max, Min, QuerySet, Sum, Window
from django.db.models.functions import RowNumber

from webapp.datasets.models import Dataset
from webapp.leaderboard.dataset_board import is_baseline
from webapp.portfolio.models import PortfolioRow
from webapp.runs.models import Run, ranked

OF_DATASET = ("dataset_id", "dataset__modality")
SHOWN = ("id", "name", "title", "modality", "majority_accuracy")
OF_BEST = ("id", "number", "model", "alc", "nauc", "accuracy", "budget_s")
_PLACE: dict[str, Any] = {"partition_by": ["dataset_id", "model"]}
IN_PLACE = {
    "mean_alc": Window(Avg("alc"), **_PLACE),
    "runs": Window(Count("id"), **_PLACE),
    "accuracy_sum": Window(Sum("accuracy"), **_PLACE),
    "accuracy_count": Window(Count("accuracy"), **_PLACE),
    "first_sum_s": Window(Sum("first_prediction_s"), **_PLACE),
    "first_count": Window(Count("first_prediction_s"), **_PLACE),
}
"""Over all runs of a model on a data set."""
STATE_OF_RUNS: dict[str, Any] = {
    "runs": Count("id"),
    "alc_sum": Sum("alc"),
    "last": Max("ended"),
    "first_id": Min("id"),
    "last_id": Max("id"),
}
"""Changes with every run that comes, goes or is scored."""


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
    """Four queries, or three where nothing has changed; by default the budget with most runs, and all modalities."""
    counts: dict[int, int] = defaultdict(int)
    groups = _counted().values("budget_s", "dataset__modality").annotate(**STATE_OF_RUNS).order_by()
    state: tuple[tuple[Any, ...], ...] = tuple(sorted(tuple(group.values()) for group in groups))
    for budget, _, runs, *_ in state:
        counts[budget] += runs
    if budget_s not in counts:
        budget_s = max(counts, key=lambda b: (counts[b], b)) if counts else None
    ranking = _ranking(budget_s, modality, state)
    kinds = dict(PortfolioRow.objects.values_list("name", "model"))
    rows = [replace(row, baseline=is_baseline(kinds.get(row.model, row.model))) for row in ranking.models]
    modalities = sorted({modality for _, modality, *_ in state})
    return Board(budget_s, modality, sorted(counts), modalities, rows, ranking.common, _dataset_rows(ranking))


def _counted() -> QuerySet[Run]:
    return ranked().filter(dataset__public=True)


@dataclass(frozen=True)
class Ranking:
    """What follows from the runs alone."""

    models: list[ModelRow]
    common: int
    of_datasets: dict[str, list[dict[str, Any]]]
    """The places on each data set."""


@lru_cache(maxsize=16)
def _ranking(budget_s: int | None, modality: str, _state: tuple[Any, ...]) -> Ranking:
    """Found once for each state of the runs, which tells also when one was deleted, or is not public any more."""
    places = [] if budget_s is None else _places(budget_s, modality)
    of_datasets: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for place in places:
        of_datasets[place["dataset_id"]].append(place)
    return Ranking(*model_rows(places), of_datasets)


def _places(budget_s: int, modality: str) -> list[dict[str, Any]]:
    """For each model on each data set its best run, with means and counts over all its runs there."""
    runs = _counted().filter(budget_s=budget_s, **({"dataset__modality": modality} if modality else {}))
    number = Window(RowNumber(), order_by=[F("alc").desc(), F("id").asc()], **_PLACE)
    best = runs.annotate(place=number, **IN_PLACE).filter(place=1).order_by()
    return list(best.values(*OF_DATASET, *OF_BEST, *IN_PLACE))


def model_rows(places: list[dict[str, Any]]) -> tuple[list[ModelRow], int]:
    """(best average rank first, then what cannot be compared; the number of common data sets)."""
    of_datasets: dict[str, list[float]] = defaultdict(list)
    of_models: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for place in places:
        of_datasets[place["dataset_id"]].append(place["mean_alc"])
        of_models[place["model"]].append(place)
    rows = [_model_row(model, own, of_datasets) for model, own in of_models.items()]
    compared, common = fullest({row.model: list(row.cells) for row in rows})
    for row in rows:
        if row.model in compared:
            of_others = [[other.cells[name].alc for other in rows if other.model in compared] for name in common]
            own = [row.cells[name].alc for name in common]
            row.average_rank = _mean([_rank(alc, alcs) for alc, alcs in zip(own, of_others, strict=True)])
            row.mean_alc = _mean(own)
    return sorted(rows, key=lambda row: (row.average_rank or inf, -(row.mean_alc or 0), row.model)), len(common)


def fullest(run_on: Mapping[str, Collection[str]]) -> tuple[list[str], list[str]]:
    """The models and the data sets of the largest table without holes, from the data sets that each model was run on.

    Tables of several models come first, then those with most cells, then those of most models.
    """
    names = sorted({name for own in run_on.values() for name in own})
    bits = {name: 1 << at for at, name in enumerate(names)}
    sets = {model: sum(bits[name] for name in own) for model, own in run_on.items()}
    choices = {a & b for a in sets.values() for b in sets.values()} - {0}
    models = {chosen: [model for model, own in sets.items() if chosen & own == chosen] for chosen in choices}
    best = max(
        choices,
        key=lambda chosen: (
            len(models[chosen]) > 1,
            len(models[chosen]) * chosen.bit_count(),
            len(models[chosen]),
            chosen,
        ),
        default=0,
    )
    return models.get(best, []), [name for name in names if bits[name] & best]


def _model_row(model: str, places: list[dict[str, Any]], alcs: dict[str, list[float]]) -> ModelRow:
    cells = {
        place["dataset_id"]: Cell(
            place["mean_alc"], _rank(place["mean_alc"], alcs[place["dataset_id"]]), place["runs"], place["id"]
        )
        for place in places
    }

    return ModelRow(
        model=model,
        modalities=sorted({place["dataset__modality"] for place in places}),
        mean_accuracy=_ratio(places, "accuracy_sum", "accuracy_count"),
        mean_first_prediction_s=_ratio(places, "first_sum_s", "first_count"),
        wins=sum(cell.rank == 1 for cell in cells.values()),
        cells=cells,
    )


def _ratio(places: list[dict[str, Any]], total: str, count: str) -> float | None:
    """The mean over all runs."""
    runs = sum(place[count] for place in places)
    return sum(place[total] or 0 for place in places) / runs if runs else None


def _rank(value: float, values: list[float]) -> float:
    """1 is best; equals share the mean of their ranks."""
    return 1 + sum(other > value for other in values) + (values.count(value) - 1) / 2


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _dataset_rows(ranking: Ranking) -> list[dict[str, Any]]:
    """Each data set with its number of runs and its best one, by kind and name."""
    rows = [
        {
            **shown,
            "runs": sum(place["runs"] for place in ranking.of_datasets[shown["id"]]),
            "best": max(ranking.of_datasets[shown["id"]], key=lambda place: place["alc"]),
        }
        for shown in Dataset.objects.filter(public=True).order_by().values(*SHOWN)
        if shown["id"] in ranking.of_datasets
    ]
    return sorted(rows, key=lambda row: (row["modality"], row["name"]))
