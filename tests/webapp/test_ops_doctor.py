"""``manage.py doctor`` finds what is wrong and names the command that fixes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from rq import Worker

from webapp import engine
from webapp.ops import queues
from webapp.ops.health import doctor, probes
from webapp.ops.pages import status
from webapp.ops.services import seat
from webapp.portfolio.models import PortfolioRow

Doctor = Callable[[], tuple[int, str]]
pytestmark = pytest.mark.django_db


@pytest.fixture
def healthy(redis_socket: Path, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """A site where nothing is wrong; gives the exit code and what was printed."""
    settings.RQ_QUEUES = {name: queue | {"URL": f"unix://{redis_socket}"} for name, queue in settings.RQ_QUEUES.items()}
    settings.DATA_DIR = tmp_path
    (tmp_path / "up.lock").write_text(f'{{"pid": {os.getpid()}, "url": "http://127.0.0.1:8000"}}')
    monkeypatch.setattr(engine, "waiting_bytes", lambda place, name: [10**8])
    monkeypatch.setattr(engine.isolation, "obstacle", lambda: "")
    for name in settings.RQ_QUEUES:
        Worker([queues.get(name)], connection=queues.get(name).connection, name=f"{name}.1").register_birth()

    def examine() -> tuple[int, str]:
        out = StringIO()
        with pytest.raises(SystemExit) as end:
            call_command("doctor", stdout=out)
        return int(end.value.code or 0), out.getvalue()

    return examine


def test_nothing_is_wrong(healthy: Doctor) -> None:
    code, text = healthy()
    assert (code, text.splitlines()[-1]) == (0, "Nothing is wrong."), text
    assert "WRONG" not in text


def is_told(examine: Doctor, part: str, words: str, fix: str) -> None:
    code, text = examine()
    assert code == 1
    lines = text.splitlines()
    places = [i for i, line in enumerate(lines) if line.startswith(f"WRONG  {part}")]
    assert places, text
    assert any(words in lines[i] and fix in lines[i + 1] for i in places), text
    assert f"{len(places)} wrong." in text


def test_a_full_disk(healthy: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "disk", lambda: status.Disk(10**12, 10**9))
    is_told(healthy, "disk", "954 MB of 931 GB are free", "du -xhd2")


def test_redis_is_away(healthy: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "redis", lambda: "The job queue (Redis) does not answer.")
    is_told(healthy, "job queue", "does not answer", "make run")


def test_migrations_are_missing(healthy: Doctor) -> None:
    MigrationRecorder(connection).record_unapplied("ops", "0002_unused")
    is_told(healthy, "database", "1 migrations", "python manage.py prepare")


def test_the_site_does_not_run(healthy: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat, "is_running", lambda pid: False)
    is_told(healthy, "site", "does not run", "make run")


def test_no_engine_waits(healthy: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "waiting_bytes", lambda place, name: [])
    is_told(healthy, "engines", "0 of 1", "logs/engine*.log")


def test_a_worker_is_missing(healthy: Doctor) -> None:
    connection_ = queues.get("pack").connection
    for worker in Worker.all(connection=connection_):
        if worker.queue_names() == ["pack"]:
            worker.register_death()
    is_told(healthy, "workers", "queue pack", "python manage.py worker pack")


def test_a_worker_hangs(healthy: Doctor) -> None:
    """Another one works on its queue."""
    queue = queues.get("train")
    hangs = Worker([queue], connection=queue.connection, name="train.2")
    hangs.register_birth()
    long_ago = (timezone.now() - timedelta(seconds=100)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    queue.connection.hset(hangs.key, "last_heartbeat", long_ago)
    is_told(healthy, "workers", "no sign of life for 10", f"kill -9 {hangs.pid or os.getpid()}")


def test_orphaned_files(healthy: Doctor, media: Path) -> None:
    orphan = media / "runs" / "abcdefgh"
    orphan.mkdir(parents=True)
    assert healthy()[0] == 0  # it may be in the making
    os.utime(orphan, (0, 0))
    is_told(healthy, "files", str(orphan), "manage.py reaper --once")


def test_isolation_matters_with_foreign_code(healthy: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.isolation, "obstacle", lambda: "no namespaces")
    code, text = healthy()
    assert code == 0
    assert "confined as all child processes are" in text
    monkeypatch.setattr(engine.confined, "obstacle", lambda: "the kernel does not restrict sockets")
    monkeypatch.setattr(engine.confined, "refusal", lambda: "no")
    is_told(healthy, "isolation", "does not restrict sockets", "uname -r")
    PortfolioRow.objects.create(name="foreign", modality="image", model="challenge")
    code, text = healthy()
    assert code == 1
    assert "It is refused (no namespaces); 1 configurations" in text
    assert "user.max_user_namespaces" in text


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [("AUTODL_PRETRAINED", "some", "AUTODL_PRETRAINED=all"), ("AUTODL_WEIGHTS_DIR", "/nowhere", "make weights")],
)
def test_weights(healthy: Doctor, monkeypatch: pytest.MonkeyPatch, name: str, value: str, fix: str) -> None:
    monkeypatch.setenv(name, value)
    is_told(healthy, "weights", value, fix)


def test_every_sentence_ends(healthy: Doctor) -> None:
    assert [finding.sentence for finding in doctor.examine() if not finding.sentence.endswith(".")] == []
