"""Conversion in the worker: success, the user's fault, our fault, a lost worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from tests.webapp import toys
from webapp import engine
from webapp.accounts.models import User
from webapp.datasets import jobs as conversion
from webapp.datasets.models import Dataset

MakeDataset = Callable[..., Dataset]


@pytest.fixture
def dataset(owner: User, make_dataset: MakeDataset) -> Dataset:
    return make_dataset(owner, state="queued", modality="", options={"seed": 7})


@pytest.fixture
def formatter(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands for ``python -m formatters``; an exception put into the list is raised instead."""
    plan: list[Any] = []

    def convert(source: Path, out: Path, options: dict[str, Any], on_line: Callable[[str], None], _: Any) -> None:
        out.mkdir(parents=True)
        (out / "half").write_text("written")
        on_line("reading 18 images")
        if plan:
            raise plan.pop(0)
        (out / "half").unlink()
        toys.write_autodl(out)

    monkeypatch.setattr(engine, "convert", convert)
    return plan


def test_good_data_becomes_ready(dataset: Dataset, formatter: list[Any]) -> None:
    conversion.convert(dataset.id)
    dataset.refresh_from_db()
    assert (dataset.state, dataset.modality, dataset.sample_count, dataset.class_count) == ("ready", "image", 18, 2)
    assert dataset.title.startswith("18 images")
    assert dataset.report["name"] == "toy"
    assert dataset.size_bytes > 1000
    assert sorted(path.name for path in dataset.dir.iterdir()) == ["autodl", "raw"]


def test_converting_again_replaces_the_old_result(dataset: Dataset, formatter: list[Any], jobs: list[Any]) -> None:
    conversion.convert(dataset.id)
    (dataset.autodl_dir / "stale").write_text("old")
    assert conversion.convert_again(dataset, {"seed": 8})
    conversion.convert(dataset.id)
    dataset.refresh_from_db()
    assert (dataset.state, dataset.options) == ("ready", {"seed": 8})
    assert not (dataset.autodl_dir / "stale").exists()
    assert sorted(path.name for path in dataset.dir.iterdir()) == ["autodl", "raw"]


def test_users_fault_is_told_and_leaves_nothing(dataset: Dataset, formatter: list[Any], jobs: list[Any]) -> None:
    formatter.append(engine.DataError("labels.csv names cat_9.png, which is not in the zip: add it or remove row 17."))
    conversion.convert(dataset.id)
    dataset.refresh_from_db()
    assert dataset.state == "failed"
    assert dataset.error.startswith("labels.csv names cat_9.png")
    assert [path.name for path in dataset.dir.iterdir()] == ["raw"]
    assert jobs == []


def test_a_question_waits_for_its_owner(dataset: Dataset, formatter: list[Any], jobs: list[Any]) -> None:
    formatter.append(engine.Question("the label column 'age' holds 62 numbers", {"column": "age"}))
    conversion.convert(dataset.id)
    dataset.refresh_from_db()
    assert (dataset.state, dataset.question) == ("failed", {"column": "age"})
    assert conversion.convert_again(dataset, {"label_cuts": "median"})
    dataset.refresh_from_db()
    assert (dataset.state, dataset.question) == ("queued", {})


def test_the_formatters_ask(tmp_path: Path) -> None:
    table = "kind,age\n" + "".join(f"{'uv'[i % 2]},{18 + i % 60}\n" for i in range(300))
    (tmp_path / "people.csv").write_text(table)
    lines: list[str] = []
    with pytest.raises(engine.Question, match="--label-cuts") as question:
        engine.convert(tmp_path / "people.csv", tmp_path / "out", {"target": "age"}, lines.append, lambda: False)
    assert (question.value.asked["column"], question.value.asked["others"]) == ("age", ["kind"])
    assert not any("Question" in line for line in lines)
    options = {"target": "age", "label_cuts": "30,50"}
    engine.convert(tmp_path / "people.csv", tmp_path / "out", options, lines.append, lambda: False)
    assert engine.read_json(tmp_path / "out" / "report.json")["options"]["label_cuts"] == "30,50"


def test_our_fault_is_retried_once_and_then_owned(
    dataset: Dataset, formatter: list[Any], jobs: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    formatter += [engine.EngineError("boom"), engine.EngineError("boom")]
    with django_capture_on_commit_callbacks(execute=True):
        conversion.convert(dataset.id)
    dataset.refresh_from_db()
    assert dataset.state == "queued"
    assert "try 2" in dataset.progress
    assert jobs == [("convert", "webapp.datasets.jobs.convert", (dataset.id,))]
    conversion.convert(dataset.id)
    dataset.refresh_from_db()
    assert dataset.state == "failed"
    assert "our side" in dataset.error
    assert [path.name for path in dataset.dir.iterdir()] == ["raw"]


def test_second_delivery_of_a_job_does_nothing(dataset: Dataset, formatter: list[Any]) -> None:
    conversion.convert(dataset.id)
    Dataset.objects.filter(id=dataset.id).update(title="mine")
    conversion.convert(dataset.id)
    dataset.refresh_from_db()
    assert (dataset.title, dataset.tries) == ("mine", 1)
    conversion.convert("deleted")


def test_deleted_while_converting_leaves_no_files(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(source: Path, out: Path, *_: Any) -> None:
        Dataset.objects.filter(id=dataset.id).delete()
        toys.write_autodl(out)

    monkeypatch.setattr(engine, "convert", convert)
    conversion.convert(dataset.id)
    assert not dataset.dir.exists()


def test_lost_worker_is_retried_then_given_up(
    dataset: Dataset, jobs: list[Any], django_capture_on_commit_callbacks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = timezone.now() - timedelta(seconds=61)
    rows = Dataset.objects.filter(id=dataset.id)
    rows.update(state="converting", heartbeat=silent, tries=1)
    with django_capture_on_commit_callbacks(execute=True):
        conversion.reap()
    dataset.refresh_from_db()
    assert (dataset.state, dataset.progress) == ("queued", "The worker was lost; trying again. (try 2)")
    assert [job[2] for job in jobs] == [(dataset.id,)]
    rows.update(state="converting", heartbeat=silent, tries=2)
    conversion.reap()
    dataset.refresh_from_db()
    assert dataset.state == "failed"
    assert "Your upload is safe" in dataset.error


def test_living_worker_is_left_alone(dataset: Dataset) -> None:
    Dataset.objects.filter(id=dataset.id).update(state="converting", heartbeat=timezone.now(), tries=1)
    conversion.reap()
    dataset.refresh_from_db()
    assert dataset.state == "converting"


def test_a_worker_that_waits_for_the_database_is_left_alone(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.ops.queues.is_alive", lambda job_id: job_id == f"convert-{dataset.id}-1")
    silent = timezone.now() - timedelta(seconds=90)
    Dataset.objects.filter(id=dataset.id).update(state="converting", heartbeat=silent, tries=1)
    conversion.reap()
    dataset.refresh_from_db()
    assert dataset.state == "converting"


def test_job_that_redis_forgot_is_queued_again(
    dataset: Dataset, jobs: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    Dataset.objects.filter(id=dataset.id).update(state_since=timezone.now() - timedelta(seconds=61))
    with django_capture_on_commit_callbacks(execute=True):
        conversion.reap()
    assert [job[2] for job in jobs] == [(dataset.id,)]
