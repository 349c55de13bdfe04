"""A search over RQ workers: every trial is a job, and a job that is lost is sent again.

Each machine has the data at the same place and reaches the same storage; its workers are started in the project's
folder by ``rq worker search --url REDIS_URL --serializer rq.serializers.JSONSerializer``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import optuna
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from automl_engine.errors import DataError
from automl_engine.lab.search import bohb
from automl_engine.lab.search.runs import Plan, evaluate
from automl_engine.portfolio import space

QUEUE = "search"
START_S = 1200.0  # what constructing a model may take, see run.py
MOST_LOST = 10
"""Jobs; with more there is something wrong that another try doesn't cure."""
ON_THE_WAY = (JobStatus.QUEUED, JobStatus.STARTED, JobStatus.SCHEDULED, JobStatus.DEFERRED)


def make_trial(order: dict[str, Any], storage: str, name: str, trials: int) -> None:
    """The job: one trial, unless all are made or being made."""
    plan = Plan.from_json(order)
    parameters = space.parse(plan.space, plan.row)
    study = bohb.open_study(name, parameters, plan.budgets_s, storage, plan.seed)
    if bohb.left(study, trials) > 0:
        bohb.make_one(study, objective(plan, print), parameters, plan.budgets_s)


def objective(plan: Plan, say: Callable[[str], None]) -> bohb.Objective:
    return lambda params, budget_s: evaluate(plan, params, budget_s, plan.seed, say)


def spread(
    url: str, plan: Plan, storage: str, study: optuna.Study, trials: int, show: Callable[[optuna.Study], None]
) -> None:
    """Send jobs and watch until so many trials are finished.

    Raises:
        DataError: no Redis answers, or the workers lose one job after the other.
    """
    order = asdict(plan), storage, study.study_name, trials
    try:
        _spread(_queue(url), order, plan, study, trials, show)
    except RedisError as error:
        raise DataError(f"The Redis of --queue does not answer: {error}.") from error


def _queue(url: str) -> Queue:
    try:
        return Queue(QUEUE, connection=Redis.from_url(url), serializer=JSONSerializer)
    except ValueError as error:
        raise DataError(f"--queue must be the URL of a Redis: {error}.") from error


def _spread(
    queue: Queue,
    order: tuple[Any, ...],
    plan: Plan,
    study: optuna.Study,
    trials: int,
    show: Callable[[optuna.Study], None],
) -> None:
    timeout_s = int(len(plan.data) * sum(START_S + budget_s for budget_s in plan.budgets_s))
    options = {"job_timeout": timeout_s, "description": f"a trial of {plan.row}"}  # logs need not tell the storage
    sent: list[Job] = []
    lost: list[Job] = []
    try:
        while (missing := trials - bohb.finished(study)) > 0:
            optuna.storages.fail_stale_trials(study)
            queue.started_job_registry.cleanup()  # a worker that is no more has given no sign of life
            statuses = [job.get_status() for job in sent]
            lost += [job for job, status in zip(sent, statuses, strict=True) if status == JobStatus.FAILED]
            sent = [job for job, status in zip(sent, statuses, strict=True) if status in ON_THE_WAY]
            _check_lost(lost)
            sent += [queue.enqueue(make_trial, *order, **options) for _ in range(missing - len(sent))]
            show(study)
            time.sleep(bohb.POLL_S)
    finally:
        for job in sent:
            if job.get_status() == JobStatus.QUEUED:
                job.cancel()
    show(study)


def _check_lost(lost: list[Job]) -> None:
    if len(lost) > MOST_LOST:
        result = lost[-1].latest_result()
        last = (result.exc_string if result and result.exc_string else "no word of why").strip().splitlines()[-1]
        raise DataError(f"{len(lost)} jobs were lost; the last said: {last}")
