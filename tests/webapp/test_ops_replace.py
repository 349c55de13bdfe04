"""A new version takes the place of a running one: nobody's request fails, and what was under way ends well.

Nobody waited longer than 1.8 s between two answers, on two cores at a load of 12 to 25, with a page asked for every
50 ms on a new connection.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import redis
from rq.job import Job
from rq.serializers import JSONSerializer

from tests.formatters.toys import TOYS
from tests.webapp.test_ops_processes import free_port
from webapp.ops import demo, redis_server

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 120
PAUSE_S = 0.05
PROBE_S = 0.5
LONGEST_GAP_S = 10.0
"""On a machine that others use, too."""


class Start:
    """One start of ``up``, and what it has printed."""

    def __init__(self, log: Path, *arguments: str, **environment: str) -> None:
        self.log = log
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "webapp.ops.up", *arguments],
                cwd=ROOT,
                env=os.environ | {"STARTER_DATA": "0", "CUDA_VISIBLE_DEVICES": ""} | environment,
                stdout=file,
                stderr=file,
            )

    def wait_until(self, words: str) -> None:
        wait_for(lambda: words in self.log.read_text() or self.process.poll() is not None, START_LIMIT_S, words)
        assert words in self.log.read_text(), self.log.read_text()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)


Starts = Callable[..., Start]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starts]:
    started: list[Start] = []

    def begin(*arguments: str, **environment: str) -> Start:
        own = {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": f"sqlite:///{tmp_path}/data/db.sqlite3"}
        own["DATABASE_URL"] = os.environ.get("DATABASE_URL") or own["DATABASE_URL"]
        started.append(Start(tmp_path / f"up{len(started)}.log", *arguments, **own | environment))
        return started[-1]

    yield begin
    for one in reversed(started):
        one.stop()


def wait_for(condition: Callable[[], Any], limit_s: float, what: str) -> Any:
    deadline = time.monotonic() + limit_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(PAUSE_S)
    return found


class Visitor(threading.Thread):
    """Asks for a page every 50 ms, of each address in turn whose /readyz said yes within the last half second."""

    def __init__(self, *addresses: str, path: str = "/accounts/login/") -> None:
        super().__init__(daemon=True)
        self.addresses, self.path, self.ready, self.probed = addresses, path, list(addresses), 0.0
        self.wrong: list[str] = []
        self.answered: list[float] = []
        self.leaves = threading.Event()

    def run(self) -> None:
        for number in range(sys.maxsize):
            if self.leaves.wait(PAUSE_S):
                return
            if len(self.addresses) > 1 and time.monotonic() > self.probed + PROBE_S:
                self.probed = time.monotonic()
                self.ready = [address for address in self.addresses if self.status(f"{address}/readyz") == 200]
            status = self.status(self.ready[number % len(self.ready)] + self.path) if self.ready else "none is ready"
            self.answered.append(time.monotonic())
            if status != 200:
                self.wrong.append(f"{self.path}: {status}")

    def status(self, url: str) -> int | str:
        try:
            with urlopen(Request(url), timeout=30) as answer:
                answer.read()
                return answer.status
        except HTTPError as error:
            return error.code
        except OSError as error:
            return str(error)

    def leave(self) -> float:
        """The longest time between two answers."""
        self.leaves.set()
        self.join(60)
        return max(after - before for before, after in zip(self.answered, self.answered[1:], strict=False))


class Viewer(threading.Thread):
    """Follows a run live as a browser does: comes back when the connection ends, with the last number it has."""

    def __init__(self, site: demo.Site, run_id: str) -> None:
        super().__init__(daemon=True)
        self.site, self.run_id = site, run_id
        self.points: list[str] = []
        self.came_back, self.last, self.retry_s, self.ended = 0, "", 3.0, False

    def run(self) -> None:
        while not self.ended:
            with self.site.open(f"/runs/{self.run_id}/stream", Last_Event_ID=self.last) as stream:
                for raw in stream:
                    self.take(*raw.decode().rstrip("\n").partition(": ")[::2])
            if not self.ended:
                self.came_back += 1
                time.sleep(self.retry_s)

    def take(self, field: str, value: str) -> None:
        if field == "id":
            self.last = value
            self.points.append(value)
        elif field == "retry":
            self.retry_s = int(value) / 1000
        elif (field, value) == ("event", "end"):
            self.ended = True


def prepared(url: str, tmp_path: Path) -> tuple[demo.Site, str]:
    """Somebody who is logged in, and their data set."""
    site = demo.Site(url)
    demo.register(site)
    data = TOYS["tabular"](tmp_path / "toy")
    return site, demo.convert(site, demo.upload(site, data))["id"]


def begun(site: demo.Site, dataset_id: str, budget_s: int) -> str:
    """A run that has a score."""
    run_id: str = site.json(f"/api/datasets/{dataset_id}/runs", {"budget_s": budget_s})["id"]
    wait_for(lambda: site.json(f"/api/runs/{run_id}")["nauc"] is not None, START_LIMIT_S, "a score")
    return run_id


def job_pid(connection: redis.Redis, run_id: str, number: int = 1) -> int:
    """The worker that has the job of a run."""
    job = Job.fetch(f"train-{run_id}-{number}", connection=connection, serializer=JSONSerializer)
    return int(str(job.worker_name).split(".")[-2])


def scored(data_dir: Path, run_id: str, journal: str = "events.jsonl") -> int:
    lines = [
        line for path in (data_dir / "media" / "runs" / run_id).glob(journal) for line in path.read_text().splitlines()
    ]
    return sum(json.loads(line)["event"] == "score" for line in lines)


def ended(site: demo.Site, run_id: str) -> dict[str, Any]:
    """The run once it was stopped by its owner, and its end was written down."""
    site.json(f"/api/runs/{run_id}/stop", {})
    closed = ("finished", "failed", "cancelled")
    return wait_for(
        lambda: (run := site.json(f"/api/runs/{run_id}"))["state"] in closed and run, START_LIMIT_S, "the end of a run"
    )


@pytest.mark.slow  # starts the site twice
def test_a_new_start_takes_over(start: Starts, tmp_path: Path) -> None:
    """Everything on one machine, with the bundled Redis, which stops with the old start."""
    port, data_dir = free_port(), tmp_path / "data"
    old = start(PORT=str(port), REDIS_URL="")
    old.wait_until("is ready")
    site, dataset_id = prepared(f"http://127.0.0.1:{port}", tmp_path)
    run_id = begun(site, dataset_id, 300)
    visitor, viewer = Visitor(site.url), Viewer(site, run_id)
    visitor.start()
    viewer.start()
    begun_at = time.monotonic()
    new = start("--replace", PORT=str(port), REDIS_URL="")
    new.wait_until("is ready")
    print(f"the new start was ready after {time.monotonic() - begun_at:.1f} s")
    connection = redis.Redis(unix_socket_path=str(data_dir / "redis.sock"))
    second = begun(site, dataset_id, 300)
    assert job_pid(connection, second) != job_pid(connection, run_id)
    assert old.process.poll() is None
    run = ended(site, run_id)
    assert (run["state"], run["error"]) == ("finished", "")
    assert run["reason"].startswith("You stopped it")
    assert old.process.wait(60) == 0
    wait_for(lambda: redis_server.answers(data_dir / "redis.sock"), 10, "the Redis of the new start")
    viewer.join(60)
    assert viewer.ended
    assert viewer.came_back == 1
    assert len(viewer.points) == len(set(viewer.points)) == scored(data_dir, run_id)
    assert ended(site, second)["state"] == "finished"
    gap_s = visitor.leave()
    print(f"{len(visitor.answered)} pages, longest time between two answers {gap_s:.2f} s")
    assert not visitor.wrong
    assert gap_s < LONGEST_GAP_S


@pytest.mark.long
def test_roles_with_servers_of_their_own(start: Starts, tmp_path: Path, redis_socket: Path) -> None:
    """Two web servers behind a balancer, here the visitor; and a worker whose run does not end within its grace.

    test_servers.py runs this with PostgreSQL and Redis.
    """
    common = {"REDIS_URL": os.environ.get("REDIS_URL") or f"unix://{redis_socket}", "SECRET_KEY": "x" * 50}
    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    web = start("--role", "web", PORT=str(ports[0]), DRAIN_S="2", **common)
    web.wait_until("is ready")
    worker = start("--role", "worker", STOP_GRACE_S="2", **common)
    worker.wait_until("is ready")
    site, dataset_id = prepared(urls[0], tmp_path)
    run_id = begun(site, dataset_id, 300)
    start("--role", "worker", "--replace", **common).wait_until("is ready")
    assert worker.process.wait(60) == 0
    wait_for(lambda: "starts once more" in page(site, run_id), 60, "the run is queued again")
    before = scored(tmp_path / "data", run_id, "*/events.jsonl")
    wait_for(lambda: job_pid(redis.Redis.from_url(common["REDIS_URL"]), run_id, 2), START_LIMIT_S, "another worker")
    wait_for(lambda: site.json(f"/api/runs/{run_id}")["nauc"] is not None, START_LIMIT_S, "a score")
    assert ended(site, run_id)["state"] == "finished"
    assert before
    assert "first attempt, worker lost" in page(site, run_id, "/state")

    other = start("--role", "web", PORT=str(ports[1]), DATA_DIR=str(tmp_path / "other"), **common)
    other.wait_until("is ready")
    visitor = Visitor(*urls)
    visitor.start()
    wait_for(lambda: len(visitor.ready) == 2, START_LIMIT_S, "both are ready")
    with socket.create_connection(("127.0.0.1", ports[0])) as slow:
        slow.sendall(b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")
        time.sleep(1)
        web.process.terminate()
        wait_for(lambda: Visitor().status(f"{urls[0]}/readyz") == 503, 5, "it says that it stops")
        wait_for(lambda: "refused" in str(Visitor().status(f"{urls[0]}/healthz")), 20, "it takes no connection")
        assert web.process.poll() is None
        slow.sendall(b"cd")
        assert slow.recv(100).startswith(b"HTTP/1.1 403")  # a form without its token
    assert web.process.wait(30) == 0
    gap_s = visitor.leave()
    print(f"{len(visitor.answered)} pages, longest time between two answers {gap_s:.2f} s")
    assert visitor.ready == [urls[1]]
    assert not visitor.wrong
    assert gap_s < LONGEST_GAP_S


def page(site: demo.Site, run_id: str, path: str = "") -> str:
    with site.open(f"/runs/{run_id}{path}") as answer:
        return answer.read().decode()
