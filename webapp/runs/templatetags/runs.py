"""``{% spark run %}`` and small helpers of the run pages."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

from django import template
from django.template.defaultfilters import capfirst
from django.utils.html import format_html
from django.utils.safestring import SafeString

from webapp.datasets.report import card
from webapp.runs import words
from webapp.runs.models import Run
from webapp.runs.pages import figure

register = template.Library()
FIRST_WORD = re.compile(r"[a-z]+[,:;]?(\s|$)")
SPARK_WIDTH, SPARK_HEIGHT = 160, 40


@register.simple_tag
def spark(run: Run) -> SafeString:
    """The run's curve, 40 px high, with its meaning as text; prefetch ``points`` where many are shown."""
    points = [{"t": point.t, "nauc": point.nauc, "by": point.by} for point in run.points.all()]
    if not points:
        return format_html('<span class="quiet small">{}</span>', "no prediction yet" if run.is_open else "no curve")
    paths = figure.svg(figure.Curve("", points, run.budget_s, run.t0_s), SPARK_WIDTH, SPARK_HEIGHT)
    return format_html(
        '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path class="area" d="{}"/><path class="line" d="{}"/></svg>',
        SPARK_WIDTH,
        SPARK_HEIGHT,
        words.curve_summary(points),
        paths["area"],
        paths["line"],
    )


@register.filter
def seconds(value: float | None) -> str:
    """``0.6 s``, ``5 min``; empty for None."""
    return "" if value is None else words.duration(value)


@register.filter
def kind(modality: str) -> str:
    """``time series``: a modality in words."""
    return words.kind(modality)


@register.filter
def called(labels: str | list[str], target: str | None) -> str:
    """``Survived = 1``: classes that say nothing without the column that they are values of."""
    return words.called(labels, target or "")


@register.filter
def sentence(text: str) -> str:
    """With a capital letter, unless the first word is a name: of a file, a column or a model."""
    return capfirst(text) if FIRST_WORD.match(text) else text


@register.filter
def percent(share: float | None) -> str:
    """``97 %``, ``0.4 %``, ``99.7 %``, never broken over two lines; a dash for None."""
    if share is None or share > 0.99:
        return accuracy(share)
    return f"{100 * share:.{0 if share < 0.0005 or share >= 0.0995 else 1}f}\N{NO-BREAK SPACE}%"


@register.filter
def accuracy(share: float | None) -> str:
    """``97 %``, ``99.9 %``: rounded to 100 % only if all are right; a dash for None."""
    return "–" if share is None else words.percent(share)


@register.filter
def members(by: str) -> str:
    """The model behind a prediction, in short."""
    return words.members(by)


@register.inclusion_tag("runs/_score.html")
def score(run: Run) -> dict[str, Any]:
    """A run's accuracy in one line, beside that of the most common class; NAUC for several labels at once."""
    return {"run": run}


@register.filter
def polyline(shares: list[float | None]) -> str:
    """Points of an SVG polyline in a box of 100 × 100, one share after the other, 1 at the top."""
    known = [0.0 if share is None else share for share in shares]
    return " ".join(
        f"{100 * at / max(1, len(known) - 1):.1f},{100 - 100 * share:.1f}" for at, share in enumerate(known)
    )


@register.filter
def plain(value: float) -> str:
    """A number for HTML attributes: no grouping, a dot."""
    return f"{value:.4f}"


@register.filter
def number(value: float, digits: int = 3) -> str:
    """``0.0043``, ``7.9``, ``12,500``."""
    return words.number(value, digits)


@register.filter
def cell(value: Any) -> Any:
    """``0.3`` for a table's 0.30000001192; other texts as they are."""
    return words.cell(value)


@register.filter
def score_value(value: float | None) -> str:
    """``0.934``: an NAUC or ALC; a dash for None."""
    return words.score_value(value)


@register.simple_tag
def query(**values: str) -> str:
    """Query string of a link."""
    return urlencode(values)


@register.inclusion_tag("runs/_preview.html")
def preview(sample: dict[str, Any] | None, dataset_id: str) -> dict[str, Any]:
    """Preview of a test sample: image, sound, text, curve or row."""
    return {"preview": sample and card(dataset_id, "test", sample)}
