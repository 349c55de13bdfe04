"""Which class of which known data set each of a data set's classes looks most like: the engine's guess by looks.

Of pictures alone: of other data nothing is known class by class.  The engine compares with public data sets only.  The
answer (``autodl/alike.json``, docs/formats.md) is made by a job after the first run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.contrib.auth.models import AnonymousUser

from webapp import engine
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.runs import choice

MODALITIES = ("image",)


@dataclass(frozen=True)
class Alike:
    label: str
    known_label: str
    name: str
    """Of the known data set."""
    dataset: Dataset | None
    """It, where the viewer may see it here."""
    distance: float


def path(dataset: Dataset) -> Path:
    return dataset.autodl_dir / "alike.json"


def is_missing(dataset: Dataset) -> bool:
    """Whether it can be told of such data and has not been asked yet."""
    return dataset.modality in MODALITIES and not path(dataset).exists()


def give_up(dataset: Dataset) -> None:
    """So that it is not asked again before every packing."""
    if dataset.autodl_dir.exists():
        path(dataset).write_text('{"alike": []}')


def told(dataset: Dataset, viewer: User | AnonymousUser) -> list[Alike]:
    """The nearest first; empty where nothing known is near, or nothing was compared yet."""
    lines = (engine.read_json(path(dataset)) or {"alike": []})["alike"]
    known = choice.shown_datasets(list(dict.fromkeys(line["dataset"] for line in lines)), viewer)
    return [
        Alike(
            line["label"],
            line["known_label"],
            known[line["dataset"]].name if line["dataset"] in known else line["dataset"],
            known.get(line["dataset"]),
            line["distance"],
        )
        for line in lines
    ]
