"""The portfolio, for administrators; for all others these pages do not exist."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from itertools import groupby
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.portfolio.forms import RowForm
from webapp.portfolio.models import PortfolioRow
from webapp.portfolio.record import Record, records


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
    """All rows by modality, in ladder order, with how they did."""
    record = records()
    rows = [(row, record.get(row.name, Record())) for row in PortfolioRow.objects.all()]
    groups = [(modality, list(some)) for modality, some in groupby(rows, key=lambda pair: pair[0].modality)]
    return render(request, "portfolio/index.html", {"groups": groups})


@for_administrators
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str | None = None) -> HttpResponse:
    """Add a row (no name) or change one; below, where it won."""
    row = get_object_or_404(PortfolioRow, name=name) if name else None
    form = RowForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        messages.success(request, f"“{saved.name}” is saved as version {saved.version}; the next runs use it.")
        return redirect("portfolio")
    shown = PortfolioRow.objects.get(name=name) if name else None  # the form has written into ``row``
    record = records().get(name or "", Record())
    return render(request, "portfolio/edit.html", {"form": form, "row": shown, "record": record})


@for_administrators
@require_POST
def switch(request: HttpRequest, name: str) -> HttpResponse:
    """On or off for the runs that start from now on."""
    row = get_object_or_404(PortfolioRow, name=name)
    enabled = request.POST.get("enabled") == "yes"
    PortfolioRow.objects.filter(pk=row.pk, enabled=not enabled).update(enabled=enabled)
    messages.success(request, f"“{name}” is {'on' if enabled else 'off'} for runs that start from now on.")
    return redirect("portfolio")
