"""Every address of the site, found by walking its URL patterns: who gets an answer; looking changes nothing."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.apps import apps
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern
from django.utils import timezone
from redis.exceptions import RedisError

from webapp.accounts import sharing
from webapp.accounts.models import User
from webapp.api.models import ApiToken
from webapp.challenges.models import Challenge, Entry
from webapp.datasets.models import Dataset, Upload
from webapp.portfolio.models import PortfolioRow
from webapp.runs.models import Prediction, Run

SECRET = "confidential"  # stands in everything that is private
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
IDS = ("id", "dataset_id", "run_id", "challenge_id", "prediction_id", "name", "board", "suffix")
NOBODYS = dict.fromkeys(IDS, "aaaaaaaaaa") | {
    "pk": "999",
    "key": "aaaaaaaaaaaaaaaa",
    "split": "test",
    **dict.fromkeys(("index", "finding", "number"), "0"),
}
TUS = {"Tus-Resumable": "1.0.0"}
METHODS = ("get", "head", "options", "post", "put", "patch", "delete")


def routes(resolver: URLResolver | None = None, before: str = "") -> Iterator[str]:
    """All our routes as written in the URL lists; of Django's admin and allauth those without parameters."""
    for entry in (resolver or get_resolver()).url_patterns:
        if not isinstance(entry.pattern, RoutePattern):
            continue
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, route)
        elif isinstance(entry, URLPattern) and (_is_ours(route) or not PARAMETER.search(route)):
            yield "/" + route


def _is_ours(route: str) -> bool:
    return not route.startswith(("admin/", "accounts/"))


ALL = sorted(set(routes()))
OF_OBJECTS = [route for route in ALL if PARAMETER.search(route) and not route.startswith("/boards")]


@pytest.fixture
def things(owner: User, administrator: User, make_dataset: Any, make_run: Any) -> dict[str, str]:
    """One private thing of each kind, by the name of its parameter (and, where that is ambiguous, its route)."""
    dataset = make_dataset(owner, name=SECRET, title=SECRET)
    run = make_run(dataset, export_state="ready", error=SECRET, reason=SECRET)
    (run.dir / "toy.predict_2").write_text("0.9 0.1\n" * 6)
    with zipfile.ZipFile(run.dir / "model.zip", "w") as archive:
        archive.writestr("predict.py", SECRET)
    prediction = Prediction.objects.create(owner=owner, run=run, input_name=SECRET, state="ready")
    prediction.dir.mkdir(parents=True)
    prediction.output_path.write_text(f"name,prediction,{SECRET}\nx,{SECRET},1\n")
    expires = timezone.now() + timedelta(days=1)
    upload = Upload.objects.create(owner=owner, filename=SECRET, size_bytes=10, expires=expires)
    upload.path.parent.mkdir(parents=True, exist_ok=True)
    upload.path.touch()
    challenge = Challenge.objects.create(dataset=dataset, title=SECRET)
    challenge.phases.create(name=SECRET, start=timezone.now(), end=expires)
    Entry.objects.create(challenge=challenge, title=SECRET, user=administrator, number=0, note=SECRET)
    row = PortfolioRow.objects.create(name="row-1", origin=SECRET, modality="image", model="constant")
    return {
        "/data/<slug:id>/preview/<str:name>": "test-0.png",
        "/uploads/<slug:id>": upload.id,
        "/data/upload/<slug:id>/discard": upload.id,
        "/grants/<int:pk>/withdraw": str(sharing.give(dataset, "somebody@example.org", 1).pk),
        "id": dataset.id,
        "dataset_id": dataset.id,
        "run_id": run.pk,
        "challenge_id": challenge.pk,
        "board": "public",
        "prediction_id": prediction.pk,
        "name": row.name,
        "pk": str(ApiToken.make(owner, SECRET)[0].pk),
        "suffix": "csv",
        "key": "revoked-revoked-",
        "split": "test",
        **dict.fromkeys(("index", "finding", "number"), "0"),
    }


