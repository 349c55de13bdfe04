"""Video features in numpy, from a few frames spread evenly over each clip."""

from __future__ import annotations

from functools import partial

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.features.cached import cached_rows
from automl_engine.features.image import gradient_features


def grey_frames(examples: Examples, size: int, frames: int) -> np.ndarray:
    """(N, frames, size, size) float32 in 0..255."""
    clips = examples.images(size, size, frames)
    with clock.work("grey", values=clips.size):
        return clips.mean(4, dtype=np.float32)


def motion(examples: Examples, size: int = 32, frames: int = 12) -> np.ndarray:
    """What stands, what moves and how much: (N, D) float32.

    The mean of half of the frames, half as large again; gradient features of the mean frame and of the mean absolute
    difference of neighbouring frames, where the movement is (its profile along x and y by time), and the energy of
    the difference by time.
    """
    compute = partial(_motion, size=size, frames=frames)
    return cached_rows(examples, ("motion", size, frames), compute)


def _motion(examples: Examples, size: int, frames: int) -> np.ndarray:
    scene = grey_frames(examples, size * 3 // 2, max(1, frames // 2)).mean(1)
    clips = grey_frames(examples, size, frames)
    with clock.work("motion", clips=len(clips), values=clips.size):
        steps = np.abs(np.diff(clips, axis=1))  # (N, frames - 1, size, size)
        mean, moved = clips.mean(1), steps.mean(1)
        scaled = moved / (moved.max((1, 2), keepdims=True) + 1) * 255
        stills = [gradient_features(plane.astype(np.uint8)[..., None]) for plane in (mean, scaled)]
        energy = np.log1p(steps.mean((2, 3)))  # (N, frames - 1)
        spread = np.log1p(_profiles(steps, size // 8).reshape(len(clips), -1))
        parts = [scene.reshape(len(clips), -1), *stills, energy, np.sort(energy, axis=1), spread]
        return np.concatenate(parts, axis=1).astype(np.float32)


def _profiles(steps: np.ndarray, bins: int) -> np.ndarray:
    """Mean difference in ``bins`` vertical and horizontal bands by time: (N, time, 2 * bins)."""
    n, time, size, _ = steps.shape
    columns = steps.mean(2).reshape(n, time, bins, size // bins).mean(3)
    rows = steps.mean(3).reshape(n, time, bins, size // bins).mean(3)
    return np.concatenate([columns, rows], axis=2)


def stacked_frames(examples: Examples, size: int = 48, frames: int = 6) -> np.ndarray:
    """Grey frames and the differences of neighbours (128 = none) as channels: (N, size, size, 2 * frames - 1) uint8."""
    clips = grey_frames(examples, size, frames)
    with clock.work("stack frames", values=clips.size):
        steps = np.clip(np.diff(clips, axis=1) + 128, 0, 255)
        return np.ascontiguousarray(np.concatenate([clips, steps], axis=1).transpose(0, 2, 3, 1).astype(np.uint8))


def frames(examples: Examples, size: int = 48, frames: int = 12) -> np.ndarray:
    """Frames one after the other as channels: (N, size, size, frames * channels) uint8."""
    clips = examples.images(size, size, frames)  # (N, frames, size, size, channels)
    with clock.work("stack frames", values=clips.size):
        return np.ascontiguousarray(clips.transpose(0, 2, 3, 1, 4)).reshape(len(clips), size, size, -1)
