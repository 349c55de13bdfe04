"""Hydra's features against their definition, step by step."""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.features.timeseries import KERNELS, competing_convolutions, fit_competing, same_length

LENGTH = 40


def series(count: int, channels: int) -> MemoryExamples:
    steps = np.random.default_rng(0).normal(size=(count, LENGTH, 1, 1, channels)).cumsum(1).astype(np.float32)
    return MemoryExamples(Spec("toy", count, 2, LENGTH, 1, 1, channels, is_sequence=True), list(steps))


def test_scores_are_those_of_the_definition() -> None:
    examples = series(5, channels=3)
    values = same_length(examples, LENGTH)
    arrays = fit_competing(values, groups=4, seed=0)
    found = competing_convolutions(examples, LENGTH, **arrays)
    found = found.reshape(5, len(arrays["dilations"]), 2, 2, KERNELS, 2)

    scaled = (values - arrays["mean"][:, None]) * arrays["scale"][:, None]
    example, d, group = 3, 1, 1
    for half, signal in enumerate((scaled[example], np.diff(scaled[example], axis=1))):
        summed = arrays["groups"][half, group] @ signal
        dilation = int(arrays["dilations"][d])
        padded = np.pad(summed, 4 * dilation)
        outputs = np.array(
            [
                [weights @ padded[t : t + 9 * dilation : dilation] for t in range(len(summed))]
                for weights in arrays["weights"][d, half, group]
            ]
        )
        for kernel in range(KERNELS):
            strongest = outputs.max(0)[outputs.argmax(0) == kernel].sum()
            weakest = (outputs.argmin(0) == kernel).sum()
            expected = np.sqrt([max(strongest, 0), weakest])
            np.testing.assert_allclose(found[example, d, half, group, kernel], expected, rtol=1e-3, atol=1e-3)


def test_features_do_not_depend_on_the_company() -> None:
    examples = series(30, channels=1)
    arrays = fit_competing(same_length(examples, LENGTH), groups=8, seed=0)
    together = competing_convolutions(examples, LENGTH, **arrays)
    alone = competing_convolutions(examples.subset([7]), LENGTH, **arrays)
    np.testing.assert_allclose(alone[0], together[7], rtol=1e-4, atol=1e-4)
    assert np.isfinite(together).all()
