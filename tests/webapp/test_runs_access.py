"""Who may see and change a run, and what is left of a deleted one."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.runs import start
from webapp.runs.models import Run, SpentRun


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_count", lambda: 1)


READ = ["run", "run-state", "run-stream", "run-scores", "run-predictions", "run-samples", "model", "model-download"]


OWNERS_READ = ["run-log"]


CHANGE = ["run-stop", "run-cancel", "run-share", "run-delete", "model-export"]


def _get(client: Any, name: str, run: Run) -> int:
    query = "?true=light&predicted=dark" if name == "run-samples" else ""
    return client.get(reverse(name, args=[run.pk]) + query).status_code


@pytest.mark.parametrize("name", READ + OWNERS_READ)
def test_private_runs_are_seen_by_owner_and_administrator_only(
    name: str, run: Run, owner_client: Any, stranger_client: Any, admin_client: Any, client: Any
) -> None:
    assert _get(owner_client, name, run) == 200
    assert _get(admin_client, name, run) == 200
    assert _get(stranger_client, name, run) == 404
    assert _get(client, name, run) == 404


@pytest.mark.parametrize("name", READ)
def test_public_runs_on_private_data_show_no_samples(name: str, run: Run, client: Any) -> None:
    Run.objects.update(public=True)
    hidden = name in ("run-predictions", "run-samples", "model-download")
    assert _get(client, name, run) == (404 if hidden else 200)
    assert client.get(f"/api/runs/{run.pk}/model").status_code in (401, 404)
    Dataset.objects.update(public=True)
    assert _get(client, name, run) == 200
    assert _get(client, "run-log", run) == 404


@pytest.mark.parametrize("name", CHANGE)
def test_changes_are_the_owners(name: str, run: Run, stranger_client: Any, client: Any, owner_client: Any) -> None:
    Run.objects.update(public=True)
    address = reverse(name, args=[run.pk])
    assert stranger_client.post(address).status_code == 404
    assert client.post(address).status_code == 404
    assert owner_client.get(address).status_code == 405
    assert owner_client.post(address).status_code == 302


def test_run_list_and_start_need_a_login(client: Any, run: Run) -> None:
    assert client.get("/runs/").status_code == 302
    assert client.post(f"/data/{run.dataset_id}/learn", {"budget_s": 20}).status_code == 302
    assert Run.objects.count() == 1


def test_delete_removes_rows_and_files_but_not_the_charge(
    owner_client: Any, owner: User, run: Run, django_capture_on_commit_callbacks: Any
) -> None:
    before = start.quota(owner)
    with django_capture_on_commit_callbacks(execute=True):
        owner_client.post(f"/runs/{run.pk}/delete")
    assert not Run.objects.exists()
    assert not run.dir.exists()
    assert start.quota(owner) == before


def test_a_user_can_be_deleted_with_runs(owner: User, run: Run) -> None:
    owner.delete()
    assert not Run.objects.exists()
    assert not SpentRun.objects.exists()


def test_sharing_is_said_and_reversed(owner_client: Any, client: Any, run: Run) -> None:
    owner_client.post(f"/runs/{run.pk}/share", {"public": "1"})
    assert client.get(run.get_absolute_url()).status_code == 200
    owner_client.post(f"/runs/{run.pk}/share", {"public": "0"})
    assert client.get(run.get_absolute_url()).status_code == 404


def test_administrators_find_runs_and_refund_them(admin_client: Any, run: Run) -> None:
    assert str(run) in admin_client.get("/admin/runs/run/").content.decode()
    admin_client.post(f"/admin/runs/run/{run.pk}/change/", {"public": "on"})
    run.refresh_from_db()
    assert (run.charged, run.public, run.state) == (False, True, "finished")
