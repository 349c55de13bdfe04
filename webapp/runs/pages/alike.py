"""The most similar class of a known data set, for each class of an image data set.

Only images are compared: the engine has no samples of single classes of other data.  It compares with public data sets
only.  A job after the first run writes the result (``autodl/alike.json``, docs/formats.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.db.models import Q

from webapp import engine
from webapp.datasets.models import Dataset

MODALITIES = ("image",)


@dataclass(frozen=True)
class Alike:
    label: str
    known_label: str
    name: str
    """Name of the known data set."""
    dataset: Dataset | None
    """The known data set, if an administrator has published it on this site."""
    distance: float


def path(dataset: Dataset) -> Path:
    return dataset.files("alike.json") / "alike.json"


def is_missing(dataset: Dataset) -> bool:
    """Whether the data set can be compared and has not been yet."""
    return dataset.modality in MODALITIES and not path(dataset).exists()


def give_up(dataset: Dataset) -> None:
    """Write an empty result, so that the comparison is not repeated."""
    if path(dataset).parent.exists():
        path(dataset).write_text('{"alike": []}')


def told(dataset: Dataset) -> list[Alike]:
    """The nearest first; empty where nothing known is near, or nothing was compared yet."""
    lines = (engine.read_json(path(dataset)) or {"alike": []})["alike"]
    known = published({line["dataset"] for line in lines})
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


def published(names: set[str]) -> dict[str, Dataset]:
    """Known data sets by the engine's name, among those that administrators have published: anybody can call theirs
    "mnist"."""
    same = Q()
    for name in names:
        same |= Q(name__iexact=name) | Q(raw_name__istartswith=f"{name}.")
    ours = Dataset.objects.filter(Q(starter=True) | Q(owner__is_staff=True), same, public=True)
    found: dict[str, Dataset] = {}
    for dataset in ours.order_by("starter", "-created") if names else ():  # the last one wins, so the best comes last
        for name in names:
            if dataset.name.lower() == name.lower() or dataset.raw_name.lower().startswith(f"{name.lower()}."):
                found[name] = dataset
    return found
