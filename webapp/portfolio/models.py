"""The portfolio: which configurations the engine may choose from."""

from __future__ import annotations

from django.db import models


class PortfolioRow(models.Model):
    """One configuration; the shipped rows come from automl_engine/portfolio/*.yaml."""

    name = models.SlugField(max_length=60, unique=True)
    modality = models.CharField(max_length=12)
    model = models.CharField(max_length=60, help_text="key of the engine's MODELS")
    params = models.JSONField(default=dict, blank=True)
    origin = models.TextField(blank=True, help_text="where it comes from: paper, challenge, our own search")
    position = models.PositiveSmallIntegerField(default=0, help_text="order on the ladder")
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    shipped = models.BooleanField(default=False, editable=False, help_text="stands in automl_engine/portfolio/*.yaml")
    edited = models.BooleanField(default=False, editable=False, help_text="by an administrator, whose word counts")
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("modality", "position", "name")

    def __str__(self) -> str:
        return self.name
