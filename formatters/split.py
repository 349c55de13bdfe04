"""Train and test: a given split is kept, else a seeded, stratified one; groups stay on one side.

One label a sample: every class is cut by itself.  Several labels, or groups: iterative stratification
(Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data, ECML PKDD 2011, algorithm 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

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
        return _by_class([sample.labels[0] for sample in samples], test_size, rng)
    index = {name: i for i, name in enumerate(label_names)}
    matrix = np.zeros((len(samples), len(label_names)), np.int64)
    for row, sample in enumerate(samples):
        matrix[row, [index[label] for label in sample.labels]] = 1
    common = matrix.mean(0) > 0.5  # of a common label the samples without it are the scarce ones
    matrix[:, common] = 1 - matrix[:, common]
    keys = [group or f"\0{row}" for row, group in enumerate(groups)]
    units, unit_of_row = np.unique(keys, return_inverse=True)
    counts = np.zeros((len(units), matrix.shape[1]), np.int64)
    np.add.at(counts, unit_of_row, matrix)
    sizes = np.bincount(unit_of_row, minlength=len(units))
    return _iterative(counts, sizes, test_size, rng)[unit_of_row]


def _by_class(labels: list[str], test_size: float, rng: np.random.Generator) -> np.ndarray:
    """Each class gets its share rounded down; what is missing in all goes to the largest remainders."""
    names, codes = np.unique(labels, return_inverse=True)
    sizes = np.bincount(codes)
    exact = sizes * test_size
    most = np.maximum(sizes - 1, 0)
    counts = np.minimum(np.maximum(np.floor(exact).astype(int), 1), most)
    order = rng.permutation(len(names))
    for code in order[np.argsort(counts[order] - exact[order], kind="stable")]:
        if counts.sum() < round(len(labels) * test_size) and counts[code] < min(most[code], exact[code]):
            counts[code] += 1
    in_test = np.zeros(len(labels), bool)
    for code, count in enumerate(counts):
        in_test[rng.permutation(np.flatnonzero(codes == code))[:count]] = True
    return in_test


def _iterative(counts: np.ndarray, sizes: np.ndarray, test_size: float, rng: np.random.Generator) -> np.ndarray:
    """(units,) bool, True for test.  counts: (units, labels), samples of each unit with each label."""
    shares = np.array([1 - test_size, test_size])
    wanted = shares * sizes.sum()  # samples still to be given to [train, test]
    wanted_of_label = shares[:, None] * counts.sum(0)  # (2, labels)
    side = np.full(len(counts), -1)
    only_here = (counts[:, (counts > 0).sum(0) == 1] > 0).any(1)  # a label of one unit must be in train
    if sizes[only_here].sum() <= wanted[0]:
        side[only_here] = 0
        wanted[0] -= sizes[only_here].sum()
        wanted_of_label[0] -= counts[only_here].sum(0)
    left = counts[side < 0].sum(0)
    while True:
        label = int(np.where(left > 0, left, np.iinfo(np.int64).max).argmin())
        scarce = left[label] > 0
        units = np.flatnonzero((side < 0) & (counts[:, label] > 0 if scarce else True))
        if not len(units):
            break
        order = rng.permutation(units)
        for unit in order[np.argsort(-sizes[order], kind="stable")]:
            needs = wanted_of_label[:, label] if scarce else wanted
            chosen = int(needs.argmax()) if needs[0] != needs[1] else int(wanted.argmax())
            side[unit] = chosen
            wanted[chosen] -= sizes[unit]
            wanted_of_label[chosen] -= counts[unit]
            left = left - counts[unit]
    return _on_both_sides(side == 1, counts)


def _on_both_sides(in_test: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Move units until each label is in train, and each with two units or more in test too where that can be."""
    has = counts > 0

    def move_one(label: int, to_test: bool) -> None:
        """The unit whose other labels miss it least on the side that it leaves."""
        units = np.flatnonzero(has[:, label])
        left_behind = has[in_test != to_test].sum(0)
        losses = (has[units] & (left_behind == 1)).sum(1)
        best = units[np.lexsort((counts[units].sum(1), losses))[0]]
        in_test[best] = to_test

    scarcest_last = np.argsort(-has.sum(0), kind="stable")
    for label in scarcest_last:
        if has[:, label].sum() >= 2 and not has[in_test, label].any():
            move_one(label, to_test=True)
    for label in scarcest_last:
        if has[:, label].any() and not has[~in_test, label].any():
            move_one(label, to_test=False)
    return in_test
