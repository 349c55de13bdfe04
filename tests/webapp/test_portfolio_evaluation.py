"""Evaluating a row on all public data sets: what is queued, when, as whom, and what becomes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client

from automl_engine.portfolio import load
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.ops.management.commands.reaper import DUTIES
from webapp.portfolio import evaluation, history
from webapp.portfolio import rows as portfolio_rows
from webapp.portfolio.models import Evaluation, PortfolioRow, Score
from webapp.runs import start
from webapp.runs.models import Run

Jobs = list[tuple[str, Any, tuple[Any, ...]]]
URL = "/portfolio/row/mine"


@pytest.fixture
def row(db: None) -> PortfolioRow:
    row = PortfolioRow(name="mine", modality="image", model="image_linear", params={"size": 32}, enabled=False)
    history.keep(row, None)
    return row


@pytest.fixture
def public(owner: User, make_dataset: Callable[..., Dataset]) -> list[Dataset]:
    """Two public image sets; others are private, of another kind, or not ready."""
    make_dataset(owner, name="private")
    make_dataset(owner, "tabular", name="table", public=True)
    make_dataset(owner, name="broken", public=True, state="failed")
    return [make_dataset(owner, name=name, public=True) for name in ("cats", "dogs")]


def finish(run: Run, stopped: str = "done", state: str = "finished") -> None:
    run.dir.mkdir(parents=True, exist_ok=True)
    (run.dir / "scores.json").write_text(json.dumps({"stopped": stopped, "device": "cpu"}))
    Run.objects.filter(pk=run.pk).update(state=state, alc=0.8, nauc=0.9)


def test_it_gives_way_and_ends_as_scores(
    row: PortfolioRow, public: list[Dataset], admin_client: Client, administrator: User, jobs: Jobs
) -> None:
    admin_client.post(f"{URL}/evaluate")
    first = Run.objects.get()  # the other one waits outside the queue
    assert [(name, args) for name, _, args in jobs] == [("train", (first.pk,))]
    assert (first.owner, first.model, first.budget_s, first.t0_s, first.charged) == (
        administrator,
        "mine",
        60,
        60,
        False,
    )
    assert start.quota(administrator).left_today == administrator.max_runs_per_day
    evaluation.advance()
    assert Run.objects.count() == 1
    Run.objects.update(state="running")
    evaluation.advance()
    second = Run.objects.exclude(pk=first.pk).get()
    assert {first.dataset, second.dataset} == set(public)
    finish(first)
    finish(second, state="failed")
    evaluation.advance()
    assert {(score.run, score.alc) for score in Score.objects.all()} == {(first, 0.8), (second, None)}
    found = evaluation.progress(row)
    assert (found.all, found.left, found.done, found.failed) == (2, 0, 1, [second])


def test_the_reaper_does_it() -> None:
    assert ("evaluations", "webapp.portfolio.evaluation.advance") in DUTIES


def test_once_more_does_only_what_is_missing(row: PortfolioRow, public: list[Dataset], administrator: User) -> None:
    assert evaluation.begin(row, administrator) == 2
    assert evaluation.begin(row, administrator) == 2
    Run.objects.update(state="running")
    evaluation.advance()
    good, bad = Run.objects.order_by("created")
    finish(good)
    finish(bad, state="failed")
    evaluation.advance()
    assert evaluation.begin(row, administrator) == 1  # that which failed
    assert Run.objects.filter(state="queued").get().dataset == bad.dataset
    row.params = {"size": 2}
    history.keep(row, administrator)
    assert evaluation.begin(row, administrator) == 2  # another version


def test_an_evaluation_of_what_is_no_more_is_dropped(
    row: PortfolioRow, public: list[Dataset], administrator: User, owner: User, make_run: Any
) -> None:
    waiting = make_run(public[0], state="queued")
    evaluation.begin(row, administrator)
    assert Run.objects.count() == 1  # nobody's run waits longer for it
    Dataset.objects.filter(name="cats").update(public=False)
    row.params = {"size": 3}
    waiting.delete()
    evaluation.advance()
    assert Run.objects.get().dataset.name == "dogs"
    Evaluation.objects.update(run=None)
    history.keep(row, administrator)
    Run.objects.all().delete()
    evaluation.advance()
    assert not Run.objects.exists()
    assert not Evaluation.objects.exists()


def test_one_that_was_ended_early_tells_nothing(row: PortfolioRow, public: list[Dataset], administrator: User) -> None:
    evaluation.begin(row, administrator)
    finish(Run.objects.get(), stopped="user")
    evaluation.advance()
    assert not Score.objects.exists()
    assert evaluation.progress(row).done == 0


def test_the_page_shows_progress_and_stops(row: PortfolioRow, public: list[Dataset], admin_client: Client) -> None:
    assert "public image data set of this site (now 2)" in admin_client.get(URL).content.decode()
    admin_client.post(f"{URL}/evaluate")
    page = admin_client.get(URL).content.decode()
    assert "0 of 2 done, 1 waits" in page
    assert f'hx-get="{URL}/progress"' in page
    assert Run.objects.get().get_absolute_url() in page
    admin_client.post(f"{URL}/evaluate", {"stop": "yes"})
    assert Evaluation.objects.get().run
    assert "HX-Refresh" not in admin_client.get(f"{URL}/progress").headers
    Run.objects.update(state="finished")
    assert admin_client.get(f"{URL}/progress").headers["HX-Refresh"] == "true"


def test_the_rows_in_use_can_be_evaluated_beside_it(
    row: PortfolioRow, public: list[Dataset], admin_client: Client
) -> None:
    others = [
        PortfolioRow.objects.create(name=name, modality=modality, model="constant", enabled=enabled)
        for name, modality, enabled in (("used", "image", True), ("off", "image", False), ("other", "text", True))
    ]
    admin_client.post(f"{URL}/evaluate")
    finish(Run.objects.get())
    evaluation.advance()
    page = admin_client.get(URL).content.decode()
    assert "No configuration in use has a score" in page
    assert 'name="others"' in page
    admin_client.post(f"{URL}/evaluate", {"others": "yes"})
    assert set(Evaluation.objects.exclude(row=row).values_list("row__name", flat=True)) == {others[0].name}
    Score.objects.create(**Score.objects.values().get() | {"id": None, "run_id": None, "row": "used", "alc": 0.7})
    assert '<strong class="gain number">+0.100</strong>' in admin_client.get(URL).content.decode()


def test_nobody_else_can(row: PortfolioRow, public: list[Dataset], owner_client: Client) -> None:
    assert owner_client.post(f"{URL}/evaluate").status_code == 404
    assert not Evaluation.objects.exists()


def test_a_row_that_is_off_stands_in_the_file_of_its_own_run(row: PortfolioRow, tmp_path: Path) -> None:
    PortfolioRow.objects.create(name="other", modality="image", model="constant", enabled=False)
    path = tmp_path / "portfolio.yaml"
    portfolio_rows.write_enabled(path, Run(model="mine"))
    (found,) = yaml.safe_load(path.read_text())
    assert (found["name"], found["enabled"]) == ("mine", False)
    assert load(path)[0].params == {"size": 32}  # the engine takes it
