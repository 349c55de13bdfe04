"""Recorded runs and rules for the weights of an ensemble, replayed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from automl_engine.dataset.metrics import nauc
from automl_engine.lab.ensembles.record import STATE, WRITTEN, Record, RecordingAuto
from automl_engine.lab.ensembles.replay import Anew, Engine
from automl_engine.lab.ensembles.rules import RULES, greedy
from automl_engine.portfolio import load
from tests.engine.toy_examples import hidden, toy

NAMES = ("tabular_linear", "tabular_forest_10")


@pytest.fixture(scope="module")
def record() -> Record:
    train, test = toy("tabular", 60, False, seed=1), toy("tabular", 30, False, seed=2)
    rows = [asdict(row) for row in load() if row.name in NAMES]
    auto = RecordingAuto(train.spec, rows=rows, test_split=hidden(test), seed=0, device="cpu")
    auto.run(train, 30.0)
    return Record("toy", "tabular", 30.0, train.labels, test.labels, auto.names, auto.entries)


def test_the_replay_of_the_engines_rule_ends_where_the_run_ended(record: Record) -> None:
    written = [entry.test for entry in record.entries if entry.kind == WRITTEN]
    assert Engine(record).run().nauc == pytest.approx(nauc(record.test_labels, written[-1]), abs=1e-6)
    assert {record.names[entry.member] for entry in record.entries if entry.kind == STATE} == set(NAMES)


def test_a_record_is_read_as_it_was_written(record: Record, tmp_path: Path) -> None:
    record.write(tmp_path / "toy-0.npz")
    assert Engine(Record.read(tmp_path / "toy-0.npz")).run() == Engine(record).run()


@pytest.mark.parametrize("name", RULES)
def test_every_rule_gives_weights(name: str, record: Record) -> None:
    replay = Anew(record, RULES[name])
    assert replay.run().nauc > 0.5
    assert sum(replay.weights.values()) == pytest.approx(1, abs=0.1)


def test_greedy_selection_leaves_out_who_adds_nothing() -> None:
    generator = np.random.default_rng(0)
    labels = np.eye(3)[generator.integers(0, 3, 300)]
    one, other = (0.6 * labels + 0.4 * generator.random((300, 3)) for _ in range(2))
    weights = greedy(labels, np.stack([one, generator.random((300, 3)), other]), False)
    assert weights[1] < 0.1
    assert min(weights[0], weights[2]) > 0.2
