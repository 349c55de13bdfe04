"""The supervisor behind ``make run``: ``python -m webapp.ops.up [--role all|web|worker] [--workers N]``.

It starts Redis, the web server, the workers and the reaper, restarts what crashes, and on Ctrl-C or SIGTERM ends
everything that any of them started.  Should it be killed itself, its guard (guard.py) does that.
The role web starts no workers; the role worker starts nothing else, and works for the site that DATABASE_URL and
REDIS_URL name, or for the one of this data folder.
Settings: PORT, HOST, DATA_DIR and whatever webapp/settings.py reads.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from webapp import settings
from webapp.ops import faults, processes, redis_server
from webapp.ops.services.plan import MANAGE, ROLES, Service, services, sockets

GRACE_S = 5.0
TABLES_LIMIT_S = 300.0
BACK_OFF_S = (1, 2, 5, 10, 30)
HEALTHY_S = 60.0  # a service that ran so long starts again at once when it crashes
LOG_MAX_BYTES = 10 * 2**20


class StartError(Exception):
    """We cannot start; the message is one sentence with what to do."""


class Supervisor:
    """The child processes and their guard."""

    def __init__(self, lock: IO[str]) -> None:
        self.mark = f"autodl-{secrets.token_hex(8)}"
        self.services: list[Service] = []
        self.stopping = False
        self.ready = False
        self.logs = settings.DATA_DIR / "logs"
        self.logs.mkdir(exist_ok=True)
        self.lock = lock
        self.guard = self.start_guard()

    def start_guard(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "webapp.ops.services.guard", self.mark],
            cwd=settings.BASE_DIR,
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=(self.lock.fileno(),),  # a new start waits until the guard of the old one is done
        )

    def tell_guard(self, *pids: int) -> None:
        """Whom to end after us; one that was killed itself knows the others by their mark."""
        assert self.guard.stdin is not None
        with suppress(BrokenPipeError):
            self.guard.stdin.write("".join(f"{pid}\n" for pid in pids).encode())
            self.guard.stdin.flush()

    def ask_to_stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    def start(self, service: Service) -> None:
        """Start it in a session of its own: Ctrl-C in the terminal must reach us alone."""
        path = self.logs / f"{service.name}.log"
        if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
            os.replace(path, path.with_suffix(".log.1"))
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "webapp.settings", "PYTHONUNBUFFERED": "1"}
        environment |= service.environment | {processes.MARK: f"{self.mark}/{service.name}/"}
        with open(path, "ab") as log:
            service.process = subprocess.Popen(
                service.command,
                cwd=settings.BASE_DIR,
                env=environment,
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                pass_fds=service.pass_fds,
            )
        service.started = time.monotonic()
        self.tell_guard(service.process.pid)

    def run_once(self, service: Service) -> None:
        """Start it and wait for its end.

        Raises:
            StartError: it failed.
        """
        self.start(service)
        assert service.process is not None
        self.services.append(service)
        while service.process.poll() is None and not self.stopping:
            time.sleep(0.05)
        if service.process.poll():
            raise StartError(f"The {service.what} failed: {self.last_line(service)}")
        self.services.remove(service)

    def start_redis(self) -> None:
        """Raises StartError when the bundled Redis does not answer within ten seconds."""
        redis = Service("redis", redis_server.command(settings.REDIS_SOCKET, settings.DATA_DIR))
        redis.command += ["--logfile", str(self.logs / "redis.log")]
        self.start(redis)
        self.services.append(redis)
        deadline = time.monotonic() + 10
        while not redis_server.answers(settings.REDIS_SOCKET) and not self.stopping:
            assert redis.process is not None
            if redis.process.poll() is not None or time.monotonic() > deadline:
                raise StartError(f"Redis did not start: {self.last_line(redis)}")
            time.sleep(0.05)

    def await_tables(self) -> None:
        """In the role of a worker: the web server's host makes the tables.  Raises StartError when they do not come."""
        deadline = time.monotonic() + TABLES_LIMIT_S
        while subprocess.run([*MANAGE, "migrate", "--check"], cwd=settings.BASE_DIR, capture_output=True).returncode:
            if self.stopping:
                return
            if time.monotonic() > deadline:
                raise StartError("The database lacks the tables of this version: start the site in the role web first.")
            time.sleep(1)

    def watch(self, url: str, address: tuple[str, int] | None) -> None:
        """Restart what crashes, until asked to stop; ``address``: of the web server, if there is one."""
        while not self.stopping:
            if self.guard.poll() is not None:
                self.guard = self.start_guard()
                self.tell_guard(*(service.process.pid for service in self.services if service.process))
            for service in self.services:
                self.look_after(service)
            if not self.ready and (address is None or answers(address)):
                self.ready = True
                say(f"AutoDL Self-Service is ready: {url}")
                say(f"Data and logs are in {settings.DATA_DIR}. Ctrl-C stops everything.")
            time.sleep(0.2)

    def look_after(self, service: Service) -> None:
        if service.process is not None and service.process.poll() is not None:
            self.report_end(service, service.process.returncode)
            service.process = None
        if service.process is None and time.monotonic() >= service.due:
            self.start(service)

    def report_end(self, service: Service, code: int) -> None:
        """Report the end, end what it left running, and plan its next start."""
        if not service.forks:
            processes.end(processes.marked(f"{self.mark}/{service.name}/"), 0)
        if service.once and code == 0:
            service.due = float("inf")
            return
        lived_s = time.monotonic() - service.started
        service.failures = 1 if lived_s > HEALTHY_S else service.failures + 1
        if not self.ready and service.failures > 2 and not service.once:
            raise StartError(f"The {service.what} does not start: {self.last_line(service)}")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if service.once and service.failures > 2:
            service.due, done = float("inf"), "It is not started again until the next start of the site."
        else:
            wait_s = BACK_OFF_S[min(service.failures, len(BACK_OFF_S)) - 1]
            service.due, done = time.monotonic() + wait_s, f"It starts again after {wait_s} s."
        faults.spool(settings.DATA_DIR, f"The {service.what} {how}.", done)
        say(f"The {service.what} {how}. {done} Its log: {self.logs / service.name}.log")

    def last_line(self, service: Service) -> str:
        path = self.logs / f"{service.name}.log"
        lines = path.read_text(errors="replace").split("\n") if path.exists() else []
        return next((line for line in reversed(lines) if line.strip()), "no reason given") + f" (see {path})"

    def stop(self) -> None:
        """End everything: the web server and the workers first, Redis last, and then whatever is left."""
        redis = [service for service in self.services if service.name == "redis"]
        self.end([service for service in self.services if service not in redis])
        self.end(redis)
        processes.end(processes.marked(self.mark), 0)
        assert self.guard.stdin is not None
        with suppress(BrokenPipeError):
            self.guard.stdin.close()
        self.guard.wait(timeout=10)

    def end(self, ending: list[Service]) -> None:
        """SIGTERM, and SIGKILL for what hangs.  A busy worker drops its job at the second SIGTERM, a second later."""
        alive = [service.process for service in ending if service.process is not None]
        for wait_s in (1.2, GRACE_S):
            for process in alive:
                process.terminate()
            alive = wait(alive, wait_s)
        for process in alive:
            process.kill()
            process.wait()


