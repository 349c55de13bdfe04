"""Stop and cancel: a change of the run's row, which its worker reads five times a second."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from webapp.runs import notices
from webapp.runs.models import Run

State = Run.State


def stop(run: Run) -> None:
    """Stop now and keep the best model; a run that waits is cancelled."""
    if not _change(run, (State.RUNNING,), state=State.STOPPING):
        _cancel_waiting(run)


def cancel(run: Run) -> None:
    """End the run and keep nothing; a run that never started does not count."""
    if not _cancel_waiting(run):
        fields = {"state": State.CANCELLED, "ended": timezone.now(), "reason": "You cancelled this run."}
        with transaction.atomic():
            if _change(run, (State.RUNNING, State.STOPPING), **fields):
                notices.plan(run.pk)


def _cancel_waiting(run: Run) -> bool:
    reason = "You cancelled this run before it started, so it does not count."
    fields = {"ended": timezone.now(), "reason": reason, "error": "", "charged": run.tries > 0}
    return _change(run, (State.QUEUED,), state=State.CANCELLED, **fields)


def _change(run: Run, before: tuple[State, ...], **fields: Any) -> bool:
    """Only from one of the states ``before``: of two requests at once one wins."""
    return bool(Run.objects.filter(pk=run.pk, state__in=before).update(state_since=timezone.now(), **fields))
