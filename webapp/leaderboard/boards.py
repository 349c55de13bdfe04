"""The boards: configurations over public data sets, and public data sets with their best run.

Only public, finished runs on public data sets count, and only those of one budget are compared: the area under the
curve depends on it.  A model's score on a data set is the mean ALC of its runs there; models are ranked on each data
set by it (ties share the mean rank), and the average rank decides, as in the challenge.  It is taken over data sets on
which all models compared were run: others would compare unlike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from statistics import fmean
from typing import Any, NamedTuple

from django.db.models import Avg, Count, F, Max, Sum, TextField, Window
from django.db.models.functions import Cast, RowNumber

from webapp.datasets.models import Dataset
from webapp.leaderboard.dataset_board import is_baseline
from webapp.portfolio.models import PortfolioRow
from webapp.runs.models import ranked

SHOWN = ("id", "name", "title", "modality", "majority_accuracy")
STATE_OF_RUNS: dict[str, Any] = {
    "runs": Count("*"),
    "alcs": Sum("alc"),
    "weighed": Sum(F("alc") * F("number")),
    "last": Cast(Max("ended"), TextField()),  # only to be compared: a text takes a third of the time
}
"""Of the runs on a data set; changes with every one that comes, goes or is scored, and an index holds it all."""
MOST_ASKED_FOR = 500
"""Data sets whose places are asked for by name; beyond them those of all are."""
_PLACE: dict[str, Any] = {"partition_by": ["dataset_id", "budget_s", "model"]}
IN_PLACE = {
    "mean_alc": Window(Avg("alc"), **_PLACE),
    "runs": Window(Count("id"), **_PLACE),
    "accuracy_sum": Window(Sum("accuracy"), **_PLACE),
    "accuracy_count": Window(Count("accuracy"), **_PLACE),
    "first_sum_s": Window(Sum("first_prediction_s"), **_PLACE),
    "first_count": Window(Count("first_prediction_s"), **_PLACE),
}
"""Over all runs of a model on a data set at one training time."""


class Place(NamedTuple):
    """A model on a data set at one training time: its best run, and means and counts over all its runs there."""

    dataset_id: str
    id: str
    number: int
    model: str
    alc: float
    nauc: float | None
    accuracy: float | None
    budget_s: int
    mean_alc: float
    runs: int
    accuracy_sum: float | None
    accuracy_count: int
    first_sum_s: float | None
    first_count: int


@dataclass(frozen=True, slots=True)
class Cell:
    """A model on a data set."""

    place: Place
    rank: float

    @property
    def alc(self) -> float:
        return self.place.mean_alc

    @property
    def runs(self) -> int:
        return self.place.runs

    @property
    def best_run_id(self) -> str:
        return self.place.id


@dataclass
class ModelRow:
    """A line of the models' board."""

    model: str
    modalities: list[str]
    mean_accuracy: float | None
    mean_first_prediction_s: float | None
    wins: int
    baseline: bool
    average_rank: float | None = None
    """Over the common data sets, as the mean ALC; None if it was not run on all of them."""
    mean_alc: float | None = None
    cells: dict[str, Cell] = field(default_factory=dict)  # by data set id


@dataclass(frozen=True, eq=False)
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


Cells = dict[int, dict[str, Cell]]
"""Of a data set: by training time and model."""


