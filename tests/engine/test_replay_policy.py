"""Strategies on made-up records, where the meta-features tell which configuration is good."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl_engine.lab.replay.__main__ import ALONE, Line, orders, table
from automl_engine.lab.replay.board import Board
from automl_engine.lab.replay.orders import CONTROL, portfolio, selected
from automl_engine.lab.replay.policy import Policy, followed
from automl_engine.lab.replay.record import Course
from automl_engine.lab.replay.records import Record, finished
from automl_engine.lab.replay.rules import RULES
from automl_engine.lab.replay.run import Engine, Replay, replayed
from automl_engine.portfolio import load

NAMES = ("tabular_linear", "tabular_forest_10", "tabular_forest", "tabular_xgboost")
NETWORK = "tabular_network"
BUDGET_S = 60.0


def made_up(kind: int, seed: int, name: str = "", qualities: dict[str, list[float]] | None = None) -> Record:
    """A set on which the configuration NAMES[kind] is good, and no other.  ``qualities``: other ones, and of a network
    one a slice."""
    generator = np.random.default_rng([kind, seed])
    labels, test_labels = (np.eye(2)[generator.permutation(np.arange(count) % 2)] for count in (200, 100))
    folds = np.arange(200) % 5

    def guess(truth: np.ndarray, quality: float) -> np.ndarray:
        positive = quality * truth[:, 1] + (1 - quality) * generator.random(len(truth))
        return np.stack([1 - positive, positive], 1).astype(np.float16)

    def course(qualities: list[float]) -> Course:
        first = guess(test_labels, qualities[0] / 2)
        if len(qualities) == 1:
            oof, test = guess(labels, qualities[0]), guess(test_labels, qualities[0])[None]
            return Course(True, 2.0, first, np.full(5, 4.0), oof, test, 8.0, 0.1, 0.1)
        oof, test = (np.stack([guess(truth, one) for one in qualities]) for truth in (labels[folds == 0], test_labels))
        return Course(False, 2.0, first, np.full(len(qualities), 3.0), oof, test, 0.0, 0.1, 0.1)

    qualities = qualities or {one: [0.6 if one == NAMES[kind] else 0.05] for one in NAMES}
    features = np.array([*(np.arange(len(NAMES)) == kind), generator.random()], np.float64)
    courses = {one: course(found) for one, found in qualities.items()}
    return Record(name or f"set{kind}{seed}-0", "tabular", BUDGET_S, labels, folds, test_labels, features, courses)


@pytest.fixture(scope="module")
def board() -> Board:
    return Board([made_up(kind, seed) for kind in range(len(NAMES)) for seed in range(3)])


def gains(board: Board, way: str, shuffled: bool) -> float:
    """Mean ALC of a selector or the policy minus that of the portfolio's order."""
    found = []
    for i in range(0, len(board.records), 3):
        others = (board.sources != board.sources[i]).astype(float)
        features = board.records[(i + 4 if shuffled else i) % len(board.records)].features
        fixed = board.outcome(i, portfolio(board, others, features))
        if way == "policy":
            outcome = followed(board, i, others, features)[1]
        else:
            outcome = board.outcome(i, selected(way, board, others, features))
        found.append(outcome.alc - fixed.alc)
    return float(np.mean(found))


@pytest.mark.parametrize("way", ["policy", "knn", "linear", "forest", "ranking"])
def test_meta_features_that_tell_the_good_one_gain(way: str, board: Board) -> None:
    assert gains(board, way, shuffled=False) > 0.05
    assert gains(board, way, shuffled=True) < 0.02


def test_the_policy_sees_no_test_labels_of_the_new_set(board: Board) -> None:
    others = (board.sources != board.sources[0]).astype(float)
    record, features = board.records[0], board.records[0].features
    blind = replace(record, test_labels=record.test_labels[:, ::-1], oof={})
    policies = [Policy(board, others, features) for _ in range(2)]
    for one, policy in zip((record, blind), policies, strict=True):
        Replay(one, Engine(one)).run(NAMES, policy)
    assert policies[0].done == policies[1].done
    assert len(policies[0].done) > 3


def test_the_policy_leaves_a_network_that_no_longer_gains_and_comes_back() -> None:
    network = [0.2, 0.4, 0.41, 0.41, 0.42, 0.42, 0.43, 0.43, 0.44, 0.44, 0.44, 0.45]
    qualities = {NETWORK: network, "tabular_linear": [0.1], "tabular_forest": [0.6]}
    board = Board([made_up(0, seed, qualities=qualities) for seed in range(4)])
    policy = Policy(board, np.array([0.0, 1.0, 1.0, 1.0]), board.records[0].features)
    Replay(board.records[0], Engine(board.records[0])).run(sorted(qualities), policy)
    names, at = [name for name, _ in policy.done], policy.done.index(("tabular_forest", 1))
    assert NETWORK in names[:at]
    assert NETWORK in names[at:]
    assert names[-1] == "tabular_linear"


