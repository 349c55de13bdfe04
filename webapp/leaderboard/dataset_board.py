"""The ranking on one public data set: its public runs by user or configuration, and scores of configurations there.

A run of the engine (``auto``) is an entry of its user, a run of one configuration an entry of the configuration,
whoever started it.  The best ALC of each counts; only entries of one training time are compared.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive, make_aware

from webapp.datasets.models import Dataset
from webapp.portfolio.models import PortfolioRow, Score
from webapp.runs.models import ranked

FIELDS = ("id", "number", "owner_id", "model", "alc", "nauc", "first_prediction_s", "budget_s", "ended")


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


def dataset_board(dataset: Dataset, budget_s: int | None = None) -> DatasetBoard:
    """Three queries; by default the training time with most entries."""
    found = [*_runs(dataset), *_evaluations(dataset)]
    budgets = Counter(entry["budget_s"] for entry in found)
    if budget_s not in budgets:
        budget_s = max(budgets, key=lambda b: (budgets[b], b)) if budgets else None
    rows = dict(PortfolioRow.objects.filter(modality=dataset.modality).values_list("name", "model"))
    by_name: dict[tuple[int | None, str], list[dict[str, Any]]] = defaultdict(list)
    for entry in found:
        if entry["budget_s"] == budget_s:
            by_name[entry["owner_id"] if entry["model"] == "auto" else None, entry["model"]].append(entry)
    best = {name: max(own, key=lambda entry: entry["alc"]) for name, own in by_name.items()}
    alcs = [entry["alc"] for entry in best.values()]
    entries = [
        Entry(
            rank=1 + sum(alc > own["alc"] for alc in alcs),
            user=user,
            configuration=model,
            baseline=is_baseline(rows.get(model, model)),
            entries=len(by_name[user, model]),
            date=max((entry["ended"] for entry in by_name[user, model] if entry["ended"]), default=None),
            **{key: own[key] for key in ("alc", "nauc", "first_prediction_s")},
            run_id=own["id"],
        )
        for (user, model), own in best.items()
    ]
    tried = {entry.configuration for entry in entries}
    entries.sort(key=lambda entry: (entry.rank, entry.configuration, entry.user or 0))
    return DatasetBoard(budget_s, sorted(budgets), entries, sorted(rows.keys() - tried))


def is_baseline(model: str) -> bool:
    """A model of the engine that others are compared with: the constant and the linear ones."""
    return model == "constant" or model.split("_")[-1] == "linear"


def _runs(dataset: Dataset) -> list[dict[str, Any]]:
    return list(ranked().filter(dataset=dataset).values(*FIELDS))


def _evaluations(dataset: Dataset) -> list[dict[str, Any]]:
    """Scores of configurations whose runs are not public, or deleted."""
    scores = Score.objects.filter(site_dataset=dataset, alc__isnull=False).exclude(run__public=True)
    values = scores.values("row", "alc", "nauc", "first_prediction_s", "budget_s", "date")
    return [
        {**line, "model": line["row"], "owner_id": None, "id": None, "ended": _time(line["date"])} for line in values
    ]


def _time(text: str) -> datetime | None:
    found = parse_datetime(text) or parse_datetime(f"{text}T00:00")
    return make_aware(found) if found and is_naive(found) else found
