"""Starting a run: the panel, choices, quotas and the forecast."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from webapp.accounts.models import User
from webapp.portfolio.models import PortfolioRow
from webapp.runs import start
from webapp.runs.models import Run


@pytest.fixture(autouse=True)
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_count", lambda: 1)


def test_start_creates_and_enqueues(owner_client: Any, run: Run, jobs: Any) -> None:
    response = owner_client.post(f"/data/{run.dataset_id}/learn", {"budget_s": "60", "seed": "7"})
    started = Run.objects.latest("created")
    assert response.headers["Location"] == started.get_absolute_url()
    assert (started.number, started.budget_s, started.seed, started.model) == (2, 60, 7, "auto")
    assert jobs == [("train", "webapp.runs.jobs.train", (started.pk,))]


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget_s": "7"},
        {"budget_s": "x"},
        {"budget_s": "20", "model": "no-such-row"},
        {"budget_s": "20", "seed": "-1"},
    ],
)
def test_start_refuses_wrong_choices_with_a_sentence(owner_client: Any, run: Run, wrong: dict[str, str]) -> None:
    response = owner_client.post(f"/data/{run.dataset_id}/learn", wrong)
    assert response.headers["Location"] == run.dataset.get_absolute_url()
    assert Run.objects.count() == 1


def test_a_full_storage_starts_nothing(owner: User, owner_client: Any, run: Run) -> None:
    User.objects.update(storage_max_bytes=10)
    page = owner_client.get(run.dataset.get_absolute_url()).content.decode()
    assert "Your storage is full" in page
    assert "Start training" not in page
    with pytest.raises(start.StartError, match="storage is full"):
        start.create_run(run.dataset, User.objects.get(pk=owner.pk), budget_s=20)


def test_quota_counts_today_and_in_all_and_refunds_our_faults(owner: User, run: Run, make_run: Any) -> None:
    owner.runs_per_day, owner.runs_total = 2, 3
    owner.save()
    assert start.quota(owner) == start.Quota(left_today=1, left_total=2, per_day=2)
    make_run(run.dataset, state="failed", charged=False)
    assert start.quota(owner).left_today == 1
    start.create_run(run.dataset, owner, budget_s=20)
    with pytest.raises(start.StartError, match="All 2 runs of today are used up"):
        start.create_run(run.dataset, owner, budget_s=20)
    Run.objects.update(created=timezone.now() - timedelta(days=2))
    start.create_run(run.dataset, owner, budget_s=20)
    with pytest.raises(start.StartError, match="All your runs"):
        start.create_run(run.dataset, owner, budget_s=20)


def test_forecast_before_the_click(run: Run, owner: User, make_run: Any, monkeypatch: Any) -> None:
    assert start.forecast().sentence == "A worker is free: training starts immediately."
    make_run(run.dataset, state="running", budget_s=60, state_since=timezone.now())
    monkeypatch.setattr(start, "_last_starts", lambda: {owner.pk: timezone.now().timestamp()})
    waiting = make_run(run.dataset, state="queued", budget_s=300)
    assert start.forecast().ahead == 1  # of somebody else, whose turn is first
    forecast = start.forecast(user=owner)
    assert forecast.ahead == 2
    assert forecast.starts_in_s == pytest.approx(60 + 300 + 2 * start.START_UP_S, abs=2)
    assert start.forecast(waiting).ahead == 1
    monkeypatch.setattr(start, "worker_count", lambda: 2)
    assert start.forecast(waiting).starts_in_s == 0
    Run.objects.exclude(pk=waiting.pk).delete()
    monkeypatch.setattr(start, "worker_count", lambda: 0)
    assert "No training worker is running" in start.forecast(waiting).sentence


def test_panel_tells_what_comes_first(owner_client: Any, run: Run) -> None:
    PortfolioRow.objects.create(
        name="toy-linear", modality="image", model="image_linear", origin="a closed form, so at once"
    )
    PortfolioRow.objects.create(name="switched-off", modality="image", model="image_linear", enabled=False)
    html = owner_client.get(run.dataset.get_absolute_url()).content.decode()
    assert "toy-linear" in html
    assert "A closed form, so at once" in html
    assert "switched-off" not in html
    assert "4 of 5 runs left today" in html
