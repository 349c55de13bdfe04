"""The model page, predictions with the model, its download, and the link where anybody may try it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from allauth.core import ratelimit
from asgiref.sync import sync_to_async
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST
from ninja.errors import HttpError

from webapp import engine, streaming
from webapp.access import EDIT, USE, VIEW, get_allowed, get_owned, get_sharable, may, owns, posted_from, signed_in
from webapp.accounts import audit
from webapp.accounts.models import User
from webapp.api.auth import caller
from webapp.runs import queue, tryout, words
from webapp.runs.models import Prediction, Run
from webapp.runs.pages import card, results
from webapp.runs.pages.why import shaped

API_PATIENCE_S = 60
API_POLL_S = 0.2
SHOWN_HISTORY = 10


@require_GET
def model_page(request: HttpRequest, run_id: str) -> HttpResponse:
    run = _run(request, run_id)
    user = request.user
    mine = Prediction.objects.none()
    shown = None
    opened = run.opens_to(user)
    if isinstance(user, User):
        mine = Prediction.objects.filter(run=run, owner=user).select_related("run__dataset").order_by("-created")
        if asked := request.GET.get("prediction"):
            shown = get_owned(mine, user, id=asked)
    return render(
        request,
        "runs/model.html",
        {
            "run": run,
            "owned": owns(user, run),
            "ready": run.export_state == Run.Export.READY,
            "may_take": opened,
            "may_predict": may(user, run, USE),
            "may_edit": may(user, run, EDIT),
            "sees_data": may(user, run.dataset, VIEW),
            "has_results": results.load(run) is not None,
            "card": card.model_card(run),
            "columns": tryout.inputs(run.dataset) if opened else [],
            "recording_s": tryout.recording_s(run.dataset) if opened else 0,
            "max_mb": tryout.MAX_BYTES // 2**20,
            "history": mine[:SHOWN_HISTORY],
            **_asked(run, shown),
            "why": shaped(engine.read_json(shown.why_path), run.dataset.target) if shown else None,
            "address": request.build_absolute_uri(reverse("model-api", args=[run.pk])),
            "link": request.build_absolute_uri(reverse("try", args=[run.link])) if run.link else "",
        },
    )


def _asked(run: Run, prediction: Prediction | None, key: str = "") -> dict[str, Any]:
    """Context of a prediction: its answers, and the addresses to send to and to find answers at.

    Args:
        key: of the shared link, if it was sent there.
    """
    page = reverse("try", args=[key]) if key else reverse("model", args=[run.pk])
    is_ready = prediction is not None and prediction.state == Prediction.State.READY
    return {
        "prediction": prediction,
        "answers": card.answers(prediction) if prediction and is_ready else None,
        "predict_address": f"{page}/predict",
        "base": f"{page}/predictions/",
        "explains": not key,
        "target": run.dataset.target,
    }


def _run(request: HttpRequest, run_id: str, level: int = VIEW) -> Run:
    return get_allowed(Run.objects.select_related("dataset"), request.user, level, id=run_id)


@require_GET
def model_download(request: HttpRequest, run_id: str) -> StreamingHttpResponse:
    run = _run(request, run_id)
    if not run.opens_to(request.user) or run.export_state != Run.Export.READY or not run.model_path.exists():
        raise Http404
    return streaming.stream_file(run.model_path, f"{run.dataset.name}-model.zip", "application/zip")


@require_POST
def model_export(request: HttpRequest, run_id: str) -> HttpResponse:
    """Try again to pack a model."""
    run = _run(request, run_id, EDIT)
    again = Run.objects.filter(pk=run.pk, export_state=Run.Export.FAILED)
    if again.update(export_state=Run.Export.QUEUED, export_error="", state_since=timezone.now()):
        queue.enqueue_export(run)
    return redirect("model", run.pk)


@posted_from("model", "run_id")
def model_predict(request: HttpRequest, run_id: str) -> HttpResponse:
    """Files, a row or a text; a script gets the address of the answer, a form is sent to the page that shows it."""
    run = _run(request, run_id, USE)
    return _answer(request, lambda: _take(request, run, signed_in(request), explain=True))


def _answer(request: HttpRequest, take: Callable[[], Prediction]) -> HttpResponse:
    """To a script the id of the prediction, to a form the page that shows it; or why it was not taken."""
    scripted, page = request.headers.get("Accept") == "application/json", request.path.removesuffix("/predict")
    try:
        prediction = take()
    except tryout.TryError as reason:
        if scripted:
            return JsonResponse({"error": str(reason)}, status=422)
        messages.error(request, str(reason))
        return redirect(page)
    return JsonResponse({"id": prediction.pk}) if scripted else redirect(f"{page}?prediction={prediction.pk}#answer")


def _take(request: HttpRequest, run: Run, user: User, explain: bool = False) -> Prediction:
    if not run.opens_to(user):
        raise tryout.TryError("Only its owner may use this model: it was trained on private data.")
    return _sent(request, run, user, explain)


def _sent(request: HttpRequest, run: Run, user: User | None, explain: bool) -> Prediction:
    if run.export_state != Run.Export.READY:
        raise tryout.TryError("The model is not packed yet: try again in a moment.")
    if "text" in request.POST:
        return tryout.take_text(run, user, request.POST["text"], explain)
    if "value" in request.POST:
        return tryout.take_row(run, user, request.POST.getlist("value"), explain)
    return tryout.take_files(run, user, request.FILES.getlist("files"), explain)


@require_GET
def prediction(request: HttpRequest, run_id: str, prediction_id: str) -> HttpResponse:
    """The prediction as a fragment of the page."""
    return _fragment(request, _mine(request, run_id, prediction_id))


def _fragment(request: HttpRequest, found: Prediction, key: str = "") -> HttpResponse:
    response = render(request, "runs/_prediction.html", _asked(found.run, found, key))
    response["X-State"] = found.state
    response["Cache-Control"] = "no-store"
    return response


@require_GET
def prediction_csv(request: HttpRequest, run_id: str, prediction_id: str) -> StreamingHttpResponse:
    return _csv(_mine(request, run_id, prediction_id))


def _csv(found: Prediction) -> StreamingHttpResponse:
    if found.state != Prediction.State.READY:
        raise Http404
    return streaming.stream_csv(found.output_path, f"predictions-{found.pk}.csv")


def _mine(request: HttpRequest, run_id: str, prediction_id: str) -> Prediction:
    """Predictions belong to the user who asked for them, also when the run is public."""
    _run(request, run_id)
    return get_owned(Prediction.objects.select_related("run__dataset"), request.user, id=prediction_id, run_id=run_id)


@require_POST
def model_link(request: HttpRequest, run_id: str) -> HttpResponse:
    """Make the link where anybody may try the model, or revoke it; a new one has another address."""
    shared = request.POST.get("shared") == "1"
    fetch = get_sharable if shared else get_owned
    run = fetch(Run.objects.select_related("dataset"), request.user, id=run_id)
    if signed_in(request).guest:
        raise Http404
    Run.objects.filter(pk=run.pk).update(link=secrets.token_urlsafe(12) if shared else "")
    audit.note(request, "shared the model" if shared else "revoked the link of the model", run)
    said = "Everyone with the link can now try this model." if shared else "The link is revoked: nobody can use it now."
    messages.success(request, said)
    return redirect("model", run.pk)


@require_GET
def shared_page(request: HttpRequest, key: str) -> HttpResponse:
    """Where anybody with the link may try the model."""
    run = _shared(key)
    asked = request.GET.get("prediction")
    shown = {
        "run": run,
        "ready": run.export_state == Run.Export.READY,
        "noun": words.noun(run.dataset.modality),
        "columns": tryout.inputs(run.dataset),
        "recording_s": tryout.recording_s(run.dataset),
        "max_mb": tryout.VISITOR_MAX_BYTES // 2**20,
        **_asked(run, _visitors(key, asked) if asked else None, key),
    }
    response = render(request, "runs/try.html", shown)
    response["X-Robots-Tag"] = "noindex"
    return response


@require_POST
def shared_predict(request: HttpRequest, key: str) -> HttpResponse:
    run = _shared(key)

    def take() -> Prediction:
        if not ratelimit.consume(request, action="try", key=key):
            raise tryout.TryError("This model was asked very often in the last hour: try again later.")
        return _sent(request, run, None, explain=False)

    return _answer(request, take)


@require_GET
def shared_prediction(request: HttpRequest, key: str, prediction_id: str) -> HttpResponse:
    return _fragment(request, _visitors(key, prediction_id), key)


@require_GET
def shared_csv(request: HttpRequest, key: str, prediction_id: str) -> StreamingHttpResponse:
    return _csv(_visitors(key, prediction_id))


def _shared(key: str) -> Run:
    return get_object_or_404(Run.objects.select_related("dataset", "owner"), link=key)


def _visitors(key: str, prediction_id: str) -> Prediction:
    """Only who sent the data knows the id."""
    predictions = Prediction.objects.select_related("run__dataset").filter(owner=None, run__link=key)
    return get_object_or_404(predictions, id=prediction_id)


@csrf_exempt  # caller() checks it for sessions
@require_POST
async def model_api(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """``curl -H "Authorization: Bearer TOKEN" -F files=@new.png ADDRESS``: the CSV of predictions, once it is there."""
    try:
        user = await sync_to_async(caller)(request, "run")
    except HttpError as lacking:
        return JsonResponse({"error": str(lacking)}, status=lacking.status_code)
    if user is None:
        return JsonResponse({"error": "Log in first, or send a valid token."}, status=401)
    try:
        run = await sync_to_async(get_allowed)(Run.objects.select_related("dataset"), user, USE, id=run_id)
        sent = await sync_to_async(_take)(request, run, user)
    except tryout.TryError as reason:
        return JsonResponse({"error": str(reason)}, status=422)
    except PermissionDenied as lacking:
        return JsonResponse({"error": str(lacking)}, status=403)
    for _ in range(int(API_PATIENCE_S / API_POLL_S)):
        await sent.arefresh_from_db(fields=["state", "error"])
        if sent.state == Prediction.State.READY:
            return streaming.stream_csv(await asyncio.to_thread(lambda: sent.output_path), "predictions.csv")
        if sent.state == Prediction.State.FAILED:
            return JsonResponse({"error": sent.error}, status=422)
        await asyncio.sleep(API_POLL_S)
    return JsonResponse({"error": "No worker answered within a minute; try again later."}, status=503)
