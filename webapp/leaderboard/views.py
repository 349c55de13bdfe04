"""The boards as a page, as CSV and as JSON; the published benchmark."""

from __future__ import annotations

import json
import mimetypes
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from django.core.paginator import Paginator
from django.core.serializers.json import DjangoJSONEncoder
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from webapp.csv_lines import csv_line
from webapp.datasets.models import Dataset
from webapp.leaderboard import benchmark
from webapp.leaderboard.boards import Board, ModelRow, board
from webapp.leaderboard.dataset_board import dataset_board

LISTED = 10  # data sets on a page, as many columns as fit


@require_GET
def boards(request: HttpRequest) -> HttpResponse:
    found = _board(request)
    listed = Paginator(found.datasets, LISTED).get_page(request.GET.get("page"))
    matrix = [{"row": row, "cells": [row.cells.get(dataset["id"]) for dataset in listed]} for row in found.models]
    context = {"board": found, "datasets": listed, "matrix": matrix, "now": timezone.now()}
    context["benchmark"] = benchmark.file("summary.json")
    return render(request, "leaderboard/boards.html", context)


@require_GET
def models_file(request: HttpRequest, suffix: str) -> HttpResponse:
    return _file(_models(_board(request), suffix), "models", suffix)


@lru_cache(maxsize=4)
def _models(found: Board, suffix: str) -> str:
    """Kept while nothing changes: with thousands of data sets the numbers take a tenth of a second to write."""
    ids = [dataset["id"] for dataset in found.datasets]
    names = [f"{what}_{id}" for what in ("rank", "alc") for id in ids]
    rows = [
        {
            "place": None if row.average_rank is None else place,
            "model": row.model,
            "modalities": " ".join(row.modalities),
            "average_rank": row.average_rank,
            "mean_accuracy": row.mean_accuracy,
            "mean_alc": row.mean_alc,
            "mean_first_prediction_s": row.mean_first_prediction_s,
            "wins": row.wins,
            "datasets": len(row.cells),
            "baseline": row.baseline,
            **dict(zip(names, _cells(row, ids), strict=True)),
        }
        for place, row in enumerate(found.models, 1)
    ]
    return _text(rows, suffix)


def _cells(row: ModelRow, ids: list[str]) -> list[float | None]:
    """The rank on each data set, then the ALC on each."""
    cells = [row.cells.get(id) for id in ids]
    return [cell.rank if cell else None for cell in cells] + [cell.alc if cell else None for cell in cells]


@require_GET
def datasets_file(request: HttpRequest, suffix: str) -> HttpResponse:
    of_best = ("id", "model", "alc", "nauc", "accuracy", "budget_s")
    rows = [
        {
            **{key: row[key] for key in ("id", "name", "modality", "title", "majority_accuracy", "runs")},
            **{f"best_{key}": getattr(row["best"], key) for key in of_best},
        }
        for row in _board(request).datasets
    ]
    return _file(_text(rows, suffix), "datasets", suffix)


@require_GET
def dataset_page(request: HttpRequest, dataset_id: str) -> HttpResponse:
    """All entries on a public data set."""
    dataset = _public(dataset_id)
    context = {"dataset": dataset, "board": dataset_board(dataset, _budget(request)), "now": timezone.now()}
    return render(request, "leaderboard/dataset.html", context)


@require_GET
def dataset_file(request: HttpRequest, dataset_id: str, suffix: str) -> HttpResponse:
    dataset = _public(dataset_id)
    entries = dataset_board(dataset, _budget(request)).entries
    rows = [asdict(entry) | {"date": entry.date.isoformat() if entry.date else None} for entry in entries]
    return _file(_text(rows, suffix), "entries", suffix)


def _public(dataset_id: str) -> Dataset:
    return get_object_or_404(Dataset, id=dataset_id, public=True, state=Dataset.State.READY)


@require_GET
def benchmark_page(request: HttpRequest) -> HttpResponse:
    return render(request, "leaderboard/benchmark.html", {"found": benchmark.summary()})


@require_GET
def benchmark_file(request: HttpRequest, name: str) -> HttpResponse:
    """A plot or a results file of the benchmark."""
    path = benchmark.file(name)
    if path is None:
        raise Http404
    kind = "text/markdown" if path.suffix == ".md" else mimetypes.guess_type(name)[0]
    return HttpResponse(path.read_bytes(), content_type=kind if path.suffix == ".svg" else f"{kind}; charset=utf-8")


def _board(request: HttpRequest) -> Board:
    return board(_budget(request), request.GET.get("modality", ""))


def _budget(request: HttpRequest) -> int | None:
    budget = request.GET.get("budget_s", "")
    return int(budget) if budget.isascii() and budget.isdecimal() and len(budget) < 10 else None


def _text(rows: list[dict[str, Any]], suffix: str) -> str:
    """CSV or JSON."""
    if suffix == "json":
        return json.dumps(rows, cls=DjangoJSONEncoder)
    if suffix != "csv":
        raise Http404
    return "".join(map(csv_line, [list(rows[0]) if rows else ["empty"], *(row.values() for row in rows)]))


def _file(text: str, name: str, suffix: str) -> HttpResponse:
    """With the time of the answer."""
    as_of = timezone.now().isoformat(timespec="seconds")
    if suffix == "json":
        return HttpResponse(f'{{"as_of": "{as_of}", "{name}": {text}}}', content_type="application/json")
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}-{as_of[:10]}.csv"'
    return response
