"""Sounds by their log-mel spectrum in a few bands: level, spread and restlessness; and how long they are."""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.features.audio import BANDS, mel_statistics

GROUPS = {"level": 8, "spread": 4, "peak": 4, "change": 4}
"""Bands that the 64 of each statistic are averaged to, in the order of ``mel_statistics``."""
NAMES = (*(f"{name}_{band}" for name, count in GROUPS.items() for band in range(count)), "log_steps")


def embed(examples: Examples) -> np.ndarray:
    """(n, E) float32; the spectra are kept for the models."""
    statistics = mel_statistics(examples)[:, : 4 * BANDS].reshape(len(examples), 4, BANDS)
    parts = [statistics[:, i].reshape(-1, n, BANDS // n).mean(2) for i, n in enumerate(GROUPS.values())]
    steps = [np.log10(max(1, len(examples.steps(i)))) for i in range(len(examples))]
    return np.concatenate([*parts, np.array(steps)[:, None]], axis=1).astype(np.float32)
