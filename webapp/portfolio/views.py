"""The portfolio pages, for administrators; all other users get 404."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp import engine
from webapp.access import signed_in
from webapp.engine import DataError
from webapp.portfolio import evaluation, files, history, imports, matrix, rows
from webapp.portfolio.forms import CodeForm, FileForm, RowForm, WeightsForm
from webapp.portfolio.models import PortfolioRow, RowChange
from webapp.portfolio.record import wins

IMPORTS: dict[str, type[FileForm]] = {"code": CodeForm, "weights": WeightsForm, "row": FileForm}
STEPS = ["0", *(f"≤ {near:g}".replace("0.", ".") for near in matrix.NEAR[1:]), "more"]
"""Legend of the heat map's colours."""


def for_administrators(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not (request.user.is_authenticated and request.user.is_staff):
            raise Http404
        return view(request, *args, **kwargs)

    return checked


@for_administrators
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """All configurations by modality, in their order, with their scores."""
    context = {"matrices": matrix.matrices(), "steps": STEPS}
    return render(request, "portfolio/index.html", context)


@for_administrators
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str | None = None) -> HttpResponse:
    """Add a configuration (no name) or change one; with its scores and its history."""
    row = get_object_or_404(PortfolioRow, name=name) if name else None
    form = RowForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        saved = form.keep(signed_in(request))
        messages.success(request, f"“{saved.name}” is saved as version {saved.version}; the next runs use it.")
        return redirect("portfolio-row", saved.name)
    context: dict[str, Any] = {"form": form}
    if name:
        shown = PortfolioRow.objects.get(name=name)  # the form has written into ``row``
        context |= {"row": shown, **_known(shown)}
    return render(request, "portfolio/edit.html", context)


def _known(row: PortfolioRow) -> dict[str, Any]:
    found = next(iter(matrix.matrices(row.modality)))
    changes = row.changes.select_related("by")
    line, effect = found.line(row.name), matrix.effect(found, row.name)
    return {
        "line": line,
        "alone": len(line.scored) - (effect.datasets if effect else 0) if line else 0,
        "cells": list(matrix.beside_the_best(found, line)) if line else [],
        "effect": effect,
        "runs": wins(row.name),
        "changes": changes,
        "content": history.content_of(row),
        "datasets": evaluation.open_datasets(row).count(),
        "conditions": evaluation.conditions(found),
        "progress": evaluation.progress(row),
        "card": engine.weights_card(files.weights_name(row.model, row.params)),
    }


@for_administrators
@require_POST
def switch(request: HttpRequest, name: str) -> HttpResponse:
    """On or off for the runs that start from now on."""
    row = get_object_or_404(PortfolioRow, name=name)
    row.enabled = request.POST.get("enabled") == "yes"
    history.keep(row, signed_in(request))
    messages.success(request, f"“{name}” is {'on' if row.enabled else 'off'} for runs that start from now on.")
    return redirect("portfolio")


@for_administrators
@require_POST
def restore(request: HttpRequest, name: str) -> HttpResponse:
    """Restore an earlier content of a configuration."""
    number = request.POST.get("change", "")
    changes = RowChange.objects.filter(row__name=name).select_related("row")
    change = get_object_or_404(changes, pk=int(number) if number.isdecimal() and len(number) < 12 else 0)
    made = history.restore(change, signed_in(request))
    told = f"is restored, as version {made.version}" if made else "already had this content"
    messages.success(request, f"“{name}” {told}.")
    return redirect("portfolio-row", name)


@for_administrators
@require_safe
def row_yaml(request: HttpRequest, name: str) -> HttpResponse:
    """The configuration as a file that can be imported on another site."""
    row = get_object_or_404(PortfolioRow, name=name)
    return HttpResponse(rows.as_yaml(row), content_type="application/yaml; charset=utf-8")


@for_administrators
@require_POST
def evaluate(request: HttpRequest, name: str) -> HttpResponse:
    """Evaluate the configuration, or the others in use, on every public data set, or cancel waiting runs."""
    row = get_object_or_404(PortfolioRow, name=name)
    asked = PortfolioRow.objects.filter(pk=row.pk)
    if request.POST.get("others"):
        asked = PortfolioRow.objects.filter(modality=row.modality, enabled=True).exclude(pk=row.pk)
    if why := rows.obstacle(row):
        messages.error(request, f"It cannot run here. {why}")
    elif request.POST.get("stop"):
        messages.success(request, f"{_runs(evaluation.stop(row))} cancelled; those that have started continue.")
    elif count := sum(evaluation.begin(one, signed_in(request)) for one in asked):
        messages.success(request, f"{_runs(count)} queued at low priority.")
    else:
        messages.success(request, "It already has a score on every public data set of its kind.")
    return redirect("portfolio-row", name)


def _runs(count: int) -> str:
    return "1 run is" if count == 1 else f"{count} runs are"


@for_administrators
@require_safe
def progress(request: HttpRequest, name: str) -> HttpResponse:
    """The live fragment of an evaluation; tells htmx to reload the page at the end."""
    row = get_object_or_404(PortfolioRow, name=name)
    found = evaluation.progress(row)
    response = render(request, "portfolio/_progress.html", {"row": row, "progress": found})
    if not found.left:
        response["HX-Refresh"] = "true"
    return response


@for_administrators
@require_http_methods(["GET", "HEAD", "POST"])
def import_row(request: HttpRequest) -> HttpResponse:
    """Import a configuration from a search, a submission or weights.  It starts switched off."""
    shown = {kind: form(prefix=kind) for kind, form in IMPORTS.items()}
    kind = request.POST.get("kind", "")
    if request.method == "POST" and kind in IMPORTS:
        form = shown[kind] = IMPORTS[kind](request.POST, request.FILES, prefix=kind)
        if form.is_valid():
            try:
                row = form.keep(signed_in(request))
            except DataError as error:
                form.add_error("file", str(error))
            else:
                messages.success(
                    request, f"“{row.name}” is imported and switched off: evaluate it before you switch it on."
                )
                return redirect("portfolio-row", row.name)
    return render(request, "portfolio/import.html", {"forms": shown, "most_bytes": imports.MAX_BYTES})
