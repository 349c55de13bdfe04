"""Series by their shape, whatever their unit: statistics of standardised channels, averaged over the channels."""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import Examples

SPECTRUM = 6
NAMES = (
    *("log_steps", "skewness", "kurtosis", "trend", "curve"),
    *("memory_1", "memory_4", "memory_16", "crossings", "jumps", "plateaus", "whole", "missing"),
    *(f"spectrum_{octave}" for octave in range(SPECTRUM)),
    *("channels_alike", "scales"),
)


def embed(examples: Examples) -> np.ndarray:
    """(n, E) float32."""
    return np.array([_series(np.asarray(examples.steps(i), np.float64)) for i in range(len(examples))], np.float32)


def _series(steps: np.ndarray) -> np.ndarray:
    """(T, ...) -> (E,)."""
    if not steps.size:
        return np.zeros(len(NAMES))
    series = steps.reshape(len(steps), -1).T
    missing = ~np.isfinite(series)
    series = np.where(missing, 0, series)
    deviation = series.std(1)
    scaled = (series - series.mean(1, keepdims=True)) / (deviation[:, None] + 1e-12)
    change = np.diff(scaled, axis=1) if scaled.shape[1] > 1 else np.zeros((len(scaled), 1))
    alike = np.abs(np.corrcoef(scaled + 1e-9 * np.arange(scaled.shape[1]))).mean() if len(scaled) > 1 else 1.0
    time = np.linspace(-1, 1, scaled.shape[1])
    values = [
        np.full(1, np.log10(len(steps))),
        np.cbrt((scaled**3).mean(1)),
        np.log1p((scaled**4).mean(1)),
        np.abs((scaled * time).mean(1)),
        np.abs((scaled * (time**2 - 1 / 3)).mean(1)),
        *((scaled[:, lag:] * scaled[:, :-lag]).sum(1) / scaled.shape[1] for lag in (1, 4, 16)),
        (np.diff(scaled > 0, axis=1)).mean(1) if scaled.shape[1] > 1 else np.zeros(1),
        np.log1p(np.abs(change).max(1)),
        (change == 0).mean(1),
        (series == np.rint(series)).mean(1),
        missing.mean(1),
        *_spectrum(scaled),
        np.full(1, alike),
        np.full(1, np.log1p(deviation).std()),
    ]
    return np.array([value.mean() for value in values])


def _spectrum(scaled: np.ndarray) -> np.ndarray:
    """(C, T) -> (SPECTRUM, C): shares of the energy in octaves, the highest frequencies first."""
    energy = np.abs(np.fft.rfft(scaled, axis=1))[:, 1:] ** 2
    shares = energy / (energy.sum(1, keepdims=True) + 1e-12)
    place = np.clip(np.log2(shares.shape[1] / (1 + np.arange(shares.shape[1]))).astype(int), 0, SPECTRUM - 1)
    return np.stack([shares[:, place == octave].sum(1) for octave in range(SPECTRUM)])
