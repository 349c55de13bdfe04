"""What went wrong on our side, for the status page."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Fault(models.Model):
    """One fault, in words for everybody: no names, no paths, no data."""

    time = models.DateTimeField(default=timezone.now)
    what = models.CharField(max_length=300)
    done = models.CharField(max_length=300, help_text="what was done about it")

    class Meta:
        ordering = ("-time",)

    def __str__(self) -> str:
        return self.what


class Unused(models.Model):
    """A data set that nobody has used for long (webapp/accounts/retention.py)."""

    dataset = models.OneToOneField("datasets.Dataset", models.CASCADE, related_name="unused")
    warned = models.DateTimeField(null=True, help_text="when its owner got the mail")
    kept = models.DateTimeField(null=True, help_text="when its owner chose to keep it")
