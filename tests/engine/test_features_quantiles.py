"""QUANT's features against their definition, window by window."""

from __future__ import annotations

import numpy as np
import pytest

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.features import quantiles
from automl_engine.features.quantiles import interval_quantiles, quantile_count


def series(lengths: list[int], channels: int) -> MemoryExamples:
    rng = np.random.default_rng(0)
    steps = [rng.normal(size=(length, 1, 1, channels)).astype(np.float32) for length in lengths]
    return MemoryExamples(Spec("toy", len(steps), 2, -1, 1, 1, channels, is_sequence=True), steps)


def defined(values: np.ndarray, depth: int) -> list[float]:
    """Of one representation whose length is a power of two."""
    found: list[float] = []
    for level in range(depth):
        size = len(values) // 2**level
        for at in range(0, len(values) - size + 1, max(1, size // 2)):
            window = values[at : at + size]
            count = 1 + (size - 1) // 4
            each = np.quantile(window, np.linspace(0, 1, count) if count > 1 else [0.5])
            found += [q - window.mean() * (number % 2) for number, q in enumerate(each)]
    return found


def test_quantiles_are_those_of_the_definition() -> None:
    examples = series([32, 32], channels=2)
    found = interval_quantiles(examples, 32, depth=5).reshape(2, 2, -1)
    assert found.shape[2] == quantile_count(32, depth=5)
    expected = defined(examples.steps(1)[:, 0, 0, 1], depth=5)
    np.testing.assert_allclose(found[1, 1, : len(expected)], expected, atol=1e-5)


def test_changes_and_spectrum_follow_the_series() -> None:
    """The one window of level 0, in each of the four representations."""
    examples = series([21], channels=1)
    values = examples.steps(0)[:, 0, 0, 0]
    changes = np.diff(values)
    smooth = np.convolve(np.pad(changes, 2, mode="edge"), np.full(5, 0.2), "valid")
    parts = [values, smooth, np.diff(changes), np.abs(np.fft.rfft(values))]
    found = interval_quantiles(examples, 21, depth=1)[0]
    expected = np.concatenate([defined(part, depth=1) for part in parts])
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kept", [True, False])
def test_any_length_and_company_and_each_series_is_looked_at_once(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantiles, "feature_limit_bytes", lambda: 10**9 if kept else 0)
    looked, look = [], quantiles._quantiles
    monkeypatch.setattr(
        quantiles, "_quantiles", lambda values, depth: looked.append(len(values)) or look(values, depth)
    )
    examples = series([40, 1, 300, 7], channels=3)
    together = interval_quantiles(examples, 37)
    assert together.shape == (4, 3 * quantile_count(37))
    assert np.isfinite(together).all()
    np.testing.assert_allclose(interval_quantiles(examples.subset([2]), 37)[0], together[2], atol=1e-5)
    assert sum(looked) == 4 * (4 if kept else 5)
