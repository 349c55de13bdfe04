"""The offline search: the notation of spaces, BOHB, workers that share a study or die, and the command."""

from __future__ import annotations

import inspect
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from automl_engine.__main__ import main
from automl_engine.dataset.examples import MemoryExamples
from automl_engine.errors import EXIT_DATA, DataError
from automl_engine.features import FEATURES
from automl_engine.lab.search import bohb
from automl_engine.models import model_class
from automl_engine.portfolio import load
from automl_engine.portfolio.space import Choice, Range, parse, stored
from tests.engine.toy_examples import hidden, toy
from tests.engine.toys import write_table
from webapp.ops import redis_server

ROOT = Path(__file__).parents[2]
BUDGETS = (1.0, 3.0, 9.0)
SPACE = parse({"x": {"uniform": [-1.0, 1.0]}, "lr": {"log": ["1e-5", 0.5]}, "kind": ["good", "bad"]}, "toy")


def value(params: dict[str, Any], budget: float) -> float:
    """Best at x = 0.3, lr = 0.01, good; larger budgets reach more."""
    far = (params["x"] - 0.3) ** 2 + (math.log10(params["lr"]) + 2) ** 2 / 4 + (params["kind"] == "bad")
    return -far - 1 / budget


# The notation


def test_notation() -> None:
    space = parse(
        {"lr": {"log": ["1e-5", 0.5]}, "n": {"uniform": [2, 9]}, "batch": [16, 32], "sides": [[64], [96, 64]]}, "toy"
    )
    assert space == {
        "lr": Range(1e-5, 0.5, log=True),
        "n": Range(2, 9, log=False),
        "batch": Choice((16, 32)),
        "sides": Choice(([64], [96, 64])),
    }
    own = {"lr": 0.7, "n": 5, "batch": 16, "sides": [96, 64], "other": 1}
    assert stored(space, own) == {"n": 5, "batch": "16", "sides": "[96, 64]"}, "what lies outside is left out"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({}, "no space"),
        ({"lr": {"log": [0, 1]}}, "0 < low < high"),
        ({"lr": {"uniform": [2, 1]}}, "low < high"),
        ({"lr": {"uniform": [1]}}, "two bounds"),
        ({"lr": {"uniform": ["a", 1]}}, "two numbers"),
        ({"lr": {"uniform": [True, 2]}}, "two numbers"),
        ({"lr": {"normal": [0, 1]}}, "must be a list"),
        ({"lr": 0.1}, "must be a list"),
        ({"lr": [1, 1]}, "different"),
    ],
)
def test_wrong_notation(entry: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        parse(entry, "toy")


@pytest.mark.parametrize("row", [row for row in load() if row.space], ids=lambda row: row.name)
def test_shipped_spaces_name_parameters_that_the_model_reads(row: Any) -> None:
    cls = model_class(row.model)
    code = "".join(inspect.getsource(inspect.getmodule(base)) for base in cls.__mro__[:-2])
    arguments = inspect.signature(_feature(cls)).parameters if hasattr(cls, "feature") else ()
    for name in parse(row.space, row.name):
        assert f'"{name}"' in code or name in arguments, f"{row.model} reads no {name}"


def _feature(cls: Any) -> Callable[..., Any]:
    from automl_engine.features import feature

    return feature(cls.feature) if cls.feature in FEATURES else lambda: None


def test_every_modality_has_a_space() -> None:
    assert {row.modality for row in load() if row.space} == {row.modality for row in load()}


# BOHB


def test_finds_good_parameters_for_less_than_all_at_the_largest_budget() -> None:
    asked: list[float] = []

    def objective(params: dict[str, Any], budget: float) -> float:
        asked.append(budget)
        return value(params, budget)

    best = bohb.optimise(objective, SPACE, trials=40, budgets=BUDGETS, seed=1)
    assert best.value > -0.3
    assert best.params["kind"] == "good"
    assert sum(asked) < 0.75 * 40 * BUDGETS[-1]
    assert set(Counter(asked)) == set(BUDGETS), "some begin small, some at the larger budgets"
    pruned = [trial for trial in best.study.trials if trial.state.name == "PRUNED"]
    assert pruned
    assert all(max(trial.intermediate_values) < 9 for trial in pruned)


def test_one_budget_and_parts() -> None:
    found = bohb.optimise(lambda params, budget: {"a": params["x"], "b": 0.0}, SPACE, trials=5)
    assert found.value == pytest.approx(found.params["x"] / 2), "the mean of the parts"
    assert all(trial.user_attrs[bohb.PARTS]["1"]["b"] == 0 for trial in found.study.trials)


@pytest.mark.long
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    def search(file: str, trials: int) -> list[dict[str, Any]]:
        storage = f"sqlite:///{tmp_path / file}"
        begin = {"x": 0.9, "kind": "bad"}
        found = bohb.optimise(value, SPACE, trials=trials, budgets=BUDGETS, storage=storage, seed=3, begin=begin)
        return [trial.user_attrs[bohb.PARAMS] for trial in found.study.trials]

    whole = search("whole.db", 8)
    assert len(search("parts.db", 5)) == 5
    assert search("parts.db", 8) == whole
    assert (whole[0]["x"], whole[0]["kind"]) == (0.9, "bad"), "what is known comes first"


def test_the_storage_is_told_without_its_password() -> None:
    with pytest.raises(DataError, match=r"is not usable") as raised:
        bohb.optimise(value, SPACE, trials=1, storage="postgresql://me:secret@localhost:1/none")
    assert "secret" not in str(raised.value)


WORKER = """
import os, sys, time
from automl_engine.lab.search import bohb
from tests.engine.test_search import BUDGETS, SPACE, value

bohb.HEARTBEAT_S, bohb.SILENT_S = 1, 2
storage, trials, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])

def objective(params, budget):
    print(os.getpid(), flush=True)
    time.sleep(pause_s)
    return {str(os.getpid()): value(params, budget)}

bohb.optimise(objective, SPACE, trials=trials, budgets=BUDGETS, storage=storage)
"""


def start_worker(storage: str, trials: int, pause_s: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, storage, str(trials), str(pause_s)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


@pytest.mark.long
def test_a_killed_worker_loses_one_trial_and_it_is_made_again(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(bohb, "HEARTBEAT_S", 1)
    monkeypatch.setattr(bohb, "SILENT_S", 2)
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    worker = start_worker(storage, trials=4, pause_s=600)
    assert worker.stdout
    worker.stdout.readline()
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    found = bohb.optimise(value, SPACE, trials=4, budgets=BUDGETS, storage=storage)
    lost = found.study.trials[0]
    assert lost.state.name == "FAIL"
    (again,) = [trial for trial in found.study.trials if trial.user_attrs.get(bohb.AGAIN) == 0]
    assert again.user_attrs[bohb.PARAMS] == lost.user_attrs[bohb.PARAMS]
    assert bohb.finished(found.study) == 4


@pytest.mark.long
def test_two_workers_share_a_study(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'search.db'}"
    bohb.open_study("search", SPACE, BUDGETS, storage)
    workers = [start_worker(storage, trials=10, pause_s=0.1) for _ in range(2)]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    trials = bohb.open_study("search", SPACE, BUDGETS, storage).trials
    assert 10 <= len(trials) <= 11, "two that begin the last trial at once make one too many"
    makers = {maker for trial in trials for part in trial.user_attrs[bohb.PARTS].values() for maker in part}
    assert makers == {str(worker.pid) for worker in workers}
    drawn = [json.dumps(trial.user_attrs[bohb.PARAMS]) for trial in trials]
    assert len(set(drawn)) == len(drawn), "no two draw the same"


# The command


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("table"))


def order(table: Path, out: Path, *more: str) -> list[str]:
    return ["search", "--row", "tabular_linear", "--data", str(table), "--out", str(out), "--budget", "18", *more]


def test_the_command_writes_a_row_and_goes_on(table: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    assert main(order(table, out, "--trials", "1")) == 0
    found = json.loads((out / "search.json").read_text())
    assert found["budgets_s"] == [2, 6, 18]
    assert found["trials"][0]["params"]["ranges"] == 6, "the first trial begins with the row's own parameters"
    assert found["best"]["alc"] > 0.8
    assert set(found["again"]["before"]) == {"toy"}
    (row,) = load(out / "row.yaml")
    assert (row.name, row.model, row.enabled) == ("tabular_linear_tuned", "tabular_linear", False)
    assert set(row.params) == {"head", "l2", "ranges"}
    assert "BOHB" in row.origin
    assert "toy" in row.origin
    assert "1 of 1, trial 0: ALC" in capsys.readouterr().out
    assert main(order(table, out, "--trials", "2")) == 0
    more = json.loads((out / "search.json").read_text())["trials"]
    assert more[:1] == found["trials"]
    assert len(more) == 2
    assert main(order(table, out, "--trials", "2", "--t0", "20")) == EXIT_DATA
    assert "begun with other values of t0_s" in capsys.readouterr().err


def test_what_cannot_be_searched(table: Path, tmp_path: Path, capsys: Any) -> None:
    def told(*arguments: str) -> str:
        assert main(["search", "--out", str(tmp_path / "out"), "--data", str(table), *arguments]) == EXIT_DATA
        return capsys.readouterr().err

    assert "no space" in told("--row", "tabular_forest_10")
    assert "tabular_network" in told("--row", "nothing")
    assert "tabular data but text_cnn is for text" in told("--row", "text_cnn")
    assert "Two of --data are called toy" in told("--row", "tabular_linear", "--data", str(table), str(table))
    assert "Redis" in told("--row", "tabular_linear", "--queue", "redis://localhost:1")


@pytest.mark.long
def test_a_run_without_predictions_counts_nothing_and_says_why(table: Path, tmp_path: Path, capsys: Any) -> None:
    row = {"name": "odd", "modality": "tabular", "model": "tabular_linear", "params": {"head": "logistic"}}
    rows = [{**row, "space": {"l2": ["much", "little"]}}]
    (tmp_path / "rows.yaml").write_text(yaml.safe_dump(rows))
    arguments = ["--row", "odd", "--portfolio", str(tmp_path / "rows.yaml"), "--data", str(table), "--trials", "1"]
    assert main(["search", *arguments, "--out", str(tmp_path / "out"), "--budget", "9"]) == 0
    found = json.loads((tmp_path / "out" / "search.json").read_text())
    assert found["best"]["alc"] == 0
    told = capsys.readouterr().err
    assert "toy, " in told
    assert " s, {'l2': '" in told


@pytest.mark.long
def test_processes_of_this_machine(table: Path, tmp_path: Path) -> None:
    assert main(order(table, tmp_path, "--trials", "2", "--workers", "2")) == 0
    found = json.loads((tmp_path / "search.json").read_text())
    assert 2 <= len(found["trials"]) <= 3


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "redis" / "redis.sock"
    server = subprocess.Popen(redis_server.command(path, tmp_path), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not redis_server.answers(path) and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"unix://{path}"
    server.terminate()
    server.wait()


@pytest.mark.long
def test_trials_on_rq_workers(table: Path, tmp_path: Path, redis_url: str) -> None:
    from redis import Redis
    from rq import Queue
    from rq.serializers import JSONSerializer

    arguments = ["worker", "search", "--url", redis_url, "--serializer", "rq.serializers.JSONSerializer"]
    rq = subprocess.Popen(
        [Path(sys.executable).with_name("rq"), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert main(order(table, tmp_path / "out", "--trials", "2", "--queue", redis_url)) == 0
    finally:
        rq.terminate()
        rq.wait(20)
    found = json.loads((tmp_path / "out" / "search.json").read_text())
    assert [trial["state"] in ("complete", "pruned") for trial in found["trials"]] == [True, True]
    queue = Queue("search", connection=Redis.from_url(redis_url), serializer=JSONSerializer)
    assert queue.finished_job_registry.count == 2
    assert queue.count == 0


# What the spaces name


@pytest.mark.parametrize("params", [{"optimiser": "adam", "lr": 0.01}, {"dropout": 0.3, "blocks": 2}])
def test_image_network_as_searched(params: dict[str, Any], tmp_path: Path) -> None:
    import numpy as np

    from automl_engine.models.image.resnet import ImageResnet

    train, test = toy("image", 60, False, 0), toy("image", 40, False, 1)
    model = ImageResnet(train.spec, seed=0, device="cpu", width=8, slice_s=1.5, batch=16, **params)
    predicted = learn(model, train, test)
    model.save(tmp_path)
    again = ImageResnet.load(tmp_path, train.spec)
    np.testing.assert_allclose(again.test(hidden(test), 10.0), predicted, atol=1e-5)


def test_text_network_in_other_batches() -> None:
    from automl_engine.models.text.network import TextNetwork

    train, test = toy("text", 90, False, 0), toy("text", 60, False, 1)
    model = TextNetwork(train.spec, seed=0, device="cpu", body="average", lr=0.01, batch=16, slice_s=2.0)
    learn(model, train, test)
    assert model.training is not None
    assert model.training.batch_size == 16


def learn(model: Any, train: MemoryExamples, test: MemoryExamples, patience_s: float = 60.0) -> Any:
    """Until it is right about most of the test; its prediction."""
    stop = time.monotonic() + patience_s
    right = 0.0
    while right < 0.6 and time.monotonic() < stop and not model.done_training:
        model.train(train, patience_s)
        predicted = model.test(hidden(test), patience_s)
        right = (predicted.argmax(1) == test.labels.argmax(1)).mean()
    assert right >= 0.6
    return predicted
