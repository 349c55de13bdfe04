"""Challenges for who takes part: the list, the page with its boards, the data without test labels, entries."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from webapp import engine_hidden
from webapp.access import owns, posted_from, signed_in
from webapp.challenges import boards, entries, rules, scores
from webapp.challenges.models import Challenge, Entry
from webapp.csv_lines import csv_line
from webapp.datasets import report
from webapp.datasets.forms import UploadForm
from webapp.datasets.models import Dataset
from webapp.datasets.views import sample_of
from webapp.runs import start
from webapp.streaming import stream_zip

LISTED = 25  # on a page
LINES = 50  # of a board, and entries, on the page of a challenge
SAMPLES = 8
PICTURED = ("image", "video", "audio")


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The listed challenges; mine, and those that I take part in."""
    context: dict[str, Any] = {
        "challenges": Paginator(rules.listed(), LISTED).get_page(request.GET.get("page")),
        "has_account": rules.has_account(request.user),
    }
    if context["has_account"]:
        me = signed_in(request)
        context["own"] = rules.Challenges.filter(dataset__owner=me)[:LINES]
        mine = Entry.objects.filter(user=me).select_related("challenge__dataset")
        context["entries"] = Paginator(mine.prefetch_related("challenge__phases"), LISTED).get_page(
            request.GET.get("entries")
        )
        context["has_data"] = Dataset.objects.filter(owner=me, state=Dataset.State.READY).exists()
    return render(request, "challenges/index.html", context)


@require_safe
def page(request: HttpRequest, challenge_id: str) -> HttpResponse:
    challenge = rules.get_shown(request.user, challenge_id)
    dataset = challenge.dataset
    is_owner = owns(request.user, challenge)
    context: dict[str, Any] = {
        "challenge": challenge,
        "is_owner": is_owner,
        "has_account": rules.has_account(request.user),
        "phase": challenge.phase(),
        "next_phase": challenge.next_phase(),
        "now": timezone.now(),
        "percent_left": 100 - challenge.public_percent,
    }
    if challenge.opened:
        found = {name: boards.board(challenge, name) for name in reversed(boards.BOARDS)}
        context["boards"] = [(name, lines[:LINES], len(lines)) for name, lines in found.items() if lines is not None]
    elif is_owner:
        context |= {"obstacle": rules.obstacle(challenge), "warning": rules.warning(challenge)}
    if dataset.state == Dataset.State.READY:
        about = dataset.report
        context["about"] = {"labels": [label["name"] for label in about["labels"]], **about["counts"]}
        if context["has_account"]:
            context["samples"] = _samples(challenge)
            context["row_names"] = list(context["samples"][0].get("row", ())) if context["samples"] else []
    if context["has_account"]:
        context |= _mine(request, challenge)
    return render(request, "challenges/page.html", context)


def _mine(request: HttpRequest, challenge: Challenge) -> dict[str, Any]:
    """My entries, and what I can do next."""
    me, phase = signed_in(request), challenge.phase()
    mine = list(Entry.objects.filter(challenge=challenge, user=me))
    for entry in mine:
        entry.challenge = challenge  # whose phases are known
    scored = [entry for entry in reversed(mine) if entry.state == Entry.State.SCORED]
    found: dict[str, Any] = {
        "entries": mine[:LINES],
        "counting": boards.counting(scored) if scored else None,
        "refusal": rules.refusal(challenge, me),
    }
    if phase and not found["refusal"]:
        today, total = rules.used(challenge, phase, me)
        left = phase.total - total
        found |= {"left_today": min(phase.per_day - today, left), "left": left}
        if challenge.runs_allowed:
            found |= start.start_context(challenge.dataset, me)
    return found


def _samples(challenge: Challenge) -> list[dict[str, Any]]:
    """The first of the training samples, without the names of their files."""
    found = []
    for sample in report.previews(challenge.dataset, "train").first(SAMPLES):
        about = {key: value for key, value in sample.items() if key not in ("source", "file")}
        if sample["kind"] in PICTURED:
            about["is_pictured"] = True
        elif sample["kind"] == "series":
            about["lines"] = report.sparklines(sample["series"])
        found.append(about)
    return found


