"""Stratification: which examples to test on, in which fold each belongs, and which to begin with.

scikit-learn's ``StratifiedKFold`` and ``train_test_split`` take one label an example and refuse rare classes; here a
class may have one example, and an example several labels or none.
"""

from __future__ import annotations

import numpy as np


def rarest_class(labels: np.ndarray) -> np.ndarray:
    """(N,) each example's rarest positive class; K for an example without any."""
    counts = labels.sum(0)
    rank = np.where(labels > 0, counts, np.inf)
    return np.where(labels.any(1), rank.argmin(1), labels.shape[1])


def fold_numbers(labels: np.ndarray, fold_count: int, seed: int) -> np.ndarray:
    """(N,) stratified fold of each example; outside fold 0 every class keeps at least one.

    Where no class has two, that can't be: the examples are spread at random, so that there is something to learn
    from and something to check on all the same.
    """
    generator = np.random.default_rng(seed)
    classes = rarest_class(labels)
    folds = np.empty(len(labels), np.int64)
    alone = 0
    for c in np.unique(classes):
        members = generator.permutation(np.flatnonzero(classes == c))
        first = int(generator.integers(fold_count))
        if len(members) == 1 and fold_count > 1:
            first, alone = 1 + alone % (fold_count - 1), alone + 1
        folds[members] = (np.arange(len(members)) + first) % fold_count
    if alone == len(labels):
        folds = generator.permutation(np.arange(len(labels)) % fold_count)
    return folds


def even_folds(classes: np.ndarray, fold_count: int, seed: int) -> np.ndarray:
    """(N,) fold of each example: all folds of the same size (or one less), the examples of each class in turn."""
    order = np.lexsort([np.random.default_rng(seed).permutation(len(classes)), classes])
    folds = np.empty(len(classes), np.int64)
    folds[order] = np.arange(len(classes)) % fold_count
    return folds


def stratified_sample(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most about ``count`` positions, classes in their proportion but each with at least two examples if it has."""
    generator = np.random.default_rng(seed)
    if count >= len(labels):
        return generator.permutation(len(labels))
    classes = rarest_class(labels)
    chosen = []
    for c in np.unique(classes):
        members = generator.permutation(np.flatnonzero(classes == c))
        chosen.append(members[: max(2, round(count * len(members) / len(labels)))])
    return generator.permutation(np.concatenate(chosen))


def rare_first(labels: np.ndarray, seed: int) -> np.ndarray:
    """(N,) a random order in which every beginning holds the classes as evenly as can be."""
    order = np.random.default_rng(seed).permutation(len(labels))
    classes = rarest_class(labels)[order]
    rank = np.empty(len(labels), np.int64)
    for c in np.unique(classes):
        members = np.flatnonzero(classes == c)
        rank[members] = np.arange(len(members))
    return order[np.argsort(rank, kind="stable")]


def hold_out(classes: np.ndarray, test_size: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) bool, True for test, of examples with one class each; a class with two examples is on both sides.

    Each class gets its share rounded down; what is missing in all goes to the largest remainders.

    Args:
        classes: (N,) numbers 0..K-1, each of them used.
    """
    sizes = np.bincount(classes)
    exact = sizes * test_size
    most = np.maximum(sizes - 1, 0)
    counts = np.minimum(np.maximum(np.floor(exact).astype(int), 1), most)
    order = rng.permutation(len(sizes))
    for c in order[np.argsort(counts[order] - exact[order], kind="stable")]:
        if counts.sum() < round(len(classes) * test_size) and counts[c] < min(most[c], exact[c]):
            counts[c] += 1
    in_test = np.zeros(len(classes), bool)
    for c, count in enumerate(counts):
        in_test[rng.permutation(np.flatnonzero(classes == c))[:count]] = True
    return in_test


def hold_out_groups(labels: np.ndarray, groups: np.ndarray, test_size: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) bool, True for test, of examples with several labels or in groups, which stay on one side.

    By iterative stratification (Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data, ECML PKDD
    2011, algorithm 1).

    Args:
        labels: (N, K) of 0 and 1.
        groups: (N,) number of each example's group.
    """
    common = labels.mean(0) > 0.5  # of a common label the examples without it are the scarce ones
    labels = np.where(common, 1 - labels, labels)
    sizes = np.bincount(groups)
    counts = np.zeros((len(sizes), labels.shape[1]), np.int64)
    np.add.at(counts, groups, labels)
    return _on_both_sides(_iterative(counts, sizes, test_size, rng), counts)[groups]


def _iterative(counts: np.ndarray, sizes: np.ndarray, test_size: float, rng: np.random.Generator) -> np.ndarray:
    """(groups,) bool, True for test.  counts: (groups, K), examples of each group with each label."""
    shares = np.array([1 - test_size, test_size])
    wanted = shares * sizes.sum()  # examples still to be given to [train, test]
    wanted_of_label = shares[:, None] * counts.sum(0)  # (2, K)
    side = np.full(len(counts), -1)
    only_here = (counts[:, (counts > 0).sum(0) == 1] > 0).any(1)  # a label of one group must be in train
    if sizes[only_here].sum() <= wanted[0]:
        side[only_here] = 0
        wanted[0] -= sizes[only_here].sum()
        wanted_of_label[0] -= counts[only_here].sum(0)
    left = counts[side < 0].sum(0)
    while True:
        label = int(np.where(left > 0, left, np.iinfo(np.int64).max).argmin())
        scarce = left[label] > 0
        members = np.flatnonzero((side < 0) & (counts[:, label] > 0 if scarce else True))
        if not len(members):
            break
        order = rng.permutation(members)
        for group in order[np.argsort(-sizes[order], kind="stable")]:
            needs = wanted_of_label[:, label] if scarce else wanted
            chosen = int(needs.argmax()) if needs[0] != needs[1] else int(wanted.argmax())
            side[group] = chosen
            wanted[chosen] -= sizes[group]
            wanted_of_label[chosen] -= counts[group]
            left = left - counts[group]
    return side == 1


def _on_both_sides(in_test: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Move groups until each label is in train, and each with two groups or more in test too where that can be."""
    has = counts > 0

    def move_one(label: int, to_test: bool) -> None:
        """The group whose other labels miss it least on the side that it leaves."""
        groups = np.flatnonzero(has[:, label])
        left_behind = has[in_test != to_test].sum(0)
        losses = (has[groups] & (left_behind == 1)).sum(1)
        best = groups[np.lexsort((counts[groups].sum(1), losses))[0]]
        in_test[best] = to_test

    scarcest_last = np.argsort(-has.sum(0), kind="stable")
    for label in scarcest_last:
        if has[:, label].sum() >= 2 and not has[in_test, label].any():
            move_one(label, to_test=True)
    for label in scarcest_last:
        if has[:, label].any() and not has[~in_test, label].any():
            move_one(label, to_test=False)
    return in_test
