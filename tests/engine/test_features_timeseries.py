"""Series: bringing to one length, statistics, and MiniRocket against a direct computation."""

from __future__ import annotations

import numpy as np
import pytest

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.features.timeseries import (
    HEAVY,
    LONGEST,
    fit_convolutions,
    random_convolutions,
    resize_time,
    same_length,
    series_statistics,
    typical_length,
)


def series(rows: list[np.ndarray]) -> MemoryExamples:
    """Rows are (T, C)."""
    spec = Spec("toy", len(rows), 2, -1, 1, 1, rows[0].shape[1], is_sequence=True)
    return MemoryExamples(spec, [row.astype(np.float32).reshape(len(row), 1, 1, -1) for row in rows])


def test_resize_keeps_the_mean_and_whole_spans() -> None:
    values = np.arange(12.0).reshape(6, 2)
    np.testing.assert_allclose(resize_time(values, 3), [[1, 2], [5, 6], [9, 10]])
    np.testing.assert_allclose(resize_time(values, 4).mean(0), values.mean(0), rtol=1e-6)
    np.testing.assert_allclose(resize_time(values, 6), values)


def test_short_series_are_stretched_by_straight_lines() -> None:
    examples = series([np.array([[0.0], [4.0]]), np.array([[3.0]])])
    values = same_length(examples, 5)
    np.testing.assert_allclose(values[0, 0], [0, 1, 2, 3, 4])
    np.testing.assert_allclose(values[1, 0], 3)


def test_gaps_are_bridged() -> None:
    ramp = np.arange(6.0)[:, None]
    ramp[[2, 3]] = np.nan
    np.testing.assert_allclose(same_length(series([ramp]), 6)[0, 0], np.arange(6), atol=1e-6)
    assert np.isfinite(series_statistics(series([np.full((4, 2), np.nan)]))).all()


def test_typical_length_is_the_median_within_bounds() -> None:
    rows = [np.zeros((n, 1)) for n in (20, 40, 90)]
    assert typical_length(series(rows)) == 40
    assert typical_length(series([np.zeros((9999, 1))])) == LONGEST
    assert typical_length(series([np.zeros((2, 1))])) >= 9


@pytest.mark.parametrize("channels", [1, 3])
def test_convolutions_are_those_of_the_definition(channels: int) -> None:
    rng = np.random.default_rng(0)
    examples = series([rng.normal(size=(40, channels)) for _ in range(6)])
    values = same_length(examples, 40)
    arrays = fit_convolutions(values, 600, seed=0)
    features = random_convolutions(examples, 40, **arrays).reshape(6, *arrays["biases"].shape)

    scaled = (values - arrays["mean"][:, None]) * arrays["scale"][:, None]
    for d, kernel in ((0, 0), (1, 7), (len(arrays["dilations"]) - 1, 83)):
        dilation, group = int(arrays["dilations"][d]), kernel % len(arrays["groups"])
        weights = np.full(9, -1.0)
        weights[HEAVY[kernel]] = 2
        spread = np.zeros(8 * dilation + 1)
        spread[::dilation] = weights
        signal = (scaled * arrays["groups"][group][:, None]).sum(1)[2]  # of series 2
        reach = 4 * dilation
        padded = np.correlate(np.pad(signal, reach), spread, "valid")
        output = padded[reach:-reach] if (kernel + d) % 2 and 2 * reach < 40 else padded
        expected = [(output > bias).mean() for bias in arrays["biases"][d, kernel]]
        np.testing.assert_allclose(features[2, d, kernel], expected, atol=0.03)  # a value may lie on its bias


def test_convolutions_are_deterministic_and_independent_of_the_company() -> None:
    rng = np.random.default_rng(1)
    examples = series([rng.normal(size=(n, 2)) for n in (30, 25, 300, 1)])
    first = fit_convolutions(same_length(examples, 32), 500, seed=3)
    again = fit_convolutions(same_length(examples, 32), 500, seed=3)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    features = random_convolutions(examples, 32, **first)
    assert features.shape == (4, first["biases"].size)
    assert features.min() >= 0
    assert features.max() <= 1
    np.testing.assert_allclose(random_convolutions(examples.subset([2]), 32, **first)[0], features[2], atol=1e-6)


def test_statistics_hold_course_and_length() -> None:
    examples = series([np.arange(64.0)[:, None], np.arange(32.0)[:, None]])
    features = series_statistics(examples, points=4)
    np.testing.assert_allclose(features[0, :4], [7.5, 23.5, 39.5, 55.5])
    np.testing.assert_allclose(features[:, -1], np.log([64, 32]), rtol=1e-6)
