"""Work done for an example is done once, whatever subset asks."""

from __future__ import annotations

import gc
import weakref

import numpy as np

from automl_engine.dataset.examples import Examples, MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.features.cached import MOST_KEPT, cached, cached_rows


def numbers(count: int) -> MemoryExamples:
    steps = [np.full((1, 1, 1, 1), i, np.float32) for i in range(count)]
    return MemoryExamples(Spec("toy", count, 2), steps)


def test_each_example_is_computed_once() -> None:
    asked: list[float] = []

    def compute(some: Examples) -> list[float]:
        values = [float(some.tensor(i).item()) for i in range(len(some))]
        asked.extend(values)
        return values

    examples = numbers(5)
    assert cached(examples.subset([3, 1]), "key", compute) == [3, 1]
    assert cached(examples.subset([1, 2, 3]).subset([1, 0]), "key", compute) == [2, 1]
    assert cached(examples, "key", compute) == [0, 1, 2, 3, 4]
    assert asked == [3, 1, 2, 0, 4]
    assert cached(examples.subset([0]), "other key", lambda some: ["new"]) == ["new"]


def test_what_is_kept_goes_with_its_examples() -> None:
    examples = numbers(2)
    cached(examples, "key", lambda some: ["a", "b"])
    gone = weakref.ref(examples)
    del examples
    gc.collect()
    assert gone() is None


def test_rows_of_a_large_data_set_are_not_kept() -> None:
    for count, calls in ((3, 1), (MOST_KEPT + 1, 2)):
        examples, asked = numbers(count), list[int]()

        def compute(some: Examples, asked: list[int] = asked) -> np.ndarray:
            asked.append(len(some))
            return np.zeros((len(some), 2), np.float32)

        for _ in range(2):
            assert cached_rows(examples.subset([1, 0]), "key", compute).shape == (2, 2)
        assert asked == calls * [2]
