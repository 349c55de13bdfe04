"""Scores of runs that their owners share, to improve the engine's choices in future runs.

They are stored as ``Lesson`` rows.  ``DATA_DIR/knowledge`` is made from these: the engine's own tables and a line for
each shared run, for ``automl_engine run --knowledge``.  It holds scores and a few statistics of the data, never
samples, under an anonymous name; only users who may see a data set can see which one it is.
"""

from __future__ import annotations

import fcntl
import math
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from webapp import engine, store
from webapp.portfolio.scores import WHOLE, add_run_score, forget_run_score, name_of
from webapp.runs.models import Lesson, Run

AUTO_VERSION = 1


def folder() -> Path | None:
    """The tables for the engine instead of its own; None while no run is shared."""
    if store.is_remote():
        rewrite()  # another machine may have written down what is new
    path = _path()
    return path if path.exists() else None


def can_teach(run: Run) -> bool:
    """Whether this run's score may be shared and is representative: it is still open, or ended by itself or at its
    budget.  Only the owner of private data can share its statistics, also if it was public when the run began, and
    nobody scores that this site has not found itself.
    """
    if run.imported or not (run.dataset.public or run.dataset.owner_id == run.owner_id):
        return False
    if run.is_open:
        return True
    scores = engine.read_json(run.dir / "scores.json") or {}
    return run.state == Run.State.FINISHED and scores.get("stopped") in WHOLE


def agree(run: Run) -> None:
    """The owner shares the run: its scores are stored when it ends, or now if it has ended."""
    Run.objects.filter(pk=run.pk).update(teaches=True)
    teach(run)


def withdraw(run: Run) -> None:
    """The owner withdraws the run: its shared scores are deleted."""
    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(teaches=False)  # waits for a worker that is just sharing it
        forget_run_score(run)
        deleted, _ = Lesson.objects.filter(run=run.pk).delete()
    if deleted:
        rewrite()


def forget_deleted(run: Run) -> None:
    """Before a run is deleted: its shared scores on private data are deleted too."""
    deleted, _ = Lesson.objects.filter(run=run.pk, dataset__public=False).delete()
    if deleted:
        transaction.on_commit(rewrite, robust=True)


def teach(run: Run) -> bool:
    """Store the scores of a finished run once, if its owner shares them; returns whether they are new."""
    found = engine.read_json(run.dir / "features.json") or {}
    with transaction.atomic():
        fresh = Run.objects.select_for_update().filter(pk=run.pk, state=Run.State.FINISHED, teaches=True).first()
        if fresh is None or not can_teach(fresh):
            return False
        features = {key: _finite(value) for key, value in found.get("features", {}).items()}
        modality = found.get("modality", fresh.dataset.modality)  # as the engine took it
        about = {"dataset": fresh.dataset, "name": name_of(fresh.dataset), "modality": modality}
        kept = about | {"features": features, "score": _score(fresh)}
        _, new = Lesson.objects.get_or_create(run=fresh, defaults=kept)
    rewrite()  # also if it is not new: an earlier call may have failed just before this
    return new


def rewrite() -> None:
    """Write the folder from the engine's present tables and all shared runs; does nothing if there are none."""
    path = _path()
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the last writer must have read all rows
        lessons = list(Lesson.objects.order_by("pk"))
        if not lessons and not path.exists():
            return
        scores = [lesson.score | _about(lesson) for lesson in lessons]
        features: dict[str, dict[str, dict[str, float]]] = {}
        for lesson in lessons:
            if lesson.features:
                numbers = {key: math.nan if value is None else value for key, value in lesson.features.items()}
                features.setdefault(lesson.modality, {})[lesson.name] = numbers
        engine.write_knowledge(path, scores, features)


def _path() -> Path:
    return settings.DATA_DIR / "knowledge"


def _about(lesson: Lesson) -> dict[str, str]:
    return {"dataset": lesson.name, "source": lesson.name, "modality": lesson.modality}


def _score(run: Run) -> dict[str, Any]:
    """The run as a line of scores.csv (docs/formats.md), without the data set."""
    scores = engine.read_json(run.dir / "scores.json") or {}
    row = add_run_score(run)  # in the database's table, too; None for auto
    took_s = (run.ended - run.started).total_seconds() if run.ended and run.started else 0.0
    return {
        "row": run.model,
        "version": row.version if row else AUTO_VERSION,
        "budget_s": float(run.budget_s),
        "t0_s": float(run.t0_s),
        "seed": run.seed,
        "device": str(scores.get("device", "")),
        "alc": run.alc,
        "nauc": run.nauc,
        "first_prediction_s": run.first_prediction_s,
        "wall_s": round(took_s, 1),
        "engine": str(scores.get("versions", {}).get("autodl-self-service", "")),
        "date": f"{run.ended:%Y-%m-%d}" if run.ended else "",
    }


def _finite(value: Any) -> float | None:
    """JSON in a database holds no NaN."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
