"""Which job, and so which run, a line of the log belongs to."""

from __future__ import annotations

import logging

from rq import get_current_job


class JobFilter(logging.Filter):
    """Adds ``job`` to each record: the id of the current job, such as train-RUN-1, or a dash."""

    def filter(self, record: logging.LogRecord) -> bool:
        job = get_current_job()
        record.job = job.id if job else "-"
        return True
