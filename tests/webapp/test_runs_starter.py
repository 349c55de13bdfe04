"""Runs that a new site does by itself on its starter data: public, one a data set, and never in anybody's way."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops import starter_runs
from webapp.runs import start
from webapp.runs.models import Run


@pytest.fixture
def starters(administrator: User, make_dataset: Any, monkeypatch: pytest.MonkeyPatch) -> list[Dataset]:
    monkeypatch.setattr(start, "worker_count", lambda: 1)
    return [make_dataset(administrator, name=name, public=True, starter=True) for name in ("digits", "wine")]


def end(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(state="finished", nauc=0.9, alc=0.8, accuracy=0.95)


def test_one_run_after_the_other_and_then_no_more(starters: list[Dataset], client: Client, jobs: list[Any]) -> None:
    for _ in range(6):
        starter_runs.advance()
        assert Run.objects.filter(state="queued").count() <= 1, "one at a time"
        for run in Run.objects.filter(state="queued"):
            end(run)
    assert {run.dataset for run in Run.objects.all()} == set(starters)
    assert Run.objects.count() == len(jobs) == 2
    run = Run.objects.first()
    assert run
    assert (run.public, run.teaches, run.owner.is_active, run.owner.has_usable_password()) == (
        True,
        True,
        False,
        False,
    )
    assert run.get_absolute_url() in client.get("/").content.decode()
    assert "digits" in client.get("/boards").content.decode()


def test_a_user_never_waits_for_it(starters: list[Dataset], owner: User, make_dataset: Any) -> None:
    starter_runs.advance()
    ours = Run.objects.get()
    theirs = start.create_run(starters[0], owner, budget_s=20)
    assert list(Run.objects.all()) == [theirs], f"{ours} went"
    starter_runs.advance()
    assert Run.objects.count() == 1, "none begins while a user's run is open"
    end(theirs)
    upload = make_dataset(owner, state="converting")
    starter_runs.advance()
    assert Run.objects.count() == 1, "nor while data is converted"
    Dataset.objects.filter(pk=upload.pk).update(state="ready")
    starter_runs.advance()
    assert Run.objects.count() == 2, "it begins again"


def test_it_can_be_switched_off_and_stays_deleted(starters: list[Dataset], settings: Any) -> None:
    settings.STARTER_RUNS = False
    starter_runs.advance()
    assert not Run.objects.exists()
    settings.STARTER_RUNS = True
    starter_runs.advance()
    Run.objects.get().delete()  # by an administrator
    starter_runs.advance()
    assert not Run.objects.exists()
