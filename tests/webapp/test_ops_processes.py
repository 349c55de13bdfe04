"""Ending processes, faults, the bundled Redis, and ``make run`` as a whole."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import django_rq
import psutil
import pytest
import redis
from django.core.management import call_command

from webapp.accounts.models import User
from webapp.ops import faults, processes, redis_server, up
from webapp.ops.management.commands import prepare, reaper
from webapp.ops.models import Fault
from webapp.ops.queues import FairQueue

ROOT = Path(__file__).resolve().parents[2]
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"


def test_a_marked_process_is_found_and_ended_even_if_it_ignores_the_request() -> None:
    mark = f"test-{os.getpid()}"
    environment = os.environ | {processes.MARK: f"{mark}/train/"}
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], env=environment, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    found = processes.marked(f"{mark}/train")
    assert [process.pid for process in found] == [child.pid]
    assert not processes.marked(f"{mark}/convert")
    processes.end(found, grace_s=0.1)
    assert child.wait(5) == -signal.SIGKILL


def test_the_guard_ends_what_the_supervisor_left() -> None:
    mark = f"guard-{os.getpid()}"
    environment = os.environ | {processes.MARK: f"{mark}/train/"}
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    listed = subprocess.Popen(sleep)
    inherited = subprocess.Popen(sleep, env=environment, start_new_session=True)
    guard = subprocess.Popen([sys.executable, "-m", "webapp.ops.services.guard", mark], cwd=ROOT, stdin=subprocess.PIPE)
    guard.communicate(f"{listed.pid}\n".encode(), timeout=20)
    assert listed.wait(1) == inherited.wait(1) == -signal.SIGTERM


@pytest.mark.parametrize("forks", [False, True])
def test_what_a_lost_service_leaves(tmp_path: Path, forks: bool) -> None:
    """A worker's children end with it; runs that the waiting engine forked are their workers'."""
    pid_path = tmp_path / "pid"
    leave = f"import subprocess; open({str(pid_path)!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid))"
    with open(tmp_path / "lock", "a+") as lock:
        supervisor = up.Supervisor(lock)
    service = up.Service("engine", [sys.executable, "-c", leave], forks=forks)
    supervisor.start(service)
    assert service.process
    service.process.wait(20)
    left = psutil.Process(int(pid_path.read_text()))
    supervisor.report_end(service, 1)
    assert processes.is_alive(left) == forks
    supervisor.stop()
    assert not processes.is_alive(left)


BUSY = """
import signal, sys, time
told = []
for signum in (signal.SIGTERM, signal.SIGINT):
    signal.signal(signum, lambda *_: told.append(1))
