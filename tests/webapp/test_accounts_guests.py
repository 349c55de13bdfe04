"""Guests: drop first, register later; what they may do, and what becomes of their data."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory
from django.urls import resolve
from django.utils import timezone

from webapp.accounts import guests
from webapp.accounts.models import User
from webapp.datasets.models import Dataset, Upload
from webapp.ops import queues
from webapp.ops.management.commands.reaper import DUTIES
from webapp.runs.models import Prediction, Run
from webapp.runs.pages.stream import stream

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "3"}


def send(client: Client, content: bytes = b"a,b\n1,2\n") -> Any:
    return client.post("/data/upload", {"file": SimpleUploadedFile("x.csv", content)})


@pytest.fixture
def dataset(guest_client: Client, make_dataset: Any) -> Dataset:
    """A ready data set of the guest."""
    Dataset.objects.all().delete()
    return make_dataset(User.objects.get(guest=True))


def test_a_stranger_drops_data_and_sees_the_report(guest_client: Client, dataset: Dataset, client: Client) -> None:
    page = guest_client.get(dataset.get_absolute_url()).content.decode()
    assert "18 images in 2 classes" in page
    assert "You are not registered" in page
    assert "one run an hour" in page
    assert "Publish" not in page
    assert client.get(dataset.get_absolute_url()).status_code == 404
    for path in ("/", "/data/"):
        assert dataset.get_absolute_url() in guest_client.get(path).content.decode()


def test_the_drop_zone_tells_guests_their_limit(client: Client, settings: Any) -> None:
    page = client.get("/").content.decode()
    assert "Up to 100\xa0MB without an account" in page
    assert "Register to upload up to 5\xa0GB." in page
    settings.GUEST_MAX_BYTES = 0
    assert "Register to upload" in client.get("/").content.decode()


def test_resumable_uploads_begin_a_guest_too(client: Client) -> None:
    answer = client.post("/uploads/", headers=TUS)
    assert answer.status_code == 201
    assert client.head(answer["Location"], headers=TUS)["Upload-Offset"] == "0"
    assert Upload.objects.get().owner.guest


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://example.org"},
        {"Origin": "null"},
    ],
)
def test_other_sites_begin_no_guest(headers: dict[str, str], client: Client) -> None:
    assert client.post("/uploads/", headers=TUS | headers).status_code == 401
    assert client.post("/data/upload", {"file": SimpleUploadedFile("x.csv", b"a")}, headers=headers).status_code == 302
    assert not User.objects.exists()


def test_our_own_pages_begin_a_guest_with_their_csrf_token() -> None:
    browser = Client(enforce_csrf_checks=True)
    assert browser.post("/uploads/", headers=TUS).status_code == 401
    assert not User.objects.exists()
    browser.get("/")
    ours = {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}
    ours["X-CSRFToken"] = browser.cookies["csrftoken"].value
    assert browser.post("/uploads/", headers=TUS | ours).status_code == 201


def test_looking_begins_no_guest(client: Client) -> None:
    for path in ("/", "/data/", "/boards"):
        client.get(path)
    client.post("/uploads/aaaaaaaaaa", headers=TUS)
    assert not User.objects.exists()


@pytest.mark.parametrize("path", ["/runs/", "/account/", "/account/tokens", "/accounts/email/"])
def test_everywhere_else_a_guest_is_nobody(guest_client: Client, path: str) -> None:
    assert guest_client.get(path)["Location"].startswith("/accounts/login/")


def learn(client: Client, dataset: Dataset, budget_s: int = 60) -> Any:
    return client.post(f"/data/{dataset.id}/learn", {"budget_s": budget_s})


def test_a_guest_publishes_nothing(guest_client: Client, dataset: Dataset) -> None:
    assert guest_client.post(f"/data/{dataset.id}/publish", {"public": "yes"}).status_code == 404
    assert not Dataset.objects.filter(public=True).exists()


def test_who_registers_keeps_the_data(guest_client: Client, dataset: Dataset) -> None:
    fields = {"email": "new@example.org", "password1": PASSWORD, "next": dataset.get_absolute_url()}
    assert guest_client.post("/accounts/signup/", fields)["Location"] == dataset.get_absolute_url()
    dataset.refresh_from_db()
    assert dataset.owner.email == "new@example.org"
    assert not User.objects.filter(guest=True).exists()
    assert dataset.autodl_dir.exists()
    page = guest_client.get(dataset.get_absolute_url()).content.decode()
    assert "Start training" in page
    assert "You are a guest" not in page


def test_who_logs_in_keeps_the_data_and_the_upload(guest_client: Client, owner: User) -> None:
    guest_client.post("/uploads/", headers=TUS)
    guest_client.post("/accounts/login/", {"login": owner.email, "password": PASSWORD})
    assert Dataset.objects.get().owner == owner
    upload = Upload.objects.get()
    assert upload.owner == owner
    assert upload.path.exists()


def test_after_a_day_it_is_gone(
    guest_client: Client, dataset: Dataset, owner: User, media: Path, django_capture_on_commit_callbacks: Any
) -> None:
    guests.reap()
    assert Dataset.objects.exists()
    User.objects.update(date_joined=timezone.now() - timedelta(days=2))
    with django_capture_on_commit_callbacks(execute=True):
        guests.reap()
    assert list(User.objects.all()) == [owner]
    assert not dataset.dir.exists()
    assert guest_client.get(dataset.get_absolute_url()).status_code == 404
    assert "webapp.accounts.guests.reap" in dict(DUTIES).values()


def test_limits_of_a_guest(guest_client: Client, settings: Any) -> None:
    User.objects.update(storage_max_bytes=100)
    answer = guest_client.post("/uploads/", headers=TUS | {"Upload-Length": "200"})
    assert answer.status_code == 413
    assert "Register to upload up to 5\xa0GB." in answer.content.decode()
    assert "delete data sets" not in guest_client.get("/data/").content.decode()


def test_only_so_many_guests(client: Client, guest_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests, "AT_A_TIME", 1)
    assert send(client)["Location"].startswith("/accounts/login/")
    assert client.post("/uploads/", headers=TUS).status_code == 401
    assert "Register to upload" in client.get("/").content.decode()
    assert "Drop your data here" in guest_client.get("/").content.decode()


def test_one_address_cannot_take_all_places() -> None:
    for _ in range(15):
        send(Client())
    assert User.objects.filter(guest=True).count() == 10


def test_a_guest_cannot_log_in_and_scripts_need_a_token(guest_client: Client) -> None:
    guest = User.objects.get(guest=True)
    guest.set_password(PASSWORD)
    guest.save()
    other = Client()
    other.post("/accounts/login/", {"login": guest.email, "password": PASSWORD})
    assert "_auth_user_id" not in other.session
    assert Client().post("/uploads/", headers=TUS | {"Authorization": "Bearer adl_x"}).status_code == 401


def test_a_guests_session_needs_the_csrf_token(guest_client: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = guest_client.cookies
    assert strict.post("/uploads/", headers=TUS).status_code == 401


def test_a_guest_trains_once_an_hour_for_a_minute(guest_client: Client, dataset: Dataset, jobs: Any) -> None:
    assert 'value="300"' not in guest_client.get(dataset.get_absolute_url()).content.decode()
    learn(guest_client, dataset, 300)
    assert not Run.objects.exists()
    address = learn(guest_client, dataset)["Location"]
    run = Run.objects.get()
    assert (run.budget_s, run.owner.guest, address) == (60, True, run.get_absolute_url())
    assert jobs[-1][0] == "train"
    page = guest_client.get(address).content.decode()
    assert "You are not registered" in page
    assert "make public" not in page
    learn(guest_client, dataset)
    assert Run.objects.count() == 1
    assert "one run an hour: register to train now" in guest_client.get(dataset.get_absolute_url()).content.decode()
    guest_client.post(f"/runs/{run.pk}/cancel")
    assert guest_client.post(f"/runs/{run.pk}/delete")["Location"] == dataset.get_absolute_url()
    learn(guest_client, dataset)
    assert Run.objects.count() == 1  # one that never started does not count
    Run.objects.update(created=timezone.now() - timedelta(hours=2))
    learn(guest_client, dataset)
    assert Run.objects.count() == 2


def test_a_stranger_trains_on_public_data_and_becomes_a_guest(client: Client, owner: User, make_dataset: Any) -> None:
    dataset, private = make_dataset(owner, public=True), make_dataset(owner)
    assert "Start training" in client.get(dataset.get_absolute_url()).content.decode()
    assert not User.objects.filter(guest=True).exists()
    address = learn(client, dataset)["Location"]
    assert client.get(address).status_code == 200
    assert Client().get(address).status_code == 404
    assert learn(client, private).status_code == 404


def test_without_guests_training_needs_an_account(
    client: Client, owner: User, make_dataset: Any, settings: Any
) -> None:
    dataset = make_dataset(owner, public=True)
    settings.GUEST_MAX_BYTES = 0
    assert "Training needs an account" in client.get(dataset.get_absolute_url()).content.decode()
    assert learn(client, dataset)["Location"].startswith("/accounts/login/")
    settings.GUEST_MAX_BYTES, settings.GUEST_RUN_S = 10**6, 0
    assert "Training needs an account" in client.get(dataset.get_absolute_url()).content.decode()


def test_who_registers_keeps_the_run_and_its_turn(
    guest_client: Client, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(guest_client, dataset)
    run = Run.objects.get()
    handed: list[tuple[str, str, bool]] = []
    monkeypatch.setattr(queues, "hand_over", lambda name, job, user: handed.append((name, job, user.guest)))
    address = run.get_absolute_url()
    fields = {"email": "new@example.org", "password1": PASSWORD, "next": address}
    assert guest_client.post("/accounts/signup/", fields)["Location"] == address
    run.refresh_from_db()
    assert run.owner.email == "new@example.org"
    assert ("train", run.job_id, False) in handed
    assert guest_client.get(address).status_code == 200


def test_a_guest_sees_the_run_live(guest_client: Client, dataset: Dataset, rf: RequestFactory) -> None:
    """The stream is an async view, which asks for its user in another way."""
    learn(guest_client, dataset)
    request = rf.get(f"{Run.objects.get().get_absolute_url()}/stream")
    request.session, request.user = guest_client.session, AnonymousUser()
    request.resolver_match = resolve(request.path)
    guests.GuestMiddleware(lambda _: None).process_view(request, stream, (), {})  # type: ignore[arg-type,return-value]
    assert async_to_sync(request.auser)() == User.objects.get(guest=True)


def test_a_guests_run_has_no_dead_links(guest_client: Client, dataset: Dataset, make_run: Any) -> None:
    run = make_run(dataset, export_state="ready")
    asked = Prediction.objects.create(run=run, owner=run.owner, state="ready", input_name="x.png")
    page = guest_client.get(run.get_absolute_url()).content.decode()
    links = re.findall(rf'href="(/runs/{run.pk}/[^"?#]*)', page)
    assert f"/runs/{run.pk}/why/1" in links
    assert {resolve(link).url_name for link in links} <= guests.PAGES
    assert guest_client.get(f"/runs/{run.pk}/why/1").status_code == 200
    assert guest_client.post(f"/runs/{run.pk}/why/1")["Location"] == f"/runs/{run.pk}/why/1"
    assert guest_client.get(f"/models/{run.pk}/predictions/{asked.pk}/why").status_code == 200  # the page fetches it
