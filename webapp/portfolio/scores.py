"""The score table in the database: the engine's own lines, and those of runs on this site."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from webapp.datasets.models import Dataset
from webapp.engine import read_json
from webapp.portfolio.models import PortfolioRow, RowChange, Score
from webapp.runs.models import Run

BATCH = 500
PREFIX = "site-"
"""The beginning of the name of a data set of this site."""
WHOLE = ("done", "budget")  # how a run ends that learned for as long as it could


def _number(text: str) -> float | None:
    """NaN (a run that failed) is null."""
    value = float(text)
    return value if math.isfinite(value) else None


KINDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("dataset", "source", "modality", "row", "device", "engine", "date"), str),
    **dict.fromkeys(("version", "seed"), int),
    **dict.fromkeys(("budget_s", "t0_s"), float),
    **dict.fromkeys(("alc", "nauc", "first_prediction_s", "wall_s"), _number),
}
"""The columns of scores.csv."""


def import_scores(path: Path | None = None) -> int:
    """Make the shipped lines of the table those of the file, which is streamed; returns how many there are now.

    Raises:
        ValueError: the file is no score table; what was there stays.
    """
    path = path or settings.BASE_DIR / "automl_engine" / "metalearning" / "tables" / "scores.csv"
    with transaction.atomic():
        Score.objects.filter(shipped=True).delete()
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                lines = _lines(csv.DictReader(file), path.name)
                while batch := list(islice(lines, BATCH)):
                    Score.objects.bulk_create(batch, ignore_conflicts=True)
        return Score.objects.filter(shipped=True).count()


def _lines(reader: csv.DictReader[str], name: str) -> Iterator[Score]:
    for line in reader:
        try:
            yield Score(shipped=True, **{key: kind(line[key]) for key, kind in KINDS.items()})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{name}, line {reader.line_num} is no line of a score table ({error!r}).") from error


def name_of(dataset: Dataset) -> str:
    """The same for all runs on it, and of no meaning outside this site."""
    return PREFIX + salted_hmac("knowledge", dataset.pk, algorithm="sha256").hexdigest()[:12]


def add_run_score(run: Run) -> Score | None:
    """What a run of a single row reached becomes a line of the table, under a name that says nothing of the data.

    None for a run of ``auto``, one that is not over, and one that somebody ended early: it tells nothing of the row.
    """
    row = PortfolioRow.objects.filter(name=run.model).first()
    scores = read_json(run.dir / "scores.json") or {}
    failed = run.state == Run.State.FAILED
    whole = run.state == Run.State.FINISHED and scores.get("stopped") in WHOLE
    if row is None or not (failed or whole):
        return None
    begun, ended = run.started or run.created, run.ended or timezone.now()
    fields = {
        **dict.fromkeys(("dataset", "source"), name_of(run.dataset)),
        "site_dataset_id": run.dataset_id,
        **{name: None if failed else getattr(run, name) for name in ("alc", "nauc", "first_prediction_s")},
        **{name: getattr(run, name) for name in ("budget_s", "t0_s", "seed")},
        "modality": row.modality,
        "row": row.name,
        "version": version_at(row, begun),
        "device": str(scores.get("device", "unknown"))[:100],
        "wall_s": (ended - begun).total_seconds() if run.started else None,
        "engine": str(scores.get("versions", {}).get("autodl-self-service", ""))[:20],
        "date": ended.isoformat(timespec="seconds"),
    }
    return Score.objects.update_or_create(run=run, defaults=fields)[0]


def forget_run_score(run: Run) -> None:
    """The owner does not agree any more, or deletes the run on private data."""
    Score.objects.filter(run=run.pk).delete()


def version_at(row: PortfolioRow, moment: Any) -> int:
    """Which version of the row a run that began then has used."""
    change = RowChange.objects.filter(row=row, made__lte=moment).first()
    return change.version if change else row.version
