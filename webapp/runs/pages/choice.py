"""Why the engine tried this configuration first: the known data sets that the run's data resembles.

They are named and shown only to viewers who may see them.  The engine knows data sets by name only (the ``chosen``
event, docs/formats.md).  Data sets of this site have anonymous names there (knowledge.py); all others are looked up
among the data sets that administrators have published.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import F, Q

from webapp.access import visible
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops.pages import cards
from webapp.portfolio.scores import PREFIX

SHOWN_SAMPLES = 4
PRIVATE = "a private data set"
MARK = "--"  # SOURCE--classes3--n500: made from SOURCE
PART = re.compile(r"(classes|n|side)(\d+)")
PARTS = {"classes": "{} classes", "n": "{} examples", "side": "{} px"}


@dataclass(frozen=True)
class Resembled:
    """A known data set, as this viewer may see it."""

    name: str
    part: str
    """The part of it that the engine knows, if not all: "(500 examples)"."""
    distance: float
    alc: float | None
    """Score of the chosen configuration on it."""
    dataset: Dataset | None = None
    samples: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Choice:
    """The configuration that was chosen first, and the two data sets nearest to the run's."""

    row: str
    decided: bool
    """Whether the resemblance decided the order; if not, the order is that of the portfolio."""
    by_average: bool
    """Whether it was chosen as the best on average over all known data sets."""
    nearest: Resembled
    second: Resembled | None


def explained(events: list[dict[str, Any]], viewer: User | AnonymousUser) -> Choice | None:
    """The first choice that was made by resemblance, or None."""
    event = next((event for event in events if event.get("resembles")), None)
    if event is None:
        return None
    told = event["resembles"][:2]
    found = shown_datasets([each["dataset"] for each in told], viewer)
    nearest, *others = [_resembled(each, found.get(each["dataset"])) for each in told]
    if nearest.dataset:
        nearest.samples.extend(cards.samples(nearest.dataset)[:SHOWN_SAMPLES])
    decided, by_average = event["event"] == "chosen", event.get("by") == "average"
    return Choice(event["row"], decided, by_average, nearest, others[0] if others else None)


def _resembled(told: dict[str, Any], dataset: Dataset | None) -> Resembled:
    source, *parts = told["dataset"].split(MARK)
    if dataset:
        source = dataset.name
    elif source.startswith(PREFIX):
        source = PRIVATE
    how = [PARTS[match[1]].format(match[2]) for part in parts if (match := PART.fullmatch(part))]
    part = f"({', '.join(how)})" if how else ""
    return Resembled(source, part, told["distance"], told.get("alc"), dataset)


def shown_datasets(names: list[str], viewer: User | AnonymousUser) -> dict[str, Dataset]:
    """Those that the viewer may see, by the engine's name.

    Names that are not of this site's runs are looked up only among the data sets of administrators: anybody can call
    theirs "mnist".
    """
    own = [name for name in names if name.startswith(PREFIX)]
    taught = Dataset.objects.filter(lessons__name__in=own).annotate(known_as=F("lessons__name"))
    found: dict[str, Dataset] = {dataset.known_as: dataset for dataset in visible(taught, viewer)} if own else {}
    sources = {name: name.split(MARK)[0].lower() for name in names if name not in own}
    same = Q()
    for source in set(sources.values()):
        same |= Q(name__iexact=source) | Q(raw_name__istartswith=f"{source}.")
    ours = Dataset.objects.filter(Q(starter=True) | Q(owner__is_staff=True), same, public=True)
    for dataset in ours.order_by("starter", "-created") if sources else ():  # the last one wins, so the best comes last
        for name, source in sources.items():
            if dataset.name.lower() == source or dataset.raw_name.lower().startswith(f"{source}."):
                found[name] = dataset
    return found
