"""Runs of this site whose best prediction a configuration made, alone or in an ensemble."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django.db.models import OuterRef, Subquery

from webapp.runs.models import Run, ScorePoint

NAMES = re.compile(r"[\w-]+")
SHOWN = 30


def wins(name: str) -> Sequence[Run]:
    """The newest finished runs whose best prediction this configuration contributed to (see ``ScorePoint.by``)."""
    best = ScorePoint.objects.filter(run=OuterRef("pk")).order_by("-nauc", "k").values("by")[:1]
    runs = Run.objects.filter(state=Run.State.FINISHED, points__by__contains=name).distinct()
    runs = runs.annotate(best_by=Subquery(best)).filter(best_by__contains=name).select_related("dataset")
    return [run for run in runs[: 4 * SHOWN] if name in NAMES.findall(run.best_by)][:SHOWN]