def address(route: str, things: dict[str, str]) -> str:
    """The route with ids in the place of its parameters."""

    def value(found: re.Match[str]) -> str:
        is_last = route.count("<") == 1 or found[1] == "name"
        return (is_last and things.get(route)) or things[found[1]]

    query = "?true=light&predicted=dark" if route.endswith("/samples") else ""
    return PARAMETER.sub(value, route) + query


def state(media: Path) -> dict[str, Any]:
    """All rows but sessions, logs and the time of a token's last use, and all files."""
    others = ("sessions", "account")  # allauth notes the address of a user made by a test when it is first shown
    models = [model for model in apps.get_models() if model._meta.managed and model._meta.app_label not in others]
    rows = {str(model): sorted(map(str, model.objects.values())) for model in models if model is not ApiToken}
    tokens = sorted(ApiToken.objects.values_list("pk", "digest"))
    return rows | {"tokens": tokens, "files": sorted(path for path in media.rglob("*") if path.is_file())}


def test_the_walk_finds_the_pages() -> None:
    assert {"/", "/runs/<slug:run_id>/stream", "/api/runs/<run_id>/model", "/admin/", "/accounts/login/"} <= set(ALL)
    assert len(OF_OBJECTS) > 40


@pytest.mark.parametrize("who", ["client", "stranger_client", "guest_client"])
def test_what_is_private_does_not_exist_for_others(
    who: str, things: dict[str, str], media: Path, request: pytest.FixtureRequest
) -> None:
    visitor: Client = request.getfixturevalue(who)
    before = state(media)
    for route in OF_OBJECTS:
        _hides(visitor, who, route, things)
        assert state(media) == before, route


def _hides(visitor: Client, who: str, route: str, things: dict[str, str]) -> None:
    for method in METHODS:
        ask = getattr(visitor, method)
        found, missing = (ask(address(route, ids), headers=TUS) for ids in (things, NOBODYS))
        to_login = (
            found.status_code == 302 and found["Location"].startswith("/accounts/login/") and who != "stranger_client"
        )
        about_nothing = route.startswith("/uploads/") and method == "options" and found.status_code == 204
        assert 400 <= found.status_code < 500 or to_login or about_nothing, f"{method} {route}: {found.status_code}"
        assert found.status_code == missing.status_code, f"{method} {route}"  # nothing tells that it is there
        assert SECRET not in found.content.decode(), f"{method} {route}"


@pytest.mark.parametrize("who", ["client", "guest_client", "owner_client", "admin_client"])
def test_looking_changes_nothing(who: str, things: dict[str, str], media: Path, request: pytest.FixtureRequest) -> None:
    visitor: Client = request.getfixturevalue(who)
    before = state(media)
    for route in ALL:
        _look(visitor, who, route, things)
        assert state(media) == before, route


def _look(visitor: Client, who: str, route: str, things: dict[str, str]) -> None:
    for headers in ({}, TUS | {"X-HTTP-Method-Override": "DELETE"}):
        try:
            response = visitor.get(address(route, things), headers=headers)
        except RedisError:  # there is none
            assert who == "admin_client"
            assert route.startswith(("/admin/queues/", "/admin/django_rq/"))
            continue
        assert response.status_code < 500, f"{route}: {response.status_code}"
        if who in ("client", "guest_client"):
            assert not (route.startswith("/admin") and response.status_code == 200)


