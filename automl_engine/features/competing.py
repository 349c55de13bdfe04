"""Hydra: random convolutions that compete (Dempster, Schmidt & Webb, "Hydra: competing convolutional kernels for fast
and accurate time series classification", 2023).

Kernels come in groups of eight; at every time the strongest of its group scores its output and the weakest scores
one, as words are counted in a dictionary of shapes.  Half of the groups look at the series, half at its changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.features.series import TAPS, channel_scale, same_length

KERNELS = 8  # in a group
MOST_CHANNELS = 8  # in the sum that a group looks at
_CHUNK = 4096  # time steps that are worked on at once: they stay in the cache


def fit_competing(values: np.ndarray, groups: int, seed: int) -> dict[str, np.ndarray]:
    """The arrays of ``competing_convolutions`` for training series (N, C, L); ``groups`` a dilation."""
    rng = np.random.default_rng(seed)
    _, channels, length = values.shape
    dilations = 2 ** np.arange(1 + int(np.log2(max(1, (length - 2) / (TAPS - 1)))))
    weights = rng.normal(size=(len(dilations), 2, groups // 2, KERNELS, TAPS))
    weights -= weights.mean(-1, keepdims=True)
    weights /= np.abs(weights).sum(-1, keepdims=True)
    chosen = np.ones((2, 1, 1)) if channels == 1 else np.zeros((2, groups // 2, channels))
    if channels > 1:
        for group in chosen.reshape(-1, channels):
            group[rng.integers(channels, size=min(MOST_CHANNELS, channels))] = 1
    return {
        **channel_scale(values),
        "dilations": dilations,
        "groups": chosen.astype(np.float32),
        "weights": weights.astype(np.float32),
    }


def competing_convolutions(examples: Examples, length: int, **arrays: np.ndarray) -> np.ndarray:
    """(N, dilations * 2 * groups * 8 * 2) float32: square roots of scores; the arrays of ``fit_competing``."""
    values = (same_length(examples, length) - arrays["mean"][:, None]) * arrays["scale"][:, None]
    dilations, groups, weights = (arrays[key] for key in ("dilations", "groups", "weights"))
    features = np.empty((len(values), len(dilations), 2, weights.shape[2], KERNELS, 2), np.float32)
    step = max(1, _CHUNK // length)
    calls, outputs = len(dilations) * -(-len(values) // step), values[:, 0].size * weights[..., 0].size
    with clock.work("competing convolutions", calls=calls, outputs=outputs):
        for at in range(0, len(values), step):
            part = values[at : at + step]
            for half, series in enumerate((part, np.diff(part, axis=2))):
                summed = np.einsum("ncl,gc->gnl", series, groups[half])
                for d, dilation in enumerate(dilations):
                    features[at : at + step, d, half] = _scores(summed, weights[d, half], int(dilation))
    return features.reshape(len(values), -1)


def _scores(summed: np.ndarray, weights: np.ndarray, dilation: int) -> np.ndarray:
    """(1 or groups, n, L) and (groups, 8, 9) -> (n, groups, 8, 2)."""
    count, length = summed.shape[1:]
    reach = (TAPS // 2) * dilation
    padded = np.pad(summed, ((0, 0), (0, 0), (reach, reach)))
    taps = np.stack([padded[:, :, i * dilation : i * dilation + length] for i in range(TAPS)], axis=1)
    outputs = weights @ taps.reshape(len(taps), TAPS, -1)  # (groups, 8, n * L)
    strongest, most = _winner(outputs, np.greater)
    weakest, _ = _winner(outputs, np.less)
    scores = np.empty((count, len(weights), KERNELS, 2), np.float32)
    for kernel in range(KERNELS):
        won = np.where(strongest == kernel, most, 0).reshape(len(weights), count, length)
        lost = (weakest == kernel).reshape(len(weights), count, length)
        scores[:, :, kernel, 0] = won.sum(2).T
        scores[:, :, kernel, 1] = lost.sum(2).T
    return np.sqrt(np.maximum(scores, 0))


def _winner(outputs: np.ndarray, beats: Any) -> tuple[np.ndarray, np.ndarray]:
    """(which of the 8, its output), each (groups, steps)."""
    best = outputs[:, 0].copy()
    which = np.zeros(best.shape, np.uint8)
    for kernel in range(1, KERNELS):
        better = beats(outputs[:, kernel], best)
        np.copyto(best, outputs[:, kernel], where=better)
        which[better] = kernel
    return which, best
