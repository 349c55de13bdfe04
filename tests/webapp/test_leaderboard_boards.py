"""Ranks, what counts, who sees it, and how many queries it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from django.db import connection
from django.db.models import Max

from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.leaderboard import boards, views
from webapp.leaderboard.boards import board, fullest
from webapp.leaderboard.dataset_board import dataset_board
from webapp.portfolio.models import PortfolioRow, Score
from webapp.runs.models import Run, ranked


@pytest.fixture
def contest(owner: User, make_dataset: Any, make_run: Any) -> dict[str, Any]:
    """Two public data sets; linear wins on one, network on the other and by a tie."""
    one, two = (make_dataset(owner, name=name, public=True) for name in ("one", "two"))
    hidden = make_dataset(owner, name="secret data")
    runs = {
        "linear one": make_run(one, public=True, model="linear", alc=0.9),
        "network one": make_run(one, public=True, model="network", alc=0.5),
        "network one again": make_run(one, public=True, model="network", alc=0.7),
        "linear two": make_run(two, public=True, model="linear", alc=0.4),
        "network two": make_run(two, public=True, model="network", alc=0.4),
        "auto two": make_run(two, public=True, model="auto", alc=0.8, first_prediction_s=0.25),
    }
    make_run(one, model="private run", alc=1.0)
    make_run(hidden, public=True, model="on private data", alc=1.0)
    make_run(one, public=True, model="other budget", alc=1.0, budget_s=1200)
    make_run(one, public=True, model="failed", state="failed")
    return runs


def test_average_rank_decides(contest: dict[str, Any]) -> None:
    found = board()
    assert found.budget_s == 20
    assert found.budgets == [20, 1200]
    ranks = {row.model: (row.average_rank, row.wins, len(row.cells)) for row in found.models}
    assert found.common == 2
    assert ranks == {"linear": (1.25, 1, 2), "network": (1.75, 0, 2), "auto": (None, 1, 1)}  # it was run on one only
    network = next(row for row in found.models if row.model == "network")
    cell = network.cells[contest["network one"].dataset_id]
    assert cell.alc == pytest.approx(0.6)
    assert cell.best_run_id == contest["network one again"].pk


def test_a_board_is_always_the_one_made_from_scratch(
    owner: User,
    contest: dict[str, Any],
    make_dataset: Any,
    make_run: Any,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Any,
) -> None:
    """However runs and data sets come, go and change: only data sets whose runs have changed are asked for."""
    one, two = contest["linear one"].dataset, contest["linear two"].dataset
    twin = make_run(two, model="network", alc=0.4)
    late = {"model": "auto", "alc": 0.8, "number": contest["auto two"].number, "public": True}

    def swap_equals() -> None:
        Run.objects.filter(pk=contest["network two"].pk).update(public=False)
        Run.objects.filter(pk=twin.pk).update(public=True)

    def replace_last() -> None:
        contest["auto two"].delete()
        make_run(two, **late)

    changes: list[Callable[[], Any]] = [
        lambda: Run.objects.filter(model="private run").update(public=True),
        lambda: Run.objects.filter(pk=contest["linear one"].pk).update(public=False),
        contest["network one again"].delete,
        swap_equals,
        lambda: make_run(two, model="network", alc=0.95, public=True),
        replace_last,
        lambda: Dataset.objects.filter(pk=one.pk).update(name="renamed"),
        lambda: Dataset.objects.filter(pk=one.pk).update(public=False),
        lambda: Dataset.objects.filter(pk=one.pk).update(public=True, modality="tabular"),
        lambda: Dataset.objects.filter(name="secret data").update(public=True),
        lambda: PortfolioRow.objects.create(name="network", modality="image", model="image_linear"),
        two.delete,
    ]
    before = asdict(board(20))
    for number, change in enumerate(changes):
        change()
        found = board(20)
        assert asdict(found) != before, number
        with django_assert_num_queries(3):
            assert board(20) is found
        monkeypatch.setattr(boards, "_last", boards.Contents())
        monkeypatch.setattr(boards, "MOST_ASKED_FOR", number % 2)
        assert asdict(board(20)) == asdict(found), number
        before = asdict(found)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="is about the plans of SQLite, which keeps no statistics")
def test_indexes_answer_what_grows_with_the_number_of_runs(owner: User, make_dataset: Any) -> None:
    states = ranked().order_by().values_list("dataset").annotate(**boards.STATE_OF_RUNS)
    groups = ranked().filter(dataset=make_dataset(owner)).order_by().values("budget_s", "model", "owner_id")
    for rows in (states, groups.annotate(Max("alc"), Max("ended"))):
        assert "COVERING INDEX run_board" in rows.explain()
        assert "TEMP B-TREE" not in rows.explain()
    spent = Run.objects.filter(owner=owner, charged=True).order_by().values("created")
    assert "COVERING INDEX run_quota" in spent.explain()
    newest = ranked().filter(dataset__public=True)[:1].explain()
    assert "run_newest_ranked" in newest
    assert "TEMP B-TREE" not in newest


@pytest.mark.parametrize(
    ("run_on", "models", "datasets"),
    [
        ({}, "", ""),
        ({"a": "x"}, "a", "x"),
        ({"a": "xyz", "b": "x"}, "ab", "x"),  # a alone would have more cells
        ({"a": "xyz", "b": "xyz", "c": "x"}, "ab", "xyz"),
        ({"a": "xy", "b": "yz", "c": "zx"}, "bc", "z"),  # of equals the last by name
    ],
)
def test_ranks_are_over_common_data_sets(run_on: dict[str, str], models: str, datasets: str) -> None:
    assert fullest({model: frozenset(sets) for model, sets in run_on.items()}) == (list(models), list(datasets))


def test_few_queries_however_many_runs(
    client: Any, contest: Any, django_assert_max_num_queries: Any, make_run: Any
) -> None:
    for _ in range(20):
        make_run(contest["auto two"].dataset, public=True)
    with django_assert_max_num_queries(4):
        assert client.get("/boards").status_code == 200


def test_many_data_sets_have_pages_and_the_files_have_all(
    client: Any, contest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "LISTED", 1)
    first, second = (client.get(f"/boards?budget_s=20&page={n}").content.decode() for n in (1, 2))
    assert "page=2" in first
    assert "budget_s=20&amp;modality=&amp;page=1" in second
    of_one = f"/boards/data/{contest['linear one'].dataset_id}"
    assert (of_one in first, of_one in second) == (True, False)
    assert len(client.get("/boards/datasets.json").json()["datasets"]) == 2


def test_page_shows_public_things_only(client: Any, contest: Any) -> None:
    page = client.get("/boards").content.decode()
    assert f"/runs/{contest['linear one'].pk}" in page
    for private in ("private run", "on private data", "secret data", "failed"):
        assert private not in page
    assert client.get("/boards?budget_s=1200").content.decode().count("other budget") >= 1


def test_filter_by_modality(client: Any, contest: Any) -> None:
    assert not board(20, "tabular").models
    assert client.get("/boards?budget_s=x&modality=image").status_code == 200


def test_files(client: Any, contest: Any) -> None:
    json = client.get("/boards/models.json").json()
    assert [(row["place"], row["model"]) for row in json["models"]] == [(1, "linear"), (2, "network"), (None, "auto")]
    assert json["as_of"]
    lines = client.get("/boards/datasets.csv").content.decode().splitlines()
    assert lines[0].startswith("id,name,modality")
    assert len(lines) == 3
    assert client.get("/boards/models.xml").status_code == 404


@pytest.mark.django_db
def test_empty_board(client: Any) -> None:
    assert "No public run" in client.get("/boards").content.decode()
    assert client.get("/boards/models.csv").status_code == 200


def test_the_matrix_shows_ranks_and_marks_baselines(client: Any, contest: dict[str, Any]) -> None:
    PortfolioRow.objects.create(name="linear", modality="image", model="image_linear")
    page = client.get("/boards").content.decode()
    assert "As of " in page
    assert '<span class="badge">baseline</span>' in page
    assert f'<a href="/runs/{contest["linear two"].pk}">2.5</a>' in page
    row = next(row for row in client.get("/boards/models.json").json()["models"] if row["model"] == "linear")
    one = contest["linear one"].dataset_id
    assert (row["baseline"], row[f"rank_{one}"], row[f"alc_{one}"]) == (True, 1, 0.9)


def test_a_data_set_ranks_users_and_configurations(
    client: Any, stranger: User, contest: dict[str, Any], make_run: Any, django_assert_num_queries: Any
) -> None:
    two = contest["auto two"].dataset
    theirs = make_run(two, public=True, owner=stranger, alc=0.9)
    make_run(two, public=True, owner=stranger, alc=0.1)
    make_run(two, owner=stranger, alc=1.0)  # private
    PortfolioRow.objects.create(name="linear", modality="image", model="image_linear")
    PortfolioRow.objects.create(name="untried", modality="image", model="image_resnet")
    known = {"version": 1, "t0_s": 60, "seed": 0, "device": "cpu", "engine": "1", "date": "2026-01-02"}
    Score.objects.create(
        dataset="site-1",
        source="site-1",
        modality="image",
        row="forest",
        budget_s=20,
        alc=0.6,
        site_dataset=two,
        **known,
    )
    with django_assert_num_queries(4):
        board = dataset_board(two)
    assert [(entry.rank, entry.user, entry.configuration, entry.entries) for entry in board.entries] == [
        (1, stranger.pk, "auto", 2),
        (2, two.owner_id, "auto", 1),
        (3, None, "forest", 1),
        (4, None, "linear", 1),
        (4, None, "network", 1),
    ]
    assert board.untried == ["untried"]
    assert dataset_board(two, most=2).entries == board.entries[:2]
    page = client.get(f"/boards/data/{two.pk}").content.decode()
    assert f"/runs/{theirs.pk}" in page
    assert "example.org" not in page, "no address of a user"
    assert "2 Jan 2026" in page
    assert "all entries and training times" in client.get(two.get_absolute_url()).content.decode()
    found = client.get(f"/boards/data/{two.pk}/entries.json?budget_s=20").json()
    assert (found["entries"][0]["alc"], len(found["entries"])) == (0.9, 5)
    assert client.get(f"/boards/data/{two.pk}/entries.csv").content.decode().startswith("rank,user,configuration")


def test_only_a_public_data_set_has_a_ranking(owner_client: Any, owner: User, make_dataset: Any) -> None:
    hidden = make_dataset(owner)
    assert owner_client.get(f"/boards/data/{hidden.pk}").status_code == 404
    assert 'id="ranking"' not in owner_client.get(hidden.get_absolute_url()).content.decode()
