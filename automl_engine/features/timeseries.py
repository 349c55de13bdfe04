"""Series of any length and number of channels: plain statistics, and random convolutions.

``random_convolutions`` is MiniRocket (Dempster, Schmidt & Webb 2021) on series brought to one length: 84 fixed
kernels of nine weights at several dilations, and for each the share of time at which its output exceeds a bias.

``competing_convolutions`` is Hydra: random convolutions that compete (Dempster, Schmidt &
Webb, "Hydra: competing convolutional kernels for fast and accurate time series classification", 2023).

Kernels come in groups of eight; at every time the strongest of its group scores its output and the weakest scores
one, as words are counted in a dictionary of shapes.  Half of the groups look at the series, half at its changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.features.cached import cached

TAPS = 9
HEAVY = np.array(list(combinations(range(TAPS), 3)))  # (84, 3): the weights that are 2, the others are -1
LONGEST = 255  # a share of time is counted in one byte
SHORTEST = 16
_CHUNK = 256  # series that are worked on at once: they stay in the cache
SPECTRUM_BANDS = 16
KERNELS = 8  # in a group
MOST_CHANNELS = 8  # in the sum that a group looks at
_STEPS = 4096  # time steps that are worked on at once: they stay in the cache


def _amounts(examples: Examples) -> dict[str, float]:
    """For the clock."""
    return {"series": len(examples), "bytes": len(examples) * examples.stored_bytes()}


def _series(examples: Examples, index: int) -> np.ndarray:
    """(C, T) float32 with gaps filled by straight lines; at least one step."""
    steps = np.asarray(examples.steps(index), np.float32)
    series = steps.reshape(len(steps), -1).T if steps.size else np.zeros((examples.spec.num_channels, 1), np.float32)
    bad = ~np.isfinite(series)
    if bad.any():
        series = series.copy()
        for channel, gaps in zip(series, bad, strict=True):
            known = np.flatnonzero(~gaps)
            channel[gaps] = np.interp(np.flatnonzero(gaps), known, channel[known]) if len(known) else 0
    return series


def resize_time(values: np.ndarray, count: int) -> np.ndarray:
    """(T, bands) -> (count, bands): means over equal spans of time, fractions of steps included."""
    total = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=total[1:])
    edges = np.linspace(0, len(values), count + 1)
    whole = np.minimum(edges.astype(np.int64), len(values) - 1)
    until = total[whole] + (edges - whole)[:, None] * values[whole]
    return (np.diff(until, axis=0) * (count / len(values))).astype(np.float32)


def _to_length(series: np.ndarray, length: int) -> np.ndarray:
    """(C, T) -> (C, length) float32: means where it is longer, straight lines where it is shorter."""
    if series.shape[1] >= length:
        return resize_time(series.T, length).T
    at = np.linspace(0, series.shape[1] - 1, length)
    return np.stack([np.interp(at, np.arange(len(channel)), channel) for channel in series]).astype(np.float32)


def same_length(examples: Examples, length: int) -> np.ndarray:
    """(N, C, length) float32."""

    def compute(some: Examples) -> list[np.ndarray]:
        with clock.work("same length", lambda: _amounts(some)):
            return [_to_length(_series(some, i), length) for i in range(len(some))]

    rows = cached(examples, ("same_length", length), compute)
    return np.stack(rows) if rows else np.zeros((0, examples.spec.num_channels, length), np.float32)


def typical_length(examples: Examples) -> int:
    """The median length of (up to 200 of) the series, within what the convolutions take."""
    some = range(0, len(examples), max(1, len(examples) // 200))
    return int(np.clip(np.median([len(examples.steps(i)) for i in some]), SHORTEST, LONGEST))


def series_statistics(examples: Examples, points: int = 32) -> np.ndarray:
    """(N, D) float32 of every channel: the course in ``points`` steps, moments and quantiles, how fast it changes, its
    spectrum in bands; and the length."""

    def compute(some: Examples) -> list[np.ndarray]:
        with clock.work("series statistics", lambda: _amounts(some)):
            return [_statistics(_series(some, i), points) for i in range(len(some))]

    return np.stack(cached(examples, ("series_statistics", points), compute))


def _statistics(series: np.ndarray, points: int) -> np.ndarray:
    changes = np.abs(np.diff(series, axis=1)) if series.shape[1] > 1 else np.zeros_like(series)
    level = series.mean(1, keepdims=True)
    energy = np.abs(np.fft.rfft(series - level, max(2 * SPECTRUM_BANDS, series.shape[1]), axis=1)) ** 2
    bands = resize_time(energy.T, SPECTRUM_BANDS).T / series.shape[1]
    parts = [
        _to_length(series, points),
        level,
        series.std(1, keepdims=True),
        np.quantile(series, [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1], axis=1).T,
        changes.mean(1, keepdims=True),
        changes.max(1, keepdims=True),
        np.log1p(bands),
    ]
    length = np.log([series.shape[1]])
    return np.concatenate([*(part.ravel() for part in parts), length]).astype(np.float32)


def channel_scale(values: np.ndarray) -> dict[str, np.ndarray]:
    """``mean`` and ``scale`` (1 / standard deviation), (C,) float32 each, of series (N, C, L)."""
    mean, deviation = values.mean((0, 2)), np.maximum(values.std((0, 2)), 1e-6)
    return {"mean": mean.astype(np.float32), "scale": (1 / deviation).astype(np.float32)}


def fit_convolutions(values: np.ndarray, feature_count: int, seed: int) -> dict[str, np.ndarray]:
    """The arrays of ``random_convolutions`` for training series (N, C, L).

    Each bias is a quantile of the kernel's output on a random training series, at golden-ratio steps.
    """
    rng = np.random.default_rng(seed)
    _, channels, length = values.shape
    most = np.log2((length - 1) / (TAPS - 1))
    dilations = np.unique((2 ** np.linspace(0, max(0.0, most), 12)).astype(np.int64))
    per_kernel = max(1, round(feature_count / (len(HEAVY) * len(dilations))))
    groups = np.ones((1, 1), np.float32) if channels == 1 else _channel_groups(channels, rng)
    arrays = {
        **channel_scale(values),
        "dilations": dilations,
        "groups": groups,
        "biases": np.empty((len(dilations), len(HEAVY), per_kernel), np.float32),
    }
    some = rng.permutation(len(values))[:_CHUNK]
    golden = (np.arange(1, arrays["biases"].size + 1) * ((5**0.5 + 1) / 2)) % 1
    quantiles = golden.reshape(arrays["biases"].shape)
    inputs = _standardised(values[some], arrays)
    for d, dilation in enumerate(dilations):
        for kernel, output in _outputs(inputs, int(dilation), d):
            column = output[:, rng.integers(output.shape[1])]
            arrays["biases"][d, kernel] = np.quantile(column, quantiles[d, kernel])
    return arrays


def _channel_groups(channels: int, rng: np.random.Generator) -> np.ndarray:
    """(84, C) of 0 and 1: for each kernel a random set of up to nine channels, small sets more often."""
    groups = np.zeros((len(HEAVY), channels), np.float32)
    for group in groups:
        size = int(2 ** rng.uniform(0, np.log2(min(channels, TAPS) + 1)))
        group[rng.permutation(channels)[:size]] = 1
    return groups


def _standardised(values: np.ndarray, arrays: dict[str, Any]) -> np.ndarray:
    """(N, C, L) -> (groups, L, N): time before examples, so that counting over time runs along them."""
    scaled = (values - arrays["mean"][:, None]) * arrays["scale"][:, None]
    return np.ascontiguousarray(np.einsum("ncl,gc->gln", scaled, arrays["groups"]))


def _outputs(inputs: np.ndarray, dilation: int, turn: int) -> Iterator[tuple[int, np.ndarray]]:
    """(kernel, its output (L', N)) for all 84; half of them see zeros beyond the ends, half stay inside."""
    groups, length, _ = inputs.shape
    reach = (TAPS // 2) * dilation
    padded = np.pad(inputs, ((0, 0), (reach, reach), (0, 0)))
    taps = [padded[:, i * dilation : i * dilation + length] for i in range(TAPS)]  # views (groups, L, N)
    light = -reduce(np.add, taps)
    for kernel, (a, b, c) in enumerate(HEAVY):
        group = kernel % groups  # one for all, or one for each kernel
        output = light[group] + 3 * (taps[a][group] + taps[b][group] + taps[c][group])
        inside = (kernel + turn) % 2 and length > 2 * reach
        yield kernel, output[reach : length - reach] if inside else output


def random_convolutions(examples: Examples, length: int, **arrays: np.ndarray) -> np.ndarray:
    """(N, dilations * 84 * biases per kernel) float32 in 0..1; the arrays are those of ``fit_convolutions``."""
    values, dilations, biases = same_length(examples, length), arrays["dilations"], arrays["biases"]
    features = np.empty((len(values), *biases.shape), np.float32)
    steps = len(values) * length
    kernels = len(dilations) * len(HEAVY)
    calls = kernels * -(-len(values) // _CHUNK)
    with clock.work("random convolutions", calls=calls, outputs=steps * kernels, compared=steps * biases.size):
        for at in range(0, len(values), _CHUNK):
            inputs = _standardised(values[at : at + _CHUNK], arrays)
            for d, dilation in enumerate(dilations):
                for kernel, output in _outputs(inputs, int(dilation), d):
                    above = (output[None] > biases[d, kernel][:, None, None]).view(np.uint8)  # (biases, L', n)
                    counts = np.add.reduce(above, axis=1, dtype=np.uint8)
                    features[at : at + _CHUNK, d, kernel] = counts.T / np.float32(len(output))
    return features.reshape(len(values), -1)


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
    step = max(1, _STEPS // length)
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
