"""Runs and their curves.  The database decides the state of a run; RQ only transports jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse

from webapp import store
from webapp.access import VIEW, has_grant, may, new_id, owns
from webapp.datasets.models import Dataset

RANKED = models.Q(public=True, alc__isnull=False)
"""What indexes of ``ranked`` runs hold; SQLite finds a run by its state and origin there, but not by a yes or no."""


class Run(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued", "waiting"
        RUNNING = "running", "training"
        STOPPING = "stopping", "stopping"
        FINISHED = "finished", "finished"
        CANCELLED = "cancelled", "cancelled"
        FAILED = "failed", "failed"

    class Export(models.TextChoices):
        NONE = "none", "not made yet"
        QUEUED = "queued", "being packed"
        READY = "ready", "ready"
        FAILED = "failed", "failed"

    OPEN = (State.QUEUED, State.RUNNING, State.STOPPING)

    id = models.CharField(primary_key=True, max_length=16, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="runs")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="runs")
    number = models.PositiveIntegerField(help_text="run 1, 2, ... of this data set")
    public = models.BooleanField(default=False)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    export_state = models.CharField(max_length=12, choices=Export.choices, default=Export.NONE)
    budget_s = models.PositiveIntegerField()
    t0_s = models.PositiveIntegerField(default=60)
    model = models.CharField(max_length=100, default="auto", help_text="auto or a configuration")
    seed = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="why it failed and what is kept, for the owner")
    export_error = models.TextField(blank=True)
    reason = models.TextField(blank=True, help_text="why it ended")
    alc = models.FloatField(null=True)
    nauc = models.FloatField(null=True)
    accuracy = models.FloatField(null=True)
    first_prediction_s = models.FloatField(null=True)
    size_bytes = models.PositiveBigIntegerField(default=0, help_text="of its folder, as last measured")
    model_bytes = models.PositiveBigIntegerField(default=0, help_text="of model.zip, which its folder holds")
    job_id = models.CharField(max_length=64, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    teaches = models.BooleanField(default=False, help_text="the owner agrees to share the scores")
    link = models.CharField(
        max_length=32, blank=True, db_index=True, help_text="secret of the address where anybody may try the model"
    )
    charged = models.BooleanField(
        default=True, help_text="counts against the quota; false if the run failed because of the server"
    )
    imported = models.CharField(
        max_length=64, blank=True, help_text="from another site: SHA-256 of the test labels that scored it, or “?”"
    )
    event_offset = models.PositiveBigIntegerField(default=0, help_text="bytes of events.jsonl read so far")
    heartbeat = models.DateTimeField(null=True)
    state_since = models.DateTimeField(auto_now_add=True)
    created = models.DateTimeField(auto_now_add=True)
    started = models.DateTimeField(null=True, help_text="when the engine's clock started")
    ended = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created",)
        constraints = (models.UniqueConstraint(fields=("dataset", "number"), name="run_number"),)
        indexes = (
            models.Index(fields=("-created",), name="run_newest"),
            models.Index(fields=("owner", "-created"), name="run_newest_of_owner"),
            models.Index(fields=("dataset", "-created"), name="run_newest_of_dataset"),
            models.Index(fields=("owner", "size_bytes", "model_bytes"), name="run_sizes"),
            models.Index(fields=("dataset", "owner", "size_bytes"), name="run_sizes_of_dataset"),
            models.Index(fields=("owner", "created", "charged"), condition=models.Q(charged=True), name="run_quota"),
            models.Index(fields=("state", "state_since"), name="run_queue"),
            models.Index(
                fields=(
                    *("state", "imported", "dataset", "budget_s", "model", "owner"),
                    *("alc", "number", "ended", "public"),  # so that the index alone tells what has changed
                ),
                condition=RANKED,
                name="run_board",
            ),
            models.Index(fields=("state", "imported", "-created"), condition=RANKED, name="run_newest_ranked"),
        )

    def __str__(self) -> str:
        return f"{self.dataset} · run {self.number}"

    def get_absolute_url(self) -> str:
        return reverse("run", args=[self.id])

    @property
    def folder(self) -> Path:
        """Where its files are, on the machine that works on them."""
        return settings.MEDIA_ROOT / "runs" / self.id

    @property
    def dir(self) -> Path:
        """``folder`` with its small files up to date (webapp/store)."""
        return self.files("*.json", "*.jsonl", "*.log", "*.txt", "*.yaml")

    def files(self, *patterns: str) -> Path:
        return store.fetch(self.folder, *patterns, stamp=(self.state, self.export_state, self.tries))

    @property
    def model_path(self) -> Path:
        return self.files("model.zip") / "model.zip"

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @staticmethod
    def next_number(dataset: Dataset) -> int:
        """Of a new run; the caller has locked the data set."""
        return (dataset.runs.aggregate(last=models.Max("number"))["last"] or 0) + 1

    def fits_data(self) -> bool:
        """Whether its predictions are of the test samples that the data set has here."""
        return not self.imported or self.imported == self.dataset.test_labels()

    def opens_to(self, viewer: Any) -> bool:
        """Whether this viewer sees more than the curve and the scores: classes, samples, events, the model."""
        is_shared = has_grant(viewer, self) and self.owner_id == self.dataset.owner_id  # as get_sharable demands
        return is_shared or owns(viewer, self) or may(viewer, self.dataset, VIEW)


def ranked() -> models.QuerySet[Run]:
    """Public runs that leaderboards may compare; the scores of imported ones can be forged."""
    return Run.objects.filter(RANKED, imported="", state=Run.State.FINISHED)


class ScorePoint(models.Model):
    """One scored prediction; unique on (run, k), so a replay of the journal is harmless."""

    run = models.ForeignKey(Run, models.CASCADE, related_name="points")
    k = models.PositiveIntegerField()
    t = models.FloatField(help_text="seconds on the engine's clock")
    nauc = models.FloatField()
    accuracy = models.FloatField(null=True)
    alc = models.FloatField(help_text="as if the run ended here")
    by = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ("k",)
        constraints = (models.UniqueConstraint(fields=("run", "k"), name="point_once"),)


class Notice(models.Model):
    """A message to the owner about the end of a run."""

    class Kind(models.TextChoices):
        MAIL = "mail", "e-mail"
        WEBHOOK = "webhook", "webhook"

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        SENT = "sent", "sent"
        FAILED = "failed", "failed"

    run = models.ForeignKey(Run, models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    due = models.DateTimeField(help_text="of the next try")
    error = models.TextField(blank=True, help_text="why the last try failed")
    created = models.DateTimeField(auto_now_add=True)


class SpentRun(models.Model):
    """A charged run that was deleted: deleting frees space, not quota."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="spent_runs")
    created = models.DateTimeField(help_text="when the deleted run was created")


class Prediction(models.Model):
    """New raw data given to a finished run's model ("try it")."""

    class State(models.TextChoices):
        QUEUED = "queued", "waiting"
        READY = "ready", "ready"
        FAILED = "failed", "failed"

    id = models.CharField(primary_key=True, max_length=16, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        related_name="predictions",
        help_text="empty: a visitor with the shared link",
    )
    run = models.ForeignKey(Run, models.CASCADE, related_name="predictions")
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    error = models.TextField(blank=True)
    input_name = models.CharField(max_length=255)
    created = models.DateTimeField(auto_now_add=True)

    @property
    def folder(self) -> Path:
        return settings.MEDIA_ROOT / "runs" / self.run_id / "predictions" / self.id

    @property
    def dir(self) -> Path:
        return store.fetch(self.folder, fresh_s=0)

    @property
    def source(self) -> Path:
        """What the model reads: the one file that was given, or the folder of several."""
        files = list((self.dir / "input").iterdir())
        return files[0] if len(files) == 1 else self.dir / "input"

    @property
    def output_path(self) -> Path:
        return self.dir / "predictions.csv"

    @property
    def why_path(self) -> Path:
        return self.dir / "why.json"
