"""Waiting for a database that is locked or away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections, connection

PATIENCE_S = 300.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
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
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or time.monotonic() > deadline:
                raise
        close_old_connections()
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
