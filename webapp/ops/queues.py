"""Jobs of all queues: sent with their owner, started in fair turns, stopped when nobody wants their result any more."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import django_rq
from django.conf import settings
from django.utils import timezone
from django_rq.queues import DjangoRQ
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer
from rq.utils import as_text, utcparse

from webapp.database import PATIENCE_S, briefly, patiently
from webapp.ops import turns

if TYPE_CHECKING:  # RQ may ask for this module before the apps are loaded
    from webapp.accounts.models import User

log = logging.getLogger(__name__)
ALIVE = (JobStatus.CREATED, JobStatus.QUEUED, JobStatus.DEFERRED, JobStatus.SCHEDULED, JobStatus.STARTED)
ENDING_S = int(PATIENCE_S) + 60  # what a job may take beyond its limit, to write down how it ended
REMEMBERED_S = 24 * 3600
BEAT_S = 2  # how often a busy worker gives a sign of life
LOST_AFTER = timedelta(seconds=12)
"""A job, or a worker, that has been silent for so long is lost; with the reaper's interval this makes 20 s at most."""


class FairQueue(DjangoRQ):
    """Owners take turns (turns.py).

    Without Redis a job is only noted: its row is the truth, and the reaper sends it once Redis is back.
    """

    def original_enqueue_call(self, *args: Any, **kwargs: Any) -> Job | None:
        try:
            return super().original_enqueue_call(*args, **kwargs)
        except RedisError as error:
            log.warning("queue %s does not answer (%s); the reaper sends the job later", self.name, error)
            return None

    @classmethod
    def dequeue_any(
        cls, queues: Iterable[Queue], timeout: int | None, connection: Redis, *args: Any, **kwargs: Any
    ) -> tuple[Job, Queue] | None:
        """As RQ's, but for the order."""
        for queue in queues:
            assert isinstance(queue, FairQueue)
            connection.transaction(queue._put_next_first, queue.key)
        taken = super().dequeue_any(queues, timeout, connection, *args, **kwargs)
        if taken:  # perhaps after waiting at an empty queue, where nothing could be put first
            _note_start(connection, taken[1].name, taken[0])
        return taken

    def last_starts(self) -> dict[int, float]:
        """Owner -> when a job of theirs started last, within a day."""
        pairs: Any = self.connection.zrange(_starts_key(self.name), 0, -1, withscores=True)
        return {int(owner): start for owner, start in pairs}

    def waiting_owners(self) -> int:
        return len({ticket(job).owner for job in self._jobs(self.get_job_ids())})

    def _put_next_first(self, pipeline: Pipeline) -> None:
        """Another worker that chooses at the same moment must see our choice: redis-py then calls this again."""
        waiting = self._jobs(self.get_job_ids())
        if not waiting:
            return
        running = self._jobs(self.started_job_registry.get_job_ids(cleanup=False))
        owners = [ticket(job).owner for job in running if _gives_signs_of_life(job)]  # a lost worker takes no turn
        job = waiting[turns.next_index([ticket(job) for job in waiting], owners, self.last_starts())]
        pipeline.multi()
        pipeline.lrem(self.key, 1, job.id)
        pipeline.lpush(self.key, job.id)
        _note_start(pipeline, self.name, job)

    def _jobs(self, job_ids: list[str]) -> list[Job]:
        return [job for job in self.job_class.fetch_many(job_ids, self.connection, self.serializer) if job]


def _note_start(connection: Redis, queue_name: str, job: Job) -> None:
    now = time.time()
    connection.zadd(_starts_key(queue_name), {str(ticket(job).owner): now})
    connection.zremrangebyscore(_starts_key(queue_name), 0, now - REMEMBERED_S)


def _starts_key(queue_name: str) -> str:
    return f"turns:{queue_name}"


def ticket(job: Job) -> turns.Ticket:
    """Owner 0 for a job that an earlier version of the site has sent."""
    return turns.Ticket(job.meta.get("owner", 0), job.meta.get("guest", False))


def get(name: str) -> FairQueue:
    queue = django_rq.get_queue(name)
    assert isinstance(queue, FairQueue)
    return queue


def send(name: str, owner: User, function: str, row_id: str, *, job_id: str, limit_s: int) -> None:
    """Queue ``function(row_id)``; job ids are ours, so that a row can find its job."""
    meta = turns.Ticket(owner.pk, owner.guest)._asdict()
    get(name).enqueue(function, row_id, job_id=job_id, job_timeout=limit_s + ENDING_S, meta=meta)


def hand_over(name: str, job_id: str, owner: User) -> None:
    """From now on a job that waits has its turn as this owner's; without Redis it keeps the turn that it has."""
    try:
        job = get(name).fetch_job(job_id)
        if job:  # else it is done, or the reaper sends it again
            job.meta |= turns.Ticket(owner.pk, owner.guest)._asdict()
            job.save_meta()
    except RedisError as error:
        log.warning("job %s keeps its turn (%s)", job_id, error)


def is_alive(job_id: str) -> bool:
    """Whether the job waits or a worker that gives signs of life is on it; else Redis forgot it, or it is lost."""
    try:
        job = Job.fetch(job_id, connection=django_rq.get_connection("train"), serializer=JSONSerializer)
    except NoSuchJobError:
        return False
    status = job.get_status()
    if job.origin not in settings.RQ_QUEUES or status not in ALIVE:
        return False
    return status != JobStatus.STARTED or _gives_signs_of_life(job)


def _gives_signs_of_life(job: Job) -> bool:
    beat: Any = job.connection.hget(f"{Worker.redis_worker_namespace_prefix}{job.worker_name}", "last_heartbeat")
    return beat is not None and timezone.now() - utcparse(as_text(beat)) < LOST_AFTER


def log_stop(what: str, wanted: Callable[[], int]) -> None:
    """A child process was stopped: to be looked into if its time was up, as usual if its row was deleted."""
    log.log(logging.ERROR if patiently(wanted) else logging.INFO, "%s was stopped", what)


def stop_unless(wanted: Callable[[], int], limit_s: float) -> Callable[[], bool]:
    """For a child process of a job: whether to stop it, because its time is up or its row does not want it any more.

    Args:
        wanted: asks the database; while that does not answer, the process goes on.
    """
    deadline = time.monotonic() + limit_s
    return lambda: time.monotonic() > deadline or not briefly(wanted, 1)
