"""The benchmark's plots as self-contained SVG files, light and dark: nothing but text.

Positions are in [0, 1] of the plot area, from its lower left corner.  A model has the same colour everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_engine.lab.bench.ranks import Ranking
from automl_engine.run.curve import step_curve, time_transform

if TYPE_CHECKING:
    from automl_engine.lab.bench.report import Result

LEFT, TOP, WIDTH, RIGHT, BOTTOM = 72, 44, 520, 206, 52  # px
HEIGHT = 300
TICKS_S = (0, 60, 300, 20, 10, 120, 5, 600, 1200, 2, 1, 3600)  # the ones to keep first come first
MIN_TICK_GAP = 0.07  # of the axis
FIRST_FROM_S, FIRST_TO_S = 0.02, 100.0
LOG_TICKS_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
ROW_PX, NAMES_PX = 24, 120
LIGHT = ("#2454d6", "#b4540a", "#17753f", "#8a3ab0", "#0b7285", "#a61e4d")
DARK = ("#8fb0ff", "#f0a35e", "#6fcf97", "#d19cf0", "#5fc9dc", "#f591b2")
DASHES = ("", "6 3", "2 3", "8 3 2 3")  # with the colours: 24 models before two look the same
FADES = (1, 0.45, 0.15)  # of bars, for the dashes
Tick = tuple[float, str]


def write_plots(results: Sequence[Result], summary: dict[str, Any], folder: Path) -> list[dict[str, str]]:
    """Make the files; returns their names, titles and sizes, the overviews first."""
    models = [row["model"] for row in summary["models"]]
    made = [
        ("alc_by_modality.svg", "ALC by modality", by_modality(summary, models, "by_modality", "ALC")),
        (
            "nauc_by_modality.svg",
            "Last NAUC by modality",
            by_modality(summary, models, "nauc_by_modality", "last NAUC"),
        ),
        ("alc_against_nauc.svg", "ALC against final NAUC", alc_against_nauc(summary, models)),
        (
            "first_predictions.svg",
            "First predictions",
            times(summary, models, "first_prediction_s", "First predictions"),
        ),
        ("durations.svg", "Last predictions", times(summary, models, "duration_s", "Last predictions")),
    ]
    if summary["winners"]:
        made.append(
            ("auto_against_winners.svg", "auto against the challenge's winners", duel(summary["winners"]["rows"]))
        )
    for ranked in (Ranking(**found) for found in summary["ranks"]):
        name = f"ranks_{ranked.kind.replace(' ', '_')}.svg"
        made.append((name, f"Average ranks, {ranked.kind}", average_ranks(ranked, models)))
    for row in summary["sets"]:
        own = [result for result in results if result.set == row["set"]]
        name = re.sub(r"[^A-Za-z0-9_-]", "_", row["set"])
        made.append((f"curves_{name}.svg", f"Learning curves: {row['set']}", curves(own, models)))
    folder.mkdir(parents=True, exist_ok=True)
    for name, _, svg in made:
        (folder / name).write_text(svg, encoding="utf-8")
    return [{"file": name, "title": title, **_size(svg)} for name, title, svg in made]


def _size(svg: str) -> dict[str, str]:
    """In px."""
    found = re.search(r' width="(\d+)" height="(\d+)"', svg)
    assert found, svg[:200]
    return {"width": found[1], "height": found[2]}


def curves(own: Sequence[Result], models: Sequence[str]) -> str:
    """NAUC over log time, a line a seed; below 0 is drawn at 0."""
    first = own[0]
    ticks = [(time_transform(t, first.budget_s, first.t0_s), f"{t:g}") for t in _seconds(first.budget_s, first.t0_s)]
    parts = _frame(ticks, _unit_ticks(), "seconds on the clock (log scale)", "NAUC")
    for result in own:
        if not result.curve:
            continue
        times, naucs = zip(*result.curve, strict=True)
        x, y = step_curve(times, naucs, result.budget_s, result.t0_s)
        path = f"M{_x(0):.1f} {_y(0):.1f}"
        path += "".join(f"H{_x(at):.1f}V{_y(max(score, 0)):.1f}" for at, score in zip(x, y, strict=True))
        told = f"{result.model}, seed {result.seed}: ALC {result.alc:.3f}, NAUC {result.nauc:.3f}"
        parts.append(
            _styled(models, result.model, f'<path class="step" d="{path}"><title>{escape(told)}</title></path>')
        )
    shown = [model for model in models if any(result.model == model for result in own)]
    title = f"{first.set} ({first.modality}): learning curves"
    return _document(title, [*parts, *_legend(models, shown)])


def by_modality(summary: dict[str, Any], models: Sequence[str], key: str, score: str) -> str:
    """A bar a model that was run there: its mean over the sets of the modality."""
    modalities = [name for name, _ in groupby(row["modality"] for row in summary["sets"])]
    places = [((number + 0.5) / len(modalities), name) for number, name in enumerate(modalities)]
    parts = _frame(places, _unit_ticks(), "", f"mean {score}")
    for place, modality in places:
        own = [(row["model"], row[key][modality]) for row in summary["models"] if modality in row[key]]
        bar = 0.85 / len(modalities) / len(own)
        for number, (model, mean) in enumerate(own):
            left, top = _x(place + bar * (number - len(own) / 2)), _y(max(mean, 0))
            size = f'width="{0.85 * bar * WIDTH:.1f}" height="{_y(0) - top:.1f}"'
            told = f"<title>{escape(model)}, {modality}: {mean:.3f}</title>"
            drawn = f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" {size}>{told}</rect>'
            parts.append(_styled(models, model, drawn))
    return _document(f"{score[0].upper()}{score[1:]} by modality", [*parts, *_legend(models, models, _sample_bar)])


def alc_against_nauc(summary: dict[str, Any], models: Sequence[str]) -> str:
    """A dot a set and model; the nearer to the diagonal, the less time was lost."""
    cells = [(row["set"], model, cell) for row in summary["sets"] for model, cell in row["cells"].items()]
    lowest = min(0.9, *(min(cell["alc"][0], cell["nauc"][0]) for _, _, cell in cells))
    low = max(0.0, math.floor(10 * lowest) / 10)
    ticks = [((level - low) / (1 - low), f"{level:.1f}") for level in _levels(low)]
    parts = _frame(ticks, ticks, "final NAUC", "ALC")
    parts.append(f'<path class="grid" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>')
    for name, model, cell in cells:
        nauc, alc = (max(0.0, (cell[key][0] - low) / (1 - low)) for key in ("nauc", "alc"))
        told = f"{name}, {model}: ALC {cell['alc'][0]:.3f}, NAUC {cell['nauc'][0]:.3f}"
        parts.append(_styled(models, model, _dot(models, model, _x(nauc), _y(alc), told)))
    return _document("ALC against final NAUC", [*parts, *_dot_legend(models)])


def duel(rows: Sequence[dict[str, Any]]) -> str:
    """A dot a set: ALC of ``auto`` above that of the winner's configuration; the colour is the modality's."""
    modalities = list(dict.fromkeys(row["modality"] for row in rows))
    parts = _frame(_unit_ticks(), _unit_ticks(), "ALC of the winner's configuration", "ALC of auto")
    parts.append(f'<path class="grid" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>')
    for row in rows:
        told = f"{row['set']}: auto {row['auto_alc']:.3f}, {row['winner']} {row['winner_alc']:.3f}"
        x, y = (max(0.0, row[key]) for key in ("winner_alc", "auto_alc"))
        parts.append(_styled(modalities, row["modality"], _dot(modalities, row["modality"], _x(x), _y(y), told)))
    above = sum(row["auto_alc"] > row["winner_alc"] for row in rows)
    title = f"auto against the challenge's winners: above on {above} of {len(rows)} sets"
    return _document(title, [*parts, *_dot_legend(modalities)])


def times(summary: dict[str, Any], models: Sequence[str], key: str, title: str) -> str:
    """A line a set, a dot a model with its range over the seeds."""
    height = ROW_PX * len(summary["sets"])
    end = max(FIRST_TO_S, *(row["budget_s"] for row in summary["sets"]))
    ticks = [(_log(t, end), f"{t:g}") for t in LOG_TICKS_S if t <= end]
    names = [(1 - (n + 0.5) / len(summary["sets"]), row["set"]) for n, row in enumerate(summary["sets"])]
    parts = _frame(ticks, names, f"seconds to the {title.split()[0].lower()} prediction (log scale)", "", height)
    for (place, name), row in zip(names, summary["sets"], strict=True):
        for model, cell in row["cells"].items():
            if not cell[key]:
                continue
            middle, low, high = cell[key]
            y = _y(place, height) + 8 * (models.index(model) - (len(models) - 1) / 2) / len(models)
            drawn = f'<path class="range" d="M{_x(_log(low, end)):.1f} {y:.1f}H{_x(_log(high, end)):.1f}"/>'
            told = f"{name}, {model}: {middle:.2f} s ({low:.2f} to {high:.2f})"
            drawn += _dot(models, model, _x(_log(middle, end)), y, told)
            parts.append(_styled(models, model, drawn))
    return _document(title, [*parts, *_dot_legend(models)], height, NAMES_PX)


def average_ranks(ranked: Ranking, models: Sequence[str]) -> str:
    """The critical-difference diagram: a bar joins models whose ranks do not differ significantly."""
    last, rows = len(ranked.models), len(ranked.models) + len(ranked.alike()) + 1
    height = ROW_PX * rows

    def place(rank: float) -> float:
        return _x((rank - 1) / (last - 1))

    def level(row: int) -> float:
        return _y(1 - (row + 0.5) / rows, height)

    ticks = [((rank - 1) / (last - 1), str(rank)) for rank in range(1, last + 1)]
    parts = _frame(ticks, [], f"average rank over {ranked.sets} data sets (1 is best)", "", height)
    told = "" if ranked.p_value is None else f" (Friedman p = {ranked.p_value:.2g})"
    colours = [*models, *(model for model in ranked.models if model not in models)]
    end = min(1 + ranked.critical_difference, last)
    bars = [(0, 1.0, end), *((n, ranked.ranks[a], ranked.ranks[b]) for n, (a, b) in enumerate(ranked.alike(), 1))]
    parts += [f'<path class="joined" d="M{place(a):.1f} {level(n):.1f}H{place(b):.1f}"/>' for n, a, b in bars]
    beside = [f"critical difference {ranked.critical_difference:.2f}", "not significant (Nemenyi, 5 %)"]
    parts += [_text(_x(1) + 12, level(n) + 4, text, "start") for n, text in enumerate(beside[: len(bars)])]
    for row, (model, rank) in enumerate(zip(ranked.models, ranked.ranks, strict=True), len(bars)):
        dot = _dot(colours, model, place(rank), level(row), f"{model}: {rank:.2f}")
        parts.append(_styled(colours, model, dot))
        side, anchor = (-10, "end") if 2 * rank > last + 1 else (10, "start")
        parts.append(_text(place(rank) + side, level(row) + 4, f"{model} {rank:.2f}", anchor))
    return _document(f"Average ranks, {ranked.kind}{told}", parts, height)


def _log(t: float, end: float) -> float:
    share = math.log(max(t, FIRST_FROM_S) / FIRST_FROM_S) / math.log(end / FIRST_FROM_S)
    return min(share, 1.0)


def _seconds(budget_s: float, t0_s: float) -> list[float]:
    """Round seconds, far enough apart on the log axis; the budget is among them."""
    chosen = [budget_s]
    for t in TICKS_S:
        x = time_transform(t, budget_s, t0_s)
        if x < 1 and all(abs(x - time_transform(other, budget_s, t0_s)) >= MIN_TICK_GAP for other in chosen):
            chosen.append(t)
    return chosen


def _levels(low: float) -> list[float]:
    step = 0.1 if low >= 0.5 else 0.2
    return [low + step * n for n in range(int(round((1 - low) / step, 6)) + 1)]


def _unit_ticks() -> list[Tick]:
    return [(level, f"{level:.1f}") for level in _levels(0)]


def _x(share: float) -> float:
    return LEFT + WIDTH * share


def _y(share: float, height: float = HEIGHT) -> float:
    return TOP + height * (1 - share)


def _frame(x: Iterable[Tick], y: Iterable[Tick], x_title: str, y_title: str, height: float = HEIGHT) -> list[str]:
    """Grid, ticks and titles of both axes."""
    bottom = TOP + height
    parts = []
    for place, text in x:
        parts.append(f'<path class="grid" d="M{_x(place):.1f} {TOP}V{bottom}"/>')
        parts.append(_text(_x(place), bottom + 18, text, "middle"))
    for place, text in y:
        at = _y(place, height)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{LEFT + WIDTH}"/>')
        parts.append(_text(LEFT - 8, at + 4, text, "end"))
    parts.append(_text(LEFT + WIDTH / 2, bottom + 40, x_title, "middle"))
    parts.append(f'<g transform="translate(18 {TOP + height / 2}) rotate(-90)">{_text(0, 0, y_title, "middle")}</g>')
    return parts


def _legend(
    models: Sequence[str], shown: Sequence[str], sample: Callable[[str, float, float], str] | None = None
) -> list[str]:
    """``sample`` draws what stands for a model, at the left end and the middle of its line; a line by default."""
    x = LEFT + WIDTH + 16
    parts = []
    for number, model in enumerate(shown):
        y = TOP + 8 + 20 * number
        drawn = sample(model, x, y) if sample else f'<path class="step" d="M{x} {y}h22"/>'
        parts.append(_styled(models, model, drawn))
        parts.append(_text(x + 30, y + 4, model if len(model) <= 22 else f"{model[:21]}…", "start"))
    return parts


def _dot_legend(models: Sequence[str]) -> list[str]:
    return _legend(models, models, lambda model, x, y: _dot(models, model, x + 11, y, model))


def _sample_bar(model: str, x: float, y: float) -> str:
    return f'<rect class="bar" x="{x + 4}" y="{y - 6}" width="14" height="12"/>'


def _styled(models: Sequence[str], model: str, drawn: str) -> str:
    """In the colour (and beyond six models the dashes, or as bars the fade) of its model."""
    number = models.index(model)
    group = number // len(LIGHT)
    dash = DASHES[group % len(DASHES)]
    dashes = f' stroke-dasharray="{dash}"' if dash and 'class="dot"' not in drawn else ""
    fade = f' fill-opacity="{FADES[group % len(FADES)]}"' if "<rect" in drawn else ""
    return f'<g class="c{number % len(LIGHT)}"{dashes}{fade}>{drawn}</g>'


def _dot(models: Sequence[str], model: str, x: float, y: float, told: str) -> str:
    """A circle, and beyond six models a square, a triangle and a cross."""
    shapes = (
        "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
        "m-4 -4h8v8h-8z",
        "m0 -5l5 9h-10z",
        "m-5 -1h4v-4h2v4h4v2h-4v4h-2v-4h-4z",
    )
    shape = shapes[models.index(model) // len(LIGHT) % len(shapes)]
    return f'<path class="dot" d="M{x:.1f} {y:.1f}{shape}"><title>{escape(told)}</title></path>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "quiet") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _document(title: str, parts: Sequence[str], height: float = HEIGHT, indent: int = 0) -> str:
    """``indent``: px on the left for long names of ticks."""
    width, tall = indent + LEFT + WIDTH + RIGHT, TOP + height + BOTTOM
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {tall:g}" width="{width}" height="{tall:g}"'
    label = f' role="img" aria-label="{escape(title)}">'
    ground = f'<rect class="ground" width="{width}" height="{tall:g}"/><g transform="translate({indent} 0)">'
    drawn = [ground, _text(LEFT, 24, title, "start", "title"), *parts, "</g></svg>\n"]
    return "\n".join([head + label, f"<style>{_style()}</style>", *drawn])


def _style() -> str:
    def colours(palette: Sequence[str], ground: str, text: str, quiet: str, line: str) -> str:
        own = "".join(f".c{number}{{color:{colour}}}" for number, colour in enumerate(palette))
        words = f".title{{fill:{text}}}.quiet{{fill:{quiet}}}"
        return f"{own}.ground{{fill:{ground}}}{words}.grid{{stroke:{line}}}.joined{{stroke:{quiet}}}"

    return (
        "text{font:13px system-ui,sans-serif}.title{font-size:16px;font-weight:600}.grid{fill:none}"
        ".step{fill:none;stroke:currentColor;stroke-width:1.8;stroke-opacity:.8}.range{stroke:currentColor}"
        ".joined{stroke-width:4;stroke-linecap:round}"
        ".bar{fill:currentColor;stroke:currentColor}.dot{fill:currentColor;fill-opacity:.75}"
        + colours(LIGHT, "#fff", "#15191f", "#545d6b", "#dde1e7")
        + f"@media(prefers-color-scheme:dark){{{colours(DARK, '#181c22', '#e9ecf1', '#a4adbb', '#2c323b')}}}"
    )
