"""The content of the pages as JSON: data sets, runs, curves, events, models.  OpenAPI at /api/openapi.json.

Large uploads go to /uploads/ (tus 1.0), with the same tokens.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from ninja import Field, File, NinjaAPI, Query, Schema, Status
from ninja.errors import HttpError
from ninja.files import UploadedFile

from webapp import engine
from webapp.access import EDIT, USE, VIEW, get_allowed, get_owned, get_visible, owns, signed_in, visible
from webapp.accounts.models import User
from webapp.api.auth import caller
from webapp.challenges import entries, rules
from webapp.datasets import report, storage, uploads
from webapp.datasets.models import Dataset
from webapp.runs import control, start
from webapp.runs.models import Run
from webapp.streaming import stream_file, stream_zip

Limit = Annotated[int, Query(ge=1, le=500, description="how many")]
Offset = Annotated[int, Query(ge=0, le=10**9, description="how many newer ones to leave out")]
MAX_OFFSET_BYTES = 2**40  # no journal is longer, and every file system can seek to it


class Scope:
    """Session, or a token with this scope; the endpoints then find the user where pages do."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, request: HttpRequest) -> User | None:
        user = caller(request, self.name)
        if user:
            request.user = user
        return user


READ, RUN, WRITE = Scope("read"), Scope("run"), Scope("write")
# Without a scope of its own an endpoint needs the strongest one.
api = NinjaAPI(title="AutoDL Self-Service", version="1", docs_url=None, auth=WRITE, urls_namespace="api")


class DatasetOut(Schema):
    id: str
    name: str
    state: str = Field(description="queued, converting, ready or failed")
    progress: str
    error: str
    modality: str
    title: str
    sample_count: int
    class_count: int
    size_bytes: int
    public: bool
    created: datetime


class RunOut(Schema):
    id: str
    dataset_id: str
    number: int
    state: str = Field(description="queued, running, stopping, finished, cancelled or failed")
    budget_s: int
    t0_s: int
    model: str
    seed: int
    teaches: bool | None = Field(description="whether its scores are shared; null unless the run is yours")
    alc: float | None
    nauc: float | None
    accuracy: float | None
    first_prediction_s: float | None
    reason: str
    error: str
    export_state: str = Field(description="of model.zip: none, queued, ready or failed")
    export_error: str
    created: datetime
    started: datetime | None
    ended: datetime | None

    @staticmethod
    def resolve_error(run: Run, context: dict[str, Any]) -> str:
        """It may quote the data: for the owner."""
        return run.error if owns(context["request"].user, run) else ""

    @staticmethod
    def resolve_reason(run: Run, context: dict[str, Any]) -> str:
        """It may quote the engine, and so the data."""
        return run.reason if run.opens_to(context["request"].user) else ""

    @staticmethod
    def resolve_teaches(run: Run, context: dict[str, Any]) -> bool | None:
        return run.teaches if owns(context["request"].user, run) else None

    @staticmethod
    def resolve_export_error(run: Run, context: dict[str, Any]) -> str:
        return run.export_error if owns(context["request"].user, run) else ""


class PointOut(Schema):
    k: int
    t: float = Field(description="seconds on the engine's clock")
    nauc: float
    accuracy: float | None
    alc: float = Field(description="ALC if the run ended here")
    by: str


class EventsOut(Schema):
    events: list[dict[str, Any]]
    offset: int = Field(description="send it with the next request to get only newer events")


class RunIn(Schema):
    budget_s: int = 60
    model: str = "auto"
    seed: int = 0
    teaches: bool | None = Field(
        default=None,
        description="share scores and what each configuration gained, never samples, to improve future runs; by "
        "default only for public data",
    )


class EntryOut(Schema):
    """An own entry of a challenge."""

    challenge: str | None
    title: str = Field(description="of the challenge")
    number: int
    note: str
    state: str = Field(description="waiting, scored or failed")
    error: str
    public_nauc: float | None
    final_nauc: float | None = Field(description="null before the challenge is over")
    alc: float | None = Field(description="of a run, on the public part")
    points: list[list[float]] = Field(description="of a run: seconds and NAUC on the public part")
    chosen: bool
    created: datetime


