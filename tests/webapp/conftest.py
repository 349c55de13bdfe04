"""Roles and tiny objects: an owner, a stranger who must get 404, an administrator; data sets and runs with files."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextvars import copy_context
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import rq
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connections
from django.test import Client
from django.utils import timezone

from tests.webapp import faults, toys
from webapp import engine
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.datasets.report import majority_accuracy
from webapp.ops import queues, redis_server
from webapp.runs.models import Run, ScorePoint

PASSWORD = "correct horse battery"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(autouse=True)
def live_pages_in_the_thread_of_the_test(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transaction is seen there alone and ends with its connection; a real server has a thread for them."""
    if not {"transactional_db", "live_server"} & set(request.fixturenames):
        monkeypatch.setattr("webapp.runs.pages.live.own_context", copy_context)
        monkeypatch.setattr("webapp.streaming.close_old_connections", lambda: None)


@pytest.fixture(autouse=True)
def media(settings: Any, tmp_path: Path) -> Path:
    """Each test writes its files into its own folder."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


@pytest.fixture(autouse=True)
def no_rate_limits_left() -> None:
    """What one test tried in vain does not slow down the next."""
    cache.clear()


@pytest.fixture(autouse=True)
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, tuple[Any, ...]]]:
    """What was enqueued, as (queue, function, args); nothing goes to Redis."""
    sent: list[tuple[str, Any, tuple[Any, ...]]] = []

    def enqueue(queue: rq.Queue, function: Any, *args: Any, **options: Any) -> rq.job.Job:
        sent.append((queue.name, function, args))
        return rq.job.Job(id=options.get("job_id") or f"job-{len(sent)}", connection=queue.connection)

    monkeypatch.setattr(rq.Queue, "enqueue", enqueue)
    monkeypatch.setattr(queues, "is_alive", lambda job_id: False)
    return sent


@pytest.fixture
def redis_socket(tmp_path: Path) -> Iterator[Path]:
    """A real Redis of our own."""
    path = tmp_path / "redis.sock"
    server = subprocess.Popen(redis_server.command(path, tmp_path), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while not redis_server.answers(path) and time.monotonic() < deadline:
        time.sleep(0.05)
    yield path
    with redis.Redis(unix_socket_path=str(path)) as client:
        client.shutdown(nosave=True)  # a test may have killed ``server`` and started another one
    server.wait(10)


@pytest.fixture
def database_file(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The database in a file, as on a site, which other connections share and can lock; locks are soon given up."""
    path = tmp_path / "db.sqlite3"
    connection = connections["default"]
    if connection.vendor != "sqlite":
        pytest.skip("is about SQLite's file and its locks")
    file = sqlite3.connect(path)
    connection.connection.backup(file)
    file.close()
    monkeypatch.setattr(connection, "connection", None)
    monkeypatch.setitem(connection.settings_dict, "NAME", str(path))
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.1)
    yield path
    connection.close()


