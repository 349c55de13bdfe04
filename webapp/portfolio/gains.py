"""What each configuration gains in runs that their owners share, and the order that follows.

The engine's own configurations keep their measured order.  One that an administrator added comes last, and early in
every ``EVERY``-th shared run until its gain is known; its place among the others follows from what it gains a second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db.models import Count, F, FloatField, Sum, Value
from django.db.models.functions import Greatest

from webapp import engine
from webapp.portfolio.models import Gain, PortfolioRow
from webapp.portfolio.scores import version_at
from webapp.runs.models import Run

EVERY = 5
"""A new configuration is tried early in every fifth shared run on its kind of data: if one is lost, the next still
comes within ten."""
ENOUGH = 5
"""Number of runs after which a gain is known well enough."""
PRIOR = 2
"""Number of runs without a gain that a mean begins with: one lucky run says little."""
LEAST_GAIN = 0.001
"""Mean gain of a run below which a configuration counts as useless."""
SHORT_S = 1.0
"""Steps that take less time count as so long: nobody waits for them."""

Placed = tuple[PortfolioRow, str]
"""A configuration, and why it stands where it does (``place`` of the event ``order``, docs/formats.md)."""


@dataclass(frozen=True)
class Mean:
    """Over the shared runs of a configuration's present version."""

    runs: int = 0
    total: float = 0.0
    total_rate: float = 0.0

    @property
    def gain(self) -> float:
        """Of a run, shrunk towards zero."""
        return self.total / (self.runs + PRIOR)

    @property
    def rate(self) -> float:
        """Of a second, shrunk towards zero."""
        return self.total_rate / (self.runs + PRIOR)


def learn(run: Run) -> None:
    """Keep what each configuration added to the ensemble, by the run's journal; once."""
    gained: dict[str, tuple[float, float]] = {}
    for event in engine.events.read(run.dir / "events.jsonl")[0]:
        match event:
            case {"event": "progress", "by": name, "gain": gain, "took_s": took_s}:
                so_far, spent_s = gained.get(name, (0.0, 0.0))
                gained[name] = so_far + gain, spent_s + took_s
            case {"event": "failed", "what": name}:
                gained.setdefault(name, (0.0, 0.0))
    begun = run.started or run.created
    Gain.objects.bulk_create(
        [
            Gain(run=run, row=row, version=version_at(row, begun), gain=gained[row.name][0], took_s=gained[row.name][1])
            for row in PortfolioRow.objects.filter(name__in=gained)
        ],
        ignore_conflicts=True,
    )


def forget(run: Run) -> None:
    """The owner does not agree any more, or deletes the run on private data."""
    Gain.objects.filter(run=run.pk).delete()


def means(rows: Collection[PortfolioRow]) -> dict[str, Mean]:
    """By the names of those that took part in a shared run."""
    rate = Sum(F("gain") / Greatest("took_s", Value(SHORT_S)), output_field=FloatField())
    found = Gain.objects.filter(row__in=rows, version=F("row__version")).values_list("row__name")
    summed = found.annotate(runs=Count("pk"), total=Sum("gain"), total_rate=rate)
    return {name: Mean(runs, total, total_rate) for name, runs, total, total_rate in summed}


def in_order(rows: Iterable[PortfolioRow], run: Run | None = None) -> list[Placed]:
    """Configurations of all kinds of data in the order of a run, in which a new one may have to be tried early."""
    placed = []
    for modality, group in groupby(sorted(rows, key=lambda row: row.modality), key=lambda row: row.modality):
        alike = list(group)
        counts = run is not None and run.teaches and run.model == "auto" and run.dataset.modality == modality
        placed += arranged(alike, _due(alike) if counts else ())
    return placed


def arranged(rows: Sequence[PortfolioRow], early: Collection[str] = ()) -> list[Placed]:
    """Configurations of one kind of data.  The first makes the first prediction and stays; ``early`` ones follow."""
    order = [(row, "given" if row.edited else "measured") for row in rows if row.shipped]
    added = [row for row in rows if not row.shipped]
    known = means(rows) if added else {}
    added.sort(key=lambda row: -known.get(row.name, Mean()).rate)
    for row in added:
        if row.name not in early:
            mean, at = known.get(row.name, Mean()), len(order)
            if mean.gain >= LEAST_GAIN:
                rates = [known.get(other.name, Mean()).rate for other, _ in order]
                at = next((i for i, rate in enumerate(rates) if i and rate < mean.rate), at)
            order.insert(at, (row, "gain" if mean.runs else "last"))
    order[1:1] = [(row, "early") for row in added if row.name in early]
    return order


def _due(rows: Sequence[PortfolioRow]) -> set[str]:
    """Names of new configurations whose turn it is to be tried early; all others come closer to theirs."""
    added = [row for row in rows if not row.shipped]
    known = means(added) if added else {}
    new = [row for row in added if known.get(row.name, Mean()).runs < ENOUGH]
    due = {row.name for row in new if row.waited + 1 >= EVERY}
    for row in new:
        PortfolioRow.objects.filter(pk=row.pk).update(waited=0 if row.name in due else F("waited") + 1)
    return due


def notes(rows: Collection[PortfolioRow]) -> dict[str, str]:
    """What is known of the gain of each, in one sentence."""
    known = means(rows)
    return {row.name: _note(row, known.get(row.name, Mean())) for row in rows}


def _note(row: PortfolioRow, mean: Mean) -> str:
    runs = "1 shared run" if mean.runs == 1 else f"{mean.runs} shared runs"
    if not mean.runs:
        is_tried = row.enabled and not row.shipped and row.model not in engine.configuration.ALONE
        how = f"it is tried last, and early in every {EVERY}th shared run"
        return f"Its gain is not known yet: {how}." if is_tried else ""
    if not row.shipped and mean.runs >= ENOUGH and mean.gain < LEAST_GAIN:
        return f"No gain in {runs}: it is tried last.{' Switch it off.' if row.enabled else ''}"
    follows = "" if row.shipped else "; its place follows from that"
    gain = f"{mean.total / mean.runs:+.3f}".replace("-", "\N{MINUS SIGN}")
    what = f"{gain} NAUC on average" if float(gain[1:]) else "nothing"
    return f"In {runs} it gained {what}{follows}."
