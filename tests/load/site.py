"""A site of its own for measurements: Redis and the web server, users, and what a page takes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 300


class Site:
    """Redis and the web server of a new data folder; ``figures``: what was measured there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.figures: list[tuple[str, float, float | None, str]] = []
        self.started: dict[str, subprocess.Popen[bytes]] = {}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self.listener.getsockname()[1]
        self.log = open(folder / "load.log", "ab")  # noqa: SIM115  as long as the site

    def start(self, name: str, *command: str, **options: Any) -> None:
        self.started[name] = subprocess.Popen(command, cwd=ROOT, stdout=self.log, stderr=self.log, **options)

    def start_redis(self) -> None:
        from django.conf import settings

        from webapp.ops import redis_server

        self.start("redis", *redis_server.command(settings.REDIS_SOCKET, self.folder))
        wait_for(lambda: redis_server.answers(settings.REDIS_SOCKET), START_LIMIT_S)

    def start_web(self) -> psutil.Process:
        fd = self.listener.fileno()
        self.start("web", sys.executable, "-m", "webapp.ops.services.web", str(fd), pass_fds=(fd,))
        wait_for(lambda: self.get("/healthz") == 200, START_LIMIT_S)
        return psutil.Process(self.started["web"].pid)

    def get(self, path: str, cookie: str = "") -> int:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
            response = connection.getresponse()
            response.read()
            return response.status
        except OSError:
            return 0
        finally:
            connection.close()

    def kill(self, *names: str) -> None:
        for name in names:
            process = self.started.pop(name)
            for member in [*psutil.Process(process.pid).children(recursive=True), process]:
                member.kill()
            process.wait()

    def tell(self, figure: str, value: float, unit: str, limit: float | None = None) -> None:
        self.figures.append((figure, round(value, 3), limit, unit))
        print(f"{figure}: {value:,.3g} {unit}" + (f" (limit {limit:g})" if limit else ""), flush=True)


@contextmanager
def new_site() -> Iterator[Site]:
    """Django is set up for its data folder: one site in the life of this process."""
    with tempfile.TemporaryDirectory(prefix="autodl-load-") as folder:
        os.environ |= {"DATA_DIR": folder, "DJANGO_SETTINGS_MODULE": "webapp.settings", "LOG_LEVEL": "WARNING"}
        import django

        django.setup()
        site = Site(Path(folder))
        subprocess.run([sys.executable, "manage.py", "prepare"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        site.start_redis()
        try:
            yield site
        finally:
            site.kill(*site.started)


def wait_for(condition: Callable[[], Any], limit_s: float) -> None:
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > limit_s:
            raise TimeoutError(f"not within {limit_s:g} s")
        time.sleep(0.1)


def make_users(count: int) -> list[Any]:
    from webapp.accounts.models import User

    return [User.objects.create(email=f"user{number}@example.org") for number in range(count)]


def make_dataset(owner: Any) -> Any:
    from tests.webapp import toys
    from webapp.datasets.models import Dataset

    dataset = Dataset.objects.create(
        owner=owner, name="toy", raw_name="toy.zip", state="ready", modality="image", public=True
    )
    toys.write_autodl(dataset.autodl_dir)
    return dataset


def session_of(user: Any) -> str:
    from django.test import Client

    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return f"sessionid={client.cookies['sessionid'].value}"


def used_s(process: psutil.Process) -> float:
    """Processor time of a process and of the children that have ended; it depends little on what else runs."""
    return sum(process.cpu_times()[:4])


class Sampler(threading.Thread):
    """The most memory, threads and descriptors that a process has had."""

    def __init__(self, process: psutil.Process) -> None:
        super().__init__(daemon=True)
        self.process, self.most = process, Counter[str]()
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            now = {"memory": self.process.memory_info().rss, "threads": self.process.num_threads()}
            self.most |= Counter(now | {"descriptors": self.process.num_fds()})
            time.sleep(0.1)

    def end(self) -> Counter[str]:
        self.is_over = True
        self.join()
        return self.most


def page_times(site: Site, pages: list[tuple[str, str]], seconds: float) -> list[float]:
    """Of ordinary pages, asked for one after the other, ten a second at most."""
    found, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        path, cookie = pages[len(found) % len(pages)]
        begun = time.perf_counter()
        status = site.get(path, cookie)
        found.append(time.perf_counter() - begun)
        if status != 200:
            raise RuntimeError(f"{path} answered {status}")
        time.sleep(max(0.0, 0.1 - found[-1]))
    return sorted(found)


def tell_pages(site: Site, what: str, times: list[float], limit_ms: float | None = None) -> None:
    site.tell(f"pages {what}, median", 1000 * times[len(times) // 2], "ms")
    site.tell(f"pages {what}, p95", 1000 * times[int(0.95 * len(times))], "ms", limit_ms)
