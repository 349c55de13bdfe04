"""Turns among owners in a real Redis, one queue that never waits for another, and forecasts in the same order."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import rq
from django.conf import settings
from django.test import RequestFactory
from rq.serializers import JSONSerializer

from webapp.accounts.guests import SESSION_KEY, adopt
from webapp.accounts.models import User
from webapp.datasets import jobs as conversion
from webapp.ops import queues
from webapp.ops.pages import status
from webapp.ops.turns import Ticket, next_index
from webapp.ops.up import services
from webapp.runs import start

ENQUEUE = rq.Queue.enqueue  # the real one: the fixture "jobs" replaces the attribute
ROOT = Path(__file__).resolve().parents[2]
A, B, GUEST = Ticket(1), Ticket(2), Ticket(3, guest=True)


@pytest.fixture
def real_queues(redis_socket: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[redis.Redis]:
    settings.RQ = settings.RQ | {"COMMIT_MODE": "auto"}
    connection = redis.Redis(unix_socket_path=str(redis_socket))
    monkeypatch.setattr("django_rq.queues.get_connection", lambda name: connection)
    monkeypatch.setattr(rq.Queue, "enqueue", ENQUEUE)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("waiting", "running", "last_starts", "chosen"),
    [
        ([A, A, B], [], {}, 0),
        ([A, A, B], [1], {}, 2),
        ([A, A, B], [1, 2], {1: 10.0, 2: 20.0}, 0),
        ([A, A, B], [], {1: 10.0}, 2),
        ([GUEST, A], [1, 1], {1: 10.0}, 1),
        ([GUEST, GUEST], [], {}, 0),
    ],
)
def test_who_is_next(waiting: list[Ticket], running: list[int], last_starts: dict[int, float], chosen: int) -> None:
    assert next_index(waiting, running, last_starts) == chosen


@pytest.mark.parametrize("name", settings.RQ_QUEUES)
def test_ten_jobs_of_one_owner_do_not_delay_the_first_of_another(
    real_queues: redis.Redis, name: str, owner: User, stranger: User
) -> None:
    guest = User.objects.create(email="guest@example.org", guest=True)
    senders = [guest, guest, *[owner] * 10, stranger, stranger]
    for i, sender in enumerate(senders):
        queues.send(name, sender, "time.sleep", str(i), job_id=f"{sender.email.split('@')[0]}-{i}", limit_s=10)
    queue = queues.get(name)
    assert queue.waiting_owners() == 3
    taken = []
    while found := queues.FairQueue.dequeue_any([queue], None, real_queues, serializer=JSONSerializer):
        taken.append(found[0].id)
    assert taken[:5] == ["owner-2", "stranger-12", "owner-3", "stranger-13", "owner-4"]
    assert taken[-2:] == ["guest-0", "guest-1"]
    assert len(taken) == len(senders)


def test_who_registers_while_a_conversion_waits_has_a_users_turn(
    real_queues: redis.Redis, owner: User, stranger: User, make_dataset: Any
) -> None:
    guest = User.objects.create(email="guest@example.org", guest=True)
    dataset = make_dataset(guest, state="queued")
    conversion.enqueue(dataset)
    queues.send("convert", stranger, "time.sleep", "1", job_id="later", limit_s=10)
    request = RequestFactory().get("/")
    request.session = {SESSION_KEY: guest.pk}  # type: ignore[assignment]
    adopt(request, owner)
    found = queues.FairQueue.dequeue_any([queues.get("convert")], None, real_queues, serializer=JSONSerializer)
    assert found
    assert found[0].args == [dataset.id]
    assert queues.ticket(found[0]).owner == owner.pk


def test_a_job_that_comes_to_an_empty_queue_is_a_turn(real_queues: redis.Redis, owner: User, stranger: User) -> None:
    queue = queues.get("train")

    def take() -> str:
        found = queues.FairQueue.dequeue_any([queue], 1, real_queues, serializer=JSONSerializer)
        assert found is not None
        return found[0].id

    sent = [(owner, "first"), (owner, "second"), (stranger, "third")]
    queues.send("train", owner, "time.sleep", "1", job_id="first", limit_s=10)
    assert take() == "first"
    for sender, job_id in sent[1:]:
        queues.send("train", sender, "time.sleep", "1", job_id=job_id, limit_s=10)
    assert [take(), take()] == ["third", "second"]
    assert list(queue.last_starts()) == [stranger.pk, owner.pk]


def test_two_workers_that_choose_at_the_same_moment_take_a_job_of_each(
    real_queues: redis.Redis, owner: User, stranger: User
) -> None:
    for round_ in range(5):
        for sender, count in ((owner, 5), (stranger, 1)):
            for i in range(count):
                queues.send("train", sender, "time.sleep", "1", job_id=f"{sender.pk}-{i}-{round_}", limit_s=10)
        with ThreadPoolExecutor(2) as pool:
            taken = [pool.submit(_take, real_queues) for _ in range(2)]
        assert {future.result() for future in taken} == {owner.pk, stranger.pk}
        queues.get("train").empty()


def _take(connection: redis.Redis) -> int:
    queue = queues.get("train")
    found = queues.FairQueue.dequeue_any([queue], None, connection, serializer=JSONSerializer)
    assert found is not None
    return queues.ticket(found[0]).owner


def test_every_queue_has_a_worker_that_the_site_starts_and_shows(real_queues: redis.Redis, db: None) -> None:
    assert (
        set(settings.RQ_QUEUES)
        == set(status.PURPOSES)
        <= {service.name.split("-gpu")[0] for service in services("all", 1, 3)}
    )
    machinery = status.machinery()
    assert machinery is not None
    assert [queue.purpose for queue in machinery[1]] == ["training", "conversion", "packing", "prediction"]


@pytest.mark.slow  # two workers start Django
def test_a_prediction_does_not_wait_for_a_conversion(
    real_queues: redis.Redis, redis_socket: Path, tmp_path: Path, owner: User
) -> None:
    environment = os.environ | {"REDIS_URL": f"unix://{redis_socket}", "DATA_DIR": str(tmp_path / "site")}
    command = [sys.executable, str(ROOT / "manage.py"), "worker"]
    workers = [subprocess.Popen([*command, name], env=environment, cwd=ROOT) for name in ("convert", "predict")]
    try:
        queues.get("convert").enqueue("time.sleep", 300, job_id="hangs", meta=Ticket(owner.pk)._asdict())
        _wait_for(lambda: queues.get("convert").started_job_registry.count == 1)
        queues.send("predict", owner, "os.mkdir", str(tmp_path / "answer"), job_id="predicts", limit_s=10)
        _wait_for((tmp_path / "answer").exists)
        assert queues.get("convert").started_job_registry.count == 1
    finally:
        for worker in workers:
            for process in psutil.Process(worker.pid).children(recursive=True):
                process.kill()
            worker.kill()
            worker.wait()


def _wait_for(condition: Any, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def test_the_forecast_knows_the_turns(
    owner: User, stranger: User, make_dataset: Any, make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same jobs, in the forecast and in the queue."""
    monkeypatch.setattr(start, "worker_count", lambda: 1)
    monkeypatch.setattr(start, "_last_starts", lambda: {owner.pk: time.time()})
    mine, theirs = make_dataset(owner, public=True), make_dataset(stranger)
    make_run(mine, state="running", budget_s=20)
    waiting = [make_run(dataset, state="queued", budget_s=20) for dataset in (mine, mine, mine, theirs)]
    assert [start.forecast(run).ahead for run in waiting] == [2, 3, 4, 1]
    assert start.forecast(user=stranger).ahead == 3
    assert start.forecast(user=owner).ahead == 5
    monkeypatch.setattr(start, "_last_starts", dict)  # Redis does not answer
    assert [start.forecast(run).ahead for run in waiting] == [1, 3, 4, 2]
    waiting[0].delete()
    assert start.forecast(waiting[0]).starts_in_s == 0  # it was there when the page began
