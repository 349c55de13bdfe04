"""Uploads in progress and the data sets made from them; a data set keeps the id of its upload."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import models
from django.urls import reverse

from webapp import store
from webapp.access import new_id

FRESH_S = 60.0
"""What changes in a data set without a word in its row (``alike.json``) is seen after so long at the latest."""


class Upload(models.Model):
    """One resumable upload (tus 1.0): bytes arrive in ``path``, whose length is the offset, until all are there."""

    id = models.CharField(primary_key=True, max_length=16, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="uploads")
    filename = models.CharField(max_length=255)
    size_bytes = models.PositiveBigIntegerField()
    continues = models.ForeignKey(
        "Dataset", models.SET_NULL, null=True, related_name="+", help_text="to be added to it"
    )
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()

    @property
    def path(self) -> Path:
        return settings.MEDIA_ROOT / "uploads" / f"{self.id}.part"

    @property
    def offset_bytes(self) -> int:
        """What has arrived: read from the file, so that a torn request or a restart cannot make it wrong."""
        return self.path.stat().st_size if self.path.exists() else 0


class Dataset(models.Model):
    """Raw data that became, or is becoming, an AutoDL data set."""

    class State(models.TextChoices):
        QUEUED = "queued", "waiting to be checked"
        CONVERTING = "converting", "being checked and converted"
        READY = "ready", "ready"
        FAILED = "failed", "could not be read"

    id = models.CharField(primary_key=True, max_length=16, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=100)
    public = models.BooleanField(default=False)
    starter = models.BooleanField(default=False, help_text="came with the installation")
    description = models.TextField(blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    progress = models.CharField(max_length=200, blank=True, help_text="current step of the conversion")
    error = models.TextField(blank=True, help_text="one sentence that the owner can act on")
    question = models.JSONField(default=dict, blank=True, help_text="what the owner must choose before it can be used")
    options = models.JSONField(default=dict, help_text="target, modality, test_size, seed, label_cuts as chosen")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="children", help_text="version before")
    family = models.CharField(max_length=16, blank=True, db_index=True, help_text="id of version 1; empty: this is it")
    version = models.PositiveIntegerField(default=1)
    change = models.CharField(max_length=200, blank=True, help_text="what this version changes in the one before")
    modality = models.CharField(max_length=12, blank=True)
    title = models.CharField(max_length=200, blank=True)
    sample_count = models.PositiveIntegerField(default=0)
    class_count = models.PositiveIntegerField(default=0)
    majority_accuracy = models.FloatField(
        null=True, help_text="test accuracy of always predicting the most common class"
    )
    size_bytes = models.PositiveBigIntegerField(default=0, help_text="raw upload and converted files")
    raw_name = models.CharField(max_length=255, help_text="file name of the upload, in dir/raw/")
    source_url = models.CharField(max_length=2000, blank=True, help_text="where the upload is fetched from, if it is")
    state_since = models.DateTimeField(auto_now_add=True)
    heartbeat = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created",)
        indexes = (
            models.Index(fields=("-created",), name="dataset_newest"),
            models.Index(fields=("owner", "-created"), name="dataset_newest_of_owner"),
            models.Index(fields=("owner", "size_bytes"), name="dataset_sizes"),
        )

    def __str__(self) -> str:
        return self.name if self.version == 1 else f"{self.name} (version {self.version})"

    def get_absolute_url(self) -> str:
        return reverse("dataset", args=[self.id])

    @property
    def first_id(self) -> str:
        return self.family or self.id

    def versions(self) -> models.QuerySet[Dataset]:
        """This and all others made from the same upload."""
        return Dataset.objects.filter(models.Q(id=self.first_id) | models.Q(family=self.first_id))

    @property
    def dir(self) -> Path:
        return settings.MEDIA_ROOT / "datasets" / self.id

    @property
    def raw_path(self) -> Path:
        return self._fetched("raw") / self.raw_name

    @property
    def more_paths(self) -> list[Path]:
        """The files that were added to the upload, in their order."""
        return sorted(self._fetched("raw").glob("more-*/*"))

    @property
    def autodl_dir(self) -> Path:
        """What ``python -m formatters`` wrote (docs/formats.md), all of it."""
        return self.files()

    def files(self, *patterns: str) -> Path:
        """``autodl_dir`` with the files that pages need, which these patterns name (webapp/store)."""
        return self._fetched("autodl", *patterns)

    @property
    def report(self) -> dict[str, Any]:
        return json.loads((self.files("report.json") / "report.json").read_text())

    @property
    def target(self) -> str:
        """The name of the column that is predicted; empty where there is none, or several."""
        path = self.files("report.json") / "report.json"
        return _target(path, path.stat().st_mtime_ns) if path.exists() else ""

    def test_labels(self) -> str:
        """SHA-256 of the labels of its test set; empty where there are none yet."""
        path = next(self.files("*.solution").glob("*.solution"), None)
        return _digest(path, path.stat().st_mtime_ns) if path else ""

    def _fetched(self, part: str, *patterns: str) -> Path:
        stamp = (self.state, self.tries, self.state_since)
        return store.fetch(self.dir / part, *patterns, stamp=stamp, fresh_s=FRESH_S)


@lru_cache(maxsize=64)
def _digest(path: Path, _mtime_ns: int) -> str:
    return sha256(path.read_bytes()).hexdigest()


@lru_cache(maxsize=64)
def _target(path: Path, _mtime_ns: int) -> str:
    return target_of(json.loads(path.read_text()))


def target_of(report: dict[str, Any]) -> str:
    """The column that is predicted; empty where there is none with a name of its own, or several."""
    names = [column["name"] for column in report.get("columns", []) if column["role"] == "target"]
    return names[0] if len(names) == 1 and not re.fullmatch(r"column_\d+", names[0]) else ""
