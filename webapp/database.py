"""Waiting for a database that is locked or away for a while; sums and counts inside other questions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.db.models import BigIntegerField, Func, QuerySet, Subquery

log = logging.getLogger(__name__)
UNAVAILABLE = (OperationalError, InterfaceError)
PATIENCE_S = 300.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
BRIEF_S = 1.0
T = TypeVar("T")


def patiently(action: Callable[[], T]) -> T:
    """What ``action`` returns; while the database fails, it is tried again for up to ``PATIENCE_S``.

    The action must be safe to repeat.  Inside a transaction it runs once: only the whole transaction can be repeated.
    """
    deadline = time.monotonic() + PATIENCE_S
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return action()
        except UNAVAILABLE:
            if connection.in_atomic_block or time.monotonic() > deadline:
                raise
        close_old_connections()
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def briefly(action: Callable[[], T], otherwise: T) -> T:
    """What ``action`` returns, or ``otherwise`` when a lock lasts longer than ``BRIEF_S`` or the database fails.

    For a loop that will ask again, and meanwhile must see the end of its process and its deadline.
    """
    try:
        with _brief_lock_waits():
            return action()
    except UNAVAILABLE as error:
        if connection.in_atomic_block:
            raise
        log.warning("the database does not answer (%s); asked again soon", error)
    close_old_connections()
    time.sleep(FIRST_PAUSE_S)  # a server that is away refuses at once
    return otherwise


@contextmanager
def _brief_lock_waits() -> Iterator[None]:
    brief_ms = int(BRIEF_S * 1000)
    if connection.vendor == "sqlite":
        usual_ms = int(connection.settings_dict["OPTIONS"]["timeout"] * 1000)
        set_wait, reset_wait = f"PRAGMA busy_timeout = {brief_ms}", f"PRAGMA busy_timeout = {usual_ms}"
    else:
        set_wait, reset_wait = f"SET lock_timeout = {brief_ms}", "RESET lock_timeout"
    with connection.cursor() as cursor:
        cursor.execute(set_wait)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(reset_wait)


def total(rows: QuerySet[Any], column: str) -> Subquery:
    """The sum of a column of these rows, as part of another question; None if there are none."""
    return _part(rows, Func(column, function="SUM", output_field=BigIntegerField()))


def number(rows: QuerySet[Any]) -> Subquery:
    """How many rows these are, as part of another question; an index that the filter needs answers alone."""
    return _part(rows, Func(template="COUNT(*)", output_field=BigIntegerField()))


def _part(rows: QuerySet[Any], found: Func) -> Subquery:
    return Subquery(rows.order_by().annotate(found=found).values("found"))
