"""Challenges on data sets whose test labels stay hidden, their phases, and what participants enter.

A participant has no access to the data set or to a run on it: the runs of entries belong to the owner of the data set,
so that every other page of the site stays closed to who takes part.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone

from webapp.access import new_id
from webapp.datasets.models import Dataset
from webapp.runs.models import Run

MOST_ENTRIES = 1000
DIGITS = 4
"""Of a score that is told: with more of them a participant could work out labels from a few entries."""


def new_salt() -> str:
    return secrets.token_hex(16)


def told(score: float | None) -> float | None:
    return None if score is None else round(score, DIGITS)


class Challenge(models.Model):
    """Who may change it is the owner of its data set."""

    id = models.CharField(primary_key=True, max_length=16, default=new_id, editable=False)
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="challenges")
    title = models.CharField(max_length=100)
    description = models.TextField(blank=True, max_length=10_000)
    public = models.BooleanField(default=False, help_text="listed; else only who has the link finds it")
    runs_allowed = models.BooleanField(default=True, help_text="participants may train configurations here")
    public_percent = models.PositiveSmallIntegerField(
        default=30,
        validators=(MinValueValidator(5), MaxValueValidator(95)),
        help_text="share of the test samples that counts on the public board",
    )
    salt = models.CharField(max_length=32, default=new_salt, editable=False, help_text="of what must not be guessed")
    opened = models.DateTimeField(null=True, help_text="empty: a draft, which only the owner sees")
    closed = models.DateTimeField(null=True, help_text="by the owner, before the last phase was over")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created",)
        indexes = (models.Index(fields=("public", "-opened"), name="challenge_listed"),)

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("challenge", args=[self.id])

    @property
    def owner_id(self) -> int:
        return self.dataset.owner_id

    @property
    def ends(self) -> datetime | None:
        """The end of the last phase, unless the owner ended it before."""
        return self.closed or max((phase.end for phase in self.phases.all()), default=None)

    @property
    def is_over(self) -> bool:
        ends = self.ends
        return self.opened is not None and ends is not None and ends <= timezone.now()

    @property
    def is_open(self) -> bool:
        return self.opened is not None and not self.is_over

    def phase(self) -> Phase | None:
        """The one that is going on."""
        now = timezone.now()
        return next((phase for phase in self.phases.all() if self.is_open and phase.start <= now < phase.end), None)

    def next_phase(self) -> Phase | None:
        now = timezone.now()
        return next((phase for phase in self.phases.all() if self.is_open and phase.start > now), None)


def open_challenges(dataset: Dataset) -> models.QuerySet[Challenge]:
    """Those on any version of the data set; while there is one, its labels must stay hidden."""
    is_open = {"opened__isnull": False, "closed": None, "phases__end__gt": timezone.now()}
    return Challenge.objects.filter(dataset__in=dataset.versions(), **is_open).distinct()


class Phase(models.Model):
    """A time in which entries are taken, with its own limits for each participant."""

    challenge = models.ForeignKey(Challenge, models.CASCADE, related_name="phases")
    name = models.CharField(max_length=60)
    start = models.DateTimeField()
    end = models.DateTimeField()
    per_day = models.PositiveIntegerField(
        "entries a day", default=5, validators=(MinValueValidator(1), MaxValueValidator(MOST_ENTRIES))
    )
    total = models.PositiveIntegerField(
        "entries in total", default=50, validators=(MinValueValidator(1), MaxValueValidator(MOST_ENTRIES))
    )

    class Meta:
        ordering = ("start", "pk")

    def __str__(self) -> str:
        return self.name


class Entry(models.Model):
    """A prediction of the test set: a file that was sent, or a run.  It outlives its challenge."""

    class State(models.TextChoices):
        WAITING = "waiting", "training"
        SCORED = "scored", "scored"
        FAILED = "failed", "does not count"

    challenge = models.ForeignKey(Challenge, models.SET_NULL, null=True, related_name="entries")
    title = models.CharField(max_length=100, help_text="of the challenge")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="entries")
    number = models.PositiveIntegerField(help_text="entry 1, 2, ... of this user in the challenge")
    run = models.OneToOneField(Run, models.SET_NULL, null=True, related_name="entry")
    note = models.CharField(max_length=200, blank=True, help_text="name of the file, or the configuration")
    state = models.CharField(max_length=12, choices=State.choices, default=State.SCORED)
    error = models.CharField(max_length=200, blank=True)
    public_nauc = models.FloatField(null=True)
    final_nauc = models.FloatField(null=True, help_text="not told before the challenge is over")
    alc = models.FloatField(null=True, help_text="of a run, on the public part")
    points = models.JSONField(default=list, help_text="of a run: seconds and NAUC on the public part")
    chosen = models.BooleanField(default=False, help_text="to count on the final board")
    created = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-created", "-pk")
        verbose_name_plural = "entries"
        constraints = (models.UniqueConstraint(fields=("challenge", "user", "number"), name="entry_number"),)
        indexes = (models.Index(fields=("state", "created"), name="entry_waiting"),)

    def __str__(self) -> str:
        return f"{self.title} · entry {self.number}"

    def shown(self) -> dict[str, Any]:
        """What its user may know of it now."""
        is_over = self.challenge is not None and self.challenge.is_over
        return {
            "challenge": self.challenge_id,
            "title": self.title,
            "number": self.number,
            "note": self.note,
            "state": self.state,
            "error": self.error,
            "public_nauc": told(self.public_nauc),
            "final_nauc": told(self.final_nauc) if is_over else None,
            "alc": told(self.alc),
            "points": self.points,
            "chosen": self.chosen,
            "created": self.created,
        }
