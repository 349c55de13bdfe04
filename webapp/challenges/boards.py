"""The two rankings of a challenge: by the best score on the public part, and by the chosen entries on the rest."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from webapp.challenges.models import Challenge, Entry, told

BOARDS = ("public", "final")


@dataclass(frozen=True)
class Line:
    """A participant on a board."""

    rank: int  # equals share the better place
    user: int
    nauc: float
    entry: int
    """Number of the one that counts here, of ``entries``."""
    entries: int
    date: datetime
    chosen: bool


def board(challenge: Challenge, name: str) -> list[Line] | None:
    """One query; None for the final board while it is not shown."""
    if name not in BOARDS or (name == "final" and not challenge.is_over):
        return None
    fields = ("user_id", "number", "created", "public_nauc", "final_nauc", "chosen")
    scored = Entry.objects.filter(challenge=challenge, state=Entry.State.SCORED).order_by("user_id", "number")
    by_user = {user: list(own) for user, own in groupby(scored.only(*fields), attrgetter("user_id"))}
    counted = [(counting(own, name), len(own)) for own in by_user.values()]
    scores = [told(getattr(entry, f"{name}_nauc")) or 0.0 for entry, _ in counted]
    ordered = sorted(scores)
    lines = [
        Line(
            rank=1 + len(scores) - bisect_right(ordered, score),
            user=entry.user_id,
            nauc=score,
            entry=entry.number,
            entries=count,
            date=entry.created,
            chosen=entry.chosen,
        )
        for (entry, count), score in zip(counted, scores, strict=True)
    ]
    return sorted(lines, key=lambda line: (line.rank, line.date))


def counting(own: list[Entry], name: str = "final") -> Entry:
    """Of one participant's scored entries: the best on the public board, on the final one that which they chose."""
    chosen = [entry for entry in own if entry.chosen and name == "final"]
    return min(chosen or own, key=lambda entry: (-(told(entry.public_nauc) or 0.0), entry.created))
