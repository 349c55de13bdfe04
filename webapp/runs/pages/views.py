"""Runs: the list, the live page and its data, and what an owner may do with a run."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from webapp import engine, streaming
from webapp.access import EDIT, USE, get_allowed, get_owned, get_sharable, get_visible, posted_from, signed_in
from webapp.accounts import audit, guests, sharing
from webapp.challenges.models import open_challenges
from webapp.datasets.models import Dataset
from webapp.runs import control, start, teaching, words
from webapp.runs.models import Run, ScorePoint
from webapp.runs.pages import page, results

LISTED = 50  # on a page


@login_required
@require_GET
def run_list(request: HttpRequest) -> HttpResponse:
    me = signed_in(request)
    runs = Run.objects.filter(owner=me).select_related("dataset", "entry")
    runs = runs.prefetch_related(Prefetch("points", ScorePoint.objects.order_by("k")))
    listed = Paginator(runs, LISTED).get_page(request.GET.get("page"))
    shared = Paginator(sharing.with_me(me, "run"), LISTED).get_page(request.GET.get("shared"))
    return render(request, "runs/run_list.html", {"runs": listed, "shared": shared, "quota": start.quota(me)})


@require_POST
def run_start(request: HttpRequest, dataset_id: str) -> HttpResponse:
    """A visitor who starts a run on public data becomes a guest."""
    is_open = not request.user.is_authenticated and start.budgets_of(request.user)
    if is_open and Dataset.objects.filter(pk=dataset_id, public=True).exists() and (guest := guests.begin(request)):
        guests.let_in(request, guest)
    return _run_start(request, dataset_id=dataset_id)


@posted_from("dataset", "dataset_id")
def _run_start(request: HttpRequest, dataset_id: str) -> HttpResponse:
    dataset = get_allowed(Dataset.objects.all(), request.user, USE, id=dataset_id)
    try:
        run = start.create_run(
            dataset,
            signed_in(request),
            budget_s=_whole(request.POST.get("budget_s"), "budget"),
            model=request.POST.get("model") or "auto",
            seed=_whole(request.POST.get("seed") or "0", "seed"),
            teaches=request.POST.get("teaches") == "1",
        )
    except start.StartError as reason:
        messages.error(request, str(reason))
        return redirect(dataset)
    return redirect(run)


def _whole(text: str | None, what: str) -> int:
    if not text or not text.isdecimal() or len(text) > 12:
        raise start.StartError(f"The {what} must be a whole number.")
    return int(text)


@require_GET
def run_page(request: HttpRequest, run_id: str) -> HttpResponse:
    run = get_visible(_runs(), request.user, id=run_id)
    shown = page.context(run, request.user, request.GET.getlist("with")) | sharing.panel(run, request.user)
    if shown["owned"]:
        shown |= {"shared": teaching.is_shared(run), "can_teach": teaching.can_teach(run)}
    return render(request, "runs/run.html", shown | {"final": page.is_final(run)})


@require_GET
def run_state(request: HttpRequest, run_id: str) -> JsonResponse:
    """What the page polls when the stream does not come through."""
    run = get_visible(_runs(), request.user, id=run_id)
    response = JsonResponse(page.payload(run, request.user, request.GET.getlist("with")))
    response["Cache-Control"] = "no-store"
    return response


@require_POST
def run_stop(request: HttpRequest, run_id: str) -> HttpResponse:
    run = get_allowed(_runs(), request.user, EDIT, id=run_id)
    control.stop(run)
    return redirect(run)


@require_POST
def run_cancel(request: HttpRequest, run_id: str) -> HttpResponse:
    run = get_owned(_runs(), request.user, id=run_id)
    control.cancel(run)
    return redirect(run)


@require_POST
def run_share(request: HttpRequest, run_id: str) -> HttpResponse:
    public = request.POST.get("public") == "1"
    run = (get_sharable if public else get_owned)(_runs(), request.user, id=run_id)
    if public and open_challenges(run.dataset).exists():  # its scores are those of the final part, too
        messages.error(request, "A challenge on this data is open: it must end before its runs can be public.")
        return redirect(run)
    Run.objects.filter(pk=run.pk).update(public=public)
    audit.note(request, "published" if public else "made private", run)
    alone = "Only you and the people you share it with can now see this run."
    messages.success(request, "Everyone with the link can now see this run." if public else alone)
    return redirect(run)


@require_POST
def run_teach(request: HttpRequest, run_id: str) -> HttpResponse:
    """Share the scores of a run, which only its owner can, or withdraw and delete them."""
    run = get_owned(_runs(), request.user, id=run_id)
    if request.POST.get("teaches") == "1":
        if run.owner_id != request.user.pk:
            raise Http404
        teaching.agree(run)
        audit.note(request, "shared the scores", run)
    else:
        teaching.withdraw(run)
        audit.note(request, "withdrew the scores", run)
        messages.success(request, "The shared scores of this run are deleted.")
    return redirect(run)


@require_POST
def run_delete(request: HttpRequest, run_id: str) -> HttpResponse:
    """Rows and files go; a worker that is still on it notices within a second."""
    run = get_owned(_runs(), request.user, id=run_id)
    name = str(run)
    run.delete()
    messages.success(request, f"{name} and its files are deleted.")
    if request.POST.get("back") == "storage":
        return redirect("storage")
    return redirect(run.dataset if start.is_guest(signed_in(request)) else "run-list")


@require_GET
def run_log(request: HttpRequest, run_id: str) -> HttpResponse:
    """The engine's log, for the owner."""
    run = get_owned(_runs(), request.user, id=run_id)
    text = engine.log_tail(run.dir, 500_000)
    if (run.dir / "export.log").exists():
        text += "\n\n--- packing the model ---\n" + (run.dir / "export.log").read_text()
    return HttpResponse(text or "The log is empty.", content_type="text/plain; charset=utf-8")


