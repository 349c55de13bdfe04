"""Processes that are killed or frozen while runs learn: a real queue, real workers and engines, the real reaper.

What is asserted: what the page says and when, that nothing scored is lost, that the owner is not charged, and that no
process is left.  test_servers.py runs those that are long with PostgreSQL, too.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from django.db import connection
from django.test import Client

from formatters.base import Options
from formatters.convert import convert
from tests.webapp.faults import (
    MARGIN_S,
    NOTICED_S,
    Site,
    family,
    freeze_after_first_scores,
    frozen_run,
    page,
    scored,
    start_run,
    wait_for,
)
from webapp.accounts.models import User
from webapp.database import patiently
from webapp.datasets.models import Dataset
from webapp.ops import processes, redis_server
from webapp.ops.models import Fault
from webapp.runs import control, journal, words
from webapp.runs.models import Run

GONE_S = 60


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
    run, members = frozen_run(site, dataset)
    members[1].suspend()
    wait_for(lambda: Run.objects.filter(pk=run.pk, state="failed").exists(), 10 + 30 + 5, "an end")
    run.refresh_from_db()
    assert run.points.exists()
    assert not run.charged
    assert "did not end in time and was stopped" in page(owner_client, run)
    assert not [process for process in members if processes.is_alive(process)]


@pytest.mark.long
def test_a_frozen_training_process(site: Site, dataset: Dataset, owner_client: Client) -> None:
    """It hears no signal; the supervisor ends it at the budget, and the run counts as any other."""
    run, members = frozen_run(site, dataset)
    frozen_at = time.monotonic()
    points = scored(run)
    wait_for(lambda: Run.objects.filter(pk=run.pk, state="finished").exists(), 10 + 30, "an end")
    print(f"a run of 10 s whose training process was frozen ended {time.monotonic() - frozen_at:.1f} s later")
    run.refresh_from_db()
    assert (run.charged, run.error, run.export_state) == (True, "", "queued")
    assert run.points.count() == scored(run) >= points
    assert run.reason == f"The training time of {words.duration(10)} is over."
    assert run.reason in page(owner_client, run)
    assert not [process for process in members if processes.is_alive(process)]


@contextmanager
def redis_gone() -> Iterator[None]:
    """Killed, and started again at the end with nothing in it."""
    socket = Path(os.environ["REDIS_URL"].removeprefix("unix://"))
    command = redis_server.command(socket, socket.parent)
    (server,) = [found for found in psutil.Process().children() if Path(found.cwd()).is_relative_to(socket.parent)]
    server.kill()
    socket.unlink(missing_ok=True)
    yield
    subprocess.Popen(command, stdout=subprocess.DEVNULL)


@contextmanager
def database_locked() -> Iterator[None]:
    """Nobody can write."""
    holder = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    yield
    holder.close()


def postgres() -> psutil.Process:
    """The server, whose child answers us."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return psutil.Process(cursor.fetchone()[0]).parent()


@contextmanager
def postgres_killed() -> Iterator[None]:
    """It refuses connections, and recovers at the end from the crash; test_servers.py stops it after all."""
    server = postgres()
    command, user, folder = server.cmdline(), server.username(), server.cwd()
    server.kill()
    yield
    # The number in them is still taken: whoever started the server has not yet looked how it ended
    for lock in (Path(folder, "postmaster.pid"), *Path(folder).parent.glob(".s.PGSQL.*.lock")):
        lock.unlink()
    subprocess.Popen(command, user=user, cwd=folder, stderr=subprocess.DEVNULL)


@contextmanager
def postgres_frozen() -> Iterator[None]:
    """It takes connections and questions, and answers nothing."""
    server = postgres()
    members = [server, *server.children(recursive=True)]
    for member in members:
        member.suspend()
    yield
    for member in members:
        member.resume()


GONE = {
    "redis": ("sqlite", redis_gone),
    "database": ("sqlite", database_locked),
    "postgres": ("postgresql", postgres_killed),
    "postgres-frozen": ("postgresql", postgres_frozen),
}


@pytest.mark.long
@pytest.mark.parametrize(("vendor", "gone"), GONE.values(), ids=GONE)
def test_gone_for_a_minute(
    vendor: str, gone: Callable[[], AbstractContextManager[None]], site: Site, dataset: Dataset, owner_client: Client
) -> None:
    """The run goes on meanwhile; afterwards all its scores are rows, and it ends as if nothing had been."""
    if connection.vendor != vendor:
        pytest.skip(f"is about {vendor}")
    site.start("manage.py", "worker", "train")
    wait_for(site.socket.exists, MARGIN_S, "the waiting engine")
    run = start_run(dataset, 1)
    wait_for(lambda: scored(run), MARGIN_S, "a score")
    with gone():
        before = scored(run)
        time.sleep(GONE_S)
        assert processes.is_alive(family(run)[-1])
        if vendor == "sqlite":
            assert "run 1" in page(owner_client, run)
    back_at = time.monotonic()
    after = scored(run)
    assert after >= before
    wait_for(lambda: run.points.count() >= after, MARGIN_S, "what was scored meanwhile as rows")
    print(f"scores of the minute were rows {time.monotonic() - back_at:.1f} s after the end of it")
    patiently(lambda: control.stop(run))
    wait_for(lambda: Run.objects.filter(pk=run.pk, state="finished").exists(), MARGIN_S, "its end")
    run.refresh_from_db()
    assert (run.tries, run.error, run.charged) == (1, "", True)
    assert run.points.count() == scored(run)
    assert "run 1" in page(owner_client, run)
    assert not site.is_training()
