"""The clock: the wall is left alone, work moves the virtual one, and a virtual run repeats itself."""

from __future__ import annotations

import ast
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from threadpoolctl import threadpool_limits

from automl_engine import clock
from automl_engine.__main__ import main
from automl_engine.errors import DataError
from automl_engine.lab.meta.costs import fit, read_notes
from automl_engine.models.shared.trainer import half_precision_is_faster, step_operation
from automl_engine.portfolio import load
from automl_engine.run.ingestion import Ingestion
from tests.engine.toys import write_table

ENGINE = Path(clock.__file__).parent
COSTS = clock.Costs({"add": {"": 0.5, "cells": 2.0}, "read": {"": 0.0, "rows": 1e-9}}, "a toy")


@pytest.fixture
def virtual() -> Iterator[clock.Virtual]:
    present = clock.Virtual(COSTS)
    with clock.using(present):
        yield present


def test_the_wall_is_left_alone() -> None:
    before = time.monotonic()
    with clock.work("never heard of", lambda: pytest.fail("nobody asks")) as lap:
        lap(cells=1)
    assert before <= clock.now_s() <= time.monotonic()
    assert not clock.is_virtual()
    assert clock.threads(7) == 7


def test_work_moves_the_virtual_clock(virtual: clock.Virtual) -> None:
    assert clock.is_virtual()
    assert clock.threads(7) == 1
    start = clock.now_s()
    time.sleep(0.01)
    assert clock.now_s() == start, "it stands still by itself"
    with clock.work("add", cells=3):
        assert clock.now_s() == start
    assert clock.now_s() - start == pytest.approx(6.5)
    with clock.work("read", lambda: {"rows": 1}):
        pass
    assert clock.now_s() - start > 6.5 + 0.9 * clock.LEAST_S, "a loop that waits for its end gets there"


def test_only_outermost_work_counts(virtual: clock.Virtual) -> None:
    def elsewhere() -> None:
        with clock.work("never heard of"):
            pass

    with clock.work("add", cells=1), clock.work("never heard of"):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert clock.now_s() == pytest.approx(2.5)


def test_laps_are_seen_in_the_middle_of_work(virtual: clock.Virtual) -> None:
    with clock.work("add") as lap:
        lap(cells=1)
        assert clock.now_s() == pytest.approx(2.5)
        lap(cells=2)
    assert clock.now_s() == pytest.approx(2.5 + 4.5), "what follows the last lap is nothing"


def test_work_that_fails_frees_the_clock(virtual: clock.Virtual) -> None:
    with pytest.raises(ZeroDivisionError), clock.work("add", cells=1):
        raise ZeroDivisionError
    with clock.work("add", cells=1):
        pass
    assert clock.now_s() == pytest.approx(2.5)


@pytest.mark.parametrize(("operation", "amounts"), [("multiply", {}), ("add", {"rows": 1})])
def test_what_the_table_does_not_know_is_said(
    virtual: clock.Virtual, operation: str, amounts: dict[str, float]
) -> None:
    with pytest.raises(DataError, match=r"does not know what .* takes: measure it"), clock.work(operation, **amounts):
        pass


def test_a_recorder_notes_what_work_takes() -> None:
    recorder = clock.Recorder()
    with clock.using(recorder):
        for _ in range(2):
            with clock.work("count", steps=300_000):
                sum(range(300_000))
        with clock.work("sleep"):
            time.sleep(0.05)
    assert recorder.notes.keys() == {("count", (("steps", 300_000.0),)), ("sleep", ())}
    assert len(recorder.notes["count", (("steps", 300_000.0),)]) == 2
    assert 0 < recorder.notes["sleep", ()][0] < 0.05, "time in which nothing is done is another's"


def test_a_fit_finds_the_factors_and_nothing_below_zero() -> None:
    sizes = [(n, d) for n in (10, 1000, 100_000) for d in (1, 30)]
    points = [({"rows": n, "cells": n * d}, 2e-3 + 3e-7 * n * d) for n, d in sizes]
    factors, error = fit(points)
    assert factors[""] == pytest.approx(2e-3, rel=0.05)
    assert factors["cells"] == pytest.approx(3e-7, rel=0.05)
    assert 0 <= factors["rows"] < 1e-7
    assert error < 0.05


