"""Scores of runs that their owners share, and what each configuration gained in them, for the order in future runs.

They are numbers alone; those of private data are deleted with the run.
"""

from __future__ import annotations

from django.db import transaction

from webapp import engine
from webapp.portfolio import gains
from webapp.portfolio.scores import WHOLE, add_run_score, forget_run_score
from webapp.runs.models import Run


def can_teach(run: Run) -> bool:
    """Whether this run's score may be shared and is representative: it is still open, or ended by itself or at its
    budget.  Only the owner of private data can share its scores, also if it was public when the run began, and nobody
    scores that this site has not found itself.
    """
    if run.imported or not (run.dataset.public or run.dataset.owner_id == run.owner_id):
        return False
    if run.is_open:
        return True
    scores = engine.read_json(run.dir / "scores.json") or {}
    return run.state == Run.State.FINISHED and scores.get("stopped") in WHOLE


def is_shared(run: Run) -> bool:
    """Whether its numbers are kept, or will be when it ends."""
    return run.teaches and can_teach(run)


def agree(run: Run) -> None:
    """The owner shares the run: its numbers are stored when it ends, or now if it has ended."""
    Run.objects.filter(pk=run.pk).update(teaches=True)
    teach(run)


@transaction.atomic
def withdraw(run: Run) -> None:
    """The owner withdraws the run: its shared numbers are deleted."""
    Run.objects.filter(pk=run.pk).update(teaches=False)  # waits for a worker that is just sharing it
    forget(run)


def forget(run: Run) -> None:
    forget_run_score(run)
    gains.forget(run)


@transaction.atomic
def teach(run: Run) -> None:
    """Store the numbers of a finished run, if its owner shares them; it may be repeated."""
    fresh = Run.objects.select_for_update().filter(pk=run.pk, state=Run.State.FINISHED).first()
    if fresh and is_shared(fresh):
        add_run_score(fresh)
        gains.learn(fresh)
