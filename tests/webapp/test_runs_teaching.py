"""Scores and gains of runs that their owners share: who agrees, what is kept, and that deleted is deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import reverse

from automl_engine.run import events
from webapp.accounts.models import User
from webapp.api.models import ApiToken
from webapp.datasets.models import Dataset
from webapp.portfolio.models import Gain, PortfolioRow, Score
from webapp.runs import start, teaching
from webapp.runs.models import Run

STEPS = (("linear", 0.9, 0.5), ("trees", 0.05, 2.0), ("trees", -0.01, 3.0), ("unknown", 0.2, 1.0))


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_count", lambda: 1)


@pytest.fixture
def dataset(owner: User, make_dataset: Any) -> Dataset:
    return make_dataset(owner, name="secret patients")


@pytest.fixture
def run(dataset: Dataset, make_run: Any) -> Run:
    for name, version in (("linear", 3), ("trees", 1), ("broken", 1)):
        PortfolioRow.objects.create(name=name, modality="image", model="image_linear", version=version)
    return learned(make_run(dataset, teaches=True))


def learned(run: Run) -> Run:
    """Three configurations worked in it, and one of a name that this site does not know."""
    for name, gain, took_s in STEPS:
        events.append(run.dir / "events.jsonl", "progress", by=name, text="x", gain=gain, took_s=took_s)
    events.append(run.dir / "events.jsonl", "progress", by="trees", text="version 2")
    events.append(run.dir / "events.jsonl", "failed", what="broken", error="no memory", traceback="", fatal=False)
    return run


def kept() -> dict[str, tuple[float, float, int]]:
    return {gain.row.name: (round(gain.gain, 3), gain.took_s, gain.version) for gain in Gain.objects.all()}


GAINED = {"linear": (0.9, 0.5, 3), "trees": (0.04, 5.0, 1), "broken": (0.0, 0.0, 1)}


@pytest.mark.parametrize("public", [True, False])
def test_the_panel_asks_and_is_on_for_public_data_only(owner_client: Any, dataset: Dataset, public: bool) -> None:
    Dataset.objects.update(public=public)
    html = owner_client.get(dataset.get_absolute_url()).content.decode()
    box = html[html.index('name="teaches"') :].split(">")[0]
    assert ("checked" in box) == public
    assert "Share this run's scores to improve future runs" in html
    assert "never samples" in html
    owner_client.post(f"/data/{dataset.pk}/learn", {"budget_s": "20"})
    owner_client.post(f"/data/{dataset.pk}/learn", {"budget_s": "20", "teaches": "1"})
    assert list(Run.objects.order_by("number").values_list("teaches", flat=True)) == [False, True]


@pytest.mark.parametrize(("public", "order", "teaches"), [(1, {}, 1), (0, {}, 0), (1, {"teaches": False}, 0)])
def test_the_api_takes_the_same_wish(
    client: Any, owner: User, dataset: Dataset, public: int, order: dict[str, bool], teaches: int
) -> None:
    Dataset.objects.update(public=bool(public))
    key = {"headers": {"authorization": f"Bearer {ApiToken.make(owner, 'test')[1]}"}}
    answer = client.post(f"/api/datasets/{dataset.pk}/runs", order, content_type="application/json", **key)
    assert answer.status_code == 201
    assert answer.json()["teaches"] is bool(teaches)


def test_strangers_neither_see_nor_change_it(
    run: Run, stranger_client: Any, client: Any, admin_client: Any, owner_client: Any
) -> None:
    teaching.teach(run)
    Run.objects.update(public=True)
    address = reverse("run-teach", args=[run.pk])
    for visitor in (stranger_client, client):
        assert visitor.post(address).status_code == 404
        assert visitor.post(address, {"teaches": "1"}).status_code == 404
        assert "improve future runs" not in visitor.get(run.get_absolute_url()).content.decode()
    assert stranger_client.get(f"/api/runs/{run.pk}").json()["teaches"] is None
    assert owner_client.get(address).status_code == 405
    assert admin_client.post(address, {"teaches": "1"}).status_code == 404  # nobody agrees for the owner
    assert kept() == GAINED
    assert admin_client.post(address).status_code == 302
    assert kept() == {}


def test_the_owner_changes_their_mind_before_and_after(
    run: Run, owner_client: Any, dataset: Dataset, make_run: Any
) -> None:
    waiting, over = make_run(dataset, state="running"), learned(make_run(dataset))
    for one, count in ((waiting, 0), (over, 3)):
        address = reverse("run-teach", args=[one.pk])
        assert "Share the scores</button>" in owner_client.get(one.get_absolute_url()).content.decode()
        owner_client.post(address, {"teaches": "1"})
        assert Run.objects.get(pk=one.pk).teaches
        assert Gain.objects.filter(run=one).count() == count
        html = owner_client.get(one.get_absolute_url()).content.decode()
        assert ("Shared to improve future runs: the scores" if count else "When this run ends") in html
        owner_client.post(address)
        assert not Run.objects.get(pk=one.pk).teaches
    assert not Gain.objects.exists()


def test_the_numbers_of_each_configuration_are_kept_once(run: Run) -> None:
    teaching.teach(run)
    teaching.teach(run)
    assert kept() == GAINED
    assert not Score.objects.exists()  # auto has no line there


def test_the_score_of_a_single_configuration_is_kept_too(run: Run) -> None:
    Run.objects.update(model="linear")
    teaching.agree(run)
    assert (Score.objects.get(run=run).alc, Score.objects.get(run=run).version) == (0.8, 3)
    teaching.withdraw(run)
    assert not Score.objects.exists()


@pytest.mark.parametrize("stopped", ["user", "failed", None])
def test_of_a_run_that_was_cut_short_nothing_is_kept(run: Run, owner_client: Any, stopped: str | None) -> None:
    path = run.dir / "scores.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stopped": stopped}))
    teaching.teach(run)
    assert kept() == {}
    assert "Share the scores</button>" not in owner_client.get(run.get_absolute_url()).content.decode()


def test_nothing_without_consent_and_nothing_of_others_private_data(run: Run, make_run: Any, stranger: User) -> None:
    Run.objects.update(teaches=False)
    theirs = learned(make_run(run.dataset, owner=stranger, teaches=True))
    for one in (run, theirs):  # the data was public when theirs began
        teaching.teach(one)
    assert kept() == {}
    Dataset.objects.update(public=True)
    teaching.teach(theirs)
    assert kept() == GAINED


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("what", ["run", "dataset", "user"])
def test_delete_is_delete_unless_the_data_is_public(run: Run, public: bool, what: str) -> None:
    Dataset.objects.update(public=public)
    teaching.teach(run)
    {"run": run, "dataset": run.dataset, "user": run.owner}[what].delete()
    assert kept() == (GAINED if public else {})
