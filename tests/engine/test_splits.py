"""Folds where classes have a single example."""

from __future__ import annotations

import numpy as np
import pytest

from automl_engine.splits import fold_numbers


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
