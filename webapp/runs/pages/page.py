"""What the run page shows, the same live and ended; regions of it are sent again whenever the run has moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.template.loader import render_to_string
from django.utils import timezone

from webapp import engine
from webapp.access import EDIT, USE, VIEW, may, owns, visible
from webapp.accounts.models import User
from webapp.runs import journal, start, words
from webapp.runs.models import Run, ScorePoint
from webapp.runs.pages import alike, choice, comparison, figure, results, threshold
from webapp.runs.pages.advice import advice

REGIONS = (
    *("status", "numbers", "curve", "table", "comparison", "advice"),
    *("matrix", "threshold", "doing", "choice", "results"),
)
POINT_FIELDS = ("k", "t", "nauc", "accuracy", "alc", "by")
SVG_WIDTH, SVG_HEIGHT = 640, 280
MAX_COMPARED = 6

Viewer = User | AnonymousUser


def points_of(run: Run, after: int = -1) -> list[dict[str, Any]]:
    """Scored predictions with k > ``after``."""
    return list(ScorePoint.objects.filter(run=run, k__gt=after).values(*POINT_FIELDS))


def comparable(run: Run, viewer: Viewer) -> list[Run]:
    """Other runs on any version of the data set that this viewer may see and that have a curve, newest first."""
    others = visible(Run.objects.filter(dataset__in=run.dataset.versions(), nauc__isnull=False), viewer)
    newest = others.exclude(pk=run.pk).values("pk")[:MAX_COMPARED]  # sorted by themselves: whole rows take longer
    return list(Run.objects.filter(pk__in=newest).select_related("dataset"))


def curves(run: Run, points: list[dict[str, Any]], compared: Sequence[Run]) -> tuple[figure.Curve, list[figure.Curve]]:
    """The run's own curve and those to compare with: chosen runs, and a first try whose worker was lost."""
    main = _curve(f"run {run.number}", run, points)
    rows = ScorePoint.objects.filter(run__in=compared).values("run_id", *POINT_FIELDS) if compared else []
    others = [_curve(f"run {o.number}", o, [row for row in rows if row["run_id"] == o.pk]) for o in compared]
    if run.tries > 1 and (lost := journal.lost_points(run)):
        others.append(figure.Curve("first attempt, worker lost", lost, run.budget_s, run.t0_s, held=False))
    return main, others


def _curve(name: str, run: Run, points: list[dict[str, Any]]) -> figure.Curve:
    return figure.Curve(name, points, run.budget_s, run.t0_s, ended=not run.is_open)


def version(run: Run) -> list[Any]:
    """A value that changes whenever the page must be sent again."""
    return [run.state, run.export_state, run.event_offset, run.tries, run.public, run.dataset.public]


def context(run: Run, viewer: Viewer, compared: Sequence[str] = (), *, with_others: bool = True) -> dict[str, Any]:
    """Everything the templates of the run page need.

    Args:
        compared: ids of runs to draw beside this one; those that cannot be compared are ignored.
        with_others: also which runs could be, which no region shows.
    """
    others = comparable(run, viewer) if with_others or compared else []
    chosen = [other for other in others if other.pk in compared]
    points = points_of(run)
    main, beside = curves(run, points, chosen)
    opened = run.opens_to(viewer)
    return {
        "run": run,
        "owned": owns(viewer, run),
        "may_edit": may(viewer, run, EDIT),
        "opened": opened,
        "budget_words": words.duration(run.budget_s),
        "forecast": start.forecast(run) if run.state == Run.State.QUEUED else None,
        "points": points,
        "elapsed_words": _elapsed(run),
        "since_request_s": _since_request_s(run),
        "summary": words.curve_summary(points),
        "others": others,
        "compared": [other.pk for other in chosen],
        "comparison": comparison.lines(run, chosen, viewer),
        "svg": {
            "width": SVG_WIDTH,
            "height": SVG_HEIGHT,
            "main": figure.svg(main, SVG_WIDTH, SVG_HEIGHT),
            "others": [figure.svg(other, SVG_WIDTH, SVG_HEIGHT) for other in beside],
            "levels": figure.svg_levels(SVG_HEIGHT),
            "axis": figure.svg_axis(main, SVG_WIDTH),
        },
        "curves": (main, beside),
        **(_inside(run, viewer, points) if opened else {}),
    }


def _inside(run: Run, viewer: Viewer, points: list[dict[str, Any]]) -> dict[str, Any]:
    """The parts of the page that may quote the data."""
    found = results.load(run)
    events = engine.events.read(run.dir / "events.jsonl")[0]
    sees_data = may(viewer, run.dataset, VIEW)
    sees_samples = sees_data and run.fits_data()
    return {
        "sees_data": sees_data,
        "choice": choice.explained(events),
        "thresholds": threshold.choices(run, found),
        "alike": alike.told(run.dataset),
        "doings": words.doings(events),
        "advice": advice(run, points, found) if sees_samples else [],
        "budgets": start.budgets_of(viewer) if may(viewer, run.dataset, USE) else [],
        **results.explained(run, found, sees_samples),
        **(results.fixing(run, found, viewer) if found else {}),
    }


def _elapsed(run: Run) -> str:
    if not run.started:
        return ""
    seconds = ((run.ended or timezone.now()) - run.started).total_seconds()
    return words.duration(max(0.0, min(seconds, run.budget_s)))


def _since_request_s(run: Run) -> float | None:
    """Until the first prediction, with the time in the queue; None for an imported run."""
    if run.started is None or run.first_prediction_s is None or run.started < run.created:
        return None
    return (run.started - run.created).total_seconds() + run.first_prediction_s


def payload(run: Run, viewer: Viewer, compared: Sequence[str] = ()) -> dict[str, Any]:
    """The same page as JSON: state, figure, and the regions as HTML."""
    shown = context(run, viewer, compared, with_others=False)
    main, beside = shown["curves"]
    return {
        "id": run.pk,
        "version": version(run),
        "state": run.state,
        "open": run.is_open,
        "final": is_final(run),
        "points": shown["points"],
        "summary": shown["summary"],
        "figure": figure.figure(main, beside),
        "regions": {name: render_to_string(f"runs/_{name}.html", shown) for name in REGIONS if name != "curve"},
    }


def is_final(run: Run) -> bool:
    """Nothing on the page will change by itself any more."""
    return not run.is_open and run.export_state != Run.Export.QUEUED
