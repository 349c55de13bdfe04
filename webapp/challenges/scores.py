"""Scores of entries on the public and on the final part of a test set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
from django.db.models import Q, QuerySet
from django.utils import timezone

from webapp import engine_hidden
from webapp.challenges.models import Challenge, Entry, told
from webapp.runs.models import Run, SpentRun

NO_RESULT = "The run ended without a result, so it does not count: start it again."
MOST_POINTS = 100
LATE = timedelta(minutes=1)
"""After so long the reaper scores what the worker of a run should have."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The labels of a test set, and which of its samples count on the public board."""

    solution: np.ndarray
    public: np.ndarray
    order: np.ndarray
    """Which test sample stands at each place of what participants download."""

    @property
    def can_be_scored(self) -> tuple[bool, bool]:
        """The public part, and the final one."""
        parts = (self.solution[self.public], self.solution[~self.public])
        return engine_hidden.can_be_scored(parts[0]), engine_hidden.can_be_scored(parts[1])

    def naucs(self, prediction: np.ndarray) -> tuple[float, float]:
        """On the public and on the final part, of a prediction in the order of the solution."""
        parts = (self.public, ~self.public)
        public, final = (engine_hidden.nauc(self.solution[part], prediction[part]) for part in parts)
        return public, final

    def in_order(self, sent: np.ndarray) -> np.ndarray:
        """Rows in the order of the download, in that of the solution."""
        prediction = np.empty_like(sent)
        prediction[self.order] = sent
        return prediction


def parts(challenge: Challenge) -> Parts:
    """Raises engine.DataError where the data set has no test labels."""
    path = engine_hidden.solution_path(challenge.dataset.files("*.solution"))
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _parts(path, stamp, challenge.salt, challenge.public_percent)


@lru_cache(maxsize=8)
def _parts(path: Path, _mtime_ns: int, salt: str, percent: int) -> Parts:
    solution = engine_hidden.read_solution(path)
    public = engine_hidden.public_part(solution, salt, percent)
    return Parts(solution, public, engine_hidden.hidden_order(salt, len(solution)))


def settle(run_id: str) -> None:
    """Score the entry of a run that has ended, if it is one; it may be repeated."""
    waiting = _waiting().filter(run=run_id).first()
    if waiting:
        _settle(waiting)


def reap() -> int:
    """Entries whose run was deleted, or whose worker was lost after the run had ended; returns how many."""
    ended = Q(run=None) | (~Q(run__state__in=Run.OPEN) & Q(run__state_since__lt=timezone.now() - LATE))
    late = list(_waiting().filter(ended, created__lt=timezone.now() - LATE))
    for entry in late:
        _settle(entry)
    return len(late)


def _waiting() -> QuerySet[Entry]:
    return Entry.objects.filter(state=Entry.State.WAITING).select_related("run", "challenge__dataset")


def _settle(entry: Entry) -> None:
    run, challenge = entry.run, entry.challenge
    if run is not None and run.is_open:
        return
    if run is None or challenge is None or run.state != Run.State.FINISHED or not _score(entry, run, parts(challenge)):
        entry.state, entry.error = Entry.State.FAILED, NO_RESULT
        SpentRun.objects.filter(owner=entry.user_id, created=entry.created).delete()
    names = ("state", "error", "public_nauc", "final_nauc", "alc", "points")
    fields = {name: getattr(entry, name) for name in names}
    Entry.objects.filter(pk=entry.pk, state=Entry.State.WAITING).update(**fields)


def _score(entry: Entry, run: Run, parts: Parts) -> bool:
    """Its last prediction counts, and the curve is that of the public part; False: there is no prediction."""
    files = engine_hidden.prediction_files(run.files("*.predict_*"))
    curve: list[tuple[float, float]] = []
    for k, t in run.points.filter(k__in=files).values_list("k", "t"):
        entry.public_nauc, entry.final_nauc = parts.naucs(engine_hidden.read_matrix(files[k]))
        curve.append((t, entry.public_nauc))
    if not curve:
        return False
    entry.state = Entry.State.SCORED
    entry.alc = engine_hidden.alc([t for t, _ in curve], [nauc for _, nauc in curve], run.budget_s, run.t0_s)
    entry.points = [[round(t, 1), told(nauc)] for t, nauc in curve[-MOST_POINTS:]]
    return True
