"""Processes that are killed or frozen while runs learn: a real queue, real workers and engines, the real reaper.

What is asserted: what the page says and when, that nothing scored is lost, that the owner is not charged, and that no
process is left.
"""

from __future__ import annotations

import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import redis
from django.core.management import call_command
from django.db import connection
from django.test import Client
from rq.job import Job
from rq.serializers import JSONSerializer

from automl_engine.run import events
from formatters.base import Options
from formatters.convert import convert
from webapp.accounts.models import User
from webapp.database import patiently
from webapp.datasets.models import Dataset
from webapp.ops import processes, redis_server
from webapp.ops.models import Fault
from webapp.runs import control, journal
from webapp.runs.models import Run

ROOT = Path(__file__).resolve().parents[2]
NOTICED_S = 20
MARGIN_S = 60
"""What a busy machine may take for what is no matter of seconds: the start of an engine, say."""


class Site:
    """Workers for training, the waiting engine and the reaper, on the test's own database, Redis and files."""

    def __init__(self, data_dir: Path, redis_socket: Path) -> None:
        self.mark = f"faults-{secrets.token_hex(4)}"
        self.redis = redis.Redis(unix_socket_path=str(redis_socket))
        self.socket, self.log = data_dir / "engine0.sock", open(data_dir / "site.log", "ab")  # noqa: SIM115
        self.environment = os.environ | {
            "DATA_DIR": str(data_dir),
            "REDIS_URL": f"unix://{redis_socket}",
            "WARM_ENGINE": str(self.socket),
            "CUDA_VISIBLE_DEVICES": "",
            processes.MARK: self.mark,
        }

    def start(self, *command: str) -> None:
        """A process in a session of its own, as the supervisor of the site starts it."""
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def worker_of(self, run: Run) -> psutil.Process:
        job = Job.fetch(run.job_id, connection=self.redis, serializer=JSONSerializer)
        return psutil.Process(int(str(job.worker_name).split(".")[-2]))

    def stop(self) -> None:
        processes.end(processes.marked(self.mark), 1)
        self.log.close()


@pytest.fixture
def site(
    database_file: Path, redis_socket: Path, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 20)  # others write, too
    connection.close()
    call_command("sync_portfolio", verbosity=0)
    settings.DATA_DIR = tmp_path
    url = f"unix://{redis_socket}"
    settings.RQ_QUEUES = {name: queue | {"URL": url} for name, queue in settings.RQ_QUEUES.items()}
    site = Site(tmp_path, redis_socket)
    site.start("-m", "automl_engine.run.warm", str(site.socket))
    site.start("manage.py", "reaper")
    yield site
    site.stop()


@pytest.fixture
def dataset(owner: User, make_dataset: Any, tmp_path: Path) -> Dataset:
    """A table on which the engine learns for more than a minute; on a toy it ends before a lost worker is noticed."""
    dataset = make_dataset(owner, "tabular", state="queued")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3000, 30)).round(3)
    noisy = features[:, 0] * features[:, 1] + features[:, 2] + rng.normal(size=3000) > 0
    header = ",".join([*(f"c{i}" for i in range(30)), "class"])
    lines = [",".join([*map(str, row), "yes" if label else "no"]) for row, label in zip(features, noisy, strict=True)]
    (tmp_path / "noisy.csv").write_text("\n".join([header, *lines]))
    convert(tmp_path / "noisy.csv", dataset.autodl_dir, Options(name="noisy"), say=lambda line: None)
    Dataset.objects.update(state="ready")
    dataset.refresh_from_db()
    return dataset


def wait_for(condition: Callable[[], Any], limit_s: float, what: str) -> None:
    begun = time.monotonic()
    while not patiently(condition):
        assert time.monotonic() - begun < limit_s, f"not within {limit_s} s: {what}"
        time.sleep(0.05)


def start_run(dataset: Dataset, number: int, budget_s: int = 600) -> Run:
    """The reaper sends it, as it does with every run that Redis does not know."""
    run = patiently(
        lambda: Run.objects.create(dataset=dataset, owner=dataset.owner, number=number, budget_s=budget_s, seed=number)
    )
    patiently(lambda: Run.objects.filter(pk=run.pk).update(state_since="2026-01-01T00:00Z"))
    return run


def scored(run: Run) -> int:
    return sum(event["event"] == "score" for event in events.read(run.dir / "events.jsonl")[0])


def family(run: Run) -> list[psutil.Process]:
    """The engine's processes: a watcher, the supervisor, its watcher, the training process."""
    first = psutil.Process(int((run.dir / "engine.pid").read_text().split()[0]))
    return [first, *first.children(recursive=True)]


def freeze_after_first_scores(runs: list[Run]) -> list[list[psutil.Process]]:
    """Stop the training processes, so that the runs stay as they are; returns the family of each."""
    found: dict[str, list[psutil.Process]] = {}

    def freeze() -> bool:
        for run in runs:
            if run.pk not in found and scored(run):
                found[run.pk] = family(run)
                found[run.pk][-1].suspend()
        return len(found) == len(runs)

    wait_for(freeze, MARGIN_S, "a score of each run")
    for run in runs:
        run.refresh_from_db()
    return [found[run.pk] for run in runs]


