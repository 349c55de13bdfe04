"""A new version takes the place of a running one: nobody's request fails, and what was under way ends well.

Measured on two cores that other tests used as well, with a page asked for every 50 ms on a new connection: README of
figures in docs/deployment.md.
"""

from __future__ import annotations

import json
import os
import signal
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
LONGEST_GAP_S = 5.0
"""On a machine that others use, too; measured: docs/deployment.md."""

pytestmark = pytest.mark.slow  # each starts the site twice, and runs


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
    """Asks for a page every 50 ms, of one of the addresses whose /readyz said yes when it was asked last."""

    def __init__(self, *addresses: str, path: str = "/accounts/login/") -> None:
        super().__init__(daemon=True)
        self.addresses, self.path, self.ready = addresses, path, {address: False for address in addresses}
        self.wrong: list[str] = []
        self.answered: list[float] = []
        self.leaves = threading.Event()

    def run(self) -> None:
        for number in range(sys.maxsize):
            if self.leaves.wait(PAUSE_S):
                return
            for address in self.addresses:
                self.ready[address] = len(self.addresses) == 1 or self.status(f"{address}/readyz") == 200
            ready = [address for address in self.addresses if self.ready[address]]
            if not ready:
                self.wrong.append("no process is ready")
                continue
            status = self.status(ready[number % len(ready)] + self.path)
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


def scored(data_dir: Path, run_id: str) -> int:
    lines = (data_dir / "media" / "runs" / run_id / "events.jsonl").read_text().splitlines()
    return sum(json.loads(line)["event"] == "score" for line in lines)


def test_a_new_start_takes_over(start: Starts, tmp_path: Path) -> None:
    """Everything on one machine, with the bundled Redis, which stops with the old start."""
    port, data_dir = free_port(), tmp_path / "data"
    old = start(PORT=str(port), REDIS_URL="")
    old.wait_until("is ready")
    site, dataset_id = prepared(f"http://127.0.0.1:{port}", tmp_path)
    run_id = begun(site, dataset_id, 20)
    visitor, viewer = Visitor(site.url), Viewer(site, run_id)
    visitor.start()
    viewer.start()
    begun_at = time.monotonic()
    new = start("--replace", PORT=str(port), REDIS_URL="")
    new.wait_until("is ready")
    print(f"the new start was ready after {time.monotonic() - begun_at:.1f} s")
    connection = redis.Redis(unix_socket_path=str(data_dir / "redis.sock"))
    assert site.json(f"/api/runs/{run_id}")["state"] == "running"
    second = site.json(f"/api/datasets/{dataset_id}/runs", {"budget_s": 20})["id"]
    wait_for(lambda: site.json(f"/api/runs/{second}")["state"] == "running", START_LIMIT_S, "the second run")
    assert job_pid(connection, second) != job_pid(connection, run_id)
    assert old.process.poll() is None
    assert old.process.wait(60) == 0
    run = site.json(f"/api/runs/{run_id}")
    assert (run["state"], run["error"]) == ("finished", "")
    wait_for(lambda: redis_server.answers(data_dir / "redis.sock"), 10, "the Redis of the new start")
    viewer.join(30)
    assert viewer.ended
    assert viewer.came_back
    assert len(viewer.points) == len(set(viewer.points)) == scored(data_dir, run_id)
    wait_for(lambda: site.json(f"/api/runs/{second}")["state"] == "finished", START_LIMIT_S, "the second run's end")
    gap_s = visitor.leave()
    print(f"{len(visitor.answered)} pages, longest time between two answers {gap_s:.2f} s, {visitor.wrong}")
    assert not visitor.wrong
    assert gap_s < LONGEST_GAP_S
