"""The JSON API and its tokens."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from tests.webapp.conftest import PASSWORD
from webapp.accounts.models import User
from webapp.api.models import ApiToken
from webapp.datasets.models import Dataset
from webapp.runs.models import Run

pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
MakeDataset = Callable[..., Dataset]
MakeRun = Callable[..., Run]


def with_token(user: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {ApiToken.make(user, 'test')[1]}"}, enforce_csrf_checks=True)


@pytest.fixture
def script(owner: User) -> Client:
    return with_token(owner)


@pytest.fixture
def dataset(owner: User, make_dataset: MakeDataset) -> Dataset:
    return make_dataset(owner)


def test_a_token_is_shown_once_and_only_its_hash_is_kept(owner_client: Client, owner: User) -> None:
    page = owner_client.post("/account/tokens", {"name": "nightly", "scope": ["read"], "days": "30"})
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    token = ApiToken.objects.get(owner=owner)
    assert secret.startswith(token.prefix)
    assert secret not in str(vars(token))
    assert secret not in owner_client.get("/account/tokens").content.decode()
    assert ApiToken.find(secret) == token
    assert (token.owner, token.scopes) == (owner, "read")
    assert (token.expires - timezone.now()).days in (29, 30)
    for wrong in ({"days": "30"}, {"scope": ["all"], "days": "30"}, {"scope": ["read"], "days": "9"}):
        assert "Choose what the token may do" in owner_client.post("/account/tokens", wrong).content.decode()
    assert ApiToken.objects.count() == 1


def test_a_revoked_token_is_refused(owner_client: Client, owner: User, stranger_client: Client) -> None:
    token, secret = ApiToken.make(owner, "test")
    script = Client(headers={"Authorization": f"Bearer {secret}"})
    assert script.get("/api/datasets").status_code == 200
    token.refresh_from_db()
    assert token.last_used is not None
    assert stranger_client.post(f"/account/tokens/{token.pk}/revoke").status_code == 404
    owner_client.post(f"/account/tokens/{token.pk}/revoke")
    assert script.get("/api/datasets").status_code == 401


def test_a_token_ends_when_it_expires(owner: User, owner_client: Client) -> None:
    secret = ApiToken.make(owner, "test", lasts=timedelta(days=1))[1]
    script = Client(headers={"Authorization": f"Bearer {secret}"})
    assert script.get("/api/datasets").status_code == 200
    ApiToken.objects.update(expires=timezone.now())
    assert script.get("/api/datasets").status_code == 401
    assert "expired" in owner_client.get("/account/tokens").content.decode()


CALLS = {
    "read": [("GET", "/api/datasets"), ("GET", "/api/runs"), ("GET", "/api/runs/{run}/points")],
    "run": [
        ("POST", "/api/datasets/{dataset}/runs"),
        ("POST", "/api/runs/{run}/stop"),
        ("POST", "/api/models/{run}/predict"),
    ],
    "write": [("POST", "/api/datasets"), ("DELETE", "/api/datasets/{dataset}"), ("POST", "/uploads/")],
}


@pytest.mark.parametrize("scope", CALLS)
def test_a_token_does_what_its_scope_allows(
    scope: str, owner: User, dataset: Dataset, make_run: Callable[..., Run]
) -> None:
    run = make_run(dataset)
    script = Client(headers={"Authorization": f"Bearer {ApiToken.make(owner, 'test', [scope])[1]}"})
    for needed, calls in CALLS.items():
        for method, path in calls:
            response = script.generic(
                method, path.format(run=run.pk, dataset=dataset.pk), content_type="application/json"
            )
            assert (response.status_code == 403) == (needed != scope), (method, path, response.status_code)
            if needed != scope:
                assert "lacks the scope" in response.content.decode()


def test_tokens_of_inactive_users_are_refused(script: Client, owner: User) -> None:
    owner.is_active = False
    owner.save()
    assert script.get("/api/datasets").status_code == 401


def test_tokens_end_when_the_password_changes(script: Client, owner: User, owner_client: Client) -> None:
    assert script.get("/api/datasets").status_code == 200
    fresh = {"oldpassword": PASSWORD, "password1": "a fresh long secret", "password2": "a fresh long secret"}
    owner_client.post("/accounts/password/change/", fresh)
    assert script.get("/api/datasets").status_code == 401
    owner.refresh_from_db()
    assert with_token(owner).get("/api/datasets").status_code == 200
    assert len(owner_client.get("/account/tokens").context["tokens"]) == 1


def test_tokens_page_needs_a_login(client: Client, db: None) -> None:
    assert client.get("/account/tokens")["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("header", ["Bearer adl_wrong", "Bearer ", "Basic abc", ""])
def test_nobody(header: str, db: None) -> None:
    assert Client(headers={"Authorization": header}).get("/api/datasets").status_code == 401


def test_a_wrong_token_does_not_fall_back_to_the_session(owner_client: Client) -> None:
    assert owner_client.get("/api/datasets", headers={"Authorization": "Bearer adl_wrong"}).status_code == 401


def test_session_needs_the_csrf_token(owner: User, dataset: Dataset) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    url = f"/api/datasets/{dataset.id}"
    assert browser.get(url).status_code == 200
    assert browser.delete(url).status_code == 401
    browser.get("/account/tokens")
    assert browser.delete(url, headers={"X-CSRFToken": browser.cookies["csrftoken"].value}).status_code == 200


def test_openapi_describes_the_calls_and_no_page_asks_a_cdn(client: Client, db: None) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    assert "/api/datasets/{dataset_id}/runs" in paths
    assert client.get("/api/docs").status_code == 404


def test_upload_state_and_report(script: Client, owner: User, dataset: Dataset) -> None:
    created = script.post("/api/datasets", {"file": SimpleUploadedFile("a.csv", b"a,b\n1,2\n")})
    assert created.status_code == 201
    assert created.json()["state"] == "queued"
    assert script.get(f"/api/datasets/{created.json()['id']}/report").status_code == 404
    assert script.get(f"/api/datasets/{dataset.id}").json()["title"].startswith("18 images")
    assert script.get(f"/api/datasets/{dataset.id}/report").json()["counts"]["train"] == 12
    assert [row["id"] for row in script.get("/api/datasets").json()] == [created.json()["id"], dataset.id]


def test_upload_limits(script: Client, settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 3
    response = script.post("/api/datasets", {"file": SimpleUploadedFile("a.csv", b"12345")})
    assert response.status_code == 413
    assert "one upload may have" in response.json()["detail"]


def test_tus_takes_tokens_too(script: Client) -> None:
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5"}
    assert script.post("/uploads/", headers=headers).status_code == 201


def test_run_from_start_to_model(script: Client, dataset: Dataset, make_run: MakeRun) -> None:
    started = script.post(f"/api/datasets/{dataset.id}/runs", {"budget_s": 20}, content_type="application/json")
    assert started.status_code == 201
    assert (started.json()["state"], started.json()["budget_s"]) == ("queued", 20)
    wrong = script.post(f"/api/datasets/{dataset.id}/runs", {"budget_s": 7}, content_type="application/json")
    assert wrong.status_code == 409
    assert "training times" in wrong.json()["detail"]
    run = make_run(dataset)
    points = script.get(f"/api/runs/{run.id}/points").json()
    assert [point["nauc"] for point in points] == [0.2, 0.8, 1.0]
    events = script.get(f"/api/runs/{run.id}/events").json()
    assert events["events"][0]["event"] == "started"
    assert script.get(f"/api/runs/{run.id}/events?offset={events['offset']}").json()["events"] == []
    assert script.get(f"/api/runs/{run.id}/model").status_code == 409
    with zipfile.ZipFile(run.dir / "model.zip", "w") as archive:
        archive.writestr("predict.py", "")
    Run.objects.filter(id=run.id).update(export_state="ready")
    model = script.get(f"/api/runs/{run.id}/model")
    assert zipfile.ZipFile(io.BytesIO(b"".join(model))).namelist() == ["predict.py"]


def test_stop(script: Client, dataset: Dataset, make_run: MakeRun) -> None:
    run = make_run(dataset, state="running")
    assert script.post(f"/api/runs/{run.id}/stop").json()["state"] == "stopping"


def test_delete(script: Client, dataset: Dataset, make_run: MakeRun, django_capture_on_commit_callbacks: Any) -> None:
    run = make_run(dataset, state="running")
    assert script.delete(f"/api/datasets/{dataset.id}").status_code == 409
    Run.objects.filter(id=run.id).update(state="finished")
    with django_capture_on_commit_callbacks(execute=True):
        assert script.delete(f"/api/datasets/{dataset.id}").json()["freed_bytes"] > 0
    assert not dataset.dir.exists()


PAGES = ["", "/report", "/download"]
RUN_PAGES = ["", "/points", "/events", "/model"]


def test_what_is_private_does_not_exist_for_strangers(
    stranger: User, administrator: User, dataset: Dataset, make_run: MakeRun
) -> None:
    run = make_run(dataset)
    other, admin = with_token(stranger), with_token(administrator)
    urls = [f"/api/datasets/{dataset.id}{page}" for page in PAGES] + [f"/api/runs/{run.id}{page}" for page in RUN_PAGES]
    assert {other.get(url).status_code for url in urls} == {404}
    assert {admin.get(url).status_code for url in urls} == {200, 409}  # 409: the model is not packed
    assert {Client().get(url).status_code for url in urls} == {401}
    assert other.get("/api/datasets").json() == other.get("/api/runs").json() == []
    start = f"/api/datasets/{dataset.id}/runs"
    assert other.post(start, {"budget_s": 20}, content_type="application/json").status_code == 404
    Dataset.objects.update(public=True)
    Run.objects.update(public=True)
    assert {other.get(url).status_code for url in urls} == {200, 409}
    assert other.delete(f"/api/datasets/{dataset.id}").status_code == 404
    assert other.post(f"/api/runs/{run.id}/stop").status_code == 404
