"""Folds where classes have a single example."""

from __future__ import annotations

import numpy as np
import pytest

from automl_engine.dataset.splits import fold_numbers, rare_first, stratified_sample


@pytest.mark.parametrize("count", [2, 5, 40])
def test_folds_of_classes_with_one_example_each(count: int) -> None:
    """Some to learn from and some to check on, in each fold (a training set was empty)."""
    folds = fold_numbers(np.eye(count), 5, seed=0)
    assert (folds == 0).any()
    assert all((folds != fold).any() for fold in np.unique(folds))
    assert len(np.unique(folds)) == min(count, 5)


def test_single_examples_are_spread_over_the_folds_but_the_first() -> None:
    folds = fold_numbers(np.eye(11)[[*range(10), *[10] * 30]], 5, seed=0)
    assert np.bincount(folds[:10], minlength=5).tolist() == [0, 3, 3, 2, 2]
    assert np.bincount(folds[10:]).tolist() == [6] * 5


def test_folds_are_stratified_and_leave_rare_classes_in_training() -> None:
    labels = np.eye(4)[[0] * 50 + [1] * 25 + [2] * 3 + [3]]
    folds = fold_numbers(labels, 5, seed=0)
    assert np.bincount(folds[:50]).tolist() == [10] * 5
    assert np.bincount(folds[50:75]).tolist() == [5] * 5
    assert sorted(set(folds[75:78])) == sorted(folds[75:78])
    assert folds[78] != 0
    assert (fold_numbers(np.eye(100)[np.arange(300) % 100], 5, seed=0) == 0).sum() > 30
    assert not np.array_equal(folds, fold_numbers(labels, 5, seed=1))


def test_a_sample_keeps_every_class() -> None:
    labels = np.eye(3)[[0] * 500 + [1] * 20 + [2] * 2]
    chosen = stratified_sample(labels, 50, seed=0)
    assert labels[chosen].sum(0).tolist() == [48, 2, 2]
    assert len(set(stratified_sample(labels, 10_000, seed=0))) == len(labels)


def test_a_sample_holds_rare_classes_first() -> None:
    labels = np.eye(3)[[0] * 90 + [1] * 8 + [2] * 2]
    order = rare_first(labels, seed=0)
    assert sorted(order) == list(range(100))
    assert labels[order[:6]].sum(0).tolist() == [2, 2, 2]
