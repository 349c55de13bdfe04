"""The process that keeps models loaded: who answers, one after the other, and what a fault leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from automl_engine.run import warm
from webapp import engine

SERVER = """
import os, sys, time
from pathlib import Path
from automl_engine.package import resident

held = []

def answer(arguments):
    _, model, source, _, out, *_ = arguments
    what = Path(source).read_text()
    if what == "crash":
        os.abort()
    if what == "hog":
        held.append(b"x" * 320_000_000)
    if what == "wrong":
        print("This is no data.", file=sys.stderr)
        return 2
    if what == "slow":
        Path(out).write_text("begun")
        time.sleep(60)
    Path(out).write_text(str(os.getpid()))
    return 0

resident.answer, resident.import_all = answer, lambda: None
resident.IDLE_S = float(os.environ["IDLE_S"])
sys.exit(resident.main(sys.argv[1:]))
"""
ROOT = Path(__file__).parents[2]


@pytest.fixture
def idle_s() -> float:
    return 60.0


@pytest.fixture
def path(tmp_path: Path, idle_s: float, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("AUTODL_MAX_MEMORY_BYTES", "600_000_000")
    path = settings.WARM_PREDICTOR = tmp_path / "socket"
    environment = os.environ | {"IDLE_S": str(idle_s)}
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(path)], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        assert server.poll() is None
        time.sleep(0.02)
    yield path
    family = psutil.Process(server.pid).children(recursive=True)
    server.kill()
    server.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive


def ask(path: Path, model: str = "a.zip", what: str = "data") -> int:
    """The process that answered."""
    source, out = path.with_name(what), path.with_name("out.csv")
    source.write_text(what)
    engine.predict(path.with_name(model), source, out, lambda: False)
    return int(out.read_text())


def family(path: Path) -> list[psutil.Process]:
    return psutil.Process(int(path.with_suffix(".pid").read_text())).children(recursive=True)


def test_each_model_has_a_process_that_stays(path: Path) -> None:
    first, other = ask(path), ask(path, "b.zip")
    assert first != other
    assert [ask(path), ask(path, "b.zip")] == [first, other]
    begun = time.monotonic()
    ask(path)
    assert time.monotonic() - begun < 0.2


def wait_for_end(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(10)


def test_the_model_that_was_used_longest_ago_goes(path: Path) -> None:
    first = {model: ask(path, model) for model in "abc"}
    ask(path, "a")
    ask(path, "d")
    wait_for_end(first["b"])
    assert {model: ask(path, model) == first[model] for model in "acb"} == {"a": True, "c": True, "b": False}


def test_wrong_data_is_told_and_the_process_stays(path: Path) -> None:
    first = ask(path)
    with pytest.raises(engine.DataError, match=r"^This is no data\.$"):
        ask(path, what="wrong")
    assert ask(path) == first


def test_after_a_fault_a_process_of_its_own_tells_why_and_a_new_one_comes(path: Path) -> None:
    first = ask(path)
    with pytest.raises(engine.DataError, match=r"a\.zip is no model\.zip"):  # the command line itself, without the toy
        ask(path, what="crash")
    assert ask(path) != first


def test_what_holds_much_memory_ends_after_its_answer(path: Path) -> None:
    wait_for_end(ask(path, what="hog"))
    assert ask(path) > 0


@pytest.mark.parametrize("idle_s", [0.2])
def test_a_model_that_nobody_asks_for_is_not_kept(path: Path) -> None:
    ask(path)
    _, alive = psutil.wait_procs(family(path), timeout=30)
    assert not alive
    ask(path)


def test_stopped_means_killed_and_the_next_is_answered(path: Path) -> None:
    source, out = path.with_name("slow"), path.with_name("out.csv")
    source.write_text("slow")
    with pytest.raises(engine.Stopped):
        engine.predict(path.with_name("a.zip"), source, out, out.exists)
    assert ask(path) > 0


def test_where_nobody_waits_a_process_of_its_own_answers(tmp_path: Path, settings: Any) -> None:
    settings.WARM_PREDICTOR = None
    with pytest.raises(engine.DataError, match=r"a\.zip is no model\.zip"):
        ask(tmp_path / "socket")
    assert warm.start(tmp_path / "socket", ["predict"], open(os.devnull, "wb")) is None  # noqa: SIM115
