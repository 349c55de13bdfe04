"""What runs teach the meta-learner, with their owners' consent.

The rows (``Lesson``) are the truth.  ``DATA_DIR/knowledge`` is made from them: the engine's own tables with a line a
lesson behind them, for ``automl_engine run --knowledge``.  Kept are scores and a few statistics of the data, never
samples, under a name that says nothing of the data set; only who may see the data set itself is told its name.
"""

from __future__ import annotations

import fcntl
import math
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from webapp import engine
from webapp.portfolio.scores import WHOLE, add_run_score, forget_run_score, name_of
from webapp.runs.models import Lesson, Run

AUTO_VERSION = 1


def folder() -> Path | None:
    """What the engine is to know instead of its own tables; None while nobody has taught anything."""
    path = _path()
    return path if path.exists() else None


def can_teach(run: Run) -> bool:
    """Whether this run's score tells what can be reached: it is still open, or it ended by itself or at its budget."""
    if run.is_open:
        return True
    scores = engine.read_json(run.dir / "scores.json") or {}
    return run.state == Run.State.FINISHED and scores.get("stopped") in WHOLE


def agree(run: Run) -> None:
    """The owner agrees: at the end of the run, or now if that is over, it teaches."""
    Run.objects.filter(pk=run.pk).update(teaches=True)
    teach(run)


def withdraw(run: Run) -> None:
    """The owner does not agree (any more): what was kept is deleted."""
    with transaction.atomic():
        Run.objects.filter(pk=run.pk).update(teaches=False)  # waits for a worker that is just teaching
        forget_run_score(run)
        deleted, _ = Lesson.objects.filter(run=run.pk).delete()
    if deleted:
        rewrite()


def forget_deleted(run: Run) -> None:
    """Before a run is deleted: what it taught about private data goes with it."""
    deleted, _ = Lesson.objects.filter(run=run.pk, dataset__public=False).delete()
    if deleted:
        transaction.on_commit(rewrite, robust=True)


def teach(run: Run) -> bool:
    """Keep what a finished run taught, once, if its owner agrees; returns whether there is something new."""
    found = engine.read_json(run.dir / "features.json") or {}
    with transaction.atomic():
        fresh = Run.objects.select_for_update().filter(pk=run.pk, state=Run.State.FINISHED, teaches=True).first()
        if fresh is None or not can_teach(fresh) or not _may_tell(fresh):
            return False
        features = {key: _finite(value) for key, value in found.get("features", {}).items()}
        modality = found.get("modality", fresh.dataset.modality)  # as the engine took it
        about = {"dataset": fresh.dataset, "name": name_of(fresh.dataset), "modality": modality}
        kept = about | {"features": features, "score": _score(fresh)}
        _, new = Lesson.objects.get_or_create(run=fresh, defaults=kept)
    if new:
        rewrite()
    return new


def rewrite() -> None:
    """Make the folder anew from the engine's tables, as they are now, and all lessons; nothing if nobody taught."""
    path = _path()
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the last to come must have seen all rows
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


def _may_tell(run: Run) -> bool:
    """Private data is its owner's: a guest of data that was public when the run began cannot agree for them."""
    return run.dataset.public or run.dataset.owner_id == run.owner_id


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
