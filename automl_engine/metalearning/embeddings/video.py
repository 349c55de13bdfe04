"""Videos by the picture in their middle, and by what changes between frames spread evenly over them."""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.metalearning.embeddings import image

FRAMES = 6
MOVED = 0.06
"""Fraction of the range of brightness below which a difference is noise."""
NAMES = (*image.NAMES, "motion", "motion_peak", "moving_area", "motion_centre", "motion_upright", "drift", "log_steps")


def embed(examples: Examples) -> np.ndarray:
    """(n, E) float32."""
    clips = examples.images(image.SIDE, image.SIDE, FRAMES)
    grey = clips.mean(4, dtype=np.float32) / 255
    steps = [np.log10(len(examples.steps(i))) for i in range(len(examples))]
    parts = [image.picture_statistics(clips[:, FRAMES // 2]), _motion(grey), np.array(steps)[:, None]]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _motion(grey: np.ndarray) -> np.ndarray:
    """(n, FRAMES, H, W) -> (n, 6): how much, how unsteady, where, in which direction it spreads, how far it leads."""
    change = np.abs(np.diff(grey, axis=1))  # (n, FRAMES - 1, H, W)
    energy = change.mean((2, 3)) + 1e-4
    area = (change > MOVED).mean((1, 2, 3))
    where = change.mean(1) + 1e-6
    quarter = where.shape[1] // 4
    centre = where[:, quarter:-quarter, quarter:-quarter].mean((1, 2)) / where.mean((1, 2))
    upright = np.log(where.mean(1).std(1) + 1e-4) - np.log(where.mean(2).std(1) + 1e-4)
    drift = np.log(np.abs(grey[:, -1] - grey[:, 0]).mean((1, 2)) + 1e-4) - np.log(energy.mean(1))
    return np.stack([np.log(energy.mean(1)), energy.max(1) / energy.mean(1), area, centre, upright, drift], axis=1)
