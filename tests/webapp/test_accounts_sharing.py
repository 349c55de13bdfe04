"""Data sets and runs that their owner shares with named people: what each level allows, and that it ends at once."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.webapp.conftest import PASSWORD
from webapp.access import EDIT, OWN, USE, VIEW
from webapp.accounts import sharing
from webapp.accounts.models import AuditEntry, Grant, User
from webapp.api.models import ApiToken
from webapp.datasets.models import Dataset
from webapp.datasets.storage import storage_of
from webapp.runs import start, teaching
from webapp.runs.models import Run
from webapp.runs.pages import live, stream

pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
MOST_QUERIES = 15
JSON = {"content_type": "application/json"}
TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": "continues "}


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_count", lambda: 1)


@pytest.fixture
def dataset(owner: User, make_dataset: Callable[..., Dataset]) -> Dataset:
    return make_dataset(owner, name="weather")


def share(client: Client, thing: Dataset | Run, email: str, level: int) -> str:
    answer = client.post(f"{thing.get_absolute_url()}/people", {"email": email, "level": level}, follow=True)
    return answer.content.decode()


def _continuing(client: Client, dataset: Dataset) -> Any:
    encoded = base64.b64encode(dataset.pk.encode()).decode()
    return client.post("/uploads/", headers=TUS | {"Upload-Metadata": f"continues {encoded}"})


OF_DATASET: list[tuple[int, str, Callable[[Client, Dataset], Any]]] = [
    (VIEW, "page", lambda c, d: c.get(f"/data/{d.pk}")),
    (VIEW, "progress", lambda c, d: c.get(f"/data/{d.pk}/progress")),
    (VIEW, "preview", lambda c, d: c.get(f"/data/{d.pk}/preview/test-0.png")),
    (VIEW, "sample", lambda c, d: c.get(f"/data/{d.pk}/sample/test/0")),
    (VIEW, "download", lambda c, d: c.get(f"/data/{d.pk}/download")),
    (VIEW, "api", lambda c, d: c.get(f"/api/datasets/{d.pk}")),
    (VIEW, "api report", lambda c, d: c.get(f"/api/datasets/{d.pk}/report")),
    (USE, "train", lambda c, d: c.post(f"/data/{d.pk}/learn", {"budget_s": 20})),
    (USE, "api train", lambda c, d: c.post(f"/api/datasets/{d.pk}/runs", {"budget_s": 20}, **JSON)),
    (EDIT, "rename", lambda c, d: c.post(f"/data/{d.pk}/rename", {"name": "x"})),
    (EDIT, "fix", lambda c, d: c.post(f"/data/{d.pk}/fix")),
    (EDIT, "fix classes", lambda c, d: c.post(f"/data/{d.pk}/fix/classes")),
    (EDIT, "fix column", lambda c, d: c.post(f"/data/{d.pk}/fix/column")),
    (EDIT, "more", lambda c, d: c.get(f"/data/{d.pk}/more")),
    (EDIT, "resumable", _continuing),
    (EDIT, "choices", lambda c, d: c.post(f"/data/{d.pk}/choices")),
    (OWN, "undo", lambda c, d: c.post(f"/data/{d.pk}/undo")),
    (OWN, "publish", lambda c, d: c.post(f"/data/{d.pk}/publish", {"public": "yes"})),
    (OWN, "people", lambda c, d: c.post(f"/data/{d.pk}/people", {"email": "x@example.org", "level": EDIT})),
    (OWN, "delete", lambda c, d: c.post(f"/data/{d.pk}/delete")),
    (OWN, "api delete", lambda c, d: c.delete(f"/api/datasets/{d.pk}")),
]
OF_RUN: list[tuple[int, str, Callable[[Client, Run], Any]]] = [
    (VIEW, "page", lambda c, r: c.get(f"/runs/{r.pk}")),
    (VIEW, "state", lambda c, r: c.get(f"/runs/{r.pk}/state")),
    (VIEW, "stream", lambda c, r: c.get(f"/runs/{r.pk}/stream")),
    (VIEW, "curve", lambda c, r: c.get(f"/runs/{r.pk}/curve.csv")),
    (VIEW, "model", lambda c, r: c.get(f"/models/{r.pk}")),
    (VIEW, "model.zip", lambda c, r: c.get(f"/models/{r.pk}/model.zip")),
    (VIEW, "api", lambda c, r: c.get(f"/api/runs/{r.pk}")),
    (VIEW, "api events", lambda c, r: c.get(f"/api/runs/{r.pk}/events")),
    (VIEW, "api model", lambda c, r: c.get(f"/api/runs/{r.pk}/model")),
    (USE, "predict", lambda c, r: c.post(f"/models/{r.pk}/predict")),
    (USE, "api predict", lambda c, r: c.post(f"/api/models/{r.pk}/predict")),  # without a file: 422
    (EDIT, "stop", lambda c, r: c.post(f"/runs/{r.pk}/stop")),
    (EDIT, "pack", lambda c, r: c.post(f"/models/{r.pk}/pack")),
    (EDIT, "api stop", lambda c, r: c.post(f"/api/runs/{r.pk}/stop")),
    (OWN, "log", lambda c, r: c.get(f"/runs/{r.pk}/log")),
    (OWN, "cancel", lambda c, r: c.post(f"/runs/{r.pk}/cancel")),
    (OWN, "publish", lambda c, r: c.post(f"/runs/{r.pk}/share", {"public": "1"})),
    (OWN, "scores", lambda c, r: c.post(f"/runs/{r.pk}/teach")),
    (OWN, "link", lambda c, r: c.post(f"/models/{r.pk}/link", {"shared": "1"})),
    (OWN, "people", lambda c, r: c.post(f"/runs/{r.pk}/people", {"email": "x@example.org", "level": VIEW})),
    (OWN, "challenge", lambda c, r: c.get(f"/runs/{r.pk}/challenge-result.zip")),
    (OWN, "delete", lambda c, r: c.post(f"/runs/{r.pk}/delete")),
]


def _check(calls: list[tuple[int, str, Any]], level: int, client: Client, thing: Any) -> None:
    for needed, name, call in calls:
        answer = call(client, thing)
        if not level:
            assert answer.status_code == 404, name
        elif level < needed:
            assert answer.status_code == 403, name
            assert "Your access does not include this" in answer.content.decode(), name
        else:
            assert answer.status_code not in (403, 404), (name, answer.status_code)


@pytest.mark.parametrize("level", [0, VIEW, USE, EDIT])
def test_each_level_of_a_data_set(
    level: int, dataset: Dataset, stranger: User, stranger_client: Client, owner_client: Client
) -> None:
    if level:
        assert stranger.email in share(owner_client, dataset, stranger.email, level)
    _check(OF_DATASET, level, stranger_client, dataset)
    dataset.refresh_from_db()
    assert not dataset.public
    seen = {row["id"] for row in stranger_client.get("/api/datasets").json()}
    assert (dataset.pk in seen) == (level > 0)


@pytest.mark.parametrize("level", [0, VIEW, USE, EDIT])
def test_each_level_of_a_run(
    level: int, run: Run, stranger: User, stranger_client: Client, owner_client: Client
) -> None:
    if level:
        assert stranger.email in share(owner_client, run, stranger.email, level)
    _check(OF_RUN, level, stranger_client, run)
    for samples in ("predictions.csv", "samples?true=light&predicted=dark", "why/0"):  # of the data set
        assert stranger_client.get(f"/runs/{run.pk}/{samples}").status_code == 404
    assert stranger_client.get(f"/data/{run.dataset_id}").status_code == 404
    assert ([row["id"] for row in stranger_client.get("/api/runs").json()] == [run.pk]) == (level > 0)


def test_the_pages_say_who_shares_what(
    dataset: Dataset,
    run: Run,
    owner: User,
    stranger: User,
    owner_client: Client,
    stranger_client: Client,
    django_assert_max_num_queries: Any,
) -> None:
    share(owner_client, dataset, stranger.email.upper(), VIEW)
    share(owner_client, dataset, stranger.email, USE)  # instead
    share(owner_client, run, stranger.email, VIEW)
    assert Grant.objects.count() == 2
    pages = {}
    for page in ("/data/", "/runs/", dataset.get_absolute_url(), run.get_absolute_url(), f"/models/{run.pk}"):
        with django_assert_max_num_queries(MOST_QUERIES):
            pages[page] = stranger_client.get(page).content.decode()
    for page in ("/data/", "/runs/"):
        assert "Shared with me" in pages[page]
        assert owner.email in pages[page]
        assert "Shared with me" not in owner_client.get(page).content.decode()
    for page in (dataset.get_absolute_url(), run.get_absolute_url()):
        assert f"Shared by <strong>{owner.email}</strong>" in pages[page]
        assert "Share with people" not in pages[page]
        with django_assert_max_num_queries(MOST_QUERIES):
            own = owner_client.get(page).content.decode()
        assert f"<strong>{stranger.email}</strong>" in own
    assert "you may start runs" in pages[dataset.get_absolute_url()]
    assert "Confusion matrix" in pages[run.get_absolute_url()]
    assert "Ask its owner to let you predict here" in pages[f"/models/{run.pk}"]


def test_a_viewer_is_told_why_no_run_starts(dataset: Dataset, stranger: User, stranger_client: Client) -> None:
    sharing.give(dataset, stranger.email, VIEW)
    page = stranger_client.get(dataset.get_absolute_url()).content.decode()
    assert "ask its owner to let you start runs" in page
    assert "Start training" not in page
    assert "Delete …" not in page
    assert "Change settings" not in page


def test_what_an_editor_adds_is_the_owners(
    dataset: Dataset, owner: User, owner_client: Client, stranger: User, stranger_client: Client
) -> None:
    share(owner_client, dataset, stranger.email, EDIT)
    stranger_client.post(f"/data/{dataset.pk}/fix", {"item": ["dark/train0.png"], "action": "exclude"})
    version = Dataset.objects.get(version=2)
    assert version.owner == owner
    assert stranger_client.get(version.get_absolute_url()).status_code == 200
    assert stranger_client.post(f"/data/{version.pk}/undo").status_code == 403
    before = storage_of(owner).used_bytes, storage_of(stranger).used_bytes
    form = {"file": SimpleUploadedFile("more.zip", b"12345"), "continues": dataset.pk}
    page = stranger_client.post("/data/upload", form, follow=True).content.decode()
    assert "version 3" in page
    assert "more.zip added" in page
    assert Dataset.objects.get(version=3).owner == owner
    assert storage_of(owner).used_bytes > before[0]
    assert storage_of(stranger).used_bytes == before[1] == 0
    share(owner_client, version, stranger.email, VIEW)  # holds for all versions
    assert set(Grant.objects.values_list("dataset__version", "level")) == {(1, VIEW), (2, VIEW), (3, VIEW)}


def test_an_editors_unfinished_upload_takes_the_owners_space_and_ends_with_the_access(
    dataset: Dataset, owner: User, stranger: User, stranger_client: Client
) -> None:
    sharing.give(dataset, stranger.email, EDIT)
    owner.storage_max_bytes = storage_of(owner).used_bytes + 4
    owner.save()
    assert _continuing(stranger_client, dataset).status_code == 413
    User.objects.update(storage_max_bytes=None)
    place = _continuing(stranger_client, dataset)["Location"]
    assert storage_of(owner).uploads_bytes == 5
    assert storage_of(stranger).uploads_bytes == 0
    sharing.take_back(dataset, stranger.email)
    part = {"data": b"12345", "content_type": "application/offset+octet-stream"}
    answer = stranger_client.patch(place, **part, headers=TUS | {"Upload-Offset": "0"})
    assert answer.status_code == 404
    assert Dataset.objects.count() == 1


def test_a_run_on_shared_data_is_of_who_started_it_and_goes_no_further(
    dataset: Dataset, owner: User, owner_client: Client, stranger: User, stranger_client: Client, make_run: Any
) -> None:
    share(owner_client, dataset, stranger.email, USE)
    owners = start.quota(owner)
    page = stranger_client.get(dataset.get_absolute_url()).content.decode()
    assert "Share this run's scores" not in page
    stranger_client.post(f"/data/{dataset.pk}/learn", {"budget_s": 20, "teaches": "1"})
    run = Run.objects.get()
    assert run.owner == stranger
    assert start.quota(owner) == owners
    assert start.quota(stranger).left_today == owners.left_today - 1
    assert not teaching.can_teach(run)
    assert f"/runs/{run.pk}" not in owner_client.get(dataset.get_absolute_url()).content.decode()
    ended = make_run(dataset, owner=stranger, export_state="ready")
    for path, form in (
        (f"/runs/{ended.pk}/share", {"public": "1"}),
        (f"/models/{ended.pk}/link", {"shared": "1"}),
        (f"/runs/{ended.pk}/people", {"email": "x@example.org", "level": VIEW}),
    ):
        answer = stranger_client.post(path, form)
        assert answer.status_code == 403
        assert "trained on private data of somebody else" in answer.content.decode()
    assert "so you cannot share it" in stranger_client.get(ended.get_absolute_url()).content.decode()
    Dataset.objects.update(public=True)
    third = User.objects.create_user("third@example.org", PASSWORD)
    share(stranger_client, ended, third.email, USE)
    Dataset.objects.update(public=False)
    client = Client()
    client.force_login(third, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(ended.get_absolute_url()).status_code == 200  # its curve, as if it were public
    assert "Confusion matrix" not in client.get(ended.get_absolute_url()).content.decode()
    assert client.get(f"/models/{ended.pk}/model.zip").status_code == 404


def test_nothing_tells_which_addresses_have_an_account(
    dataset: Dataset, owner: User, owner_client: Client, stranger: User
) -> None:
    known = share(owner_client, dataset, stranger.email, VIEW)
    listed = owner_client.get(dataset.get_absolute_url()).content.decode()
    unknown = share(owner_client, dataset, "unknown@example.org", VIEW)
    assert "at once if this address has an account, else once somebody confirms it here" in known
    assert unknown.count("unknown@example.org") == known.count(stranger.email) > 1
    assert listed.count(stranger.email) == owner_client.get(dataset.get_absolute_url()).content.decode().count(
        "unknown@example.org"
    )
    for wrong in ("", "no address", owner.email.upper()):
        share(owner_client, dataset, wrong, VIEW)
    share(owner_client, dataset, "level@example.org", 7)
    assert Grant.objects.count() == 2


def test_an_invitation_waits_until_its_address_is_confirmed(
    dataset: Dataset, owner_client: Client, client: Client, settings: Any
) -> None:
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    claimed = User.objects.create_user("new@example.org", PASSWORD)  # by anybody, and never confirmed
    share(owner_client, dataset, "New@example.org", VIEW)
    address = EmailAddress.objects.create(user=claimed, email=claimed.email, primary=True)
    assert Grant.objects.get().user is None
    client.force_login(claimed, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(dataset.get_absolute_url()).status_code == 404
    address.verified = True
    address.save()
    client.post("/accounts/logout/")
    client.post("/accounts/login/", {"login": claimed.email, "password": PASSWORD})
    assert client.get(dataset.get_absolute_url()).status_code == 200


def test_access_is_taken_back_or_given_up(
    dataset: Dataset, run: Run, owner_client: Client, stranger: User, stranger_client: Client, admin_client: Client
) -> None:
    third = User.objects.create_user("third@example.org", PASSWORD)
    sharing.give(dataset, third.email, VIEW)
    for thing in (dataset, run):
        grant = sharing.give(thing, stranger.email, EDIT)
        assert owner_client.get(f"/grants/{grant.pk}/withdraw").status_code == 405
        assert (
            "has no access any more" in owner_client.post(f"/grants/{grant.pk}/withdraw", follow=True).content.decode()
        )
        assert stranger_client.get(thing.get_absolute_url()).status_code == 404
        grant = sharing.give(thing, stranger.email, VIEW)
        page = stranger_client.post(f"/grants/{grant.pk}/withdraw", follow=True).content.decode()
        assert "is not shared with you any more" in page
    of_third = Grant.objects.get()
    assert stranger_client.post(f"/grants/{of_third.pk}/withdraw").status_code == 404
    sharing.give(dataset, stranger.email, EDIT)
    assert stranger_client.post(f"/grants/{of_third.pk}/withdraw").status_code == 403
    admin_client.post(f"/grants/{of_third.pk}/withdraw")
    assert not Grant.objects.filter(user=third).exists()
    told = list(AuditEntry.objects.filter(action="took back access").values_list("subject", flat=True))
    assert f"dataset {dataset.pk}: user {third.pk} may view" in told
    assert not [subject for subject in told if "@" in subject]


@pytest.mark.parametrize("what", ["dataset", "run", "account"])
def test_a_live_page_ends_with_the_access(
    what: str, owner: User, stranger: User, make_dataset: Any, make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(make_dataset(owner), state="running")
    run_grant, _ = sharing.give(run, stranger.email, VIEW), sharing.give(run.dataset, stranger.email, VIEW)
    monkeypatch.setattr(live, "POLL_S", 0)
    looks, look = [], live._versions

    def _look(*arguments: Any) -> Any:
        looks.append(1)
        if len(looks) == 3 and what == "account":
            User.objects.get(pk=stranger.pk).delete()
        elif len(looks) == 3:
            sharing.take_back(run if what == "run" else run.dataset, run_grant.email)
        if len(looks) == 6:
            Run.objects.update(state="finished")
        return look(*arguments)

    monkeypatch.setattr(live, "_versions", _look)

    async def collect() -> list[str]:
        return [text async for text in stream.messages(run.pk, stranger)]

    *sent, end = async_to_sync(collect)()
    assert json.loads(end.partition("data: ")[2])["state"] == ("finished" if what == "dataset" else "gone")
    pages = [text for text in sent if "event: page" in text]
    assert "test0.png" in pages[0]
    if what == "dataset":
        assert "test0.png" not in pages[1]  # the samples are gone, the run is still shared


def test_tokens_see_what_is_shared_within_their_scope(dataset: Dataset, stranger: User) -> None:
    sharing.give(dataset, stranger.email, VIEW)
    reads, trains = (
        Client(headers={"Authorization": f"Bearer {ApiToken.make(stranger, 'test', [scope])[1]}"})
        for scope in ("read", "run")
    )
    assert reads.get(f"/api/datasets/{dataset.pk}").status_code == 200
    assert trains.get(f"/api/datasets/{dataset.pk}").status_code == 403
    train = {"path": f"/api/datasets/{dataset.pk}/runs", "data": {"budget_s": 20}, **JSON}
    assert "lacks the scope" in reads.post(**train).json()["detail"]
    assert "ask the owner to let you use it" in trains.post(**train).json()["detail"]
    sharing.give(dataset, stranger.email, USE)
    assert trains.post(**train).status_code == 201


@pytest.mark.parametrize("who", ["owner", "stranger"])
def test_who_leaves_leaves_nothing_shared(
    who: str, dataset: Dataset, run: Run, owner: User, stranger: User, make_run: Any, request: pytest.FixtureRequest
) -> None:
    sharing.give(dataset, stranger.email, EDIT)
    sharing.give(run, stranger.email, VIEW)
    make_run(dataset, owner=stranger)
    client: Client = request.getfixturevalue(f"{who}_client")
    assert client.post("/account/delete", {"password": PASSWORD}).status_code == 302
    assert not Grant.objects.exists()
    assert Run.objects.count() == (0 if who == "owner" else 1)
    assert Dataset.objects.count() == (0 if who == "owner" else 2)


def test_an_export_holds_nothing_of_others(
    dataset: Dataset, run: Run, stranger: User, stranger_client: Client, make_run: Any
) -> None:
    sharing.give(dataset, stranger.email, EDIT)
    sharing.give(run, stranger.email, EDIT)
    mine = make_run(dataset, owner=stranger)
    content = b"".join(stranger_client.get("/account/export"))  # type: ignore[arg-type]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        about = json.loads(archive.read("account.json"))
        assert about["datasets"] == []
        assert [entry["id"] for entry in about["runs"]] == [mine.pk]
        assert all(name.startswith(("account.json", f"runs/{mine.pk}/")) for name in archive.namelist())
