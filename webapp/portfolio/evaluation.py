"""Evaluation of a configuration on every public data set, before an administrator enables it.

The runs belong to the administrator but count against no quota and have low priority: the next one is queued only when
no other run waits (``advance``, called every 5 s by the reaper).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q
from django.db.models.query import QuerySet

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.portfolio.matrix import Matrix, matrices
from webapp.portfolio.models import Evaluation, PortfolioRow
from webapp.portfolio.scores import add_run_score
from webapp.runs import queue
from webapp.runs.models import Run

BUDGET_S, T0_S = 60, 60  # used until the score table has lines
FAILED = (Run.State.FAILED, Run.State.CANCELLED)


@dataclass(frozen=True)
class Progress:
    """Evaluations of the present version of a configuration."""

    all: int
    waiting: int
    open: list[Run]
    failed: list[Run]
    done: int

    @property
    def left(self) -> int:
        return self.waiting + len(self.open)

    @property
    def ended(self) -> int:
        return self.all - self.left


def open_datasets(row: PortfolioRow) -> QuerySet[Dataset]:
    """The public data sets of the configuration's modality."""
    return Dataset.objects.filter(public=True, state=Dataset.State.READY, modality=row.modality)


def conditions(matrix: Matrix) -> tuple[int, int]:
    """Budget and t0 in seconds, as in most lines of the score table, so that scores can be compared."""
    return round(matrix.budget_s or BUDGET_S), round(matrix.t0_s or T0_S)


def begin(row: PortfolioRow, by: User) -> int:
    """Plan a run on each public data set where this version has no score; returns the number of open runs."""
    budget_s, t0_s = conditions(next(iter(matrices(row.modality))))
    mine = Evaluation.objects.filter(row=row, version=row.version)
    with transaction.atomic():
        mine.filter(run__state__in=FAILED).delete()
        Evaluation.objects.bulk_create(
            (
                Evaluation(row=row, version=row.version, dataset=dataset, by=by, budget_s=budget_s, t0_s=t0_s)
                for dataset in open_datasets(row)
            ),
            ignore_conflicts=True,
        )
    advance()
    return mine.filter(Q(run=None) | Q(run__state__in=Run.OPEN)).count()


def stop(row: PortfolioRow) -> int:
    """Cancel the runs that have not started; returns their number."""
    return Evaluation.objects.filter(row=row, run=None).delete()[0]


def progress(row: PortfolioRow) -> Progress:
    mine = list(Evaluation.objects.filter(row=row, version=row.version).select_related("run__dataset"))
    runs = [evaluation.run for evaluation in mine if evaluation.run]
    return Progress(
        all=len(mine),
        waiting=len(mine) - len(runs),
        open=[run for run in runs if run.is_open],
        failed=[run for run in runs if run.state in FAILED],
        done=sum(run.state == Run.State.FINISHED for run in runs),
    )


def advance() -> None:
    """Store the scores of ended runs, and start the next run if the queue is empty."""
    ended = Evaluation.objects.exclude(run__state__in=Run.OPEN).filter(run__isnull=False, run__score=None)
    for evaluation in ended.exclude(run__state=Run.State.CANCELLED).select_related("run__dataset"):
        assert evaluation.run
        if add_run_score(evaluation.run) is None:  # it ended early, so its score cannot be compared
            evaluation.delete()
    waiting = Evaluation.objects.filter(run=None).select_related("row", "dataset", "by")
    for evaluation in waiting:
        if Run.objects.filter(state=Run.State.QUEUED).exists():
            break
        if evaluation.version != evaluation.row.version or not open_datasets(evaluation.row).contains(
            evaluation.dataset
        ):
            evaluation.delete()  # the configuration or the data set has changed
        else:
            _start(evaluation)


@transaction.atomic
def _start(evaluation: Evaluation) -> None:
    """Start the run once, also if two processes call this at the same time."""
    dataset = Dataset.objects.select_for_update().get(pk=evaluation.dataset_id)
    if not Evaluation.objects.filter(pk=evaluation.pk, run=None).exists():
        return
    run = Run.objects.create(
        owner=evaluation.by,
        dataset=dataset,
        number=Run.next_number(dataset),
        budget_s=evaluation.budget_s,
        t0_s=evaluation.t0_s,
        model=evaluation.row.name,
        charged=False,
        teaches=True,
    )
    Evaluation.objects.filter(pk=evaluation.pk).update(run=run)
    queue.enqueue_train(run)
