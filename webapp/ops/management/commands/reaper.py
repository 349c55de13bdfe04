"""``manage.py reaper``: every 5 s, take care of what lost its worker or ran out of time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django_rq
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections
from django.utils import timezone
from django.utils.module_loading import import_string
from redis.exceptions import RedisError
from rq.registry import StartedJobRegistry

from webapp.database import UNAVAILABLE
from webapp.ops import faults
from webapp.ops.models import Fault

INTERVAL_S = 5
DAY_S = 24 * 3600
KEEP_FAULTS = timedelta(days=30)
logger = logging.getLogger(__name__)


def take_told_faults() -> None:
    for time_, what, done in faults.drain(settings.DATA_DIR):
        Fault.objects.create(time=time_, what=what, done=done)
    Fault.objects.filter(time__lt=timezone.now() - KEEP_FAULTS).delete()


def clean_registries() -> None:
    """Jobs whose worker is gone: RQ itself looks only when another job arrives."""
    for name in settings.RQ_QUEUES:
        StartedJobRegistry(queue=django_rq.get_queue(name)).cleanup()


DUTIES = (
    ("faults", "webapp.ops.management.commands.reaper.take_told_faults"),
    ("data sets", "webapp.datasets.jobs.reap"),
    ("runs", "webapp.runs.jobs.reap"),
    ("entries of challenges", "webapp.challenges.scores.reap"),
    ("notices", "webapp.runs.notices.resend"),
    ("mails about sharing", "webapp.accounts.share_mail.resend"),
    ("evaluations", "webapp.portfolio.evaluation.advance"),
    ("runs on starter data", "webapp.ops.starter_runs.advance"),
    ("guests", "webapp.accounts.guests.reap"),
    ("old audit entries", "webapp.accounts.audit.forget_old"),
    ("copies of stored files", "webapp.store.copies.look_after"),
    ("queues", "webapp.ops.management.commands.reaper.clean_registries"),
)
DAILY = (
    ("data that nobody uses", "webapp.accounts.retention.advance"),
    ("files without a row", "webapp.datasets.sweep.daily"),
)
"""Done at the start, too."""


def do_duty(what: str, duty: Callable[[], int | None], broken: set[str]) -> None:
    """One duty; its failure is logged, told once, and does not keep the others from being done."""
    every = "day" if what in dict(DAILY) else f"{INTERVAL_S} s"
    try:
        touched = duty()
    except (RedisError, *UNAVAILABLE) as error:
        logger.warning("%s, done every %s: Redis or the database does not answer (%s)", what, every, error)
    except Exception:
        logger.exception("looking after %s failed", what)
        if what not in broken:
            Fault.objects.create(what=f"Looking after {what} failed.", done=f"It is tried again every {every}.")
        broken.add(what)
    else:
        broken.discard(what)
        if touched:
            done = "What could be was started once more; the rest was ended, and what was reached is kept."
            Fault.objects.create(what=f"Lost their worker or took too long: {touched} of the {what}.", done=done)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        duties, daily = ([(what, import_string(path)) for what, path in group] for group in (DUTIES, DAILY))
        broken: set[str] = set()
        day_is_over_s = 0.0
        while True:
            is_due = time.monotonic() >= day_is_over_s
            for what, duty in [*duties, *daily] if is_due else duties:
                do_duty(what, duty, broken)
            day_is_over_s = time.monotonic() + DAY_S if is_due else day_is_over_s
            if options["once"]:
                return
            close_old_connections()
            time.sleep(INTERVAL_S)
