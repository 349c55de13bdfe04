"""The supervisor with real child processes: budgets, crashes, signals, and nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from automl_engine.__main__ import main
from automl_engine.errors import DataError
from automl_engine.run import events, supervisor
from automl_engine.run.scoreboard import rescore
from automl_engine.run.supervisor import find_dataset, restore_model, run
from tests.engine.toys import write_table

ROOT = Path(__file__).parents[2]
CHILD = (sys.executable, "-m", "tests.engine.toy_child")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_table(tmp_path / "data")


def run_toy(folder: Path, budget_s: float = 30, model: str = "toy", **params: Any) -> tuple[dict[str, Any], list[Any]]:
    run_dir = folder.parent / "run"
    scores = run(folder, run_dir, budget_s=budget_s, model=model, name="my row", params=params, child=CHILD)
    assert scores == json.loads((run_dir / "scores.json").read_text())
    journal, _ = events.read(run_dir / "events.jsonl")
    assert journal[-1]["event"] == "finished"
    assert journal[-1]["predictions"] == len(scores["predictions"])
    return scores, journal


def test_a_run_to_the_end(folder: Path) -> None:
    scores, journal = run_toy(folder, at={"1": "done"})
    assert (scores["stopped"], scores["model"], scores["device"]) == ("done", "my row", "cpu")
    assert scores["reason"] == "the model has nothing more to learn"
    assert [p["k"] for p in scores["predictions"]] == [0, 1]
    assert scores["predictions"][0]["by"] == "toy rung"
    assert scores["nauc"] > 0.9
    assert scores["accuracy"] == 1
    assert 0 < scores["first_prediction_s"] < 5
    assert 0.8 < scores["alc"] < scores["nauc"]
    assert scores["versions"]["numpy"] == np.__version__
    made = [event for event in journal if event["event"] == "score"]
    assert [event["k"] for event in made] == [0, 1]
    assert made[-1]["alc"] == scores["alc"]
    results = json.loads((folder.parent / "run" / "results.json").read_text())
    assert (results["k"], results["accuracy"]["right"]) == (1, 30)
    for found in results["classes"]:
        assert len(found["recalls"]) == 2
        assert found["recalls"][-1] == found["recall"]


def test_a_model_that_tells_why_it_ends_is_quoted(folder: Path) -> None:
    """The page then has one reason, not two that differ."""
    scores, journal = run_toy(folder, at={"1": "tells"})
    assert (scores["stopped"], scores["reason"]) == ("done", "too little time was left for another step")
    assert journal[-1]["reason"] == scores["reason"]


def test_a_model_that_ends_at_the_very_end_had_no_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_elapsed_s", lambda run_dir: 29.0)
    scores, _ = run_toy(folder, at={"1": "done"})
    assert (scores["stopped"], scores["reason"]) == ("done", supervisor.NO_TIME)


def test_the_budget_is_a_hard_stop(folder: Path) -> None:
    """Even for a model that ignores SIGTERM."""
    began = time.time()
    scores, journal = run_toy(folder, budget_s=1.5, at={"2": "deaf"})
    assert time.time() - began < 1.5 + 5
    assert (scores["stopped"], len(scores["predictions"])) == ("budget", 2)
    assert [event["reason"] for event in journal if event["event"] == "stopped"] == ["budget"]


def test_what_a_model_prints_for_ever_does_not_fill_the_disk(folder: Path) -> None:
    scores, _ = run_toy(folder, budget_s=3, at={"2": "prints"})
    assert (scores["stopped"], len(scores["predictions"])) == ("budget", 2)
    log = folder.parent / "run" / "ingestion.log"
    assert 0 < log.stat().st_size < 2**28, "it would be gigabytes"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("raise", "RuntimeError: toy failure"),
        ("kill", "most likely because memory ran out"),
        ("segfault", "died with signal 11"),
        ("hog", "more than 0.373 GB of memory"),
        ("shape", "test() must return an array of shape (30, 3) but got (30, 2)"),
    ],
)
def test_a_crash_keeps_what_was_predicted(
    folder: Path, action: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTODL_MAX_ENGINE_MEMORY_BYTES", "400_000_000")
    scores, journal = run_toy(folder, at={"2": action})
    assert scores["stopped"] == "failed"
    assert reason in scores["reason"]
    assert len(scores["predictions"]) == 2
    assert scores["nauc"] > 0.9
    (failed,) = [event for event in journal if event["event"] == "failed"]
    assert failed["fatal"]
    assert reason in failed["error"]
    if action == "segfault":
        assert "toy_child.py" in failed["traceback"], "faulthandler's dump is told"


def test_nothing_predicted(folder: Path) -> None:
    scores, _ = run_toy(folder, at={"0": "raise"})
    assert (scores["alc"], scores["nauc"], scores["first_prediction_s"]) == (0, 0, None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_now_keep_the_best(folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    """The signal goes to the supervisor, as the web app's "stop" and a Ctrl-C do."""
    process = start_supervisor(folder, tmp_path / "run", {"at": {"2": "sleep"}})
    wait_for(lambda: '"k": 1' in read(tmp_path / "run" / "scores.json"))
    process.send_signal(number)
    assert process.wait(5) == 0
    scores = json.loads(read(tmp_path / "run" / "scores.json"))
    assert (scores["stopped"], len(scores["predictions"])) == ("user", 2)
    assert (tmp_path / "run" / "model" / "model.json").exists()


