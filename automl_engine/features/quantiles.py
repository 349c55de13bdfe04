"""Series as quantiles of intervals: QUANT (Dempster, Schmidt & Webb, "QUANT: a minimalist interval method for time
series classification", 2024).

The intervals are windows of the whole length, a half, a quarter ..., each level overlapping by half, over the series,
its smoothed changes, the changes of its changes, and the amplitudes of its spectrum.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.memory import feature_limit_bytes
from automl_engine.features.cached import cached
from automl_engine.features.timeseries import same_length

DEPTH = 6
"""Number of levels, at most: the windows of the last are a 32nd of the length."""
DIVISOR = 4
"""Steps of a window for each of its quantiles."""
SMOOTH = 5
"""Number of changes whose mean is one smoothed change."""
_VALUES = 65_536  # values that are worked on at once: they stay in the cache


def interval_quantiles(examples: Examples, length: int, depth: int = DEPTH) -> np.ndarray:
    """(N, C * ``quantile_count``) float32 of series brought to one length; kept for a data set that fits in memory."""

    def compute(some: Examples) -> np.ndarray:
        values = same_length(some, length)
        columns = values.shape[1] * quantile_count(length, depth)
        step = max(1, _VALUES // (values.shape[1] * length))
        calls = depth * -(-len(values) // step)
        with clock.work("interval quantiles", calls=calls, values=len(values) * columns):
            found = np.empty((len(values), columns), np.float32)
            for at in range(0, len(values), step):
                part = values[at : at + step]
                windows = [_quantiles(each, depth) for each in _representations(part)]
                found[at : at + step] = np.concatenate(windows, axis=2).reshape(len(part), -1)
        return found

    root, count = examples.origin()[0], examples.spec.num_channels * quantile_count(length, depth)
    if 4 * len(root) * count > feature_limit_bytes():
        return compute(examples)
    return np.stack(cached(examples, ("interval_quantiles", length, depth), compute))


def quantile_count(length: int, depth: int = DEPTH) -> int:
    """Number of quantiles of one channel."""
    return sum(
        len(starts) * len(_positions(size))
        for steps in (length, length - 1, length - 2, length // 2 + 1)
        for size, starts in _windows(steps, depth)
    )


def _representations(values: np.ndarray) -> Iterator[np.ndarray]:
    """(N, C, L) -> the series, its smoothed changes, the changes of its changes, its spectrum."""
    changes = np.diff(values, axis=2)
    padded = np.pad(changes, ((0, 0), (0, 0), (SMOOTH // 2, SMOOTH // 2)), mode="edge")
    yield values
    yield np.mean([padded[:, :, at : at + changes.shape[2]] for at in range(SMOOTH)], axis=0)
    yield np.diff(changes, axis=2)
    yield np.abs(np.fft.rfft(values, axis=2)).astype(np.float32)


def _windows(length: int, depth: int) -> Iterator[tuple[int, np.ndarray]]:
    """(size, where its windows start) for each level: 1, 2, 4 ... windows side by side, and one between each two."""
    for level in range(min(depth, int(np.log2(length)) + 1)):
        size = -(-length // 2**level)
        yield size, np.unique(np.linspace(0, length - size, 2 ** (level + 1) - 1).round().astype(np.int64))


def _positions(size: int) -> np.ndarray:
    """Where the quantiles lie among the sorted values of a window: the median alone, or from the least to the most."""
    count = 1 + (size - 1) // DIVISOR
    return np.linspace(0, size - 1, count) if count > 1 else np.array([(size - 1) / 2])


def _quantiles(values: np.ndarray, depth: int) -> np.ndarray:
    """(N, C, L) -> (N, C, quantiles); the mean of its window is taken from every second one."""
    parts = []
    for size, starts in _windows(values.shape[2], depth):
        windows = np.lib.stride_tricks.sliding_window_view(values, size, axis=2)[:, :, starts]
        ordered, positions = np.sort(windows, axis=3), _positions(size)
        below = positions.astype(np.int64)
        share = (positions - below).astype(np.float32)
        low, high = ordered[..., below], ordered[..., np.minimum(below + 1, size - 1)]
        found = low + share * (high - low)
        found[..., 1::2] -= windows.mean(3, keepdims=True)
        parts.append(found.reshape(*values.shape[:2], -1))
    return np.concatenate(parts, axis=2)