@require_safe
def sample(request: HttpRequest, challenge_id: str, index: int) -> HttpResponse:
    """A picture or a sound of the training part."""
    dataset = _to_take_part(request, challenge_id).dataset
    if index >= SAMPLES:
        raise Http404
    return sample_of(dataset, "train", index)


@require_safe
def data(request: HttpRequest, challenge_id: str) -> HttpResponseBase:
    """Training data with labels, test samples without, and a file of predictions to begin with."""
    challenge = _to_take_part(request, challenge_id)
    parts = scores.parts(challenge)
    folder = challenge.dataset.files("*.data/*/*")
    members = engine_hidden.bundle(folder, challenge.salt, len(parts.solution))
    labels = entries.labels(challenge)
    example = csv_line(labels) + csv_line([round(1 / len(labels), 4)] * len(labels)) * len(parts.solution)
    return stream_zip([*members, (example.encode(), "predictions.csv")], f"{challenge.title}.zip")


def _to_take_part(request: HttpRequest, challenge_id: str) -> Challenge:
    """A challenge for those with an account, who may download its data."""
    challenge = rules.get_shown(request.user, challenge_id)
    if not rules.has_account(request.user) or challenge.dataset.state != Dataset.State.READY:
        raise Http404
    return challenge


@posted_from("challenge", "challenge_id")
def enter_file(request: HttpRequest, challenge_id: str) -> HttpResponse:
    challenge = rules.get_shown(request.user, challenge_id)
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        messages.error(request, "Choose a file of predictions that is not empty.")
        return redirect(challenge)
    sent = form.cleaned_data["file"]
    try:
        entry = entries.submit_file(challenge, signed_in(request), sent.file, sent.size, sent.name)
    except entries.Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"Entry {entry.number} is scored.")
    return redirect(f"{challenge.get_absolute_url()}#mine")


@posted_from("challenge", "challenge_id")
def enter_run(request: HttpRequest, challenge_id: str) -> HttpResponse:
    challenge = rules.get_shown(request.user, challenge_id)
    budget = request.POST.get("budget_s", "")
    budget_s = int(budget) if budget.isascii() and budget.isdecimal() and len(budget) < 10 else 0
    model = request.POST.get("model") or "auto"
    try:
        entry = entries.submit_run(challenge, signed_in(request), budget_s=budget_s, model=model)
    except entries.Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(
            request, f"Entry {entry.number} waits for its turn to train; its score comes when it has ended."
        )
    return redirect(f"{challenge.get_absolute_url()}#mine")


@posted_from("challenge", "challenge_id")
def choose(request: HttpRequest, challenge_id: str, number: int) -> HttpResponse:
    """Let an entry of mine count on the final board."""
    challenge = rules.get_shown(request.user, challenge_id)
    entry = get_object_or_404(_scored(challenge), user=signed_in(request), number=number)
    if challenge.is_over:
        messages.error(request, "This challenge is over: what counts cannot be changed any more.")
    elif rules.sees_labels(challenge, signed_in(request)):
        messages.error(request, "You have access to the test labels, so you cannot choose any more.")
    else:
        entries.choose(entry)
        messages.success(request, f"Entry {entry.number} counts on the final board.")
    return redirect(f"{challenge.get_absolute_url()}#mine")


def _scored(challenge: Challenge) -> QuerySet[Entry]:
    return Entry.objects.filter(challenge=challenge, state=Entry.State.SCORED)


@require_safe
def board_file(request: HttpRequest, challenge_id: str, board: str, suffix: str) -> HttpResponse:
    """All of a board, as CSV or JSON, with the time of the answer."""
    challenge = rules.get_shown(request.user, challenge_id)
    lines = boards.board(challenge, board) if challenge.opened and suffix in ("csv", "json") else None
    if lines is None:
        raise Http404
    as_of, rows = timezone.now().isoformat(timespec="seconds"), [asdict(line) for line in lines]
    if suffix == "json":
        found = {"as_of": as_of, "challenge": challenge.title, "board": board, "entries": rows}
        return HttpResponse(json.dumps(found, cls=DjangoJSONEncoder), content_type="application/json")
    out = io.StringIO()
    out.write(csv_line(boards.Line.__dataclass_fields__))
    out.writelines(csv_line((row | {"date": row["date"].isoformat()}).values()) for row in rows)
    response = HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{board}-board-{as_of[:10]}.csv"'
    return response