@dataclass(frozen=True, eq=False)
class Contents:
    """What all boards are made of, at one moment; by the id of a public data set, or the name of a configuration."""

    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    states: dict[str, list[Any]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    cells: dict[str, Cells] = field(default_factory=dict)


_last = Contents()


def board(budget_s: int | None = None, modality: str = "") -> Board:
    """Three queries, and one where runs have changed; by default the budget with most runs, and all modalities."""
    return _board(_now(), budget_s, modality)


def _now() -> Contents:
    """The last contents while nothing has changed, else new ones, with the cells of all data sets that have not."""
    global _last
    last = _last
    datasets = {row["id"]: row for row in Dataset.objects.filter(public=True).order_by().values(*SHOWN)}
    groups = ranked().order_by().values_list("dataset").annotate(**STATE_OF_RUNS)
    states = {id: state for id, *state in groups if id in datasets}
    kinds = dict(PortfolioRow.objects.values_list("name", "model"))
    if (datasets, states, kinds) != (last.datasets, last.states, last.kinds):
        _board.cache_clear()
        last = _last = Contents(datasets, states, kinds, _cells(states, last))
    return last


def _cells(states: dict[str, list[Any]], last: Contents) -> dict[str, Cells]:
    changed = {id for id, state in states.items() if state != last.states.get(id)}
    places: dict[str, dict[int, list[Place]]] = {id: defaultdict(list) for id in changed}
    runs = ranked().filter(dataset__in=changed) if len(changed) <= MOST_ASKED_FOR else ranked()
    number = Window(RowNumber(), order_by=[F("alc").desc(), F("id").asc()], **_PLACE)
    best = runs.annotate(place=number, **IN_PLACE).filter(place=1).order_by()
    for place in map(Place._make, best.values_list(*Place._fields)):
        if place.dataset_id in changed:
            places[place.dataset_id][place.budget_s].append(place)
    found = {id: {budget_s: _compared(own) for budget_s, own in of_id.items()} for id, of_id in places.items()}
    return {id: found[id] if id in changed else last.cells[id] for id in states}


def _compared(places: list[Place]) -> dict[str, Cell]:
    alcs = [place.mean_alc for place in places]
    return {place.model: Cell(place, _rank(place.mean_alc, alcs)) for place in places}


@lru_cache(maxsize=16)
def _board(contents: Contents, budget_s: int | None, modality: str) -> Board:
    counts: Counter[int] = Counter()
    for of_budgets in contents.cells.values():
        for budget, cells in of_budgets.items():
            counts[budget] += sum(cell.runs for cell in cells.values())
    if budget_s not in counts:
        budget_s = max(counts, key=lambda b: (counts[b], b)) if counts else None
    rows = []
    of_models: dict[str, dict[str, Cell]] = defaultdict(dict)
    for id, of_budgets in contents.cells.items():
        dataset, cells = contents.datasets[id], of_budgets.get(budget_s or 0, {})
        if cells and modality in ("", dataset["modality"]):
            places = [cell.place for cell in cells.values()]
            best = min(places, key=lambda place: (-place.alc, place.model))
            rows.append({**dataset, "runs": sum(place.runs for place in places), "best": best})
            for model, cell in cells.items():
                of_models[model][id] = cell
    rows.sort(key=lambda row: (row["modality"], row["name"], row["id"]))
    models = [_model_row(model, cells, contents) for model, cells in of_models.items()]
    common = _rank_models(models)
    models.sort(key=lambda row: (row.average_rank or inf, -(row.mean_alc or 0), row.model))
    modalities = sorted({contents.datasets[id]["modality"] for id in contents.cells})
    return Board(budget_s, modality, sorted(counts), modalities, models, common, rows)


def _model_row(model: str, cells: dict[str, Cell], contents: Contents) -> ModelRow:
    places = [cell.place for cell in cells.values()]
    return ModelRow(
        model=model,
        modalities=sorted({contents.datasets[id]["modality"] for id in cells}),
        mean_accuracy=_ratio((place.accuracy_sum, place.accuracy_count) for place in places),
        mean_first_prediction_s=_ratio((place.first_sum_s, place.first_count) for place in places),
        wins=sum(cell.rank == 1 for cell in cells.values()),
        baseline=is_baseline(contents.kinds.get(model, model)),
        cells=cells,
    )


def _rank_models(rows: list[ModelRow]) -> int:
    """Give average ranks to those that can be compared; the number of their common data sets."""
    names, common = fullest({row.model: row.cells for row in rows})
    compared = [row for row in rows if row.model in names]
    alcs = {id: [row.cells[id].alc for row in compared] for id in common}
    for row in compared:
        row.average_rank = fmean(_rank(row.cells[id].alc, alcs[id]) for id in common)
        row.mean_alc = fmean(row.cells[id].alc for id in common)
    return len(common)


def fullest(run_on: Mapping[str, Collection[str]]) -> tuple[list[str], list[str]]:
    """The models and the data sets of the largest table without holes, from the data sets that each model was run on.

    Tables of several models come first, then those with most cells, then those of most models.
    """
    names = sorted({name for own in run_on.values() for name in own}, reverse=True)
    sets = {model: int("".join("01"[name in own] for name in names) or "0", 2) for model, own in run_on.items()}
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
    bits = f"{best:0{len(names)}b}"
    return models.get(best, []), sorted(name for name, bit in zip(names, bits, strict=False) if bit == "1")


def _ratio(sums: Iterable[tuple[float | None, int]]) -> float | None:
    """The mean over all runs."""
    found = list(sums)
    runs = sum(count for _, count in found)
    return sum(total or 0 for total, _ in found) / runs if runs else None


def _rank(value: float, values: list[float]) -> float:
    """1 is best; equals share the mean of their ranks."""
    return 1 + sum(other > value for other in values) + (values.count(value) - 1) / 2
