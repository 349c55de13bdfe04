"""Stratified, seeded, respectful of groups and given splits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from automl_engine.errors import DataError
from formatters.base import Sample
from formatters.split import check_labels, split


def singles(**counts: int) -> list[Sample]:
    return [Sample(f"{name}{i}", (name,)) for name, count in counts.items() for i in range(count)]


def test_each_class_is_on_both_sides() -> None:
    samples = singles(a=100, b=10, c=2, d=1)
    parts = split(samples, list("abcd"), 0.25, seed=0)
    assert sorted(parts.train + parts.test) == list(range(113))
    test = Counter(samples[i].labels[0] for i in parts.test)
    assert test["a"] == 25
    assert test["b"] in (2, 3)
    assert (test["c"], test["d"]) == (1, 0)
    assert parts.how == "stratified"


def test_the_whole_has_the_wanted_size() -> None:
    samples = singles(**{f"c{i}": 10 for i in range(10)})
    parts = split(samples, [f"c{i}" for i in range(10)], 0.25, seed=0)
    assert len(parts.test) == 25


def test_the_seed_decides() -> None:
    samples = singles(a=50, b=50)
    first, same, other = (split(samples, ["a", "b"], 0.25, seed) for seed in (1, 1, 2))
    assert first == same
    assert first != other
    assert first.train != sorted(first.train)


def test_a_given_split_is_kept() -> None:
    samples = [Sample(str(i), ("ab"[i % 2],), "test" if i < 4 else "train") for i in range(10)]
    parts = split(samples, ["a", "b"], 0.25, seed=0)
    assert (sorted(parts.test), parts.how) == ([0, 1, 2, 3], "given")
    half = [Sample(str(i), ("ab"[i % 2],), "train") for i in range(20)]
    assert split(half, ["a", "b"], 0.25, seed=0).how == "stratified"


@pytest.mark.parametrize("seed", range(5))
def test_several_labels_are_stratified(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shares = [0.5, 0.3, 0.1, 0.03, 0.97]
    matrix = rng.random((400, 5)) < shares
    matrix[:, 3] = False
    matrix[:2, 3] = True
    samples = [Sample(str(i), tuple(str(k) for k in np.flatnonzero(row))) for i, row in enumerate(matrix)]
    parts = split(samples, list("01234"), 0.25, seed)
    test = matrix[parts.test]
    assert len(parts.test) == pytest.approx(100, abs=4)
    np.testing.assert_allclose(test.mean(0)[:3], matrix.mean(0)[:3], atol=0.03)
    assert 0 < test[:, 3].sum() < matrix[:, 3].sum()
    assert 0 < (~test[:, 4]).sum() < (~matrix[:, 4]).sum()


@pytest.mark.parametrize("seed", range(5))
def test_rare_labels_are_always_in_train(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = [Sample(str(i), tuple({str(k) for k in rng.integers(0, 60, 3)})) for i in range(30)]
    parts = split(samples, [str(k) for k in range(60)], 0.25, seed)
    in_train = {label for i in parts.train for label in samples[i].labels}
    assert in_train == {label for sample in samples for label in sample.labels}


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together(seed: int) -> None:
    samples = [Sample(str(i), ("ab"[i % 2],), group=f"g{i // 10}") for i in range(200)]
    parts = split(samples, ["a", "b"], 0.25, seed)
    sides = {samples[i].group for i in parts.train}, {samples[i].group for i in parts.test}
    assert not sides[0] & sides[1]
    assert len(parts.test) == pytest.approx(50, abs=10)


def test_what_cannot_be_split() -> None:
    with pytest.raises(DataError, match="only one class"):
        check_labels(singles(a=5), ["a"], multi_label=False)
    with pytest.raises(DataError, match="Each of the 3 classes has only one sample"):
        check_labels(singles(a=1, b=1, c=1), list("abc"), multi_label=False)
    with pytest.raises(DataError, match="the same labels"):
        check_labels([Sample(str(i), ("a", "b")) for i in range(5)], ["a", "b"], multi_label=True)
    with pytest.raises(DataError, match="between 0 and 1"):
        split(singles(a=5, b=5), ["a", "b"], 1.0, seed=0)
    with pytest.raises(DataError, match="groups cannot be parted"):
        split([Sample(str(i), ("ab"[i % 2],), group="g") for i in range(9)], ["a", "b"], 0.25, seed=0)