def test_no_orphan_when_the_supervisor_is_killed(folder: Path, tmp_path: Path) -> None:
    process = start_supervisor(folder, tmp_path / "run", {"pid_file": str(tmp_path / "run" / "pids")}, "spawner")
    wait_for(lambda: len(read(tmp_path / "run" / "pids").split()) == 2)
    child, grandchild = (int(pid) for pid in read(tmp_path / "run" / "pids").split())
    process.kill()
    process.wait()
    wait_for(lambda: not alive(child) and not alive(grandchild))


def test_the_budget_ends_what_the_child_started(folder: Path, tmp_path: Path) -> None:
    run_toy(folder, budget_s=1, model="spawner", pid_file=str(tmp_path / "run" / "pids"))
    for pid in read(tmp_path / "run" / "pids").split():
        wait_for(lambda pid=int(pid): not alive(pid))


def start_supervisor(
    folder: Path, run_dir: Path, params: dict[str, Any], model: str = "toy"
) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from pathlib import Path; from automl_engine.run.supervisor import run\n"
        f"run(Path({str(folder)!r}), Path({str(run_dir)!r}), model={model!r}, params={params!r}, child={CHILD!r})"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(condition: Any, limit_s: float = 20) -> None:
    end = time.time() + limit_s
    while not condition():
        assert time.time() < end, "waited too long"
        time.sleep(0.02)


def test_a_second_run_replaces_the_first(folder: Path) -> None:
    run_toy(folder, at={"3": "done"})
    (folder.parent / "run" / "engine.log").write_text("not ours")
    scores, journal = run_toy(folder, at={"0": "done"})
    assert len(scores["predictions"]) == 1
    assert sum(event["event"] == "started" for event in journal) == 1
    assert not (folder.parent / "run" / "toy.predict_1").exists()
    assert (folder.parent / "run" / "engine.log").exists()


def test_the_child_is_not_told_the_solution(folder: Path) -> None:
    run_toy(folder, at={"0": "done"})
    assert ".solution" not in (folder.parent / "run" / "run.json").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "toy.solution").unlink(), r"exactly one NAME\.solution but has 0"),
        (lambda f: (f / "other.data").mkdir(), r"exactly one NAME\.data but has 2"),
        (lambda f: (f / "toy.solution").write_text("1 0 0\n"), "has 1 rows of 3 but the test split has 30"),
        (lambda f: (f / "toy.solution").write_text("a b c\n"), "cannot be read as rows of 0 and 1"),
        (lambda f: write_table(f, n_test=0), "toy.data/test holds no examples"),
        (lambda f: (f / "toy.data" / "train" / "metadata.textproto").unlink(), r"metadata\.textproto is missing"),
    ],
)
def test_data_that_cannot_be_used(folder: Path, change: Any, message: str) -> None:
    change(folder)
    with pytest.raises(DataError, match=message):
        run(folder, folder.parent / "run", model="constant", budget_s=5)