class ImportIn(Schema):
    url: str = Field(max_length=2000)


class Deleted(Schema):
    freed_bytes: int


@api.exception_handler(uploads.Refused)
def _refused(request: HttpRequest, refused: uploads.Refused) -> HttpResponseBase:
    return api.create_response(request, {"detail": refused.sentence}, status=refused.status)


@api.exception_handler(start.StartError)
def _not_started(request: HttpRequest, reason: start.StartError) -> HttpResponseBase:
    return api.create_response(request, {"detail": str(reason)}, status=409)


@api.exception_handler(entries.Refused)
def _not_entered(request: HttpRequest, reason: entries.Refused) -> HttpResponseBase:
    return api.create_response(request, {"detail": str(reason)}, status=409)


@api.exception_handler(PermissionDenied)
def _lacking(request: HttpRequest, lacking: PermissionDenied) -> HttpResponseBase:
    return api.create_response(request, {"detail": str(lacking)}, status=403)


@api.get("/datasets", auth=READ, response=list[DatasetOut], tags=["data"])
def list_datasets(request: HttpRequest, limit: Limit = 100, offset: Offset = 0) -> QuerySet[Dataset]:
    """Your data sets, those shared with you, and the public ones, newest first."""
    return visible(Dataset.objects.all(), request.user)[offset : offset + limit]


@api.post("/datasets", response={201: DatasetOut}, tags=["data"])
def create_dataset(request: HttpRequest, file: UploadedFile = File(...)) -> Status[Dataset]:  # noqa: B008
    """Upload one file (multipart); its conversion is queued.  Ask for its state until it is ready or failed."""
    return Status(201, uploads.receive(signed_in(request), file))


@api.post("/datasets/import", response={201: DatasetOut}, tags=["data"])
def import_dataset(request: HttpRequest, source: ImportIn) -> Status[Dataset]:
    """Fetch a file from a public web address and convert it, as if it had been uploaded."""
    return Status(201, uploads.receive_from(signed_in(request), source.url))


@api.get("/datasets/{dataset_id}", auth=READ, response=DatasetOut, tags=["data"])
def get_dataset(request: HttpRequest, dataset_id: str) -> Dataset:
    return _dataset(request, dataset_id)


@api.get("/datasets/{dataset_id}/report", auth=READ, response=dict[str, Any], tags=["data"])
def get_report(request: HttpRequest, dataset_id: str) -> dict[str, Any]:
    """What was found in the data (docs/formats.md, report.json)."""
    return _ready(_dataset(request, dataset_id)).report


@api.get(
    "/datasets/{dataset_id}/download",
    auth=READ,
    tags=["data"],
    openapi_extra={"responses": {200: {"description": "zip"}}},
)
def download_dataset(request: HttpRequest, dataset_id: str) -> HttpResponseBase:
    """The converted data set as a zip."""
    dataset = _ready(_dataset(request, dataset_id))
    return stream_zip(report.download_members(dataset), f"{dataset.id}.zip")


@api.delete("/datasets/{dataset_id}", response=Deleted, tags=["data"])
def delete_dataset(request: HttpRequest, dataset_id: str) -> dict[str, int]:
    """Delete the data set, its runs and all files."""
    dataset = get_owned(Dataset.objects.all(), request.user, id=dataset_id)
    if storage.blocking_runs(dataset).exists():
        raise HttpError(409, "A run on this data set is still going on: stop it first.")
    if why := rules.delete_refusal(dataset):
        raise HttpError(409, why)
    return {"freed_bytes": storage.delete_dataset(dataset)}


@api.post("/datasets/{dataset_id}/runs", auth=RUN, response={201: RunOut}, tags=["runs"])
def start_run(request: HttpRequest, dataset_id: str, order: RunIn) -> Status[Run]:
    """Start learning."""
    dataset = _dataset(request, dataset_id, USE)
    return Status(201, start.create_run(dataset, signed_in(request), **order.dict()))