def test_a_public_run_on_private_data_keeps_the_data_to_its_owner(
    things: dict[str, str], stranger_client: Client, make_dataset: Callable[..., Dataset], make_run: Any, owner: User
) -> None:
    table = make_dataset(owner, "tabular")
    run = make_run(table, state="failed", public=True, export_state="ready", error=SECRET, export_error=SECRET)
    report = (table.autodl_dir / "report.json").read_text()
    (table.autodl_dir / "report.json").write_text(report.replace('"length"', f'"{SECRET}"'))
    for page in (f"/runs/{run.pk}", f"/runs/{run.pk}/state", f"/models/{run.pk}", f"/api/runs/{run.pk}", "/api/runs"):
        response = stranger_client.get(page)
        assert response.status_code == 200
        assert SECRET not in response.content.decode(), page
    stranger_client.post(f"/models/{run.pk}/predict", {"value": ["1", "2"]})
    assert Prediction.objects.filter(run=run).count() == 0


def test_a_made_up_name_reaches_no_header_and_no_path(owner_client: Client, things: dict[str, str]) -> None:
    evil = 'a"; filename="b\r\nSet-Cookie: x=1\n/../../c'
    Dataset.objects.update(name=evil)
    run = Run.objects.get()
    for page in (f"/models/{run.pk}/model.zip", f"/data/{run.dataset_id}/download"):
        response = owner_client.get(page)
        assert response.status_code == 200
        assert "\n" not in response["Content-Disposition"]
        assert "/" not in response["Content-Disposition"]
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("target", ["https://example.org/", "//example.org/", "/\\example.org", "javascript:alert(1)"])
def test_log_in_leads_nowhere_else(client: Client, owner: User, target: str) -> None:
    fields = {"login": owner.email, "password": "correct horse battery", "next": target}
    response = client.post("/accounts/login/", fields)
    assert response.status_code == 302
    assert response["Location"] == "/"


def test_guessing_a_password_is_slowed_down(client: Client, owner: User) -> None:
    fields = {"login": owner.email, "password": "wrong"}
    pages = [client.post("/accounts/login/", fields).content.decode() for _ in range(12)]
    assert "Too many failed login attempts" in pages[-1]
    assert client.get("/admin/login/?next=/admin/")["Location"].startswith("/accounts/login/")  # no way around it


def test_who_guesses_elsewhere_locks_nobody_out(client: Client, owner: User) -> None:
    fields = {"login": owner.email, "password": "wrong"}
    for _ in range(12):
        client.post("/accounts/login/", fields, REMOTE_ADDR="203.0.113.7")
    right = fields | {"password": "correct horse battery"}
    assert client.post("/accounts/login/", right, REMOTE_ADDR="203.0.113.7").status_code == 200
    assert client.post("/accounts/login/", right, REMOTE_ADDR="198.51.100.1").status_code == 302


FORMS = {
    "/data/aaaaaaaaaa/learn": "/data/aaaaaaaaaa",
    "/models/aaaaaaaaaa/predict": "/models/aaaaaaaaaa",
    "/data/upload": "/data/",
    "/data/upload/aaaaaaaaaa/discard": "/data/",
    "/account/delete": "/account/",
    "/account/tokens/1/revoke": "/account/tokens",
}


@pytest.mark.parametrize(("form", "page"), FORMS.items())
def test_after_logging_in_one_is_back_at_the_form(
    form: str, page: str, client: Client, owner: User, settings: Any
) -> None:
    settings.GUEST_MAX_BYTES = 0
    login = client.post(form)["Location"]
    assert login.startswith("/accounts/login/")
    answer = client.post(login, {"login": owner.email, "password": "correct horse battery"} | _next(login))
    assert answer["Location"] == page


def _next(login: str) -> dict[str, str]:
    return {"next": parse_qs(urlsplit(login).query)["next"][0]}


def test_a_script_is_told_to_log_in(client: Client, db: None) -> None:
    answer = client.post("/models/aaaaaaaaaa/predict", headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert "log in" in answer.json()["error"]


def test_a_reset_does_not_tell_who_is_registered(client: Client, owner: User) -> None:
    answers = [client.post("/accounts/password/reset/", {"email": email}) for email in (owner.email, "x@example.org")]
    assert [answer["Location"] for answer in answers] == ["/accounts/password/reset/done/"] * 2
