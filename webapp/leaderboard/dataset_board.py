"""The ranking on one public data set: its public runs by user or configuration, and scores of configurations there.

A run of the engine (``auto``) is an entry of its user, a run of one configuration an entry of the configuration,
whoever started it.  The best ALC of each counts; only entries of one training time are compared.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Max
from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from webapp.datasets.models import Dataset
from webapp.portfolio.models import PortfolioRow, Score
from webapp.runs.models import ranked

Name = tuple[int | None, str]
"""A user with ``auto``, or no user and a configuration."""


@dataclass(frozen=True)
class Entry:
    """A line of the board."""

    rank: int  # equals share the better place
    user: int | None  # None: a configuration
    configuration: str
    baseline: bool
    entries: int
    date: datetime | None  # of the last entry
    alc: float
    nauc: float | None
    first_prediction_s: float | None
    run_id: str | None  # None: an evaluation whose run is not public


@dataclass(frozen=True)
class DatasetBoard:
    budget_s: int | None
    budgets: list[int]
    entries: list[Entry]
    untried: list[str] = field(default_factory=list)  # configurations without a score here


def dataset_board(dataset: Dataset, budget_s: int | None = None, most: int | None = None) -> DatasetBoard:
    """Four queries; by default the training time with most entries, and all entries."""
    groups: list[Mapping[str, Any]] = [*_runs(dataset), *_evaluations(dataset)]
    budgets: Counter[int] = Counter()
    for group in groups:
        budgets[group["budget_s"]] += group["entries"]
    if budget_s not in budgets:
        budget_s = max(budgets, key=lambda b: (budgets[b], b)) if budgets else None
    rows = dict(PortfolioRow.objects.filter(modality=dataset.modality).values_list("name", "model"))
    by_name: dict[Name, list[Mapping[str, Any]]] = defaultdict(list)
    for group in groups:
        if group["budget_s"] == budget_s:
            by_name[_name(group)].append(group)
    best = {name: max(own, key=lambda group: group["best"]) for name, own in by_name.items()}
    alcs = sorted(group["best"] for group in best.values())
    shown = sorted(best, key=lambda name: (-best[name]["best"], name[1], name[0] or 0))[:most]
    runs = _best_runs(dataset, budget_s, {best[name]["best"] for name in shown})
    abouts = {name: best[name] if "id" in best[name] else runs.get((*name, best[name]["best"])) for name in shown}
    entries = [
        Entry(
            rank=1 + len(alcs) - bisect_right(alcs, about["alc"]),
            user=user,
            configuration=model,
            baseline=is_baseline(rows.get(model, model)),
            entries=sum(group["entries"] for group in by_name[user, model]),
            date=max((group["last"] for group in by_name[user, model] if group["last"]), default=None),
            **{key: about[key] for key in ("alc", "nauc", "first_prediction_s")},
            run_id=about["id"],
        )
        for (user, model), about in abouts.items()
        if about  # else it was deleted just now
    ]
    tried = {model for _, model in by_name}
    return DatasetBoard(budget_s, sorted(budgets), entries, sorted(rows.keys() - tried))


def is_baseline(model: str) -> bool:
    """A model of the engine that others are compared with: the constant and the linear ones."""
    return model == "constant" or model.split("_")[-1] == "linear"


def _name(entry: Mapping[str, Any]) -> Name:
    return entry["owner_id"] if entry["model"] == "auto" else None, entry["model"]


def _runs(dataset: Dataset) -> Iterable[Mapping[str, Any]]:
    """How many runs of each model and user there are at each training time, and the best ALC; an index holds it all."""
    groups = ranked().filter(dataset=dataset).order_by().values("budget_s", "model", "owner_id")
    return groups.annotate(entries=Count("*"), best=Max("alc"), last=Max("ended"))


def _best_runs(dataset: Dataset, budget_s: int | None, alcs: set[float]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    """The runs with these ALCs, by name and ALC; of equals the one with the smallest id."""
    runs = ranked().filter(dataset=dataset, budget_s=budget_s or 0, alc__in=alcs).order_by()
    found = runs.values("id", "owner_id", "model", "alc", "nauc", "first_prediction_s")
    return {(*_name(run), run["alc"]): run for run in sorted(found, key=lambda run: run["id"], reverse=True)}


def _evaluations(dataset: Dataset) -> list[dict[str, Any]]:
    """Scores of configurations whose runs are not public, or deleted."""
    scores = Score.objects.filter(site_dataset=dataset, alc__isnull=False).exclude(run__public=True)
    values = scores.values("row", "alc", "nauc", "first_prediction_s", "budget_s", "date")
    about = {"owner_id": None, "id": None, "entries": 1}
    return [
        {**line, **about, "model": line["row"], "best": line["alc"], "last": _time(line["date"])} for line in values
    ]


def _time(text: str) -> datetime | None:
    found = parse_datetime(text) or parse_datetime(f"{text}T00:00")
    return make_aware(found) if found and is_naive(found) else found
