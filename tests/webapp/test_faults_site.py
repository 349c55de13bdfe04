"""``kill -9`` of each process of a whole site, at random moments: in a conversion, in runs, and all at once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.webapp.test_ops_processes import ROOT, Site
from webapp.ops import demo, processes

MARGIN_S = 120
SEED = 20


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "data")
    yield site
    if site.process.poll() is None:
        site.process.send_signal(signal.SIGINT)
        site.process.wait(30)


class Person:
    """Somebody with a browser, whom a page that does not answer does not put off."""

    def __init__(self, port: int) -> None:
        self.browser = demo.Site(f"http://127.0.0.1:{port}")

    def look(self, path: str) -> dict[str, Any]:
        with suppress(demo.DemoError, OSError):
            return dict(self.browser.json(path))
        return {}

    def page(self, path: str) -> str:
        with suppress(demo.DemoError, OSError), self.browser.open(path) as response:
            return response.read().decode()
        return ""

    def learn(self, dataset: str) -> str:
        return str(self.browser.json(f"/api/datasets/{dataset}/runs", {"budget_s": 60})["id"])


def wait_for(condition: Callable[[], Any], what: str, limit_s: float = MARGIN_S) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < limit_s, f"not within {limit_s} s: {what}"
        time.sleep(0.2)


def family(site: Site) -> list[psutil.Process]:
    return psutil.Process(site.process.pid).children(recursive=True)


def named(site: Site, words: str) -> list[psutil.Process]:
    found = []
    for process in family(site):
        with suppress(psutil.NoSuchProcess):
            if words in " ".join(process.cmdline()):
                found.append(process)
    return found


def kill(victims: list[psutil.Process]) -> None:
    assert victims
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.send_signal(signal.SIGKILL)


@pytest.mark.long
def test_every_process_is_killed(site: Site, tmp_path: Path) -> None:
    moment = random.Random(SEED)
    site.read_until("is ready")
    person = Person(site.port)
    demo.register(person.browser)
    data = tmp_path / "digits.zip"
    subprocess.run([sys.executable, "-m", "webapp.ops.starters", "digits", str(data)], check=True, cwd=ROOT)

    dataset = demo.upload(person.browser, data)
    wait_for(lambda: named(site, "formatters"), "a conversion")
    kill(named(site, "formatters"))
    state = f"/api/datasets/{dataset}"
    wait_for(lambda: person.look(state).get("state") == "ready", "the second try of the conversion")

    for victims in ("services.web", "redis", "worker train", "everything", "up and everything"):
        run = person.learn(dataset)
        address = f"/api/runs/{run}"
        wait_for(lambda: person.look(f"/api/runs/{run}/events").get("events"), "a run")  # noqa: B023
        time.sleep(moment.uniform(1, 8))
        if victims.endswith("everything"):
            old = family(site)
            kill([psutil.Process(site.process.pid), *old] if "up" in victims else old)
        else:
            kill(named(site, victims))
        if "up" in victims:
            wait_for(lambda: not [process for process in old if processes.is_alive(process)], "all of them end")  # noqa: B023
            site.process.wait()
            site.process = site.start()
        wait_for(lambda: person.look(address).get("state") in ("running", "finished"), f"{victims}: it goes on")  # noqa: B023
        wait_for(lambda: person.look(address).get("state") in ("finished", "failed"), f"{victims}: its end")  # noqa: B023
        ended = person.look(address)
        assert (ended["state"], ended["error"]) == ("finished", ""), victims
    told = person.page("/status")
    assert "web server was killed by signal 9" in told
    assert "job queue (Redis) was killed by signal 9" in told

    old = family(site)
    site.process.send_signal(signal.SIGINT)
    assert site.process.wait(30) == 0
    assert not [process for process in old if processes.is_alive(process)]