def page(client: Client, run: Run) -> str:
    return client.get(f"/runs/{run.pk}").content.decode()


@pytest.mark.slow
def test_killed_processes(site: Site, dataset: Dataset, owner_client: Client) -> None:
    """Starts four workers with an engine each, and waits for up to 20 s until two lost workers are noticed."""
    for _ in range(4):
        site.start("manage.py", "worker", "train")
    wait_for(site.socket.exists, MARGIN_S, "the waiting engine")
    runs = [start_run(dataset, number) for number in range(1, 5)]
    families = freeze_after_first_scores(runs)
    wait_for(lambda: all(run.points.count() == scored(run) for run in runs), MARGIN_S, "scores as rows")
    before = [run.points.count() for run in runs]
    workers = [site.worker_of(run) for run in runs]
    horse, (other_horse,) = workers[2].children()[0], workers[3].children()
    victims = [families[0][-1], families[1][1], horse, workers[3], other_horse]
    killed_at = time.monotonic()
    for victim in victims:
        victim.send_signal(signal.SIGKILL)

    again = Run.objects.filter(error__contains="so it starts once more")
    killed, lost = (
        again.filter(error__contains=words) for words in ("killed from outside", "worker of this run was lost")
    )
    limit_s = 3 * NOTICED_S  # the machine of a test suite is busy
    wait_for(lambda: killed.count() == lost.count() == 2, limit_s, "killed engines and lost workers are noticed")
    print(f"lost workers were noticed after {time.monotonic() - killed_at:.1f} s")
    for run, points in zip(runs, before, strict=True):
        assert "so it starts once more" in page(owner_client, run)
        assert len(journal.lost_points(run)) == points
        wait_for(lambda run=run: Run.objects.filter(pk=run.pk, points__gt=0).exists(), MARGIN_S, "a second try")
        run.refresh_from_db()
        patiently(lambda run=run: control.stop(run))
        wait_for(lambda run=run: Run.objects.filter(pk=run.pk, state="finished").exists(), MARGIN_S, "its end")
        run.refresh_from_db()
        assert run.charged
        assert not run.error
    assert Fault.objects.filter(what__contains="ran out of memory", done__contains="starts once more").count() == 2
    assert "Lost their worker" in owner_client.get("/status").content.decode()
    assert not [process for members in families for process in members if processes.is_alive(process)]


@pytest.mark.long
def test_a_frozen_supervisor(site: Site, dataset: Dataset, owner_client: Client) -> None:
    """It neither scores nor ends at the budget; the worker ends it 30 s later."""
    site.start("manage.py", "worker", "train")
    wait_for(site.socket.exists, MARGIN_S, "the waiting engine")
    run = start_run(dataset, 1, budget_s=10)
    (members,) = freeze_after_first_scores([run])
    members[1].suspend()
    wait_for(lambda: Run.objects.filter(pk=run.pk, state="failed").exists(), 10 + 30 + 5, "an end")
    run.refresh_from_db()
    assert run.points.exists()
    assert not run.charged
    assert "did not end in time and was stopped" in page(owner_client, run)
    assert not [process for process in members if processes.is_alive(process)]


@contextmanager
def redis_gone(socket: Path) -> Iterator[None]:
    """Killed, and started again at the end with nothing in it."""
    command = redis_server.command(socket, socket.parent)
    (server,) = [found for found in psutil.Process().children() if Path(found.cwd()).is_relative_to(socket.parent)]
    server.kill()
    socket.unlink(missing_ok=True)
    yield
    subprocess.Popen(command, stdout=subprocess.DEVNULL)


@contextmanager
def database_gone(path: Path) -> Iterator[None]:
    """Nobody can write."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    yield
    holder.close()


@pytest.mark.long
@pytest.mark.parametrize("what", ["redis", "database"])
def test_gone_for_a_minute(
    what: str, site: Site, dataset: Dataset, owner_client: Client, redis_socket: Path, database_file: Path
) -> None:
    """The run goes on meanwhile; afterwards all its scores are rows, and it ends as if nothing had been."""
    site.start("manage.py", "worker", "train")
    wait_for(site.socket.exists, MARGIN_S, "the waiting engine")
    run = start_run(dataset, 1)
    wait_for(lambda: scored(run), MARGIN_S, "a score")
    with redis_gone(redis_socket) if what == "redis" else database_gone(database_file):
        before = scored(run)
        time.sleep(60)
        assert "run 1" in page(owner_client, run)
    assert scored(run) >= before
    patiently(lambda: control.stop(run))
    wait_for(lambda: Run.objects.filter(pk=run.pk, state="finished").exists(), MARGIN_S, "its end")
    run.refresh_from_db()
    assert (run.tries, run.error, run.charged) == (1, "", True)
    assert run.points.count() == scored(run)
    assert not [process for process in processes.marked(site.mark) if "ingestion" in " ".join(process.cmdline())]
