"""The engine's journal (``RUN/events.jsonl``) into rows.  Reading it twice changes nothing."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from webapp import engine, store
from webapp.database import patiently
from webapp.runs.models import Run, ScorePoint

LOST_TRY = "lost-try"  # folder in the run's folder with the files of the attempt whose worker was lost


def take(run: Run) -> int:
    """Read the whole events behind ``run.event_offset`` into rows; returns how many there were."""
    events, offset = engine.events.read(run.dir / "events.jsonl", run.event_offset)
    if not events:
        return 0
    scores = [event for event in events if event["event"] == "score"]
    fields: dict[str, Any] = {"event_offset": offset}
    started = next((event for event in events if event["event"] == "started"), None)
    if started:
        fields["started"] = datetime.fromtimestamp(started["time"], UTC)
    if scores:
        fields |= {key: scores[-1][key] for key in ("nauc", "accuracy", "alc")}
        first = next((event["t"] for event in scores if event["k"] == 0), None)
        if first is not None:
            fields["first_prediction_s"] = first
    with transaction.atomic():
        if not Run.objects.filter(pk=run.pk).update(**fields):
            return 0  # deleted meanwhile
        ScorePoint.objects.bulk_create([_point(run, event) for event in scores], ignore_conflicts=True)
    for key, value in fields.items():
        setattr(run, key, value)
    return len(events)


def _point(run: Run, event: dict[str, Any]) -> ScorePoint:
    fields = {key: event.get(key) for key in ("k", "t", "nauc", "accuracy", "alc")}
    return ScorePoint(run=run, by=str(event.get("by", ""))[:100], **fields)


def put_aside(run: Run) -> None:
    """Before a second attempt: move the files of the first one into ``LOST_TRY`` and delete its rows."""
    aside = run.dir.with_name(f"{run.pk}-{LOST_TRY}")
    shutil.rmtree(aside, ignore_errors=True)
    if run.dir.exists():
        run.dir.rename(aside)
        run.dir.mkdir()
        aside.rename(run.dir / LOST_TRY)
    patiently(lambda: _reset(run))


def bring_back(run: Run) -> bool:
    """After a second attempt without a prediction: restore the scores of the first one, if it has any."""
    aside = run.dir / LOST_TRY
    if not any(event["event"] == "score" for event in engine.events.read(aside / "events.jsonl")[0]):
        return False
    kept = run.dir.with_name(f"{run.pk}-{LOST_TRY}")
    aside.rename(kept)
    shutil.rmtree(run.dir)
    kept.rename(run.dir)
    store.push(run.folder)
    patiently(lambda: _reset(run))  # the files are moved already, so a second call would not find them
    patiently(lambda: take(run))
    return True


def lost_points(run: Run) -> list[dict[str, Any]]:
    """The scored predictions of the attempt whose worker was lost."""
    events, _ = engine.events.read(run.dir / LOST_TRY / "events.jsonl")
    return [event for event in events if event["event"] == "score"]


def _reset(run: Run) -> None:
    empty = {
        "event_offset": 0,
        "started": None,
        "nauc": None,
        "accuracy": None,
        "alc": None,
        "first_prediction_s": None,
    }
    with transaction.atomic():
        run.points.all().delete()
        Run.objects.filter(pk=run.pk).update(**empty)
    for key, value in empty.items():
        setattr(run, key, value)
