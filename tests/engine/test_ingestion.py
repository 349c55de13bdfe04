"""The loop of the child, in process and on a fake clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_engine.models import MODELS
from automl_engine.run import events
from automl_engine.run.ingestion import EXIT_DATA, EXIT_FAILED, EXIT_OK, Ingestion
from automl_engine.run.scoreboard import read_start
from tests.engine.toy_child import TOY_MODELS
from tests.engine.toys import edit, write_table


@pytest.fixture
def ingest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, Path]]:
    """Run a toy model; every look at the clock takes a second."""
    for name, target in TOY_MODELS.items():
        monkeypatch.setitem(MODELS, name, target)
    data_dir = write_table(tmp_path / "data") / "toy.data"
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    ticks = iter(range(1000, 100000))

    def run(budget_s: float = 60, model: str = "toy", **params: Any) -> tuple[int, Path]:
        order = {"model": model, "params": params, "budget_s": budget_s, "t0_s": 60, "seed": 0, "device": "auto"}
        order["name"] = model
        return Ingestion(run_dir, order, now=lambda: float(next(ticks))).run(data_dir), run_dir

    return run


def journal(run_dir: Path, kind: str) -> list[dict[str, Any]]:
    return [event for event in events.read(run_dir / "events.jsonl")[0] if event["event"] == kind]


def test_files_of_the_challenge(ingest: Callable[..., tuple[int, Path]]) -> None:
    code, run_dir = ingest(at={"2": "done"})
    assert code == EXIT_OK
    start, budget_s, times = read_start(run_dir)
    assert budget_s == 60
    assert list(times) == [0, 1, 2], "a prediction made after done_training still counts"
    assert list(times.values()) == sorted(times.values())
    assert times[0] > start
    lines = (run_dir / "toy.predict_2").read_text().splitlines()
    assert len(lines) == 30
    assert lines[0].split() == [f"{float(x):g}" for x in lines[0].split()]
    end = dict(line.split(": ") for line in (run_dir / "end.txt").read_text().splitlines())
    assert end["ingestion_success"] == "1"
    assert float(end["ingestion_duration"]) > times[2] - start
    assert not list(run_dir.glob(".*")), "no temporary file stays"


def test_journal(ingest: Callable[..., tuple[int, Path]]) -> None:
    _, run_dir = ingest(at={"1": "done"})
    (started,) = journal(run_dir, "started")
    assert (started["dataset"], started["modality"], started["budget_s"], started["device"]) == (
        "toy",
        "tabular",
        60,
        "cpu",
    )
    first, second = journal(run_dir, "prediction")
    assert (first["k"], first["by"], first["reason"]) == (0, "toy rung", "the cells are the classes")
    start, _, times = read_start(run_dir)
    assert second["t"] == pytest.approx(times[1] - start)


def test_the_model_behind_the_last_prediction_is_saved(ingest: Callable[..., tuple[int, Path]]) -> None:
    _, run_dir = ingest(at={"3": "done"})
    description = json.loads((run_dir / "model" / "model.json").read_text())
    assert (description["model"], description["k"]) == ("toy", 3)
    assert description["spec"]["output_dim"] == 3
    assert (run_dir / "model" / "weights.txt").read_text() == "3"
    assert sorted(path.name for path in run_dir.glob("model*")) == ["model"]


def test_a_model_without_save_is_told_once(ingest: Callable[..., tuple[int, Path]]) -> None:
    code, run_dir = ingest(at={"2": "done"}, save="no")
    assert code == EXIT_OK
    assert [event["text"] for event in journal(run_dir, "note")] == ["model 'toy' cannot be saved"]


def test_a_failing_save_is_told_and_the_run_goes_on(ingest: Callable[..., tuple[int, Path]]) -> None:
    code, run_dir = ingest(at={"1": "done"}, save="broken")
    assert code == EXIT_OK
    assert [(e["what"], e["error"], e["fatal"]) for e in journal(run_dir, "failed")] == [
        ("save", "OSError: disk full", False)
    ] * 2
    assert not list(run_dir.glob("model*"))


def test_none_stops(ingest: Callable[..., tuple[int, Path]]) -> None:
    code, run_dir = ingest(at={"2": "none"})
    assert (code, len(journal(run_dir, "prediction"))) == (EXIT_OK, 2)


def test_the_budget_ends_the_loop(ingest: Callable[..., tuple[int, Path]]) -> None:
    """Each round looks at the clock several times; all timestamps lie within the budget."""
    code, run_dir = ingest(budget_s=30)
    start, _, times = read_start(run_dir)
    assert code == EXIT_OK
    assert 2 <= len(times) < 30
    assert max(times.values()) <= start + 30


def test_a_late_prediction_is_not_written(ingest: Callable[..., tuple[int, Path]]) -> None:
    code, run_dir = ingest(budget_s=2)
    assert code == EXIT_OK
    assert not list(run_dir.glob("toy.predict_*"))
    assert "after the end of the budget" in journal(run_dir, "note")[0]["text"]


@pytest.mark.parametrize(
    ("action", "error"), [("raise", "RuntimeError: toy failure"), ("shape", "ValueError: test() must return")]
)
def test_a_failure_keeps_earlier_predictions(ingest: Callable[..., tuple[int, Path]], action: str, error: str) -> None:
    code, run_dir = ingest(at={"2": action})
    assert code == EXIT_FAILED
    (failed,) = journal(run_dir, "failed")
    assert failed["fatal"]
    assert failed["error"].startswith(error)
    assert "Traceback" in failed["traceback"]
    assert sorted(path.name for path in run_dir.glob("toy.predict_*")) == ["toy.predict_0", "toy.predict_1"]
    assert "ingestion_success: 0" in (run_dir / "end.txt").read_text()


def test_nan_is_replaced_by_the_mean_of_the_class(ingest: Callable[..., tuple[int, Path]]) -> None:
    _, run_dir = ingest(at={"0": "nan", "1": "done"})
    holes, whole = (np.loadtxt(run_dir / f"toy.predict_{k}") for k in (0, 1))
    np.testing.assert_allclose(holes[0], whole[1:].mean(0), rtol=1e-5)
    np.testing.assert_array_equal(holes[1:], whole[1:])
    assert len(journal(run_dir, "note")) == 1


def test_a_failing_constructor_starts_no_clock(ingest: Callable[..., tuple[int, Path]]) -> None:
    code, run_dir = ingest(model="challenge", path="nowhere", data_dir="nowhere")
    assert code == EXIT_FAILED
    assert not (run_dir / "start.txt").exists()
    assert "nowhere" in journal(run_dir, "failed")[0]["error"]


def test_damaged_data_is_told_as_such(ingest: Callable[..., tuple[int, Path]], tmp_path: Path) -> None:
    shard = next((tmp_path / "data" / "toy.data" / "test").glob("sample*"))
    edit(shard, lambda data: data.__setitem__(-6, data[-6] ^ 1))
    code, run_dir = ingest()
    assert code == EXIT_DATA
    assert journal(run_dir, "failed")[0]["error"].startswith("record 29 of sample-toy-test.tfrecord cannot be read")
