"""What runs send to the queues: ids only, each job with its own limit on time."""

from __future__ import annotations

from webapp.accounts.models import User
from webapp.ops import queues
from webapp.runs.models import Notice, Prediction, Run

OVERTIME_S = 600  # beside a run's budget: loading before the clock and finishing after it
EXPORT_LIMIT_S = 900
PREDICT_LIMIT_S = 300
COMPARE_LIMIT_S = 120
NOTICE_LIMIT_S = 60
WHY_LIMIT_S = 30


def enqueue_train(run: Run) -> None:
    """Queue the run; its job id tells the try, so that a retry is a job of its own."""
    run.job_id = f"train-{run.pk}-{run.tries + 1}"
    Run.objects.filter(pk=run.pk).update(job_id=run.job_id)
    limit_s = run.budget_s + OVERTIME_S
    queues.send("train", run.owner, "webapp.runs.jobs.train", run.pk, job_id=run.job_id, limit_s=limit_s)


def enqueue_export(run: Run) -> None:
    job_id = export_job(run.pk)
    queues.send("pack", run.owner, "webapp.runs.jobs.export", run.pk, job_id=job_id, limit_s=EXPORT_LIMIT_S)


def enqueue_predict(prediction: Prediction, explain: bool) -> None:
    job_id, owner = predict_job(prediction.pk), prediction.owner or prediction.run.owner
    function = "webapp.runs.jobs.predict_and_explain" if explain else "webapp.runs.jobs.predict"
    queues.send("predict", owner, function, prediction.pk, job_id=job_id, limit_s=PREDICT_LIMIT_S)


def enqueue_why(run: Run, index: int, user: User) -> None:
    job_id, item = why_job(run.pk, index), f"{run.pk}-{index}"
    queues.send("predict", user, "webapp.runs.why.explain", item, job_id=job_id, limit_s=WHY_LIMIT_S)


def enqueue_compare(run: Run) -> None:
    """Once for a data set, and before the packing, after which the page is not sent again; takes seconds."""
    dataset_id = run.dataset_id
    job_id = f"compare-{dataset_id}"
    queues.send("pack", run.owner, "webapp.runs.jobs.compare", dataset_id, job_id=job_id, limit_s=COMPARE_LIMIT_S)


def enqueue_notice(notice: Notice) -> None:
    """Takes seconds, so that the packing of models can wait for it."""
    job_id, owner = notice_job(notice), notice.run.owner
    queues.send("pack", owner, "webapp.runs.notices.deliver", str(notice.pk), job_id=job_id, limit_s=NOTICE_LIMIT_S)


def export_job(run_id: str) -> str:
    return f"export-{run_id}"


def predict_job(prediction_id: str) -> str:
    return f"predict-{prediction_id}"


def why_job(run_id: str, index: int) -> str:
    return f"why-{run_id}-{index}"


def notice_job(notice: Notice) -> str:
    return f"notice-{notice.pk}-{notice.tries}"