@api.get("/runs", auth=READ, response=list[RunOut], tags=["runs"])
def list_runs(request: HttpRequest, limit: Limit = 100, offset: Offset = 0) -> QuerySet[Run]:
    """Your runs, those shared with you, and the public ones, newest first."""
    return visible(Run.objects.select_related("dataset"), request.user)[offset : offset + limit]


@api.get("/runs/{run_id}", auth=READ, response=RunOut, tags=["runs"])
def get_run(request: HttpRequest, run_id: str) -> Run:
    return _run(request, run_id)


@api.get("/runs/{run_id}/points", auth=READ, response=list[PointOut], tags=["runs"])
def get_points(request: HttpRequest, run_id: str) -> Any:
    """The learning curve so far."""
    return _run(request, run_id).points.all()


@api.get("/runs/{run_id}/events", auth=READ, response=EventsOut, tags=["runs"])
def get_events(request: HttpRequest, run_id: str, offset: int = 0) -> dict[str, Any]:
    """The journal behind ``offset``: what the engine does and why.  For those who may see the data."""
    run = _opened(request, run_id)
    found, end = engine.events.read(run.dir / "events.jsonl", min(max(0, offset), MAX_OFFSET_BYTES))
    return {"events": found, "offset": end}


@api.post("/runs/{run_id}/stop", auth=RUN, response=RunOut, tags=["runs"])
def stop_run(request: HttpRequest, run_id: str) -> Run:
    """Stop now and keep the best."""
    run = get_allowed(Run.objects.all(), request.user, EDIT, id=run_id)
    control.stop(run)
    run.refresh_from_db()
    return run


@api.get("/runs/{run_id}/model", auth=READ, tags=["runs"], openapi_extra={"responses": {200: {"description": "zip"}}})
def download_model(request: HttpRequest, run_id: str) -> HttpResponseBase:
    """model.zip, once export_state is ready."""
    run = _opened(request, run_id)
    path = run.model_path
    if run.export_state != Run.Export.READY or not path.exists():
        raise HttpError(409, f"The model is not packed: {run.get_export_state_display()}.")
    return stream_file(path, f"model-{run.id}.zip", "application/zip")


@api.post("/challenges/{challenge_id}/entries", auth=RUN, response={201: EntryOut}, tags=["challenges"])
def enter(request: HttpRequest, challenge_id: str, file: UploadedFile = File(...)) -> Status[dict[str, Any]]:  # noqa: B008
    """Send predictions of the test samples (multipart): CSV whose first line names the classes, or ``.predict``."""
    challenge, user = rules.get_shown(request.user, challenge_id), signed_in(request)
    entry = entries.submit_file(challenge, user, file.file, file.size or 0, file.name or "")  # type: ignore[arg-type]
    return Status(201, entry.shown())


@api.get("/challenges/{challenge_id}/entries", auth=READ, response=list[EntryOut], tags=["challenges"])
def list_entries(request: HttpRequest, challenge_id: str, limit: Limit = 100, offset: Offset = 0) -> list[Any]:
    """Your entries, newest first; the boards are files of the challenge's page."""
    challenge = rules.get_shown(request.user, challenge_id)
    mine = challenge.entries.filter(user=signed_in(request)).select_related("challenge")
    found = mine.prefetch_related("challenge__phases")[offset : offset + limit]
    return [entry.shown() for entry in found]


def _dataset(request: HttpRequest, dataset_id: str, level: int = VIEW) -> Dataset:
    return get_allowed(Dataset.objects.all(), request.user, level, id=dataset_id)


def _run(request: HttpRequest, run_id: str) -> Run:
    return get_visible(Run.objects.select_related("dataset"), request.user, id=run_id)


def _opened(request: HttpRequest, run_id: str) -> Run:
    """A run for those who may see more of it than its curve and its scores."""
    run = _run(request, run_id)
    if not run.opens_to(request.user):
        raise Http404
    return run


def _ready(dataset: Dataset) -> Dataset:
    if dataset.state != Dataset.State.READY:
        raise Http404
    return dataset
