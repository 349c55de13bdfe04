"""The start page, the status page and the pages for errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.views import defaults
from redis.exceptions import ConnectionError as NoRedis

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops.models import Fault
from webapp.ops.pages import status
from webapp.runs.models import Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def starter(administrator: User, make_dataset: Callable[..., Dataset]) -> Dataset:
    return make_dataset(administrator, name="Starter digits", public=True, starter=True)


def text(client: Client, path: str = "/") -> str:
    page = client.get(path)
    assert page.status_code == 200
    return page.content.decode()


def test_a_stranger_sees_the_promise_and_starter_data(client: Client, starter: Dataset) -> None:
    page = text(client)
    assert "Watch a model learn" in page
    assert "Register" in page
    assert starter.get_absolute_url() in page
    assert "18 images in 2 classes" in page
    assert f"/data/{starter.id}/preview/" in page


@pytest.mark.parametrize("modality", ["image", "tabular"])
def test_a_card_shows_samples(
    client: Client, administrator: User, make_dataset: Callable[..., Dataset], modality: str
) -> None:
    make_dataset(administrator, modality, public=True, starter=True)
    page = text(client)
    assert ('<img src="/data/' in page) == (modality == "image")
    assert ("weight" in page) == (modality == "tabular")


def test_starter_data_in_the_making_is_told(
    client: Client, administrator: User, make_dataset: Callable[..., Dataset]
) -> None:
    make_dataset(administrator, public=True, starter=True, state="converting")
    assert "ready in a moment" in text(client)


def test_the_last_public_run_is_shown_and_private_ones_are_not(
    client: Client, starter: Dataset, make_run: Callable[..., Run]
) -> None:
    private = make_run(starter)
    assert private.get_absolute_url() not in text(client)
    public = make_run(starter, public=True)
    page = text(client)
    assert public.get_absolute_url() in page
    assert 'class="spark"' in page


def test_a_user_sees_own_things_only(
    owner: User,
    owner_client: Client,
    stranger_client: Client,
    make_dataset: Callable[..., Dataset],
    make_run: Callable[..., Run],
) -> None:
    dataset = make_dataset(owner, name="My secret set")
    run = make_run(dataset, state="running")
    page = text(owner_client)
    assert "My secret set" in page
    assert run.get_absolute_url() in page
    assert "training" in page
    assert "My secret set" not in text(stranger_client)


def test_status_without_redis_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_redis(**options: Any) -> list[Any]:
        raise NoRedis

    monkeypatch.setattr("webapp.ops.pages.status.Worker.all", no_redis)
    page = text(client, "/status")
    assert "job queue does not answer" in page


def test_status_shows_workers_queues_and_faults(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = [status.WorkerState(purpose, "CPU, 2 cores", "free", None) for purpose in status.PURPOSES.values()]
    queues = [status.QueueState("training", waiting=2, wait_s=91.4)]
    monkeypatch.setattr(status, "machinery", lambda: (workers, queues))
    Fault.objects.create(what="The web server was killed.", done="It was started again.")
    page = text(client, "/status")
    assert "Everything is running" in page
    assert "in about 1 min 30 s" in page
    assert "It was started again." in page


def test_administrators_get_from_the_status_page_to_what_they_manage(
    admin_client: Client, owner_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "machinery", lambda: ([], []))
    managed = ("/admin/accounts/user/", "/admin/datasets/dataset/", "/admin/runs/run/", "/admin/queues/", "/portfolio")
    assert all(f'href="{path}"' in text(admin_client, "/status") for path in managed)
    assert "/admin/" not in text(owner_client, "/status")


def test_status_names_a_missing_worker(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "machinery", lambda: ([], []))
    assert "No worker runs for training" in text(client, "/status")


def test_error_pages(client: Client, rf: RequestFactory) -> None:
    answer = client.get("/nothing/here")
    assert answer.status_code == 404
    assert "Page not found" in answer.content.decode()
    assert "log in" in answer.content.decode()
    broken = defaults.server_error(rf.get("/"))
    assert "Server error" in broken.content.decode()
    untrusted = Client(enforce_csrf_checks=True).post("/accounts/login/", {})
    assert untrusted.status_code == 403
    assert "Please send it again" in untrusted.content.decode()


def test_security_headers(client: Client) -> None:
    headers = client.get("/").headers
    policy = headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "default-src 'self'" in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_templates_carry_no_inline_script_or_foreign_address() -> None:
    root = Path(__file__).resolve().parents[2]
    for path in [*(root / "templates").rglob("*.html"), *(root / "static" / "css").glob("*.css")]:
        source = path.read_text()
        for forbidden in (
            "<script>",
            "onclick=",
            "onchange=",
            "onsubmit=",
            "javascript:",
            "|safe",
            'src="http',
            "url(http",
        ):
            assert forbidden not in source, f"{path.name} holds {forbidden}"