print("busy", file=sys.stderr, flush=True)
while not told: time.sleep(0.01)
time.sleep(float(sys.argv[1]))
print("ended", time.monotonic(), file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize("replaced", [False, True])
def test_told_to_stop_it_lets_jobs_end_first(replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are served until the workers have ended, unless another one serves them; the engine until the last."""
    monkeypatch.setattr(up.settings, "DATA_DIR", tmp_path)
    with open(tmp_path / "lock", "a+") as lock:
        supervisor = up.Supervisor(lock)
    made = [("web", 0.1), ("train", 1.5), ("engine", 0.0)]
    for name, ends_after_s in made:
        service = up.Service(name, [sys.executable, "-c", BUSY, str(ends_after_s)], serves_jobs=name == "engine")
        supervisor.services.append(service)
        supervisor.start(service)
    logs = [tmp_path / "logs" / f"{name}.log" for name, _ in made]
    wait_for(lambda: all("busy" in log.read_text() for log in logs))
    supervisor.ask_to_stop(signal.SIGTERM, None)
    assert (supervisor.stopping, supervisor.hurried) == (True, False)
    supervisor.replaced = replaced
    left: list[bool] = []
    supervisor.retire(SimpleNamespace(leave=lambda: left.append(True)))  # type: ignore[arg-type]
    web, train, engine = supervisor.services
    assert [service.process and service.process.poll() for service in (web, train, engine)] == [0, 0, None]
    ends_s = [float(log.read_text().split()[-1]) for log in logs[:2]]
    assert (ends_s[0] < ends_s[1]) == replaced
    assert left
    supervisor.stop()
    assert engine.process
    assert engine.process.poll() == 0


@pytest.mark.parametrize("how", ["the grace is over", "told twice", "Ctrl-C"])
def test_it_does_not_wait_for_ever(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up.settings, "DATA_DIR", tmp_path)
    monkeypatch.setattr(up.settings, "STOP_GRACE_S", 0.5 if how == "the grace is over" else 600)
    with open(tmp_path / "lock", "a+") as lock:
        supervisor = up.Supervisor(lock)
    service = up.Service("train", [sys.executable, "-c", BUSY, "600"])
    supervisor.services.append(service)
    supervisor.start(service)
    wait_for(lambda: "busy" in (tmp_path / "logs" / "train.log").read_text())
    for signum in {"told twice": [signal.SIGTERM] * 2, "Ctrl-C": [signal.SIGINT]}.get(how, [signal.SIGTERM]):
        supervisor.ask_to_stop(signum, None)
    supervisor.retire(SimpleNamespace(leave=lambda: None))  # type: ignore[arg-type]
    monkeypatch.setattr(up, "GRACE_S", 0.1)
    supervisor.stop()
    assert service.process
    assert service.process.poll() == -signal.SIGKILL


def test_a_guard_that_was_killed_is_replaced(tmp_path: Path) -> None:
    with open(tmp_path / "lock", "a+") as lock:
        supervisor = up.Supervisor(lock)
        supervisor.guard.kill()
        supervisor.guard.wait(5)
        service = up.Service("train", ["sleep", "60"])
        supervisor.start(service)  # nobody listens
        assert service.process
        supervisor.services.append(service)
        supervisor.look_after_all()
        supervisor.guard.communicate(timeout=20)  # the end of its stdin: as if we had been killed
        assert service.process.wait(5) == -signal.SIGTERM


@pytest.mark.django_db
def test_told_faults_become_rows(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    faults.spool(tmp_path, "The web server was killed by signal 9.", "It was started again after 1 s.")
    reaper.take_told_faults()
    reaper.take_told_faults()
    assert Fault.objects.get().done == "It was started again after 1 s."


@pytest.mark.django_db
def test_a_duty_that_fails_is_told_once_and_tried_again() -> None:
    def broken() -> None:
        raise ValueError("no")

    known: set[str] = set()
    reaper.do_duty("runs", broken, known)
    reaper.do_duty("runs", broken, known)
    assert Fault.objects.get().what == "Looking after runs failed."
    assert known == {"runs"}
    reaper.do_duty("runs", lambda: 2, known)
    assert "2 of the runs" in Fault.objects.latest("id").what
    assert not known


@pytest.mark.django_db
def test_the_first_administrator_can_log_in(client: Any) -> None:
    email, password = prepare.make_administrator("admin@localhost")
    user = User.objects.get(email=email)
    assert user.is_superuser
    assert len(password) >= 16
    assert client.post("/accounts/login/", {"login": email, "password": password}).status_code == 302
    assert client.get("/admin/").status_code == 200


def test_redis_serves_a_private_socket_only(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    command = redis_server.command(path, tmp_path)
    assert command[command.index("--port") + 1] == "0"
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not redis_server.answers(path) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert redis_server.answers(path)
        assert path.stat().st_mode & 0o077 == 0
        assert tmp_path.stat().st_mode & 0o077 == 0
        assert not psutil.Process(server.pid).net_connections("inet")
    finally:
        server.terminate()
        server.wait(10)


def test_without_redis_a_job_is_noted_for_the_reaper(tmp_path: Path) -> None:
    nowhere = redis.Redis(unix_socket_path=str(tmp_path / "none.sock"))
    queue = FairQueue("train", connection=nowhere, commit_mode="auto")
    assert queue.original_enqueue_call("webapp.runs.jobs.train", args=("x",)) is None
    assert isinstance(django_rq.get_queue("predict"), FairQueue)


class Site:
    """``make run`` without make, on a free port."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir, self.port = data_dir, free_port()
        self.process = self.start()
        self.output = ""

    def start(self, **changes: str) -> subprocess.Popen[str]:
        environment = os.environ | {"DATA_DIR": str(self.data_dir), "PORT": str(self.port), "STARTER_DATA": "0"}
        command = [sys.executable, "-m", "webapp.ops.up"]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=ROOT, env=environment | changes, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def read_until(self, words: str) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.output += line
            if words in line:
                return
        raise AssertionError(f"it ended without {words!r}: {self.output}")

    def page(self, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
            return answer.read().decode()

    def family(self) -> dict[str, int]:
        """Process id by the service's name."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return {" ".join(child.cmdline()[1:])[-30:]: child.pid for child in children}

    def pid(self, words: str) -> int:
        return next(pid for name, pid in self.family().items() if words in name)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "data")
    yield site
    if site.process.poll() is None:
        site.process.terminate()
        site.process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Any, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


@pytest.mark.slow
def test_up_serves_restarts_and_leaves_nothing_behind(site: Site) -> None:
    site.read_until("is ready")
    assert re.search(r"First administrator: admin@localhost +password: \S{16}", site.output)
    assert "Watch a model learn" in site.page("/")
    wait_for(lambda: "Everything is running" in site.page("/status"))
    wait_for(lambda: "An engine waits" in site.page("/status"))

    killed = site.pid("worker convert")
    os.kill(killed, signal.SIGKILL)
    site.read_until("conversion worker was killed by signal 9")
    wait_for(lambda: any("worker convert" in name and pid != killed for name, pid in site.family().items()))

    other = {"DATA_DIR": f"{site.data_dir}2"}
    refusals = (
        ({}, "already uses the data folder"),
        (other, f"Port {site.port} is not available (Address already in use)"),
        (other | {"PORT": "http"}, "Port http is not available"),
    )
    for changes, sentence in refusals:
        second = site.start(**changes)
        assert sentence in second.communicate(timeout=20)[0]
        assert second.returncode == 1
    assert not (site.data_dir.parent / "data2" / "redis").exists(), "nothing is started when the port is in use"

    family = [psutil.Process(pid) for pid in site.family().values()]
    os.kill(site.pid("worker train"), signal.SIGSTOP)  # it hangs
    site.process.send_signal(signal.SIGINT)
    assert site.process.wait(30) == 0
    assert len(family) >= 8
    assert not [process for process in family if processes.is_alive(process)]


@pytest.mark.slow
def test_killing_the_supervisor_ends_its_children(site: Site) -> None:
    site.read_until("is ready")
    family = [psutil.Process(pid) for pid in site.family().values()]
    site.process.kill()
    wait_for(lambda: not [process for process in family if processes.is_alive(process)])


@pytest.mark.django_db
def test_prepare_is_quick_when_nothing_changed(settings: Any, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path / "static"
    call_command("prepare")
    stamp = (tmp_path / "static" / ".stamp").stat().st_mtime_ns
    call_command("prepare")
    assert (tmp_path / "static" / ".stamp").stat().st_mtime_ns == stamp
    assert User.objects.filter(is_superuser=True).count() == 1
