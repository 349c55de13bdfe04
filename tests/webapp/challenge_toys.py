"""An open challenge on a toy data set, and predictions for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from webapp.challenges import scores
from webapp.challenges.models import Challenge
from webapp.datasets.models import Dataset

LABELS = ("dark", "light")


def make(dataset: Dataset, opened: bool = True, **fields: Any) -> Challenge:
    """Half of the test samples on the public board, two days of Development and one of Final."""
    now = timezone.now()
    values = {"title": "guess", "public_percent": 50, "salt": "pepper", "opened": now if opened else None} | fields
    challenge = Challenge.objects.create(dataset=dataset, **values)
    begun, turns, ends = now - timedelta(days=1), now + timedelta(days=1), now + timedelta(days=2)
    challenge.phases.create(name="Development", start=begun, end=turns, per_day=3, total=5)
    challenge.phases.create(name="Final", start=turns, end=ends, per_day=1, total=2)
    return challenge


def end(challenge: Challenge) -> None:
    Challenge.objects.filter(pk=challenge.pk).update(closed=timezone.now())


def right(challenge: Challenge) -> np.ndarray:
    """Perfect predictions in the order of the download."""
    parts = scores.parts(challenge)
    return parts.solution[parts.order]


def csv(rows: np.ndarray | Sequence[Sequence[float]], labels: Sequence[str] = LABELS) -> bytes:
    return "".join(f"{','.join(map(str, row))}\n" for row in [labels, *rows]).encode()


def send(client: Client, challenge: Challenge, content: bytes, name: str = "p.csv") -> str:
    """The page that comes back."""
    file = SimpleUploadedFile(name, content)
    return client.post(f"/challenges/{challenge.pk}/entries", {"file": file}, follow=True).content.decode()
