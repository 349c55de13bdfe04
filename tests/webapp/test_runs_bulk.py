"""Administrators cancel, start again and delete many runs: a preview first, then what is done is typed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from webapp.accounts.models import AuditEntry, User
from webapp.datasets.models import Dataset
from webapp.runs.models import Run

PAGE = "/admin/runs/run/"


@pytest.fixture
def dataset(owner: User, make_dataset: Any) -> Dataset:
    return make_dataset(owner)


@pytest.fixture
def runs(dataset: Dataset, make_run: Any) -> list[Run]:
    """Of each state."""
    return [make_run(dataset, state=state) for state in ("queued", "running", "finished", "failed")]


def send(client: Client, action: str, runs: list[Run], **typed: str) -> str:
    form = {"action": action, "_selected_action": [run.pk for run in runs], **typed}
    return client.post(PAGE, form, follow=True).content.decode()


def states() -> list[str]:
    return sorted(Run.objects.values_list("state", flat=True))


def test_cancel(runs: list[Run], admin_client: Client, jobs: list[Any]) -> None:
    before = states()
    told = send(admin_client, "cancel_runs", runs)
    assert "Type <strong>cancel 2</strong>" in told
    assert "2 of the 4 chosen runs are left out: Only runs that wait or train can be cancelled." in told
    assert "owner@example.org (2)" in told
    assert "Nothing was done" in send(admin_client, "cancel_runs", runs, typed="cancel 4")
    assert states() == before
    assert "Runs cancelled: 2." in send(admin_client, "cancel_runs", runs, typed="cancel 2")
    assert states() == ["cancelled", "cancelled", "failed", "finished"]
    noted = AuditEntry.objects.filter(action="cancelled for its owner").values_list("subject", flat=True)
    assert sorted(noted) == sorted(f"run {run.pk}" for run in runs[:2])


def test_what_changed_since_the_preview_is_asked_again(runs: list[Run], admin_client: Client, jobs: list[Any]) -> None:
    Run.objects.filter(pk=runs[0].pk).update(state="running")
    Run.objects.filter(pk=runs[1].pk).update(state="finished")
    assert "Type <strong>cancel 1</strong>" in send(admin_client, "cancel_runs", runs, typed="cancel 2")
    assert states().count("cancelled") == 0


def test_start_again(runs: list[Run], admin_client: Client, owner: User, jobs: list[Any], settings: Any) -> None:
    settings.BUDGETS_S = [20]
    assert "Type <strong>start 2</strong>" in send(admin_client, "start_runs_again", runs)
    assert "Runs started again: 2." in send(admin_client, "start_runs_again", runs, typed="start 2")
    again = Run.objects.exclude(pk__in=[run.pk for run in runs])
    assert [(run.state, run.owner, run.budget_s, run.charged) for run in again] == [("queued", owner, 20, False)] * 2
    owner.runs_total = 0
    owner.save()
    told = send(admin_client, "start_runs_again", runs[3:], typed="start 1")
    assert "Not started again: 1. All your runs are used up" in told


def test_delete(
    runs: list[Run], admin_client: Client, jobs: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    folders = [run.dir for run in runs[1:]]
    assert "deleted for good" in send(admin_client, "delete_runs", runs)
    with django_capture_on_commit_callbacks(execute=True):
        assert "Runs deleted: 4." in send(admin_client, "delete_runs", runs, typed="delete 4")
    assert not Run.objects.exists()
    assert not [folder for folder in folders if folder.exists()]
    assert AuditEntry.objects.filter(action="deleted for its owner").count() == 4


def test_others_may_not(runs: list[Run], owner_client: Client, administrator: User) -> None:
    assert 'name="action"' not in send(owner_client, "delete_runs", runs, typed="delete 4")
    assert Run.objects.count() == 4
