"""Sending jobs to Redis, which may be away for a while."""

from __future__ import annotations

import logging
from typing import Any

from django_rq.queues import DjangoRQ
from redis.exceptions import RedisError
from rq.job import Job

log = logging.getLogger(__name__)


class PatientQueue(DjangoRQ):
    """Without Redis a job stays in the database, and the reaper sends it when Redis is back."""

    def original_enqueue_call(self, *args: Any, **kwargs: Any) -> Job | None:
        try:
            return super().original_enqueue_call(*args, **kwargs)
        except RedisError as error:
            log.warning("queue %s does not answer (%s); the reaper sends the job later", self.name, error)
            return None
