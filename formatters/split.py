"""Train and test: a given split is kept, else a seeded, stratified one; groups stay on one side.

``dataset/splits.py`` of the engine stratifies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from automl_engine.dataset.splits import hold_out, hold_out_groups
from automl_engine.errors import DataError
from formatters.base import Sample


@dataclass(frozen=True)
class Split:
    """Indices of samples in the order in which they are written."""

    train: list[int]
    test: list[int]
    how: Literal["given", "stratified"]


def check_labels(samples: Sequence[Sample], label_names: Sequence[str], multi_label: bool) -> None:
    """Is there something to learn?

    Raises:
        DataError: one class, or one sample a class, or only constant labels.
    """
    counts = Counter(label for sample in samples for label in set(sample.labels))
    varying = [name for name in label_names if 0 < counts[name] < len(samples)]
    if multi_label and not varying:
        raise DataError(
            "Every sample has the same labels, so there is nothing to learn; add samples with other labels."
        )
    if not multi_label and len(varying) < 2:
        raise DataError(
            f"There is only one class ({label_names[0]!r}); at least two are needed, so add samples of another."
        )
    if max(counts[name] for name in varying) < 2:
        raise DataError(
            f"Each of the {len(varying)} classes has only one sample, so none is left to test with; "
            "add more samples, at least two of a class and better twenty."
        )


def split(samples: Sequence[Sample], label_names: Sequence[str], test_size: float, seed: int) -> Split:
    """Cut the samples in two and shuffle both parts.

    Every class with two or more samples (groups) is on both sides; a class with one sample is in train.

    Raises:
        DataError: ``test_size`` is not between 0 and 1, ``seed`` is negative, or the groups cannot be parted.
    """
    if not 0 < test_size < 1:
        raise DataError(f"test size must be between 0 and 1 but got {test_size:g}.")
    if seed < 0:
        raise DataError(f"the seed must be 0 or more but got {seed}.")
    rng = np.random.default_rng(seed)
    sides = {sample.split for sample in samples}
    if {"train", "test"} <= sides:
        in_test = np.array([sample.split == "test" for sample in samples])
        how: Literal["given", "stratified"] = "given"
    elif {"train", "test"} <= {sample.kept_side for sample in samples}:
        in_test = np.array([sample.kept_side == "test" for sample in samples])
        how = "stratified"
    else:
        in_test = _stratified(samples, label_names, test_size, rng)
        how = "stratified"
    if in_test.all() or not in_test.any():
        raise DataError("The groups cannot be parted into train and test; use at least two groups.")
    train, test = np.flatnonzero(~in_test), np.flatnonzero(in_test)
    return Split(rng.permutation(train).tolist(), rng.permutation(test).tolist(), how)


def _stratified(
    samples: Sequence[Sample], label_names: Sequence[str], test_size: float, rng: np.random.Generator
) -> np.ndarray:
    """(N,) bool, True for test."""
    groups = [sample.group for sample in samples]
    if not any(groups) and all(len(sample.labels) == 1 for sample in samples):
        return hold_out(np.unique([sample.labels[0] for sample in samples], return_inverse=True)[1], test_size, rng)
    index = {name: i for i, name in enumerate(label_names)}
    matrix = np.zeros((len(samples), len(label_names)), np.int64)
    for row, sample in enumerate(samples):
        matrix[row, [index[label] for label in sample.labels]] = 1
    _, numbers = np.unique([group or f"\0{row}" for row, group in enumerate(groups)], return_inverse=True)
    return hold_out_groups(matrix, numbers, test_size, rng)
