"""A whole site, started as ``make run`` starts it, and a real Chromium to use it with."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
START_LIMIT_S = 120
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running site with an empty database."""
    if CHROMIUM is None:
        pytest.skip("no Chromium was found; install Debian's package chromium to run the browser tests")
    with running_site(tmp_path_factory.mktemp("site")) as address:
        yield address


@contextmanager
def running_site(data_dir: Path) -> Iterator[str]:
    """As ``make run`` starts it, without starter data."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"DATA_DIR": str(data_dir), "PORT": str(port), "STARTER_DATA": "0", "RUNS_PER_DAY": "50"}
    with open(data_dir / "up.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "webapp.ops.up"], env=os.environ | own, cwd=ROOT, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(address, process, data_dir / "up.log")
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def _wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/status", timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"the site did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium was found; install Debian's package chromium to run the browser tests")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, site: str) -> Iterator[Any]:
    """A fresh visitor; the test fails on a script error, a blocked script or any request to another host."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on(
        "console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None
    )
    page.on("request", lambda request: _note_foreign(request.url, site, faults))
    yield page
    context.close()
    assert faults == []


def _note_foreign(url: str, site: str, faults: list[str]) -> None:
    if not url.startswith((site, "data:", "blob:")):
        faults.append(f"request to another host: {url}")
