"""A configuration that an administrator adds: when it is tried, what it gained, and the place that follows."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from automl_engine.auto.loop import AutoModel
from automl_engine.dataset.examples import MemoryExamples
from automl_engine.models import MODELS
from automl_engine.portfolio import load
from automl_engine.run import events
from tests.engine.toy_examples import toy
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.portfolio import gains, rows
from webapp.portfolio.models import Gain, PortfolioRow
from webapp.runs import teaching
from webapp.runs.models import Run

SKILLS = {"first": 0.3, "second": 0.32, "third": 0.33, "superb": 0.9, "useless": 0.0}
Placed = list[tuple[str, str]]


@pytest.fixture
def dataset(owner: User, make_dataset: Any, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setitem(MODELS, "toy", "tests.engine.test_auto:QuickToy")
    for position, (name, skill) in enumerate(SKILLS.items()):
        about = {"modality": "tabular", "model": "toy", "params": {"skill": [skill]}}
        shipped = position < 3
        PortfolioRow.objects.create(name=name, position=position * shipped, shipped=shipped, **about)
    return make_dataset(owner, "tabular")


@pytest.fixture(scope="module")
def table() -> MemoryExamples:
    return toy("tabular", 120, False, seed=1)


def written(run: Run) -> Placed:
    """The configurations in the order of the run's file."""
    path = run.dir / "portfolio.yaml"
    rows.write_enabled(path, run)
    return [(row.name, row.place) for row in load(path)]


def learn(run: Run, table: MemoryExamples) -> Placed:
    """The engine tries each configuration once, and the owner shares what they gained."""
    placed = written(run)
    auto = AutoModel(table.spec, rows=[asdict(row) for row in load(run.dir / "portfolio.yaml")], seed=0, device="cpu")
    auto.emit = lambda kind, **fields: events.append(run.dir / "events.jsonl", kind, **fields)
    auto.train(table, 60)
    while auto.schedule.queue:
        auto.train(table, 60)
        auto.ensemble.written = auto.ensemble.state()
    teaching.teach(run)
    return placed


def test_the_superb_is_found_within_ten_shared_runs_and_the_useless_goes_last(
    dataset: Dataset, table: MemoryExamples, make_run: Any, admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = [learn(make_run(dataset, teaches=True), table) for _ in range(5)]
    ours = [(name, "measured") for name in ("first", "second", "third")]
    assert placed[0] == [*ours, ("superb", "last"), ("useless", "last")]
    assert placed[4] == [ours[0], ("superb", "early"), ("useless", "early"), *ours[1:]]
    assert written(make_run(dataset)) == [ours[0], ("superb", "gain"), *ours[1:], ("useless", "gain")]
    page = admin_client.get("/portfolio").content.decode()
    assert "No gain in 5 shared runs: it is tried last. Switch it off." in page
    assert "In 5 shared runs it gained +0." in page
    assert "its place follows from that." in page
    assert "0.000" not in page


def test_only_shared_runs_of_auto_on_its_kind_of_data_bring_it_closer(
    dataset: Dataset, make_run: Any, owner: User, make_dataset: Any
) -> None:
    others = [
        make_run(dataset),
        make_run(dataset, teaches=True, model="first"),
        make_run(make_dataset(owner), teaches=True),
    ]
    shared = make_run(dataset, teaches=True)
    for run in others * gains.EVERY:
        assert ("superb", "early") not in written(run)
    assert set(PortfolioRow.objects.values_list("waited", flat=True)) == {0}
    tries = [("superb", "early") in written(shared) for _ in range(10)]
    assert tries == [False, False, False, False, True] * 2


@pytest.mark.parametrize(
    ("gained", "took_s", "place"), [(0.02, 0.1, 1), (0.02, 4.0, 2), (0.02, 100.0, 3), (0.0, 0.1, 3)]
)
def test_the_place_follows_from_the_gain_in_a_second(
    gained: float, took_s: float, place: int, dataset: Dataset, make_run: Any
) -> None:
    PortfolioRow.objects.filter(name="useless").delete()
    for _ in range(gains.ENOUGH):
        run = make_run(dataset)
        for name, gain in (("first", 0.9), ("second", 0.01), ("third", 0.001), ("superb", gained)):
            row = PortfolioRow.objects.get(name=name)
            Gain.objects.create(row=row, version=1, run=run, gain=gain, took_s=took_s if name == "superb" else 1.0)
    assert [name for name, _ in written(run)].index("superb") == place


def test_a_new_version_is_new_again_and_one_run_says_little(dataset: Dataset, make_run: Any) -> None:
    row = PortfolioRow.objects.get(name="superb")
    Gain.objects.create(row=row, version=1, run=make_run(dataset), gain=0.3, took_s=1.0)
    assert gains.means([row])["superb"].gain == pytest.approx(0.1)
    PortfolioRow.objects.update(version=2)
    row.refresh_from_db()
    assert gains.means([row]) == {}
    assert gains.notes([row])["superb"].startswith(
        "Its gain is not known yet: it is tried last, and early in every 5th"
    )


def test_foreign_code_is_no_part_of_auto(db: None, tmp_path: Path) -> None:
    row = PortfolioRow.objects.create(name="theirs", modality="image", model="challenge")
    assert gains.notes([row]) == {"theirs": ""}
