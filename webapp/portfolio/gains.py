"""What each configuration gains in runs that their owners share (webapp/runs/sharing.py)."""

from __future__ import annotations

from webapp import engine
from webapp.portfolio.models import Gain, PortfolioRow
from webapp.portfolio.scores import version_at
from webapp.runs.models import Run


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