@require_GET
def run_samples(request: HttpRequest, run_id: str) -> HttpResponse:
    """The samples behind one cell of the confusion matrix."""
    run, found = _run_with_samples(request, run_id)
    true, predicted = request.GET.get("true", ""), request.GET.get("predicted", "")
    if true not in found["labels"] or predicted not in found["labels"]:
        raise Http404
    count = 0
    if found["confusion"]:
        count = found["confusion"][found["labels"].index(true)][found["labels"].index(predicted)]
    shown = {"run": run, "true": true, "predicted": predicted, "count": count}
    shown |= {"samples": results.cell(run, found, true, predicted), **results.fixing(run, found, request.user)}
    return render(request, "runs/samples.html", shown)


@require_GET
def run_map(request: HttpRequest, run_id: str) -> HttpResponse:
    """The test samples as points: those are near each other that the model takes for alike."""
    run, found = _run_with_samples(request, run_id)
    points = results.sample_map(run, found)
    if not points:
        raise Http404
    shown = {"run": run, "points": points, "height": max(point["y"] for point in points)}
    hues = {point["labels"][0]: point["hue"] for point in points}
    shown |= {"classes": sorted(hues.items()), "noun": words.noun(run.dataset.modality), "test_count": found["n_test"]}
    return render(request, "runs/map.html", shown)


@require_GET
def run_predictions(request: HttpRequest, run_id: str) -> HttpResponse:
    """The last prediction of the test set as CSV."""
    run, found = _run_with_samples(request, run_id)
    response = HttpResponse("".join(results.predictions_csv(run, found)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="predictions-{run.pk}.csv"'
    return response


@require_GET
def run_scores(request: HttpRequest, run_id: str) -> HttpResponse:
    """The curve as CSV."""
    run = get_visible(_runs(), request.user, id=run_id)
    response = HttpResponse(results.points_csv(page.points_of(run)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="curve-{run.pk}.csv"'
    return response


@require_GET
def run_challenge_result(request: HttpRequest, run_id: str) -> StreamingHttpResponse:
    """The files that the challenge's ingestion and scoring programs would have left, for the owner."""
    run = get_owned(_runs(), request.user, id=run_id)
    members = [] if run.is_open else engine.challenge_result.members(run.files())
    if not members:
        raise Http404
    return streaming.stream_zip(members, f"{run.dataset.name}-run-{run.number}-challenge-result.zip")


def _run_with_samples(request: HttpRequest, run_id: str) -> tuple[Run, dict[str, Any]]:
    """The run and its results, for those who may see the data set itself."""
    run = get_visible(_runs(), request.user, id=run_id)
    get_visible(Dataset.objects.all(), request.user, id=run.dataset_id)
    found = results.load(run)
    if found is None or not run.fits_data():
        raise Http404
    return run, found


def _runs() -> QuerySet[Run]:
    return Run.objects.select_related("dataset")