def wait(alive: list[subprocess.Popen[bytes]], timeout_s: float) -> list[subprocess.Popen[bytes]]:
    """Those that are still there when the time is up."""
    deadline = time.monotonic() + timeout_s
    while (alive := [process for process in alive if process.poll() is None]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def take_lock(data_dir: Path, role: str) -> IO[str]:
    """Only one of us at a time, and one of each machine in the role of a worker, works on a DATA_DIR.

    The lock lives as long as we or our guard do.

    Raises:
        StartError: another one is running.
    """
    name = f"worker-{socket.gethostname()}.lock" if role == "worker" else "up.lock"
    lock = open(data_dir / name, "a+")  # noqa: SIM115  held until the process ends
    deadline = time.monotonic() + 15
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock.truncate(0)
            return lock
        except BlockingIOError:
            lock.seek(0)
            other = json.loads(lock.read() or "{}")
        if is_running(other.get("pid", 0)) or time.monotonic() > deadline:  # else its guard is clearing up
            raise StartError(
                f"AutoDL Self-Service already uses the data folder {data_dir}: open {other.get('url')}, or stop it "
                "(Ctrl-C there), or use another folder, as in: DATA_DIR=/some/folder PORT=8001 make run"
            )
        time.sleep(0.2)


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and processes.is_alive(psutil.Process(pid))


def take_port(host: str, port: str) -> socket.socket:
    """Listen before anything is started, and keep it: who connects while the web server restarts waits, no more.

    Raises:
        StartError: it is in use, or not ours to use.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, int(port)))
        listener.listen()
        return listener
    except (OSError, OverflowError, ValueError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise StartError(
            f"Port {port} is not available ({reason}); choose another one, as in: PORT=8010 make run"
        ) from None


def local_address(listener: socket.socket) -> tuple[str, int]:
    """Where this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104


def answers(address: tuple[str, int]) -> bool:
    """Whether the web server answers, whatever it says (the socket is open long before)."""
    connection = HTTPConnection(*address, timeout=2)
    try:
        connection.request("HEAD", "/accounts/login/")
        connection.getresponse()
        return True
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def say(text: str) -> None:
    print(text, flush=True)


def listen_to_signals(supervisor: Supervisor) -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:  # nohup stays nohup
            signal.signal(signum, supervisor.ask_to_stop)


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m webapp.ops.up", description="The site, or a part of it.")
    parser.add_argument("--role", choices=ROLES, default="all", help="web: no workers; worker: nothing else (all)")
    parser.add_argument("--workers", type=int, choices=range(1, 65), default=1, metavar="N", help="trainers a GPU (1)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    host, port = os.environ.get("HOST") or "127.0.0.1", os.environ.get("PORT") or "8000"
    try:
        lock = take_lock(settings.DATA_DIR, options.role)
        listener = None if options.role == "worker" else take_port(host, port)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    address = local_address(listener) if listener else None
    url = settings.SITE_URL if address is None else _url(*address)
    lock.write(json.dumps({"pid": os.getpid(), "url": url}))
    lock.flush()
    supervisor = Supervisor(lock)
    listen_to_signals(supervisor)
    try:
        for folder in {settings.REDIS_SOCKET.parent, sockets(options.role)}:
            redis_server.make_private(folder)
        if listener:
            supervisor.run_once(Service("prepare", [*MANAGE, "prepare"]))
            if not settings.REDIS_URL and not supervisor.stopping:
                supervisor.start_redis()
        else:
            supervisor.await_tables()
        supervisor.services += services(options.role, options.workers, listener.fileno() if listener else None)
        supervisor.watch(url, address)
        say("Stopping ...")
    except (StartError, redis_server.NoRedis) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        supervisor.stop()
    say("Everything is stopped.")
    return 0


def _url(host: str, port: int) -> str:
    return f"http://{host if ':' not in host else f'[{host}]'}:{port}"


if __name__ == "__main__":
    sys.exit(main())
