"""What goes to RQ: ids only, each with its own deadline.  Job ids are ours, so that a row can find its job."""

from __future__ import annotations

import django_rq
from rq.job import Job

from webapp.runs.models import Prediction, Run

TRAIN_MARGIN_S = 900  # loading before the clock, the last prediction after it
EXPORT_TIMEOUT_S = 900
PREDICT_TIMEOUT_S = 300


def enqueue_train(run: Run) -> None:
    """Queue the run; its job id tells the try, so that a retry is a job of its own."""
    run.job_id = f"train-{run.pk}-{run.tries + 1}"
    Run.objects.filter(pk=run.pk).update(job_id=run.job_id)
    timeout_s = run.budget_s + TRAIN_MARGIN_S
    queue = django_rq.get_queue("train")
    queue.enqueue("webapp.runs.jobs.train", run.pk, job_id=run.job_id, job_timeout=timeout_s)


def is_known(run: Run) -> bool:
    """Whether Redis still holds the run's job (it may have lost its memory)."""
    return Job.exists(run.job_id, connection=django_rq.get_connection("train"))


def enqueue_export(run_id: str) -> None:
    django_rq.get_queue("work").enqueue("webapp.runs.jobs.export", run_id, job_timeout=EXPORT_TIMEOUT_S)


def enqueue_predict(prediction: Prediction) -> None:
    """Ahead of conversions: somebody is looking at the page."""
    queue = django_rq.get_queue("work")
    queue.enqueue("webapp.runs.jobs.predict", prediction.pk, job_timeout=PREDICT_TIMEOUT_S, at_front=True)
