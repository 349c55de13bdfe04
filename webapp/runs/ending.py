"""The end of a run: its final state, and sentences that say what happened, what is kept and what to do."""

from __future__ import annotations

import re
from typing import Any

from django.db import transaction
from django.utils import timezone

from webapp import engine
from webapp.database import patiently
from webapp.datasets.storage import remove
from webapp.ops.health import probes
from webapp.ops.models import Fault
from webapp.runs import journal, notices, queue, teaching, words
from webapp.runs.models import Run
from webapp.runs.pages import alike

SCORES = ("alc", "nauc", "accuracy", "first_prediction_s")
ORDERLY = ("done", "budget", "user")  # how an engine ends that nothing stopped
KILLED = "The engine ran out of memory or was stopped by the system."
NO_ROOM = f"{probes.DISK_FULL}."
MEMORY_LIMIT = "of memory, the limit here"  # in the sentence with which the engine ends what takes more
MEMORY_SIGNS = re.compile(r"out of memory|MemoryError|bad_alloc|OutOfMemory|oom", re.IGNORECASE)


def settle(run: Run, code: int | None, trouble: str = "") -> None:
    """Write the final state after the engine ended, and keep what the run taught; it may be repeated.

    Args:
        code: the engine's exit code; None when nobody saw it end.
        trouble: then, the sentence that says why.
    """
    state = Run.objects.filter(pk=run.pk).values_list("state", flat=True).first()
    if state in Run.OPEN:  # else cancelled, deleted, or written by a call that could not teach
        run.state = state
        _end(run, code, trouble)
    teaching.teach(run)


def _end(run: Run, code: int | None, trouble: str) -> None:
    if run.points.exists() or (run.tries > 1 and journal.bring_back(run)):
        _finish(run, code, trouble)
    elif run.state == Run.State.STOPPING:
        reason = "You stopped it before its first prediction, so there is no model."
        _write(run, state=Run.State.CANCELLED, reason=reason)
    else:
        _fail(run, code, trouble)


def _fail_for_us(run: Run, trouble: str, **fields: Any) -> bool:
    """A failure that costs the user nothing, and that the status page lists."""
    is_too_large = MEMORY_LIMIT in trouble
    error = (
        f"{trouble} Your data {'' if is_too_large else 'is not the cause and '}is safe; the run does not count. "
        "Start it again; if it fails again, show the log to the administrator."
    )
    with transaction.atomic():
        written = _write(run, state=Run.State.FAILED, error=error, charged=False, **fields)
        if written:
            told = trouble in (KILLED, NO_ROOM)  # others may quote the data
            what = trouble if told else KILLED if is_too_large else "The engine of a run failed."
            Fault.objects.create(what=what, done="The run does not count; its earlier scores are kept.")
    return written


def forget_if_deleted(run: Run) -> None:
    """A run deleted while it learned may have left files written after the deletion."""
    if not patiently(Run.objects.filter(pk=run.pk).exists):
        remove(run.folder)


def _finish(run: Run, code: int | None, trouble: str) -> None:
    """There are predictions: their scores and their model are kept, however it ended."""
    scores = engine.read_json(run.dir / "scores.json") or {}
    fields: dict[str, Any] = {key: scores[key] for key in SCORES if key in scores}
    is_challenge_code = (engine.read_json(run.dir / "run.json") or {}).get("model") == "challenge"
    fields["export_state"] = Run.Export.NONE if is_challenge_code else Run.Export.QUEUED
    with transaction.atomic():
        if run.state == Run.State.STOPPING or scores.get("stopped") in ORDERLY:
            ended = _write(run, state=Run.State.FINISHED, error="", reason=_why_ended(run, scores), **fields)
        else:
            reason = "A fault stopped the run; the last prediction before it is kept."
            ended = _fail_for_us(run, trouble or _trouble(run, code), reason=reason, **fields)
        if ended:
            if alike.is_missing(run.dataset):
                queue.enqueue_compare(run)
            if not is_challenge_code:
                queue.enqueue_export(run)


def _why_ended(run: Run, scores: dict[str, Any]) -> str:
    """Why it ended in order, in words."""
    stopped = scores.get("stopped")
    if run.state == Run.State.STOPPING or stopped == "user":
        return "You stopped it; the model that is best on held-out training samples is kept."
    if stopped == "budget":
        return f"The training time of {words.duration(run.budget_s)} is over."
    after = f" after {words.duration((timezone.now() - run.started).total_seconds())}" if run.started else ""
    reason = str(scores.get("reason", "")).strip().rstrip(".")
    return f"Training ended{after}: {reason}." if reason else f"Training ended{after}."


def _fail(run: Run, code: int | None, trouble: str) -> None:
    """There is no prediction at all."""
    scores = engine.read_json(run.dir / "scores.json") or {}
    if trouble:
        _fail_for_us(run, trouble)
    elif code == engine.EXIT_DATA_ERROR and _failure(run).get("what") != "process":  # else it hit a limit
        error = f"{_last_line(run)} Fix the data or change its settings, and start again."
        _write(run, state=Run.State.FAILED, error=error)
    elif scores.get("stopped") == "budget":
        error = (
            f"There was no prediction within {words.duration(run.budget_s)}. The run does not count: "
            "start it again with more time."
        )
        _write(run, state=Run.State.FAILED, error=error, charged=False)
    else:
        _fail_for_us(run, _trouble(run, code))


def _trouble(run: Run, code: int | None) -> str:
    """A crash in words, from the journal's last failure, the exit code and the end of the log."""
    error = str(_failure(run).get("error", ""))
    if probes.is_disk_full(f"{error} {_last_line(run)}"):
        return NO_ROOM
    if MEMORY_LIMIT in error:
        return error
    if code == -9 or MEMORY_SIGNS.search(f"{error} {_last_line(run)}"):
        return KILLED
    if error:
        return f"The engine stopped with an error ({error.rstrip('.')})."
    return f"The engine ended without a message (code {code})."


def _failure(run: Run) -> dict[str, Any]:
    """The journal's last failure; empty if it tells none."""
    failures = [event for event in engine.events.read(run.dir / "events.jsonl")[0] if event["event"] == "failed"]
    return failures[-1] if failures else {}


def _last_line(run: Run) -> str:
    lines = engine.log_tail(run.dir).splitlines()
    return lines[-1] if lines else ""


def _write(run: Run, **fields: Any) -> bool:
    """Only an open run can end; False when somebody else ended it or it was deleted."""
    now = timezone.now()
    with transaction.atomic():
        ended = bool(Run.objects.filter(pk=run.pk, state__in=Run.OPEN).update(state_since=now, ended=now, **fields))
        if ended:
            notices.plan(run.pk)
    return ended
