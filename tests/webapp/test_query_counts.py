"""List pages ask the database a fixed number of times, however long the lists are."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.webapp import challenge_toys
from webapp.accounts.models import User
from webapp.challenges.models import Entry
from webapp.datasets.models import Dataset
from webapp.portfolio.models import PortfolioRow
from webapp.runs import start
from webapp.runs.models import Run, ScorePoint

ROWS = 60
MOST_QUERIES = 15


@pytest.fixture
def full_site(administrator: User, make_dataset: Any, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Many data sets, runs with a curve each, and portfolio rows, all of the administrator."""
    monkeypatch.setattr(start, "worker_count", lambda: 1)
    dataset = make_dataset(administrator, public=True, starter=True)
    Dataset.objects.bulk_create(
        Dataset(owner=administrator, name=f"set {i}", raw_name="x.zip", state="queued", public=True)
        for i in range(ROWS)
    )
    now = timezone.now()
    ended = {"state": "finished", "alc": 0.5, "nauc": 0.6, "accuracy": 0.7, "ended": now, "started": now}
    Run.objects.bulk_create(
        Run(owner=administrator, dataset=dataset, number=i, budget_s=20, public=True, model=f"row-{i}", **ended)
        for i in range(ROWS)
    )
    ScorePoint.objects.bulk_create(
        ScorePoint(run=run, k=k, t=k + 1, nauc=0.5, alc=0.4, by=run.model)
        for run in Run.objects.all()
        for k in range(3)
    )
    challenges = [challenge_toys.make(dataset, public=True, title=f"guess {i}") for i in range(30)]
    about = {"title": "x", "public_nauc": 0.5, "final_nauc": 0.5, "user": administrator}
    Entry.objects.bulk_create(Entry(challenge=one, number=i, **about) for i in range(ROWS) for one in challenges[:2])
    PortfolioRow.objects.bulk_create(
        PortfolioRow(name=f"row-{i}", modality="image", model="constant") for i in range(ROWS)
    )
    return dataset


@pytest.mark.parametrize(
    "page",
    [
        "/",
        "/data/",
        "/runs/",
        "/boards",
        "/challenges/",
        "/portfolio",
        "/account/",
        "/account/storage",
        "/api/datasets",
        "/api/runs",
        "/status",
    ],
)
@pytest.mark.parametrize("who", ["client", "admin_client"])
def test_lists(
    who: str, page: str, full_site: Dataset, request: pytest.FixtureRequest, django_assert_max_num_queries: Any
) -> None:
    visitor: Client = request.getfixturevalue(who)
    with django_assert_max_num_queries(MOST_QUERIES):
        assert visitor.get(page).status_code in (200, 302, 401, 404)


def test_data_page(full_site: Dataset, admin_client: Client, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(MOST_QUERIES):
        assert admin_client.get(full_site.get_absolute_url()).status_code == 200
    Dataset.objects.filter(pk=full_site.pk).update(version=2, family=Dataset.objects.first().pk)  # type: ignore[union-attr]
    with django_assert_max_num_queries(MOST_QUERIES):
        assert b"Versions" in admin_client.get(full_site.get_absolute_url()).content


def test_run_page(full_site: Dataset, admin_client: Client, django_assert_max_num_queries: Any) -> None:
    run = Run.objects.first()
    assert run
    with django_assert_max_num_queries(MOST_QUERIES):
        assert admin_client.get(run.get_absolute_url()).status_code == 200


@pytest.mark.parametrize("who", ["client", "stranger_client", "admin_client"])
def test_challenge_page(
    who: str, full_site: Dataset, request: pytest.FixtureRequest, django_assert_max_num_queries: Any
) -> None:
    visitor: Client = request.getfixturevalue(who)
    Dataset.objects.update(public=False)
    address = full_site.challenges.all()[0].get_absolute_url()
    with django_assert_max_num_queries(MOST_QUERIES):
        assert b"board" in visitor.get(address).content


@pytest.mark.parametrize("page", ["/runs/", "/data/"])
def test_long_lists_have_pages(page: str, full_site: Dataset, admin_client: Client) -> None:
    first, second, beyond = (admin_client.get(f"{page}?page={n}").content.decode() for n in ("1", "2", "99"))
    assert "page 1 of 2" in first
    assert "Older" in first
    assert "Newer" in second
    assert "page 2 of 2" in beyond
    assert first.count("<tr>") + second.count("<tr>") == 2 + (ROWS if page == "/runs/" else ROWS + 1)