@pytest.fixture
def servers(
    transactional_db: None, request: pytest.FixtureRequest, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Database and queue of this process are those of all processes that a test starts."""
    connection = connections["default"]
    if connection.vendor == "sqlite":
        database = f"sqlite:///{request.getfixturevalue('database_file')}"
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 20)
        connection.close()
    else:
        database = f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{connection.settings_dict['NAME']}"
    monkeypatch.setenv("DATABASE_URL", database)
    if not settings.REDIS_URL:
        monkeypatch.setenv("REDIS_URL", f"unix://{request.getfixturevalue('redis_socket')}")
    url = os.environ["REDIS_URL"]
    settings.RQ_QUEUES = {name: queue | {"URL": url} for name, queue in settings.RQ_QUEUES.items()}
    call_command("sync_portfolio", verbosity=0)


@pytest.fixture
def site(servers: None, tmp_path: Path, settings: Any) -> Iterator[faults.Site]:
    """Whose engine waits and whose reaper reaps; workers are for the test to start."""
    settings.DATA_DIR = tmp_path
    site = faults.Site(tmp_path)
    site.start("-m", "automl_engine.run.warm", str(site.socket))
    site.start("manage.py", "reaper")
    yield site
    site.stop()


@pytest.fixture
def lock_database(database_file: Path) -> Iterator[Callable[[float], None]]:
    """``lock_database(2)``: nobody can write for two seconds from now on."""
    timers = []

    def lock(seconds: float) -> None:
        holder = sqlite3.connect(database_file, isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        timers.append(threading.Timer(seconds, holder.close))
        timers[-1].start()

    yield lock
    for timer in timers:
        timer.join()


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("owner@example.org", PASSWORD)


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("stranger@example.org", PASSWORD)


@pytest.fixture
def administrator(db: None) -> User:
    return User.objects.create_superuser("administrator@example.org", PASSWORD)


def _logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def owner_client(owner: User) -> Client:
    return _logged_in(owner)


@pytest.fixture
def stranger_client(stranger: User) -> Client:
    return _logged_in(stranger)


@pytest.fixture
def admin_client(administrator: User) -> Client:
    return _logged_in(administrator)


@pytest.fixture
def guest_client(db: None) -> Client:
    """Somebody who sent a file before registering."""
    client = Client()
    client.post("/data/upload", {"file": SimpleUploadedFile("guest.csv", b"a,b\n1,2\n")})
    return client


@pytest.fixture
def make_dataset(media: Path) -> Callable[..., Dataset]:
    """``make_dataset(owner, modality="image" | "tabular", state="ready", ...)``: a row with its files."""

    def make(owner: User, modality: str = "image", **fields: Any) -> Dataset:
        dataset = Dataset.objects.create(
            owner=owner, **{"name": "toy", "raw_name": "toy.zip", "state": "ready", "modality": modality} | fields
        )
        dataset.raw_path.parent.mkdir(parents=True)
        dataset.raw_path.write_bytes(b"the upload")
        if dataset.state == Dataset.State.READY:
            report = toys.write_autodl(dataset.autodl_dir, modality)
            dataset.title = dataset.title or report["title"]
            dataset.sample_count, dataset.class_count = report["counts"]["samples"], report["counts"]["classes"]
            dataset.size_bytes, dataset.majority_accuracy = report["size_bytes"], majority_accuracy(report)
            dataset.save()
        return dataset

    return make


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """``make_run(dataset, state="finished", ...)``: a run of the data set's owner with journal, scores and results."""

    def make(dataset: Dataset, **fields: Any) -> Run:
        now = timezone.now()
        ended = {"alc": 0.8, "nauc": 1.0, "accuracy": 1.0, "first_prediction_s": 0.5, "started": now, "ended": now}
        values = {"owner": dataset.owner, "state": "finished", "budget_s": 20, "number": dataset.runs.count() + 1}
        if fields.get("state", "finished") == "finished":
            values |= ended
        run = Run.objects.create(dataset=dataset, **values | fields)
        if run.state != Run.State.QUEUED:
            toys.write_run(run.dir, dataset.report, budget_s=run.budget_s, finished=not run.is_open)
            for k, (t, nauc) in enumerate(toys.SCORES):
                ScorePoint.objects.create(run=run, k=k, t=t, nauc=nauc, accuracy=(1 + nauc) / 2, alc=nauc / 2, by="toy")
        return run

    return make


@pytest.fixture
def page(
    live_server: Any, owner: User, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Any]:
    """A browser page of the logged-in owner; its parameter, if any, holds more arguments for the browser."""
    from playwright.sync_api import sync_playwright

    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "1")  # playwright's loop runs in this thread
    client = _logged_in(owner)
    cookie = {"name": settings.SESSION_COOKIE_NAME, "value": client.cookies["sessionid"].value}
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", *getattr(request, "param", [])]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        context = browser.new_context(base_url=live_server.url)
        context.add_cookies([cookie | {"url": live_server.url}])
        page = context.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
        browser.close()
        assert errors == []


