"""What an owner, or who may edit, changes in place: samples and classes, the fixes of findings, and undoing it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from webapp.access import EDIT, get_allowed, get_owned
from webapp.datasets import report, versions
from webapp.datasets.models import Dataset
from webapp.datasets.storage import Refused

MAX_CLASS_CHARS = 200
Datasets = Dataset.objects.select_related("owner")
READY = Dataset.State.READY


@require_POST
def fix_samples(request: HttpRequest, id: str) -> HttpResponse:
    """Exclude or relabel the chosen samples: a new version."""
    dataset = get_allowed(Datasets, request.user, EDIT, id=id, state=READY)
    items = list(dict.fromkeys(request.POST.getlist("item")))
    what = "1 sample" if len(items) == 1 else f"{len(items):,} samples"
    if not items:
        return _refuse(request, dataset, "Select at least one sample first.")
    if request.POST.get("action") == "exclude":
        return _make(request, dataset, f"{what} excluded", [{"do": "exclude", "items": items}])
    labels = _chosen_labels(request, several=dataset.report["task"] == "multi_label")
    if labels is None:
        return _refuse(request, dataset, "Choose the class that the selected samples get, or type a new one.")
    change = f"{what} relabelled as {', '.join(labels) or 'none of the labels'}"
    return _make(request, dataset, change, [{"do": "relabel", "items": items, "to": labels}])


def _chosen_labels(request: HttpRequest, several: bool) -> list[str] | None:
    """The classes of the form; None: there is no choice, or one that is too long."""
    typed = request.POST.get("new", "").strip()
    chosen = [label for label in request.POST.getlist("to") if label]
    labels = list(dict.fromkeys([*chosen, typed] if several and typed else [typed] if typed else chosen))
    if any(len(label) > MAX_CLASS_CHARS for label in labels) or (not several and len(labels) != 1):
        return None
    return labels


@require_POST
def fix_classes(request: HttpRequest, id: str) -> HttpResponse:
    """Merge classes, or leave some out: a new version."""
    dataset = get_allowed(Datasets, request.user, EDIT, id=id, state=READY)
    known = {label["name"] for label in dataset.report["labels"]}
    classes = [name for name in dict.fromkeys(request.POST.getlist("class")) if name in known]
    if request.POST.get("action") == "drop" and classes:
        return _make(request, dataset, f"left out: {', '.join(classes)}", [{"do": "drop", "classes": classes}])
    into = request.POST.get("into", "").strip()
    if len(classes) < 2 or not 0 < len(into) <= MAX_CLASS_CHARS:
        return _refuse(request, dataset, "Select at least two classes, and name the class that they become.")
    change = f"{', '.join(classes)} merged into {into}"
    return _make(request, dataset, change, [{"do": "merge", "classes": classes, "to": [into]}])


@require_POST
def fix_column(request: HttpRequest, id: str) -> HttpResponse:
    """Of a column of a table: what counts as missing, that it is left out, or that it decides the split."""
    dataset = get_allowed(Datasets, request.user, EDIT, id=id, state=READY)
    column, action = request.POST.get("column", ""), request.POST.get("action")
    values = [value.strip() for value in request.POST.get("values", "").split(",") if value.strip()]
    if column not in {one["name"] for one in dataset.report["columns"]}:
        return _refuse(request, dataset, "Choose a column.")
    if action in ("missing", "split") and not values:
        return _refuse(request, dataset, "Type the values, separated by commas.")
    columns, listed = {"columns": [column]}, ", ".join(values)
    changes: dict[str | None, tuple[str, dict[str, Any]]] = {
        "missing": (f"{listed} in column {column} counts as missing", {"do": "missing", **columns, "values": values}),
        "ignore": (f"column {column} left out", {"do": "ignore", **columns}),
        "group": (f"split grouped by column {column}", {"do": "group", **columns}),
        "split": (f"test set: column {column} is {listed}", {"do": "split", **columns, "values": values}),
    }
    if action not in changes:
        raise Http404
    change, edit = changes[action]
    return _make(request, dataset, change, [edit])


@require_POST
def fix_finding(request: HttpRequest, id: str, finding: int, number: int) -> HttpResponse:
    """The fix that the report proposes for a finding: a new version."""
    dataset = get_allowed(Datasets, request.user, EDIT, id=id, state=READY)
    try:
        fix = report.doubts(dataset.report)[finding]["fixes"][number]
    except (IndexError, KeyError):
        raise Http404 from None
    return _make(request, dataset, fix["title"], fix["edits"], fix["options"])


@require_POST
def undo(request: HttpRequest, id: str) -> HttpResponse:
    """Back to the version before; this one goes, unless something was learned from it."""
    dataset = get_owned(Datasets.select_related("parent"), request.user, id=id)
    if dataset.parent is None:
        raise Http404
    gone = versions.undo(dataset)
    kept = (
        f"Version {dataset.version} is undone."
        if gone
        else f"Version {dataset.version} is kept with its runs or challenges."
    )
    messages.success(request, f"{kept} This is version {dataset.parent.version}.")
    return redirect(dataset.parent)


def _make(
    request: HttpRequest,
    dataset: Dataset,
    change: str,
    edits: list[dict[str, Any]],
    options: dict[str, Any] | None = None,
) -> HttpResponse:
    try:
        return redirect(versions.edit(dataset, change, edits, options))
    except Refused as refused:
        return _refuse(request, dataset, refused.sentence)


def _refuse(request: HttpRequest, dataset: Dataset, sentence: str) -> HttpResponse:
    messages.error(request, sentence)
    return redirect(dataset)
