"""Challenges and entries in the export of an account.  An import may be forged: challenges come back as drafts, and
entries count nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field

from webapp.accounts.models import User
from webapp.challenges import boards, rules
from webapp.challenges.models import MOST_ENTRIES, Challenge, Entry, Phase
from webapp.datasets.models import Dataset

FIELDS = ("title", "description", "public", "runs_allowed", "public_percent")
PHASE_FIELDS = ("name", "start", "end", "per_day", "total")
ENTRY_FIELDS = ("title", "number", "note", "error", "public_nauc", "final_nauc", "alc", "points", "created")
Score = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=MOST_ENTRIES)]
Time = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))]


class PhaseIn(BaseModel):
    name: str = Field(min_length=1, max_length=60)
    start: Time
    end: Time
    per_day: Count
    total: Count


class ChallengeIn(BaseModel):
    dataset_id: str
    title: str = Field(min_length=1, max_length=100)
    description: str = Field(max_length=10_000)
    public: bool
    runs_allowed: bool
    public_percent: int = Field(ge=5, le=95)
    phases: list[PhaseIn] = Field(max_length=10)


class EntryIn(BaseModel):
    title: str = Field(max_length=100)
    number: int = Field(ge=1, lt=2**31)
    note: str = Field(max_length=200)
    state: str = Field(max_length=12)
    error: str = Field(max_length=200)
    public_nauc: Score | None
    final_nauc: Score | None
    alc: Score | None
    points: list[tuple[Annotated[float, Field(ge=0, le=1e7)], Score]] = Field(max_length=100)
    created: Time


class Moved(BaseModel):
    """What an export holds of them; one of an earlier version holds nothing."""

    challenges: list[ChallengeIn] = Field(default=[], max_length=1000)
    entries: list[EntryIn] = Field(default=[], max_length=100_000)


def about(user: User) -> dict[str, Any]:
    """For ``account.json``: the challenges that the user organises with their boards, and what the user entered."""
    own = rules.Challenges.filter(dataset__owner=user)
    mine = Entry.objects.filter(user=user).select_related("challenge").prefetch_related("challenge__phases")
    return {"challenges": [_of(challenge) for challenge in own], "entries": [entry.shown() for entry in mine]}


def _of(challenge: Challenge) -> dict[str, Any]:
    shown = {f"{name}_board": boards.board(challenge, name) for name in boards.BOARDS}
    return {
        **{name: getattr(challenge, name) for name in ("id", "dataset_id", *FIELDS, "opened", "closed")},
        "phases": [{name: getattr(phase, name) for name in PHASE_FIELDS} for phase in challenge.phases.all()],
        **{name: lines and [asdict(line) for line in lines] for name, lines in shown.items()},
    }


def save(user: User, moved: Moved, datasets: Mapping[str, Dataset]) -> None:
    """Insert the rows: challenges on those of these data sets, by their ids in the export.  Inside a transaction."""
    for one in moved.challenges:
        if one.dataset_id in datasets:
            fields = {name: getattr(one, name) for name in FIELDS}
            challenge = Challenge.objects.create(dataset=datasets[one.dataset_id], **fields)
            Phase.objects.bulk_create(Phase(challenge=challenge, **phase.model_dump()) for phase in one.phases)
    for entry in moved.entries:
        state = Entry.State.SCORED if entry.state == Entry.State.SCORED else Entry.State.FAILED
        Entry.objects.create(user=user, state=state, **{name: getattr(entry, name) for name in ENTRY_FIELDS})