@pytest.fixture
def run(owner: User, make_dataset: Any, make_run: Any) -> Run:
    """A finished run of the owner, with a packed model."""
    run = make_run(make_dataset(owner), export_state="ready", reason="It was done before the budget ended.")
    (run.dir / "toy.predict_2").write_text("0.9 0.1\n0.2 0.8\n0.9 0.1\n0.7 0.3\n1 0\n0 1\n")
    with zipfile.ZipFile(run.dir / "model.zip", "w") as archive:
        archive.writestr("predict.py", "print()")
        archive.writestr("lib/formatters/image.py", "x" * 10)
        archive.writestr(
            "verify.json", json.dumps({"samples": 32, "agree": 32, "max_difference": 3e-7, "tolerance": 1e-3})
        )
    return run


def blocks(response: Any) -> list[bytes]:
    """The content of a streamed response."""

    async def collect() -> list[bytes]:
        return [block async for block in response.streaming_content]

    return async_to_sync(collect)() if response.is_async else list(response.streaming_content)


ENGINE = """
import json, signal, sys, time
from pathlib import Path
from automl_engine.run import events
out, plan = Path(sys.argv[1]), json.loads(sys.argv[2])
def finish(stopped, reason):
    if plan["points"]:
        scores = dict(alc=0.7, nauc=plan["points"][-1][1], accuracy=0.9, first_prediction_s=0.5)
        (out / "scores.json").write_text(json.dumps(scores | dict(stopped=stopped, reason=reason)))
    elif stopped == "budget":
        (out / "scores.json").write_text(json.dumps(dict(stopped="budget", reason="")))
    events.append(out / "events.jsonl", "finished", alc=0.7, nauc=0.9, accuracy=0.9, reason=reason, predictions=1)
    sys.exit(0)
signal.signal(signal.SIGTERM, lambda *_: finish("user", "stopped by the user"))
events.append(out / "events.jsonl", "started", t=0.0, device="cpu", budget_s=20)
for k, (t, nauc) in enumerate(plan["points"]):
    scores = dict(nauc=nauc, accuracy=nauc, soft_accuracy=nauc, alc=nauc / 2)
    events.append(out / "events.jsonl", "score", k=k, t=t, by="toy", **scores)
print(plan.get("say", "working"), flush=True)
time.sleep(plan.get("sleep_s", 0))
if plan.get("limit"):
    events.append(out / "events.jsonl", "failed", what="process", error=plan["limit"], traceback="", fatal=True)
if plan.get("code"):
    sys.exit(plan["code"])
finish(plan.get("stopped", "done"), "nothing left to learn")
"""
POINTS = [(0.5, 0.2), (2.0, 0.8), (6.0, 0.9)]


@pytest.fixture
def engine_plan(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Callable[..., None]:
    """``engine_plan(points=[(t, nauc)], sleep_s=, code=, say=, stopped=, limit=)``: what the engine will do."""

    def plan(**wishes: Any) -> None:
        def start(_data: Path, run_dir: Path, **_: Any) -> subprocess.Popen[bytes]:
            with open(run_dir / "engine.log", "ab") as log:
                command = [sys.executable, "-c", ENGINE, str(run_dir), json.dumps({"points": []} | wishes)]
                process = subprocess.Popen(command, stdout=log, stderr=log, cwd=settings.BASE_DIR)
            (run_dir / "engine.pid").write_text(str(process.pid))
            return process

        monkeypatch.setattr(engine, "start_run", start)

    return plan


@pytest.fixture
def queued(owner: User, make_dataset: Any, make_run: Any) -> Run:
    return make_run(make_dataset(owner), state="queued")


def silent(run: Run) -> None:
    """Nobody has heard of it for 90 s."""
    long_ago = timezone.now() - timedelta(seconds=90)
    Run.objects.filter(pk=run.pk).update(heartbeat=long_ago, state_since=long_ago)
