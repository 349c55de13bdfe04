"""The ensemble: the weight of a candidate, and what few examples cannot decide."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from automl_engine.auto.ensemble import (
    LEAST_WEIGHT,
    Ensemble,
    best_weight,
    clearly_worse,
    difference_error,
    mix,
    objective,
    reweighed,
)
from automl_engine.dataset.metrics import nauc


def test_the_error_of_a_difference_is_what_resampling_finds() -> None:
    generator = np.random.default_rng(0)
    labels = np.eye(2)[np.arange(300) % 2]
    shared = labels + generator.normal(size=(300, 1)) * [1, -1]
    one, other = (shared + 0.3 * generator.normal(size=labels.shape) for _ in range(2))
    picks = [generator.integers(300, size=300) for _ in range(400)]
    differences = [nauc(labels[p], one[p]) - nauc(labels[p], other[p]) for p in picks]
    assert difference_error(labels, one, other) == pytest.approx(np.std(differences), rel=0.2)
    assert difference_error(labels, one, one) == 0


def test_on_few_examples_nobody_has_the_whole_say() -> None:
    labels = np.eye(2)[np.arange(40) % 2]
    share, _ = best_weight(labels, 1 - labels, labels, False)
    assert 0.5 < share < 0.9


def test_blend_takes_no_more_of_a_candidate_than_helps() -> None:
    generator = np.random.default_rng(0)
    labels = np.eye(3)[generator.integers(0, 3, 300)]
    good = 0.6 * labels + 0.4 * generator.random((300, 3))
    other = 0.6 * labels + 0.4 * generator.random((300, 3))
    junk = generator.random((300, 3))
    assert best_weight(labels, None, junk, False)[0] == 1
    assert best_weight(labels, good, junk, False)[0] < LEAST_WEIGHT
    share, found = best_weight(labels, 0.3 * labels + 0.7 * junk, good, False)
    assert share > 0.5
    assert found > objective(labels, junk, False)
    np.testing.assert_allclose(mix({"a": good, "b": other}, {"a": 1, "b": 3}), 0.25 * good + 0.75 * other)


def predicted(skill: float, seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels (count, 2) and probabilities that know the truth so well."""
    labels = np.eye(2, dtype=np.float32)[np.arange(count) % 2]
    noise = np.random.default_rng(seed).random((count, 2))
    return labels, skill * labels + (1 - skill) * noise


def test_only_a_clear_difference_on_other_examples_counts() -> None:
    assert clearly_worse(predicted(0.0, 1), predicted(0.6, 2))
    assert not clearly_worse(predicted(0.6, 1), predicted(0.0, 2))
    assert not any(clearly_worse(predicted(0.3, seed), predicted(0.3, seed + 100)) for seed in range(50))


def test_another_version_must_gain_more_than_noise() -> None:
    labels, first = predicted(0.3, 1)
    oof = {"only": first}
    members = {"only": SimpleNamespace(ensemble_oof=oof["only"])}
    ensemble = Ensemble(members)  # type: ignore[arg-type]
    ensemble.labels, ensemble.weights = labels, {"only": 1.0}
    member = SimpleNamespace(name="only")
    assert ensemble.gains(member, (first + predicted(0.3, 2)[1]) / 2)  # type: ignore[arg-type]
    assert not ensemble.gains(member, first)  # type: ignore[arg-type]


def test_weighed_anew_the_best_weighs_most_and_one_with_an_unknown_fold_is_left_out() -> None:
    labels, good = predicted(0.2, 1, 300)
    oof = {"good": good, "fair": predicted(0.1, 2, 300)[1], "bad": predicted(0.0, 3, 300)[1]}
    oof["unknown"] = np.where(np.arange(300)[:, None] < 60, labels, np.nan)
    ensemble = Ensemble({name: SimpleNamespace(oof=o, ensemble_oof=None) for name, o in oof.items()})  # type: ignore[misc]
    ensemble.labels, ensemble.weights = labels, {"unknown": 0.9, "bad": 0.1}
    ensemble.weigh_anew()
    assert max(ensemble.weights, key=lambda name: ensemble.weights[name]) == "good"
    assert "unknown" not in ensemble.weights
    assert ensemble.validation > nauc(labels, good)


def test_members_that_know_different_folds_are_compared_where_all_are_known() -> None:
    labels, good = predicted(0.2, 1, 300)
    rows = np.arange(300)[:, None]
    partly = [np.where(rows < count, predicted(0.4, seed, 300)[1], np.nan) for seed, count in ((2, 60), (3, 120))]
    oof = {"whole": good, "one fold": partly[0], "two folds": partly[1]}
    ensemble = Ensemble({name: SimpleNamespace(oof=o, ensemble_oof=o) for name, o in oof.items()})  # type: ignore[misc]
    ensemble.labels, ensemble.weights = labels, dict.fromkeys(oof, 1 / 3)
    assert ensemble.weigh_anew() == 60
    assert set(ensemble.weights) == set(oof)
    assert ensemble.validation > nauc(labels[:60], good[:60])


def test_a_candidate_that_harms_changes_no_weight() -> None:
    labels, known = predicted(0.6, 1, 400)
    assert reweighed(labels, {"known": known}, {"known": 1.0}, {"new": predicted(0.0, 2, 400)[1]}, False) is None


def test_what_few_examples_cannot_tell_apart_is_shared() -> None:
    """Eight clips, on which both are perfect: before, who came first had the whole say."""
    labels, one = predicted(0.9, 1, 8)
    weights = reweighed(labels, {"one": one}, {"one": 1.0}, {"two": predicted(0.9, 2, 8)[1]}, False)
    assert weights is not None
    assert 0.05 < weights["two"] < 0.5


def test_a_state_that_gains_nothing_takes_no_place() -> None:
    labels, known = predicted(0.6, 1)
    assert reweighed(labels, {"a": known}, {"a": 1.0}, {"a": known}, False) is None


def test_a_better_state_of_a_member_takes_its_own_place() -> None:
    labels, weak = predicted(0.1, 1)
    weights = reweighed(labels, {"a": weak, "b": weak}, {"a": 0.5, "b": 0.5}, {"b": predicted(0.7, 2)[1]}, False)
    assert weights is not None
    assert weights["b"] > 0.5
    assert sum(weights.values()) == 1.0


def test_on_many_examples_who_adds_nothing_leaves() -> None:
    """Its share is zero to the last digit there; a second state must find a blend that can be mixed."""
    labels, weak = predicted(0.0, 1, 20_000)
    weights = reweighed(labels, {"a": weak}, {"a": 1.0}, {"b": predicted(0.7, 2, 20_000)[1]}, False)
    assert weights == {"b": 1.0}
    better = predicted(0.8, 3, 20_000)[1]
    assert reweighed(labels, {"b": predicted(0.7, 2, 20_000)[1]}, weights, {"b": better}, False) == {"b": 1.0}
