"""The supervisor behind ``make run``: ``python -m webapp.ops.up [--role all|web|worker] [--workers N] [--replace]``.

It starts Redis, the web server, the workers and the reaper, restarts what crashes, and at its end ends everything that
any of them started: on Ctrl-C at once; on SIGTERM when the jobs that are under way have ended, within STOP_GRACE_S.
Should it be killed itself, its guard (guard.py) does that.  --replace takes the place of one that runs (handover.py).
The role web starts no workers; the role worker starts nothing else, and works for the site that DATABASE_URL and
REDIS_URL name, or for the one of this data folder.
Settings: PORT, HOST, DATA_DIR and whatever webapp/settings.py reads.
"""

from __future__ import annotations

import argparse
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import IO

from redis import Redis
from redis.exceptions import RedisError

from webapp import settings
from webapp.ops import faults, processes, redis_server
from webapp.ops.services.plan import MANAGE, ROLES, WORKING, Service, services, sockets
from webapp.ops.services.seat import Seat, StartError, local_address

GRACE_S = 5.0
TABLES_LIMIT_S = 300.0
BACK_OFF_S = (1, 2, 5, 10, 30)
HEALTHY_S = 60.0  # a service that ran so long starts again at once when it crashes
LOG_MAX_BYTES = 10 * 2**20


class Supervisor:
    """The child processes and their guard."""

    def __init__(self, lock: IO[str]) -> None:
        self.mark = f"autodl-{secrets.token_hex(8)}"
        self.services: list[Service] = []
        self.stopping = self.hurried = self.replaced = False
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
        self.hurried = self.stopping or signum != signal.SIGTERM
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

    def redis(self) -> Service:
        """The bundled one, among the services."""
        redis = Service("redis", redis_server.command(settings.REDIS_SOCKET, settings.DATA_DIR))
        redis.command += ["--logfile", str(self.logs / "redis.log")]
        self.services.append(redis)
        return redis

    def start_redis(self) -> None:
        """Raises StartError when the bundled Redis does not answer within ten seconds."""
        redis = self.redis()
        self.start(redis)
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

    def watch(self, seat: Seat, url: str) -> None:
        """Restart what crashes, until asked to stop or replaced."""
        while not self.stopping:
            self.look_after_all()
            if not self.ready and self.is_serving(seat):
                self.ready = True
                seat.take()
                if seat.running:
                    say("The one that ran before stops; its jobs end first.")
                say(f"AutoDL Self-Service is ready: {url}")
                say(f"Data and logs are in {settings.DATA_DIR}. Ctrl-C stops everything.")
            if seat.becomes_ours(url) and seat.needs_redis:
                self.redis()
            if self.ready and seat.is_taken():
                self.stopping = self.replaced = True
            time.sleep(0.2)

    def is_serving(self, seat: Seat) -> bool:
        """Whether the web server serves and, before another is replaced, all workers wait for jobs."""
        if seat.web_ready and not select.select([seat.web_ready], [], [], 0)[0]:
            return False
        return seat.running is None or self.workers_wait()

    def workers_wait(self) -> bool:
        try:
            with Redis.from_url(settings.RQ_QUEUES["train"]["URL"]) as redis:
                names = [bytes(name).decode() for name in redis.smembers("rq:workers")]
        except RedisError:
            return False
        workers = [service.process for service in self.services if service.name.split("-")[0] in WORKING]
        ours = [f".{socket.gethostname()}.{process.pid}." for process in workers if process]
        return len(ours) == len(workers) and all(any(our in name for name in names) for our in ours)

    def retire(self, seat: Seat) -> None:
        """Begin nothing new, and let what is under way end, within STOP_GRACE_S.

        Pages are served until the workers have ended, unless another one serves them.
        """
        deadline = time.monotonic() + settings.STOP_GRACE_S
        rest = [service for service in self.services if not service.serves_jobs and service.name != "redis"]
        workers = [service for service in rest if service.name.split("-")[0] in WORKING]
        for group in (rest,) if self.replaced or not workers else (workers, rest):
            if group is rest:
                seat.leave()
            for service in group:
                if service.process is not None and not service.retired:
                    shares_socket = self.replaced and service.name == "web"
                    service.process.send_signal(signal.SIGINT if shares_socket else signal.SIGTERM)
                service.retired = True
            while not self.hurried and time.monotonic() < deadline and any(map(is_up, group)):
                self.look_after_all()
                time.sleep(0.1)

    def look_after_all(self) -> None:
        if self.guard.poll() is not None:
            self.guard = self.start_guard()
            self.tell_guard(*(service.process.pid for service in self.services if service.process))
        for service in self.services:
            if not service.retired:
                self.look_after(service)

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


def is_up(service: Service) -> bool:
    return service.process is not None and service.process.poll() is None


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
    parser.add_argument("--queues", nargs="+", choices=WORKING, default=WORKING, help="what workers work on (all)")
    parser.add_argument("--replace", action="store_true", help="take the place of the one that runs here, if any")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    try:
        seat = Seat(options.role, options.replace)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    url = _url(*local_address(seat.listener)) if seat.listener else settings.SITE_URL
    if seat.running is None:
        seat.write(url)
    supervisor = Supervisor(seat.lock)
    listen_to_signals(supervisor)
    try:
        for folder in {settings.REDIS_SOCKET.parent, sockets(options.role)}:
            redis_server.make_private(folder)
        if seat.listener:
            beside = ["--beside"] if seat.running else []
            supervisor.run_once(Service("prepare", [*MANAGE, "prepare", *beside]))
            if seat.needs_redis and not seat.running and not supervisor.stopping:
                supervisor.start_redis()
        else:
            supervisor.await_tables()
        supervisor.services += services(
            options.role, options.workers, *seat.web_fds, queues=options.queues, side=seat.side
        )
        supervisor.watch(seat, url)
        if not supervisor.hurried:
            say(f"Stopping: jobs that are under way end first, within {settings.STOP_GRACE_S} s ...")
            supervisor.retire(seat)
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