def test_one_measurement_grows_with_the_amounts() -> None:
    factors, _ = fit([({"rows": 100}, 1.0)])
    assert clock.Costs({"x": factors}, "a toy").seconds("x", {"rows": 100}) == pytest.approx(1, rel=0.05)
    assert clock.Costs({"x": factors}, "a toy").seconds("x", {"rows": 1000}) > 9


def test_every_operation_of_the_engine_is_in_the_table() -> None:
    known = clock.Costs.read().factors
    named = set()
    for path in ENGINE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "clock.work":
                name = node.args[0]
                named |= {name.value} if isinstance(name, ast.Constant) else set()
    assert len(named) > 30
    assert named - set(known) == set()


def _order(model: str, params: dict[str, Any], budget_s: float) -> dict[str, Any]:
    order = {"name": model, "model": model, "params": params, "budget_s": budget_s}
    return {**order, "t0_s": 60.0, "seed": 3, "device": "cpu", "clock": "virtual"}


def test_a_virtual_run_repeats_itself(tmp_path: Path) -> None:
    """Auto with trees and a network: the same predictions at the same virtual times."""
    folder = write_table(tmp_path / "data", n_train=120)
    names = ("tabular_linear", "tabular_forest_10", "tabular_network")
    rows = [asdict(row) for row in load() if row.name in names]
    found = []
    for name in ("one", "other"):
        run_dir = tmp_path / name
        run_dir.mkdir()
        present = clock.Virtual(clock.Costs.read())
        with clock.using(present), threadpool_limits(limits=1):  # as the environment of the child
            ingestion = Ingestion(
                run_dir, _order("auto", {"rows": rows}, budget_s=10), lambda p=present: 1e3 + p.now_s()
            )
            assert ingestion.run(folder / "toy.data") == 0
        lines = (run_dir / "start.txt").read_text().splitlines()
        times = [line for line in lines if not line.startswith("ingestion_pid")]
        found.append((times, [path.read_bytes() for path in sorted(run_dir.glob("toy.predict_*"))]))
    assert len(found[0][1]) > 1
    assert found[0] == found[1]


def test_from_measuring_to_a_virtual_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command lines: a table of this machine, and a run that says which clock it was on."""
    folder, notes, table = write_table(tmp_path / "data"), tmp_path / "notes.jsonl", tmp_path / "costs.csv"
    asked = ["--data", str(folder), "--rows", "tabular_linear", "--notes", str(notes), "--out", str(table)]
    assert main(["meta", "costs", *asked]) == 0
    assert "data, tabular_linear: " in capsys.readouterr().out
    assert {"logistic step", "read rows", "write"} <= {operation for operation, _ in read_notes(notes)}
    assert {"logistic step", "read rows", "write"} <= set(clock.Costs.read(table).factors)

    run_dir = tmp_path / "run"
    options = ["--out", str(run_dir), "--budget", "20", "--model", "tabular_linear", "--clock", "virtual"]
    assert main(["run", str(folder), *options, "--no-export"]) == 0
    scores = json.loads((run_dir / "scores.json").read_text())
    assert scores["clock"] == json.loads((run_dir / "run.json").read_text())["clock"] == "virtual"
    assert 0 < scores["first_prediction_s"] < 1
    assert scores["alc"] > 0.9
    assert main(["run", str(folder), *options, "--costs", "nowhere.csv"]) == 2
    assert "The table of costs nowhere.csv cannot be read" in capsys.readouterr().err


def test_code_of_the_challenge_reads_the_real_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_table(tmp_path / "data")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "model.py").write_text("class Model:\n    train = test = None\n")
    options = ["--out", str(tmp_path / "run"), "--model", str(tmp_path / "code"), "--clock", "virtual"]
    assert main(["run", str(folder), *options]) == 2
    assert "only runs with --clock wall" in capsys.readouterr().err


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_a_virtual_clock_charges_for_bfloat16_where_the_processor_lacks_it(
    capability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emulated, it takes ten times as long as float32."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    body, inputs = torch.nn.Linear(2, 2), torch.zeros(4, 2)
    with clock.using(clock.Virtual(clock.Costs.read())):
        half = half_precision_is_faster(body, inputs, "image_resnet")
        assert half == (capability == "AVX512")
        assert step_operation("image_resnet", half) == "image_resnet step in bfloat16"
    assert step_operation("image_resnet", half=False) == "image_resnet step"
