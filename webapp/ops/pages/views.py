"""The start page and the public status page."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from webapp import engine
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops.models import Fault
from webapp.ops.pages import cards, status
from webapp.runs.models import Run, ranked

NEWEST = 6


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """For a visitor the description of the product, for a user their data and runs; starter data for both."""
    starters = Dataset.objects.filter(starter=True, public=True).order_by("created")
    context: dict[str, Any] = {"starters": [(dataset, cards.samples(dataset)) for dataset in starters]}
    if isinstance(request.user, User):
        context |= _mine(request.user)
        if not request.user.guest:
            return render(request, "ops/home_user.html", context)
    latest = ranked().filter(dataset__public=True)
    context["latest"] = latest.select_related("dataset").prefetch_related("points").first()
    return render(request, "ops/home.html", context)


def _mine(user: User) -> dict[str, Any]:
    runs = Run.objects.filter(owner=user).select_related("dataset").prefetch_related("points")
    return {
        "datasets": Dataset.objects.filter(owner=user, starter=False)[:NEWEST],
        "runs": runs[:NEWEST],
        "dataset_count": Dataset.objects.filter(owner=user, starter=False).count(),
        "run_count": runs.count(),
    }


@require_safe
def status_page(request: HttpRequest) -> HttpResponse:
    """State of the workers, the queues and the disk.  Public, so it holds no names and no data."""
    machinery = status.machinery()
    workers, queues = machinery or ([], [])
    context = {
        "answers": machinery is not None,
        "workers": workers,
        "missing": [purpose for purpose in status.PURPOSES.values() if purpose not in {w.purpose for w in workers}],
        "queues": queues,
        "engine_bytes": engine.waiting_bytes(settings.REDIS_SOCKET.parent, "engine"),
        "predictor_bytes": engine.waiting_bytes(settings.REDIS_SOCKET.parent, "predictor"),
        "disk": status.disk(),
        "unrestricted": engine.confined.obstacle(),
        "faults": Fault.objects.all()[:20],
        "now": timezone.now(),
    }
    return render(request, "ops/status.html", context)
