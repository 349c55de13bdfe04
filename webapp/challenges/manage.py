"""Challenges for their owner: set up, change, open, end and delete."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from webapp.access import get_owned, posted_from
from webapp.accounts import audit
from webapp.challenges import entries, rules
from webapp.challenges.forms import ChallengeForm, PhaseForms
from webapp.challenges.models import Challenge
from webapp.datasets.models import Dataset

PHASES = (("Development", 28, 5, 50), ("Final", 7, 1, 3))
"""As proposed: name, days, entries a day and in total."""


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest, dataset_id: str) -> HttpResponse:
    """A draft on an own data set."""
    ready = Dataset.objects.select_related("owner").filter(state=Dataset.State.READY)
    dataset = get_owned(ready, request.user, id=dataset_id)
    if not rules.has_account(request.user):
        raise Http404
    return _form(request, Challenge(dataset=dataset, title=dataset.name[:100]), _proposed())


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, challenge_id: str) -> HttpResponse:
    challenge = _own(request, challenge_id)
    if challenge.is_over:
        messages.error(request, "This challenge is over: its final board has been seen, so nothing can be changed.")
        return redirect(challenge)
    return _form(request, challenge, [])


def _form(request: HttpRequest, challenge: Challenge, proposed: list[dict[str, Any]]) -> HttpResponse:
    posted = request.POST if request.method == "POST" else None  # a posted phase as it was proposed is none to Django
    form = ChallengeForm(posted, instance=challenge)
    phases = PhaseForms(posted, instance=challenge, prefix="phases", initial=None if posted else proposed)
    if form.is_valid() and phases.is_valid():
        with transaction.atomic():
            form.save()
            phases.save()
        return redirect(challenge)
    context = {"challenge": challenge, "form": form, "phases": phases, "is_new": bool(proposed)}
    return render(request, "challenges/edit.html", context, status=422 if posted is not None else 200)


def _proposed() -> list[dict[str, Any]]:
    """One phase after the other, from tomorrow on."""
    start = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    found = []
    for name, days, per_day, total in PHASES:
        end = start + timedelta(days=days)
        found.append({"name": name, "start": start, "end": end, "per_day": per_day, "total": total})
        start = end
    return found


@posted_from("challenge", "challenge_id")
def open_(request: HttpRequest, challenge_id: str) -> HttpResponse:
    """From now on other people see it."""
    challenge = _own(request, challenge_id)
    with transaction.atomic():
        Dataset.objects.select_for_update().get(pk=challenge.dataset_id)  # two at once: one of them is refused
        if why := rules.obstacle(challenge):
            messages.error(request, why)
            return redirect(challenge)
        if Challenge.objects.filter(pk=challenge.pk, opened=None).update(opened=timezone.now()):
            audit.note(request, "opened", challenge)
            messages.success(request, "The challenge is open: whoever has the address of this page can take part.")
    return redirect(challenge)


@posted_from("challenge", "challenge_id")
def close(request: HttpRequest, challenge_id: str) -> HttpResponse:
    """End it before its time: the final board appears."""
    challenge = _own(request, challenge_id)
    if challenge.is_open and Challenge.objects.filter(pk=challenge.pk, closed=None).update(closed=timezone.now()):
        audit.note(request, "ended", challenge)
        messages.success(request, "The challenge has ended, and its final board is shown.")
    return redirect(challenge)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, challenge_id: str) -> HttpResponse:
    """First what goes and what stays, then really."""
    challenge = _own(request, challenge_id)
    if request.method == "POST":
        audit.note(request, "deleted", challenge)
        entries.delete(challenge)
        messages.success(request, f"The challenge “{challenge}” is deleted.")
        return redirect(challenge.dataset)
    counts = {"entry_count": challenge.entries.count(), "people": challenge.entries.values("user").distinct().count()}
    return render(request, "challenges/delete.html", {"challenge": challenge, **counts})


def _own(request: HttpRequest, challenge_id: str) -> Challenge:
    return get_owned(rules.Challenges, request.user, id=challenge_id)
