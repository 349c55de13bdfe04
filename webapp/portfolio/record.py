"""How portfolio rows did in the runs so far."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from webapp.runs.models import Run, ScorePoint

NAMES = re.compile(r"[\w-]+")


@dataclass
class Record:
    """One row's runs: those it was asked for alone, and those whose best prediction it made or shared in."""

    wins: list[Run] = field(default_factory=list)
    alcs: list[float] = field(default_factory=list)
    failures: int = 0

    @property
    def mean_alc(self) -> float | None:
        return sum(self.alcs) / len(self.alcs) if self.alcs else None


def records() -> dict[str, Record]:
    """Row name -> record.  A run is won by whoever made its best prediction (``ScorePoint.by``; a blend names all)."""
    found: dict[str, Record] = defaultdict(Record)
    best = _best_points()
    for run in Run.objects.filter(state=Run.State.FINISHED).select_related("dataset"):
        winners = set(NAMES.findall(best.get(run.pk, "")))
        for name in winners:
            found[name].wins.append(run)
        for name in winners | ({run.model} - {"auto"}):
            if run.alc is not None:
                found[name].alcs.append(run.alc)
    for name in Run.objects.filter(state=Run.State.FAILED).exclude(model="auto").values_list("model", flat=True):
        found[name].failures += 1
    return found


def _best_points() -> dict[str, str]:
    """Run id -> who made the best prediction; of equals the first."""
    rank = Window(RowNumber(), partition_by="run", order_by=[F("nauc").desc(), F("k").asc()])
    points = ScorePoint.objects.annotate(rank=rank).filter(rank=1)
    return dict(points.values_list("run_id", "by"))