def test_a_run_folder_that_is_a_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="give another folder for the run"):
        run(folder, tmp_path / "file", model="constant", budget_s=5)


def test_stopped_before_the_first_prediction(folder: Path, tmp_path: Path) -> None:
    process = start_supervisor(folder, tmp_path / "run", {"at": {"0": "sleep"}})
    wait_for(lambda: "start_time" in read(tmp_path / "run" / "start.txt"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    scores = json.loads(read(tmp_path / "run" / "scores.json"))
    assert (scores["stopped"], scores["reason"]) == ("user", "stopped by the user; there was no prediction yet")


def test_a_line_of_the_journal_that_a_full_disk_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / "events.jsonl"
    events.append(journal, "note", text="one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data, write=os.write: write(descriptor, data[:20]))
        with pytest.raises(OSError, match="No space left"):
            events.append(journal, "note", text="cut")
    for text in ("glued to the half line", "two"):
        events.append(journal, "note", text=text)
    assert [event["text"] for event in events.read(journal)[0]] == ["one", "two"]


def test_a_full_disk_is_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, value: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("automl_engine.run.supervisor.write_json", full)
    assert main(["run", str(folder), "--out", str(tmp_path / "run"), "--model", "constant"]) == 4
    assert "no space left on device" in capsys.readouterr().err.splitlines()[0]


def test_find_dataset_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        find_dataset(tmp_path / "nowhere")


def test_rescore_gives_the_same_scores(folder: Path) -> None:
    scores, _ = run_toy(folder, at={"2": "done"})
    (folder.parent / "run" / "results.json").unlink()
    again = rescore(folder.parent / "run", folder / "toy.solution")
    assert again == scores
    assert (folder.parent / "run" / "results.json").exists()


def test_rescore_of_files_by_another_program(folder: Path, tmp_path: Path) -> None:
    """NaN, a wrong shape, a late time and no (whole) time don't count; what remains does."""
    run_dir = tmp_path / "foreign"
    run_dir.mkdir()
    solution = np.loadtxt(folder / "toy.solution")
    times = "".join(f"{k}: {1000 + t}\n" for k, t in enumerate((1, 2, 3, 50)))
    (run_dir / "start.txt").write_text(
        f"ingestion_pid: 1\ntask_name: toy\ntime_budget: 40\nstart_time: 1000\n{times}4: 10"
    )
    for k, matrix in enumerate((solution, solution * np.nan, solution[:5], solution, solution)):
        np.savetxt(run_dir / f"toy.predict_{k}", matrix, fmt="%g")
    scores = rescore(run_dir, folder / "toy.solution")
    assert [(p["k"], p["t"], p["nauc"]) for p in scores["predictions"]] == [(0, 1, 1)]


def test_restore_model_heals_a_kill_between_two_renames(tmp_path: Path) -> None:
    for name, content in (("model.old", "1"), ("model.new", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text(content)
    restore_model(tmp_path)
    assert (tmp_path / "model" / "model.json").read_text() == "2"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_command_lines(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_dir = tmp_path / "run"
    assert main(["run", str(folder), "--out", str(run_dir), "--budget", "9", "--model", "constant"]) == 0
    out = capfd.readouterr().out
    assert "ALC 0.0000, NAUC 0.0000" in out
    assert main(["score", str(run_dir), str(folder / "toy.solution")]) == 0
    assert main(["run", str(tmp_path / "nowhere"), "--out", str(run_dir)]) == 2
    assert main(["score", str(tmp_path), str(folder / "toy.solution")]) == 2
    errors = capfd.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "is no folder" in errors[0]
    assert "start.txt" in errors[1]
    with pytest.raises(SystemExit):
        main(["run", str(folder), "--out", str(run_dir), "--budget", "-3"])
