"""Whose job starts next: the order among owners in every queue, for the workers and for forecasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Ticket(NamedTuple):
    """Who waits with a job."""

    owner: int
    """Primary key of the user; 0: somebody who has no jobs yet."""
    guest: bool = False


def next_index(waiting: Sequence[Ticket], running: Iterable[int], last_starts: Mapping[int, float]) -> int:
    """Which of the waiting jobs, the oldest first, starts next.

    Guests come after registered users. Otherwise it is a job of the owner with the fewest running jobs, then of the one
    whose last job started longest ago, then the oldest.

    Args:
        running: the owner of each running job.
        last_starts: owner -> time of the last start of a job, if there was one lately.
    """
    busy = Counter(running)

    def rank(index: int) -> tuple[bool, int, float, int]:
        owner, guest = waiting[index]
        return guest, busy[owner], last_starts.get(owner, 0.0), index

    return min(range(len(waiting)), key=rank)
