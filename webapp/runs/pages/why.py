"""Why a model gave its answer, on a page: of a test item, or beside the prediction of a single new input."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from webapp import engine
from webapp.access import get_owned, get_visible, posted_from, signed_in
from webapp.datasets.models import Dataset
from webapp.datasets.report import previews, sparklines
from webapp.ops import queues
from webapp.runs import queue, why, words
from webapp.runs.models import Prediction, Run
from webapp.runs.pages import results

LISTED = 10  # most important words or columns
DECISIVE = 0.01
"""A part matters if the probability falls by this much without it."""
AGAINST = -0.1
"""An area of a picture is coloured from this weight on."""
PLACES = (("top left", "top", "top right"), ("left", "centre", "right"), ("bottom left", "bottom", "bottom right"))


def run_why(request: HttpRequest, run_id: str, index: int) -> HttpResponse:
    """GET shows what is known, with ``part`` as a fragment; POST asks for it."""
    return _ask(request, run_id=run_id, index=index) if request.method == "POST" else _page(request, run_id, index)


@posted_from("run-why", "run_id", "index")
def _ask(request: HttpRequest, run_id: str, index: int) -> HttpResponse:
    run = _run(request, run_id, index)
    why.ask(run, index, signed_in(request))
    if request.headers.get("Accept") == "application/json":
        return JsonResponse({})
    return redirect("run-why", run.pk, index)


@require_GET
def _page(request: HttpRequest, run_id: str, index: int) -> HttpResponse:
    run = _run(request, run_id, index)
    found = engine.read_json(why.path(run, index))
    is_queued = found is None and queues.is_alive(queue.why_job(run.pk, index))
    preview = previews(run.dataset, "test").get(index)
    told = shaped(found, run.dataset.target, preview)
    shown = {"run": run, "index": index, "why": told, "queued": is_queued, "preview": preview}
    shown["noun"] = words.noun(run.dataset.modality)
    response = render(request, "runs/_why.html" if "part" in request.GET else "runs/why.html", shown)
    response["X-State"] = "queued" if is_queued else ""
    response["Cache-Control"] = "no-store"
    return response


def _run(request: HttpRequest, run_id: str, index: int) -> Run:
    """A run with a packed model, for those who may see the data set itself."""
    run = get_visible(Run.objects.select_related("dataset"), request.user, id=run_id)
    get_visible(Dataset.objects.all(), request.user, id=run.dataset_id)
    found = results.load(run)
    if found is None or index >= found["n_test"] or run.export_state != Run.Export.READY:
        raise Http404
    return run


@require_GET
def prediction_why(request: HttpRequest, run_id: str, prediction_id: str) -> HttpResponse:
    """The explanation of a single new input as a fragment; empty where there is none."""
    mine = Prediction.objects.select_related("run__dataset")
    get_visible(Run.objects.all(), request.user, id=run_id)
    prediction = get_owned(mine, request.user, id=prediction_id, run_id=run_id)
    found = engine.read_json(prediction.why_path)
    is_queued = found is None and queues.is_alive(queue.predict_job(prediction.pk))
    response = render(
        request, "runs/_why.html", {"why": shaped(found, prediction.run.dataset.target), "queued": is_queued}
    )
    response["X-State"] = "queued" if is_queued else ""
    response["Cache-Control"] = "no-store"
    return response


def shaped(found: dict[str, Any] | None, target: str, preview: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """``why.json`` for ``runs/_why.html``; None where there is none yet."""
    if found is None or "error" in found:
        return found
    weights, without = found["weights"], found["without"]
    shown = {key: found[key] for key in ("kind", "probability")} | {"label": words.called(found["label"], target)}
    if not weights:
        return shown | {"decisive": None}
    if found["kind"] in ("picture", "clip", "sound"):
        return shown | _area(found)
    best = max(range(len(weights)), key=weights.__getitem__)
    shown["without"] = without[best]
    shown["decisive"] = found["probability"] - without[best] >= DECISIVE
    if found["kind"] == "series":
        start, end = found["spans"][best]
        shown["place"] = f"from {words.percent(start)} to {words.percent(end)} of its length"
        shown["lines"] = sparklines(found["lines"])
        shown["cells"] = [
            _cell(weight, x=100 * span[0], y=-2, width=100 * (span[1] - span[0]), height=44)
            for span, weight in zip(found["spans"], weights, strict=True)
        ]
        return shown
    shown["place"] = f"“{found['parts'][best]}”"
    row = (preview or {}).get("row", {})
    lines = [
        {"name": name, "value": row.get(name), "weight": weight, "share": abs(weight), "without": p}
        for name, weight, p in zip(found["parts"], weights, without, strict=True)
    ]
    shown["listed"] = sorted((line for line in lines if line["weight"]), key=lambda line: -line["share"])[:LISTED]
    if found["kind"] == "text":
        shown |= {"words": lines, "glue": found["glue"]}
    return shown


def _area(found: dict[str, Any]) -> dict[str, Any]:
    """Rectangles over a picture, and where the most important one is."""
    weights, without = found["weights"], found["without"]
    rows, columns, height, width = len(weights), len(weights[0]), found["height"], found["width"]
    places = [(row, column) for row in range(rows) for column in range(columns)]
    row, column = max(places, key=lambda at: weights[at[0]][at[1]])
    high, wide = height / rows, width / columns
    is_sound = found["kind"] == "sound"
    place, shown = (_sound_place, _cell) if is_sound else (_picture_place, _veil)
    return {
        **{key: found.get(key) for key in ("picture", "width", "height", "seconds")},
        "without": without[row][column],
        "decisive": found["probability"] - without[row][column] >= DECISIVE,
        "place": place(found, row, column),
        "faded": not is_sound,
        "cells": [shown(weights[i][j], x=j * wide, y=i * high, width=wide, height=high) for i, j in places],
    }


def _picture_place(found: dict[str, Any], row: int, column: int) -> str:
    rows, columns = len(found["weights"]), len(found["weights"][0])
    return f"at the {PLACES[_third(row, rows)][_third(column, columns)]}"


def _sound_place(found: dict[str, Any], row: int, column: int) -> str:
    rows, columns = len(found["weights"]), len(found["weights"][0])
    start, end = (words.number(round(found["seconds"] * at / columns, 2)) for at in (column, column + 1))
    return f"{('high', 'middle', 'low')[_third(row, rows)]} frequencies from {start} to {end} s"


def _third(place: int, count: int) -> int:
    """Where the middle of a part lies."""
    return 3 * (2 * place + 1) // (2 * count)


def _veil(weight: float, **box: float) -> dict[str, Any]:
    """Over a picture with colours of its own: what does not matter is faded."""
    if weight < AGAINST:
        return _cell(weight, **box)
    return _cell(weight, **box) | {"side": "faded", "opacity": f"{0.85 * (1 - max(0, weight)):.2f}"}


def _cell(weight: float, **box: float) -> dict[str, Any]:
    return {"side": "for" if weight > 0 else "against", "opacity": f"{0.7 * abs(weight):.2f}"} | {
        key: f"{value:.2f}" for key, value in box.items()
    }