def test_what_was_seen_outweighs_meta_features(board: Board) -> None:
    """The first piece of work fails where it was good on the sets that seem alike."""
    others = (board.sources != board.sources[0]).astype(float)
    policy = Policy(board, others, board.records[0].features)
    policy.done = ((NAMES[0], 0), (NAMES[0], 1))
    alike = np.array([board.records[i].features[0] == 1 for i in policy.at])
    policy.brought = [0.0, 0.8]
    assert policy._weights()[alike].min() > policy._weights()[~alike].max()
    policy.brought = [0.0, 0.1]
    assert policy._weights()[alike].max() < policy._weights()[~alike].min()


def test_beginnings_that_orders_share_change_no_outcome(board: Board) -> None:
    network = made_up(0, 0, qualities={"tabular_linear": [0.3], NETWORK: [0.1, 0.5, 0.4], "tabular_forest": [0.4]})
    other = Board([*board.records, network])
    for i, order in ((0, NAMES), (0, NAMES[::-1]), (12, (NETWORK, "tabular_linear", "tabular_forest"))):
        for n in range(1, len(order) + 1):
            assert other.outcome(i, order[:n]) == replayed(other.records[i], order[:n])


def test_every_strategy_is_compared_with_its_control(board: Board) -> None:
    lines = orders(board.records[::4])
    told = table(lines, "portfolio")
    for way in ("selector average", "selector knn", "selector knn" + CONTROL, "policy", "policy" + CONTROL):
        assert f"| {way} |" in told
    oracle = next(row for row in told.splitlines() if row.startswith("| oracle |"))
    assert oracle.split("|")[5].strip() == "0.0000"


def test_sets_of_one_source_count_once() -> None:
    """Twenty variations of one source and one of another: the interval spans both."""
    names = [("a", f"a--n{n}-0") for n in range(20)] + [("b", "b-0")]
    ways = (("portfolio", 0.5, 0.5), ("other", 0.6, 0.4), (ALONE + "x", 0.9, 0.9))
    lines = [
        Line("tabular", source, name, way, "x", high if source == "a" else low, 0.0, 0.0, 1.0)
        for way, high, low in ways
        for source, name in names
    ]
    (row,) = (row for row in table(lines, "portfolio").splitlines() if row.startswith("| other |"))
    assert "(-0.1000 to +0.1000)" in row
    assert "| 0.3095 |" in row  # regret to the best, which also a single configuration may be
    assert made_up(0, 0, "cifar10--n500-1").source == "cifar10"


@pytest.mark.parametrize("budget_s", [60.0, 300.0])
def test_unfinished_records_are_left_out(budget_s: float, tmp_path: Path) -> None:
    record = made_up(0, 0)
    about = {name: getattr(record, name) for name in ("modality", "labels", "folds", "test_labels", "features")}
    for folder, names in (("whole-0", NAMES[:3]), ("begun-0", NAMES[:2]), ("failed-0", NAMES[:2])):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "labels.npz", budget_s=budget_s, **about)
        for name in names:
            record.courses[name].write(tmp_path / folder / f"{name}.npz")
    (tmp_path / "failed-0" / f"{NAMES[2]}.error").write_text("why")
    rows = [row for row in load() if row.enabled]
    kept, told = finished([Record.read(path.parent, rows) for path in sorted(tmp_path.glob("*/labels.npz"))])
    assert [one.name for one in kept] == ["failed-0", "whole-0"]
    assert told == [f"begun-0 is left out: it has no record of {NAMES[2]}."]
    assert replayed(kept[1], NAMES).budget_s == budget_s


def test_a_fall_has_an_error() -> None:
    """What the mean loses by a bad member is clear on a hundred examples; what it gains is no fall."""
    good, bad = NAMES[:2]
    diluted = replayed(made_up(0, 0), [good, bad], RULES["mean"])
    assert diluted.fall > 2 * diluted.fall_error > 0
    assert replayed(made_up(0, 0), [bad, good], RULES["best"]).fall_error == 0


def test_the_test_set_is_read_once() -> None:
    """The first prediction of a configuration reads it; the model refit to all examples need not."""
    record = made_up(0, 0)
    slow = replace(record.courses[NAMES[0]], test_s=2.0)
    once = replayed(replace(record, courses={NAMES[0]: slow}), NAMES[:1])
    usual = replayed(replace(record, courses={NAMES[0]: record.courses[NAMES[0]]}), NAMES[:1])
    assert once.times_s[0] == pytest.approx(usual.times_s[0] + 1.9)
    assert once.times_s[-1] == pytest.approx(usual.times_s[-1] + 1.9)
