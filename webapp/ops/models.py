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
