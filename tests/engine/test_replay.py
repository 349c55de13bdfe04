"""Recorded configurations: replayed with other orders and other rules for the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from automl_engine.lab.replay.__main__ import orders, parts, rules, table
from automl_engine.lab.replay.board import Board
from automl_engine.lab.replay.orders import climb, neighbours
from automl_engine.lab.replay.record import Course, Soloist, repeatable
from automl_engine.lab.replay.records import Record
from automl_engine.lab.replay.rules import RULES, greedy
from automl_engine.lab.replay.run import replayed
from automl_engine.portfolio import Row, load
from tests.engine.toy_examples import hidden, toy

NAMES = ("tabular_linear", "tabular_forest_10")


@pytest.fixture(scope="module")
def record() -> Record:
    return recorded("toy-0", 1)


def recorded(name: str, seed: int) -> Record:
    train, test = toy("tabular", 60, False, seed=seed), toy("tabular", 30, False, seed=seed + 10)
    folds = np.arange(60) % 5

    def soloist(row: Row) -> Soloist:
        return Soloist(row, train, hidden(test), folds, 0)

    with repeatable(0):
        courses = {
            row.name: soloist(row).learn(soloist(row).first(np.arange(30), 30.0), 30.0)
            for row in load()
            if row.name in NAMES
        }
    return Record(name, "tabular", 30.0, train.labels, folds, test.labels, np.array([seed, 1.0]), courses)


def test_a_course_is_read_as_it_was_written(record: Record, tmp_path: Path) -> None:
    course = record.courses["tabular_linear"]
    course.write(tmp_path / "one.npz")
    again = Course.read(tmp_path / "one.npz")
    assert again.refits
    assert again.first_s == course.first_s > 0
    assert np.array_equal(again.oof, course.oof)
    assert len(again.steps_s) == 5


def test_a_replay_takes_the_time_of_its_courses(record: Record) -> None:
    course, outcome = record.courses["tabular_linear"], replayed(record, ["tabular_linear"])
    assert outcome.times_s[0] == pytest.approx(course.first_s + course.test_s)
    assert outcome.times_s[-1] >= course.steps_s.sum()
    assert 0.5 < outcome.nauc <= 1
    assert replayed(record, []).alc == 0


@pytest.mark.parametrize("name", RULES)
def test_every_rule_gives_weights(name: str, record: Record) -> None:
    assert replayed(record, NAMES, RULES[name]).nauc > 0.5


def test_greedy_selection_leaves_out_who_adds_nothing() -> None:
    generator = np.random.default_rng(0)
    labels = np.eye(3)[generator.integers(0, 3, 300)]
    one, other = (0.6 * labels + 0.4 * generator.random((300, 3)) for _ in range(2))
    weights = greedy(labels, np.stack([one, generator.random((300, 3)), other]), False)
    assert weights[1] < 0.1
    assert min(weights[0], weights[2]) > 0.2


def test_a_neighbour_moves_removes_or_adds_one() -> None:
    assert set(neighbours(("a", "b"), "abc")) == {
        ("b",), ("a",), ("b", "a"), ("c", "a", "b"), ("a", "c", "b"), ("a", "b", "c")
    }  # fmt: skip


def test_strategies_are_compared_on_sources_that_they_have_not_seen(record: Record) -> None:
    records = [record, recorded("other-0", 2), recorded("third-0", 3)]
    board = Board(records)
    best = climb(board, NAMES, np.ones(3))
    assert board.mean(best, np.ones(3)) >= board.mean(NAMES, np.ones(3))
    told = table(orders(records), "portfolio")
    assert "| resemblance |" in told
    assert "| oracle |" in told
    assert "| tabular | 3 |" in parts(rules(records))
