"""Jobs for RQ, which hold ids only.  Job ids are derived from rows, so that a row can find its job."""

from __future__ import annotations

import django_rq
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from webapp.runs.models import Prediction, Run

TRAIN_MARGIN_S = 900  # loading before the clock, the last prediction after it
EXPORT_TIMEOUT_S = 900
PREDICT_TIMEOUT_S = 300
COMPARE_TIMEOUT_S = 120
ALIVE = (JobStatus.CREATED, JobStatus.QUEUED, JobStatus.DEFERRED, JobStatus.SCHEDULED, JobStatus.STARTED)


def enqueue_train(run: Run) -> None:
    """Queue the run; its job id tells the try, so that a retry is a job of its own."""
    run.job_id = f"train-{run.pk}-{run.tries + 1}"
    Run.objects.filter(pk=run.pk).update(job_id=run.job_id)
    timeout_s = run.budget_s + TRAIN_MARGIN_S
    queue = django_rq.get_queue("train")
    queue.enqueue("webapp.runs.jobs.train", run.pk, job_id=run.job_id, job_timeout=timeout_s)


def enqueue_export(run_id: str) -> None:
    """Ahead of conversions, as predictions: somebody is looking at the page, and it takes seconds."""
    queue = django_rq.get_queue("work")
    queue.enqueue(
        "webapp.runs.jobs.export", run_id, job_id=export_job(run_id), job_timeout=EXPORT_TIMEOUT_S, at_front=True
    )


def enqueue_predict(prediction: Prediction) -> None:
    job_id = predict_job(prediction.pk)
    queue = django_rq.get_queue("work")
    queue.enqueue(
        "webapp.runs.jobs.predict", prediction.pk, job_id=job_id, job_timeout=PREDICT_TIMEOUT_S, at_front=True
    )


def enqueue_compare(dataset_id: str) -> None:
    """To be queued before the packing, after which the page is not sent again; once for a data set, takes seconds."""
    queue = django_rq.get_queue("work")
    queue.enqueue(
        "webapp.runs.jobs.compare",
        dataset_id,
        job_id=f"compare-{dataset_id}",
        job_timeout=COMPARE_TIMEOUT_S,
        at_front=True,
    )


def export_job(run_id: str) -> str:
    return f"export-{run_id}"


def predict_job(prediction_id: str) -> str:
    return f"predict-{prediction_id}"


def is_alive(job_id: str) -> bool:
    """Whether the job waits or is being done; not so when Redis forgot it or its worker was lost."""
    try:
        job = Job.fetch(job_id, connection=django_rq.get_connection("train"), serializer=JSONSerializer)
    except NoSuchJobError:
        return False
    return job.get_status() in ALIVE
