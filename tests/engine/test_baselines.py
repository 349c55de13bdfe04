"""Baselines: every program learns its modality, and the benchmark runs them in a process of their own."""

from __future__ import annotations

import csv
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from automl_engine.__main__ import main
from automl_engine.dataset.metrics import nauc
from automl_engine.errors import DataError
from automl_engine.lab.bench import baselines
from automl_engine.lab.bench.baselines import BASELINES, TUNED, Baseline, best_of
from tests.engine.toy_examples import CLASSES, hidden, toy
from tests.engine.toys import write_table

PROGRAMS = [(name, modality) for name, programs in BASELINES.items() for modality in programs]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("multi_label", [False, True], ids=["single", "multi"])
@pytest.mark.parametrize(("name", "modality"), PROGRAMS)
def test_a_program_learns(name: str, modality: str, multi_label: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "TREES", 30)
    train, test = (toy(modality, count, multi_label, seed=count) for count in (90, 30))
    model = Baseline(train.spec, name, seed=1)
    model.train(train, 1.0)
    assert model.done_training
    prediction = model.test(hidden(test), 1.0)
    assert prediction.shape == (30, CLASSES)
    assert nauc(test.labels, prediction) > 0.6


def test_another_modality() -> None:
    examples = toy("text", 9, False, seed=0)
    with pytest.raises(DataError, match="baseline_boosting knows tabular but these data are text"):
        Baseline(examples.spec, "baseline_boosting").train(examples, 1.0)


def test_the_best_candidate_in_the_time_there_is() -> None:
    inputs = np.random.default_rng(0).normal(size=(60, 1))
    targets = (inputs.ravel() > 0).astype(int)
    candidates = [DummyClassifier(), LogisticRegression()]
    why, chosen = best_of(candidates, inputs, targets, math.inf)
    assert chosen is candidates[1]
    assert why.endswith("the best of 2 candidates: LogisticRegression()")
    assert best_of(candidates, inputs, targets, time.monotonic())[1] is candidates[0]


@pytest.mark.long
def test_the_benchmark_runs_them(tmp_path: Path) -> None:
    write_table(tmp_path / "data" / "toy")
    options = ["--models", "constant,baselines", "--budget", "60", "--seeds", "1", "--device", "cpu"]
    assert main(["bench", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), *options]) == 0
    with open(tmp_path / "out" / "results.csv", newline="") as file:
        rows = {row["model"]: row for row in csv.DictReader(file)}
    expected = {name for name, programs in BASELINES.items() if "tabular" in programs and name != TUNED}
    assert set(rows) == expected | {"constant"}
    for name in expected:
        assert (rows[name]["predictions"], rows[name]["stopped"]) == ("1", "done")
        assert float(rows[name]["nauc"]) > 0.9
    run = json.loads((tmp_path / "out" / "runs" / "toy" / "baseline_forest" / "0" / "run.json").read_text())
    assert (run["model"], run["params"]) == ("baseline", {"program": "baseline_forest"})
