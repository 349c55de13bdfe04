"""Pages of a data set: the list, the report, its choices, downloads, and the end of it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Max
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotModified, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from webapp.access import EDIT, get_allowed, get_owned, get_visible, may, owns, posted_from, signed_in, visible
from webapp.accounts import audit, sharing
from webapp.challenges import rules
from webapp.datasets import jobs, report, storage, uploads, versions
from webapp.datasets.forms import AddressForm, ChoicesForm, NameForm, UploadForm
from webapp.datasets.models import Dataset, Upload
from webapp.engine_samples import shown
from webapp.leaderboard.dataset_board import dataset_board
from webapp.runs.models import Run
from webapp.runs.start import start_context
from webapp.sizes import size
from webapp.streaming import stream_zip

LISTED = 50  # on a page
VERSIONS = 10  # that are shown at first
ENTRIES = 10  # of the ranking
Datasets = Dataset.objects.all()
State = Dataset.State


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """My data sets and what they take, and those that others share with me."""
    me = signed_in(request)
    run_count = Coalesce(storage.of_runs(Count("pk"), visible(Run.objects.all(), me)), 0)
    listed = Paginator(Dataset.objects.filter(owner=me).annotate(run_count=run_count), LISTED)
    shared = Paginator(sharing.with_me(me, "dataset"), LISTED).get_page(request.GET.get("shared"))
    context = {"datasets": listed.get_page(request.GET.get("page")), "shared": shared}
    return render(request, "datasets/index.html", context)


@posted_from("dataset-list")
def upload_form(request: HttpRequest) -> HttpResponse:
    """One file without JavaScript."""
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        messages.error(request, "Choose a file that is not empty.")
        return redirect("dataset-list")
    continues = request.POST.get("continues")
    before = get_allowed(Datasets.select_related("owner"), request.user, EDIT, id=continues) if continues else None
    try:
        return redirect(uploads.receive(signed_in(request), form.cleaned_data["file"], before))
    except storage.Refused as refused:
        messages.error(request, refused.sentence)
        return redirect("dataset-list")


@posted_from("dataset-list")
def import_from(request: HttpRequest) -> HttpResponse:
    """Fetch a file from a web address."""
    form = AddressForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Type the address of a file, such as https://example.org/photos.zip.")
        return redirect("dataset-list")
    try:
        return redirect(uploads.receive_from(signed_in(request), form.cleaned_data["url"]))
    except storage.Refused as refused:
        messages.error(request, refused.sentence)
        return redirect("dataset-list")


@posted_from("dataset-list")
def upload_discard(request: HttpRequest, id: str) -> HttpResponse:
    """Give up an unfinished upload and free its space."""
    get_owned(Upload.objects.all(), request.user, id=id).delete()
    messages.success(request, "The unfinished upload is deleted.")
    return redirect("dataset-list")


@require_safe
def detail(request: HttpRequest, id: str) -> HttpResponse:
    """The report; while it is being made, what is going on."""
    dataset = get_visible(Datasets.select_related("owner"), request.user, id=id)
    may_edit = may(request.user, dataset, EDIT)
    context: dict[str, Any] = {"dataset": dataset, "is_owner": owns(request.user, dataset), "may_edit": may_edit}
    if dataset.state == State.READY and request.headers.get("X-Part") == "samples":  # of the gallery, while it scrolls
        return render(request, "datasets/_samples.html", context | _samples_context(request, dataset))
    context |= sharing.panel(dataset, request.user)
    if may_edit:
        runs = visible(Run.objects.all(), request.user)
        about = {
            "run_count": Coalesce(storage.of_runs(Count("pk"), runs), 0),
            "accuracy": storage.of_runs(Max("accuracy"), runs),
        }
        most = None if request.GET.get("versions") == "all" else VERSIONS
        family = visible(dataset.versions(), request.user).annotate(**about)
        found = list(family.order_by("-version")[: most and most + 1])
        context |= {"versions": found[:most], "has_older": most is not None and len(found) > most}
    if dataset.state == State.READY:
        context |= _report_context(request, dataset)
    if may_edit and dataset.state in (State.READY, State.FAILED):
        context["form"] = _choices_form(dataset)
    return render(request, "datasets/detail.html", context)


def _choices_form(dataset: Dataset, posted: QueryDict | None = None) -> ChoicesForm:
    report = dataset.report if dataset.state == State.READY else None
    return ChoicesForm(posted, report=report, question=dataset.question, initial=dataset.options)


def _report_context(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    samples = _samples_context(request, dataset)
    found = samples["report"]
    bars = report.class_bars(found)
    return {
        "doubts": report.doubts(found),
        "bars": bars[: report.FIRST_CLASSES],
        "more_bars": bars[report.FIRST_CLASSES :],
        "columns": report.columns(found),
        **samples,
        "runs": visible(dataset.runs.all(), request.user)[:5],
        "board": dataset_board(dataset, most=ENTRIES) if dataset.public else None,
        "fix_labels": [label["name"] for label in found["labels"]],
        "several": found["task"] == "multi_label",
        **start_context(dataset, request.user),
    }


def _samples_context(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    found = dataset.report
    fixable = may(request.user, dataset, EDIT) and found.get("editable", True)
    return {"report": found, "page": _sample_page(request, dataset, found), "fixable": fixable}


def _sample_page(request: HttpRequest, dataset: Dataset, about: dict[str, Any]) -> report.SamplePage:
    split = "train" if request.GET.get("split") == "train" else "test"
    number = request.GET.get("page", "1")
    page = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 1
    return report.sample_page(dataset, about, split, request.GET.get("label", ""), max(1, page))


@require_safe
def progress(request: HttpRequest, id: str) -> HttpResponse:
    """The live fragment while converting; tells htmx to reload the page at the end."""
    dataset = get_visible(Datasets, request.user, id=id)
    response = render(request, "datasets/_progress.html", {"dataset": dataset})
    if dataset.state in (State.READY, State.FAILED):
        response["HX-Refresh"] = "true"
    return response


@require_safe
def preview(request: HttpRequest, id: str, name: str) -> HttpResponse:
    """A thumbnail, clip or sound.  The type comes from our list and may not be guessed by the browser."""
    found = report.preview_file(get_visible(Datasets, request.user, id=id), name)
    if found is None:
        raise Http404
    path, kind = found
    about = path.stat()
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",  # another conversion makes another picture of the same name
        "ETag": f'"{about.st_mtime_ns:x}-{about.st_size:x}"',
    }
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return HttpResponseNotModified(headers=headers)
    return HttpResponse(path.read_bytes(), content_type=kind, headers=headers)


@require_safe
def sample(request: HttpRequest, id: str, split: str, index: int) -> HttpResponse:
    """A picture in full size, or a sound; its type is one of ours and may not be guessed by the browser."""
    if split not in ("train", "test"):
        raise Http404
    return sample_of(get_visible(Datasets, request.user, id=id, state=State.READY), split, index)


def sample_of(dataset: Dataset, split: str, index: int) -> HttpResponse:
    """Raises Http404 where there is none that can be shown."""
    found = shown(dataset.files(f"*.data/{split}/*"), split, index)
    if found is None:
        raise Http404
    content, kind = found
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=300"}
    return HttpResponse(content, content_type=kind, headers=headers)


@require_safe
def download(request: HttpRequest, id: str) -> HttpResponseBase:
    """The converted data set as a zip, made while it is sent."""
    dataset = get_visible(Datasets, request.user, id=id, state=State.READY)
    return stream_zip(report.download_members(dataset), f"{dataset.name}-autodl.zip")


@require_safe
def more(request: HttpRequest, id: str) -> HttpResponse:
    """The drop zone for data that is added to a data set."""
    dataset = get_allowed(Datasets, request.user, EDIT, id=id, state=State.READY)
    return render(request, "datasets/more.html", {"dataset": dataset})


@require_POST
def choose(request: HttpRequest, id: str) -> HttpResponse:
    """Convert again with other choices; runs keep the data they learned from, so they make it a new version."""
    dataset = get_allowed(Datasets, request.user, EDIT, id=id, state__in=(State.READY, State.FAILED))
    form = _choices_form(dataset, request.POST)
    if not form.is_valid():
        sentences = [f"{form.fields[name].label}: {error}" for name, errors in form.errors.items() for error in errors]
        messages.error(request, " ".join(sentences))
        return redirect(dataset)
    edits = dataset.options.get("edits")
    options = form.options() | ({"edits": edits} if edits else {})
    if dataset.runs.exists() or dataset.challenges.exists():
        try:
            return redirect(versions.make(dataset, "other settings", options))
        except storage.Refused as refused:
            messages.error(request, refused.sentence)
            return redirect(dataset)
    if not jobs.convert_again(dataset, options):
        messages.error(request, "This data set is being converted already.")
    return redirect(dataset)


@require_POST
def rename(request: HttpRequest, id: str) -> HttpResponse:
    dataset = get_allowed(Datasets, request.user, EDIT, id=id)
    form = NameForm(request.POST, instance=dataset)
    if form.is_valid():
        dataset.versions().update(name=form.cleaned_data["name"])
    else:
        messages.error(request, "A name has 1 to 100 characters.")
    return redirect("dataset", id)


@require_POST
def publish(request: HttpRequest, id: str) -> HttpResponse:
    """Let everybody see the data set, or only its owner again."""
    dataset = get_owned(Datasets, request.user, id=id)
    public = request.POST.get("public") == "yes"
    if public and (why := rules.publish_refusal(dataset)):
        messages.error(request, why)
        return redirect(dataset)
    if Dataset.objects.filter(id=id, public=not public).update(public=public):
        audit.note(request, "published" if public else "made private", dataset)
        alone = "Only you and the people you share it with can see it now."
        messages.success(request, "Everybody can see it now." if public else alone)
    return redirect(dataset)


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, id: str) -> HttpResponse:
    """First what goes and how many bytes it frees, then really."""
    dataset = get_owned(Datasets, request.user, id=id)
    open_runs, refusal = storage.blocking_runs(dataset), rules.delete_refusal(dataset)
    if request.method == "POST" and not refusal and not open_runs.exists():
        freed = storage.delete_dataset(dataset)
        messages.success(request, f"“{dataset.name}” is deleted; that freed {size(freed)}.")
        return redirect("dataset-list")
    context = {
        "dataset": dataset,
        "refusal": refusal,
        "open_runs": open_runs,
        "frees_bytes": storage.frees_bytes(dataset),
        "run_count": dataset.runs.count(),
        "has_versions": dataset.versions().exclude(pk=dataset.pk).exists(),
        "others_count": dataset.runs.exclude(owner=dataset.owner).count(),
    }
    return render(request, "datasets/delete.html", context, status=409 if request.method == "POST" else 200)
