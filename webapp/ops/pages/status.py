"""Contents of the status page: workers, queues, disk, faults."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from redis.exceptions import RedisError
from rq import Worker
from rq.registry import FinishedJobRegistry
from rq.utils import as_text
from rq.worker import BaseWorker

from webapp.ops import queues
from webapp.runs.start import forecast
from webapp.runs.words import duration

JOB_S = 10.0
"""Assumed duration of a job other than training while none has ended."""
PURPOSES = {"train": "training", "convert": "conversion", "pack": "packing", "predict": "prediction"}
OTHER = "other"
STATES = {"idle": "free", "busy": "busy", "starting": "starting", "started": "starting", "suspended": "paused"}


@dataclass(frozen=True)
class WorkerState:
    """One worker, without the data that it works on."""

    purpose: str
    device: str
    state: str
    since: datetime | None  # of the present job

    @property
    def badge(self) -> str:
        return {"free": "good", "busy": "busy"}.get(self.state, "")


@dataclass(frozen=True)
class QueueState:
    purpose: str
    waiting: int
    wait_s: float  # of a job that would be sent now

    @property
    def about(self) -> str:
        """The forecast without digits that it does not have."""
        return duration(round(self.wait_s, -1 if self.wait_s >= 10 else 0))


@dataclass(frozen=True)
class Disk:
    total_bytes: int
    free_bytes: int

    @property
    def used_bytes(self) -> int:
        return self.total_bytes - self.free_bytes

    @property
    def is_low(self) -> bool:
        return self.free_bytes < max(2 * 2**30, self.total_bytes // 50)


def machinery() -> tuple[list[WorkerState], list[QueueState]] | None:
    """Workers and queues, or None when Redis does not answer."""
    try:
        all_queues = [queues.get(name) for name in settings.RQ_QUEUES]
        workers = [_worker_state(worker) for worker in Worker.all(connection=all_queues[0].connection)]
        states = [QueueState(PURPOSES[queue.name], queue.count, _wait_s(queue)) for queue in all_queues]
    except RedisError:
        return None
    order = [*PURPOSES.values(), OTHER]
    return sorted(workers, key=lambda worker: (order.index(worker.purpose), worker.device)), states


def disk() -> Disk:
    usage = shutil.disk_usage(settings.DATA_DIR)
    return Disk(usage.total, usage.free)


def _worker_state(worker: BaseWorker) -> WorkerState:
    names = worker.queue_names()
    device = worker.connection.hget(worker.key, "device")
    job = worker.get_current_job()
    return WorkerState(
        purpose=PURPOSES.get(names[0] if names else "", OTHER),
        device=as_text(device) if device else "unknown device",
        state=STATES.get(worker.get_state(), worker.get_state()),
        since=job.started_at if job else None,
    )


def _wait_s(queue: queues.FairQueue) -> float:
    """Of somebody who has no job: for training as forecast, else the time of the last jobs, for each owner ahead."""
    if queue.name == "train":
        return forecast().starts_in_s
    if not queue.count and not queue.started_job_registry.count:
        return 0.0
    lately = FinishedJobRegistry(queue=queue).get_job_ids(-10, -1)
    taken_s = [
        (job.ended_at - job.started_at).total_seconds()
        for job in (queue.fetch_job(job_id) for job_id in lately)
        if job and job.started_at and job.ended_at
    ]
    mean_s = sum(taken_s) / len(taken_s) if taken_s else JOB_S
    return mean_s * (queue.waiting_owners() + 0.5)
