"""The portfolio: configurations that the engine tries, their history and their scores."""

from __future__ import annotations

from pathlib import Path

import yaml
from django.conf import settings
from django.db import models

from webapp.datasets.models import Dataset
from webapp.runs.models import Run

MODALITIES = ("image", "video", "audio", "text", "tabular", "timeseries")


class PortfolioRow(models.Model):
    """One configuration; the shipped rows come from automl_engine/portfolio/*.yaml."""

    name = models.SlugField(max_length=60, unique=True)
    modality = models.CharField(max_length=12)
    model = models.CharField(max_length=60, help_text="name of one of the engine's models")
    params = models.JSONField(default=dict, blank=True)
    origin = models.TextField(blank=True, help_text="where it comes from: paper, challenge, our own search")
    position = models.PositiveSmallIntegerField(
        default=0, help_text="order of the engine's own configurations; an added one is placed by its gain"
    )
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1, help_text="grows when modality, model or parameters change")
    shipped = models.BooleanField(default=False, editable=False, help_text="comes from automl_engine/portfolio/*.yaml")
    edited = models.BooleanField(default=False, editable=False, help_text="changed by an administrator")
    waited = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="shared runs since it was last tried early, while its gain is not known"
    )
    changed = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("modality", "position", "name")

    def __str__(self) -> str:
        return self.name

    @property
    def dir(self) -> Path:
        """Folder for imported code or weights of this configuration."""
        return settings.MEDIA_ROOT / "portfolio" / self.name


class RowChange(models.Model):
    """A configuration after a change: its content, the change, its author and time.  Changes are never deleted."""

    row = models.ForeignKey(PortfolioRow, models.CASCADE, related_name="changes")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, help_text="null: the shipped files")
    made = models.DateTimeField(auto_now_add=True)
    what = models.TextField(help_text="description of the change")
    version = models.PositiveIntegerField()
    content = models.JSONField(help_text="modality, model, params, origin, position")

    class Meta:
        ordering = ("-made", "-pk")

    @property
    def yaml(self) -> str:
        return yaml.safe_dump(self.content, sort_keys=False, allow_unicode=True)


class Score(models.Model):
    """Score of a run of one configuration on one data set: a line of the score table (docs/formats.md)."""

    dataset = models.CharField(max_length=100, help_text="its name in the table")
    source = models.CharField(max_length=100, help_text="the data set that this one is a variation of")
    modality = models.CharField(max_length=12)
    row = models.CharField(max_length=60)
    version = models.PositiveIntegerField(help_text="version of the configuration")
    budget_s = models.FloatField()
    t0_s = models.FloatField()
    seed = models.PositiveIntegerField()
    device = models.CharField(max_length=100)
    alc = models.FloatField(null=True, help_text="null where the run failed")
    nauc = models.FloatField(null=True)
    first_prediction_s = models.FloatField(null=True)
    wall_s = models.FloatField(null=True, help_text="duration of the run in seconds")
    engine = models.CharField(max_length=20, help_text="version of the engine")
    date = models.CharField(max_length=40)
    shipped = models.BooleanField(default=False, help_text="comes from the engine's scores.csv")
    site_dataset = models.ForeignKey(
        Dataset, models.SET_NULL, null=True, related_name="+", help_text="null: not on this site"
    )
    run = models.OneToOneField(Run, models.SET_NULL, null=True, related_name="score")

    class Meta:
        constraints = (
            models.UniqueConstraint(
                name="score_once",
                fields=("dataset", "row", "version", "budget_s", "t0_s", "seed", "device", "engine", "date"),
            ),
        )
        indexes = (models.Index(fields=("modality", "row"), name="score_of_row"),)


class Gain(models.Model):
    """What a configuration added to the ensemble of a run whose owner shares it."""

    row = models.ForeignKey(PortfolioRow, models.CASCADE, related_name="gains")
    version = models.PositiveIntegerField(help_text="version of the configuration")
    run = models.ForeignKey(Run, models.SET_NULL, null=True, related_name="gains")
    gain = models.FloatField(help_text="NAUC of the out-of-fold predictions with it minus that before it")
    took_s = models.FloatField(help_text="time of its training steps in seconds")

    class Meta:
        constraints = (models.UniqueConstraint(name="gain_once", fields=("run", "row")),)


class Evaluation(models.Model):
    """A run of a configuration on a public data set, requested by an administrator."""

    row = models.ForeignKey(PortfolioRow, models.CASCADE, related_name="evaluations")
    version = models.PositiveIntegerField(help_text="version of the configuration")
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="+")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    budget_s = models.PositiveIntegerField()
    t0_s = models.PositiveIntegerField()
    run = models.OneToOneField(
        Run, models.CASCADE, null=True, related_name="evaluation", help_text="null: not started yet"
    )
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("created", "pk")
        constraints = (models.UniqueConstraint(fields=("row", "version", "dataset"), name="evaluation_once"),)
