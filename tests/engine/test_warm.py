"""The waiting engine: runs that it forks end like runs of their own, and with those who asked for them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from automl_engine.run import warm
from tests.engine.toys import write_table
from webapp import engine

SERVER = """
import sys
from automl_engine.models import MODELS
from automl_engine.run import warm
from tests.engine import toy_child
MODELS["toy"] = "tests.engine.toy_child:Toy"
warm.import_all = lambda: None
sys.exit(warm.main(sys.argv[1:]))
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where an engine waits that knows the toy models and has nothing else imported."""
    monkeypatch.setenv("AUTODL_MAX_ENGINE_MEMORY_BYTES", "400_000_000")
    path = tmp_path / "socket"
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(path)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        assert server.poll() is None
        time.sleep(0.02)
    yield path
    server.kill()
    server.wait()


def start(path: Path, budget_s: int = 30, **params: Any) -> warm.Remote:
    place = path.parent
    rows = [{"name": "row", "modality": "tabular", "model": "toy", "params": params, "origin": "", "enabled": True}]
    (place / "rows.yaml").write_text(yaml.safe_dump(rows))
    command = ["run", str(write_table(place / "data")), "--out", str(place / "run"), "--model", "row", "--no-export"]
    with open(place / "log", "ab") as log:
        run = warm.start(path, [*command, "--budget", str(budget_s), "--portfolio", str(place / "rows.yaml")], log)
    assert run is not None
    return run


def scores(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path.parent / "run" / "scores.json").read_text())
    return found


def test_a_run_to_the_end_and_another(path: Path) -> None:
    for _ in range(2):
        assert start(path, at={"1": "done"}).wait(60) == 0
        assert (scores(path)["stopped"], scores(path)["nauc"] > 0.9) == ("done", True)
        assert "ALC" in (path.parent / "log").read_text()


def test_sigterm_keeps_the_best(path: Path) -> None:
    run = start(path)
    wait_for(path.parent / "run" / "model" / "model.json")
    run.terminate()
    assert run.wait(20) == 0
    assert scores(path)["stopped"] == "user"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("raise", "RuntimeError: toy failure"),
        ("kill", "most likely because memory ran out"),
        ("hog", "more than 0.373 GB of memory"),
    ],
)
def test_a_failure_is_told(path: Path, action: str, reason: str) -> None:
    assert start(path, at={"2": action}).wait(60) == 0
    assert reason in scores(path)["reason"]
    assert len(scores(path)["predictions"]) == 2


def test_a_killed_run_is_noticed_and_leaves_nothing(path: Path) -> None:
    run = start(path)
    wait_for(path.parent / "run" / "start.txt")
    family = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
    assert len(family) >= 3
    for member in family:
        member.kill()
    assert run.wait(10) == -9


def test_a_run_ends_with_whoever_asked_for_it(path: Path) -> None:
    run = start(path)
    wait_for(path.parent / "run" / "start.txt")
    family = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
    run.close()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def test_a_run_outlives_the_engine_that_waits(path: Path) -> None:
    run = start(path)
    wait_for(path.parent / "run" / "model" / "model.json")
    os.kill(waiting_pid(path), signal.SIGKILL)
    time.sleep(0.5)
    assert run.poll() is None
    run.terminate()
    assert run.wait(20) == 0
    assert scores(path)["stopped"] == "user"


def test_an_engine_that_hangs_delays_nobody_and_starts_nothing_later(path: Path) -> None:
    begun = time.monotonic()
    os.kill(waiting_pid(path), signal.SIGSTOP)
    with open(path.parent / "log", "ab") as log:
        assert warm.start(path, ["run", "nowhere", "--out", str(path.parent / "late")], log) is None
    assert time.monotonic() - begun < 2 * warm.CONNECT_LIMIT_S
    os.kill(waiting_pid(path), signal.SIGCONT)
    assert start(path, at={"1": "done"}).wait(60) == 0  # served in turn: the other is over
    assert "Traceback" not in (path.parent / "log").read_text()
    assert not (path.parent / "late").exists()


def test_only_its_user_may_connect(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_site_starts_its_runs_there(path: Path, settings: Any) -> None:
    settings.WARM_ENGINE = path
    data, place = write_table(path.parent / "data"), path.parent / "run"
    run = engine.start_run(data, place, budget_s=9, t0_s=60, model="toy", seed=0, portfolio=None)
    assert isinstance(run, warm.Remote)
    wait_for(place / "start.txt")
    engine.end_stray(place)  # as the reaper does when the worker is gone
    assert run.wait(10) == -9
    engine.end(run)
    assert engine.waiting_bytes(path.parent, "engine") == []
    (path.parent / "engine0.pid").write_text(path.with_suffix(".pid").read_text())
    assert engine.waiting_bytes(path.parent, "engine")[0] > 2**20


def test_where_nobody_waits(tmp_path: Path) -> None:
    with open(tmp_path / "log", "ab") as log:
        assert warm.start(tmp_path / "socket", ["run"], log) is None
        assert warm.start(None, ["run"], log) is None


def waiting_pid(path: Path) -> int:
    return int(path.with_suffix(".pid").read_text())


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
