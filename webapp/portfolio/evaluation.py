"""An administrator lets a row learn on every public data set, to know how good it is before it is enabled.

The runs are ordinary ones of the administrator, but they count against no quota and give way to everybody: the next
one enters the queue only when no run waits there (``advance``, called every 15 s by the reaper).
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Max, Q
from django.db.models.query import QuerySet

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.portfolio.matrix import Matrix, matrices
from webapp.portfolio.models import Evaluation, PortfolioRow
from webapp.portfolio.scores import add_run_score
from webapp.runs import queue
from webapp.runs.models import Run

BUDGET_S, T0_S = 60, 60  # where the score table has no lines yet
FAILED = (Run.State.FAILED, Run.State.CANCELLED)


@dataclass(frozen=True)
class Progress:
    """Of the evaluations of a row's present version."""

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
    """The public data sets that the row can learn from."""
    return Dataset.objects.filter(public=True, state=Dataset.State.READY, modality=row.modality)


def conditions(matrix: Matrix) -> tuple[int, int]:
    """Budget and t0 in seconds, as most of the score table has them: other scores could not be compared."""
    return round(matrix.budget_s or BUDGET_S), round(matrix.t0_s or T0_S)


def begin(row: PortfolioRow, by: User) -> int:
    """Note a run on each public data set, where this version has no good one; returns how many are to be made."""
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
    """Those that wait are not begun; returns how many."""
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
    """Take the scores of what has ended, and begin the next if nobody waits."""
    ended = Evaluation.objects.exclude(run__state__in=Run.OPEN).filter(run__isnull=False, run__score=None)
    for evaluation in ended.exclude(run__state=Run.State.CANCELLED).select_related("run__dataset"):
        assert evaluation.run
        if add_run_score(evaluation.run) is None:  # ended early: it tells nothing
            evaluation.delete()
    waiting = Evaluation.objects.filter(run=None).select_related("row", "dataset", "by")
    for evaluation in waiting:
        if Run.objects.filter(state=Run.State.QUEUED).exists():
            break
        if evaluation.version != evaluation.row.version or not open_datasets(evaluation.row).contains(
            evaluation.dataset
        ):
            evaluation.delete()  # the row or the data set is another one by now
        else:
            _start(evaluation)


@transaction.atomic
def _start(evaluation: Evaluation) -> None:
    """One of two calls at once begins it."""
    dataset = Dataset.objects.select_for_update().get(pk=evaluation.dataset_id)
    if not Evaluation.objects.filter(pk=evaluation.pk, run=None).exists():
        return
    number = (dataset.runs.aggregate(last=Max("number"))["last"] or 0) + 1
    run = Run.objects.create(
        owner=evaluation.by,
        dataset=dataset,
        number=number,
        budget_s=evaluation.budget_s,
        t0_s=evaluation.t0_s,
        model=evaluation.row.name,
        charged=False,
        teaches=True,
    )
    Evaluation.objects.filter(pk=evaluation.pk).update(run=run)
    queue.enqueue_train(run)
