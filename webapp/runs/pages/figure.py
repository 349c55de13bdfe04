"""The learning curve as a Plotly figure and as a small SVG: steps over log time, the ALC area shaded.

The horizontal axis is ``ln(1 + t/t0)`` (the challenge's transform, docs/formats.md), its ticks are seconds.  Colours
are named by role in ``meta``; the page sets them from its own style, so that light and dark need no second figure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from webapp.engine import curve
from webapp.runs import words

TICKS_S = (0, 60, 300, 20, 10, 120, 5, 600, 1200, 3600, 40, 2, 180, 1, 1800)  # in order of preference
MIN_TICK_GAP = 0.065
"""Smallest distance of two ticks, as a share of the axis; below it the texts would touch."""


@dataclass(frozen=True)
class Curve:
    """One run's predictions; ``points`` are dicts with t, nauc and by."""

    name: str
    points: Sequence[dict[str, Any]]
    budget_s: float
    t0_s: float
    ended: bool = True
    held: bool = True  # the last prediction counts to the end, except in an attempt whose worker was lost


def ticks(budget_s: float, t0_s: float) -> list[float]:
    """Round seconds, far enough apart on the log axis, the budget always among them."""
    chosen = [budget_s]
    for t in TICKS_S:
        x = curve.time_transform(t, budget_s, t0_s)
        if all(abs(x - curve.time_transform(other, budget_s, t0_s)) >= MIN_TICK_GAP for other in chosen) and x < 1:
            chosen.append(t)
    return sorted(chosen)


def figure(main: Curve, others: Sequence[Curve] = ()) -> dict[str, Any]:
    """The Plotly figure as JSON: the run's steps, the curve if it stopped now, and runs to compare with."""
    from plotly.io import to_json  # here, since it takes long to load

    traces = _traces(main)
    for number, other in enumerate(others):
        traces.append((f"other-{number}", _steps(other, other.points, to_end=other.held)))
    data = [{"type": "scatter", "meta": {"role": role}, **trace} for role, trace in traces]
    figure = {"data": data, "layout": _layout(main, others)}
    return json.loads(to_json(figure, validate=False))  # a test validates; for every page it would take too long


def _traces(main: Curve) -> list[tuple[str, dict[str, Any]]]:
    steps = _steps(main, main.points, to_end=main.ended)
    area = {"fill": "tozeroy", "line": {"shape": "hv", "width": 2.5}}
    traces = [("main", steps | area)]
    if main.points and not main.ended:
        last = main.points[-1]
        held = _steps(main, [last], to_end=True, from_zero=False)
        held |= {"name": "if it stopped now", "mode": "lines", "fill": "tozeroy", "hoverinfo": "skip"}
        held["line"] = {"shape": "hv", "width": 1.5, "dash": "dot"}
        traces.append(("held", held))
    return traces


def _steps(main: Curve, points: Sequence[dict[str, Any]], *, to_end: bool, from_zero: bool = True) -> dict[str, Any]:
    """A trace whose markers are the predictions; the corners at both ends have none."""
    points = [point for point in points if point["t"] <= main.budget_s]
    x = [math.log1p(point["t"] / main.t0_s) for point in points]
    y = [point["nauc"] for point in points]
    text = [f"{words.duration(point['t'])}: {_scores(point)}<br>{words.members(point['by'])}" for point in points]
    sizes = [7] * len(points)
    if from_zero and points:
        x, y, text, sizes = [0.0, x[0], *x], [0.0, 0.0, *y], ["", "", *text], [0, 0, *sizes]
    if to_end and points:
        end = math.log1p(main.budget_s / main.t0_s)
        x, y, text, sizes = [*x, end], [*y, y[-1]], [*text, ""], [*sizes, 0]
    return {
        "x": x,
        "y": y,
        "text": text,
        "name": main.name,
        "mode": "lines+markers",
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"size": sizes},
        "line": {"shape": "hv", "width": 1.5},
    }


def _scores(point: dict[str, Any]) -> str:
    nauc = f"NAUC {point['nauc']:.3f}"
    return nauc if point.get("accuracy") is None else f"{words.score(point)}, {nauc}"


def _layout(main: Curve, others: Sequence[Curve]) -> dict[str, Any]:
    end = math.log1p(main.budget_s / main.t0_s)
    seconds = ticks(main.budget_s, main.t0_s)
    lowest = min([0.0, *(point["nauc"] for shown in (main, *others) for point in shown.points)])
    return {
        "uirevision": "keep",  # zoom and legend survive new data
        "margin": {"l": 48, "r": 16, "t": 12, "b": 56},
        "height": 400,
        "hovermode": "closest",
        "showlegend": bool(others),
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "xaxis": {
            "range": [0, 1.01 * end],  # the budget's own tick lies inside
            "tickvals": [math.log1p(t / main.t0_s) for t in seconds],
            "ticktext": [words.duration(t) for t in seconds],
            "title": {"text": "training time (log scale)", "standoff": 12},
            "zeroline": False,
        },
        "yaxis": {"range": [lowest - 0.02, 1.03], "title": {"text": "NAUC"}, "zeroline": True},
    }


def svg(main: Curve, width: float, height: float) -> dict[str, str]:
    """Path data of the steps (``line``) and of the area below (``area``), in a box of ``width`` × ``height``.

    The box spans the budget and NAUC 0 to 1; worse than chance is drawn at the bottom.
    """
    points = [point for point in main.points if point["t"] <= main.budget_s]
    if not points:
        return {"line": "", "area": ""}

    def y(nauc: float) -> str:
        return f"{height * (1 - min(max(nauc, 0), 1)):.1f}"

    xs = [f"{width * curve.time_transform(point['t'], main.budget_s, main.t0_s):.1f}" for point in points]
    line = f"M0 {height:g}"
    for x, point in zip(xs, points, strict=True):
        line += f"H{x}V{y(point['nauc'])}"
    if main.held:
        line += f"H{width:g}"
    return {"line": line, "area": f"{line}V{height:g}Z"}


def svg_levels(height: float) -> list[tuple[str, str]]:
    """Grid lines of the SVG: position and NAUC."""
    return [(f"{height * (1 - level):.1f}", f"{level:g}") for level in (0, 0.25, 0.5, 0.75, 1)]


def svg_axis(main: Curve, width: float) -> list[dict[str, str]]:
    """Ticks of the SVG: position and text."""
    return [
        {
            "x": f"{width * curve.time_transform(t, main.budget_s, main.t0_s):.1f}",
            "text": words.duration(t),
            "anchor": "start" if t == 0 else "end" if t == main.budget_s else "middle",
        }
        for t in ticks(main.budget_s, main.t0_s)
    ]
