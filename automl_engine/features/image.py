"""Image features in numpy: the pixels themselves, and small pixels with histograms of oriented gradients."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from automl_engine.dataset.decode import THREADS
from automl_engine.dataset.examples import Examples

CHUNK = 128
"""Images worked on at once: the intermediate arrays stay in the cache of the processor."""


def pixels(examples: Examples, height: int, width: int) -> np.ndarray:
    """(N, height, width, channels) uint8, what a network takes."""
    return examples.images(height, width)[:, 0]


def gradients(examples: Examples, size: int = 32, cell: int = 4, bins: int = 9) -> np.ndarray:
    """(N, D) float32 of images resized to size × size, see ``gradient_features``."""
    return gradient_features(pixels(examples, size, size), cell, bins)


def gradient_features(images: np.ndarray, cell: int = 4, bins: int = 9) -> np.ndarray:
    """Mean colour and histogram of oriented gradients of every cell × cell square: (N, D) float32.

    After Dalal & Triggs, "Histograms of oriented gradients for human detection", CVPR 2005: unsigned
    orientations with linear votes; a cell is normalised by the energy of its 3 × 3 neighbourhood.

    Args:
        images: (N, H, W, channels) uint8; H and W are multiples of ``cell``.
    """
    chunks = [images[at : at + CHUNK] for at in range(0, len(images), CHUNK)]
    with ThreadPoolExecutor(THREADS) as pool:  # numpy releases the GIL
        return np.concatenate(list(pool.map(lambda chunk: _chunk_features(chunk, cell, bins), chunks)))


def _chunk_features(images: np.ndarray, cell: int, bins: int) -> np.ndarray:
    images = images.astype(np.float32) / 255
    grey = images.mean(3)  # (n, H, W)
    dx, dy = np.zeros_like(grey), np.zeros_like(grey)
    dx[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    dy[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    length = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, dx) % np.pi * (bins / np.pi)  # in 0..bins
    histogram = np.empty((*_cells(length, cell).shape, bins), np.float32)  # (n, H / cell, W / cell, bins)
    for b in range(bins):
        distance = np.abs(angle - b)
        vote = np.maximum(0, 1 - np.minimum(distance, bins - distance))
        histogram[..., b] = _cells(length * vote, cell)
    energy = np.pad((histogram**2).sum(3), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows, cols = histogram.shape[1:3]
    around = sum(energy[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3))
    histogram /= np.sqrt(around)[..., None] + 0.02
    colours = np.stack([_cells(images[..., c], cell) for c in range(images.shape[3])], axis=3)
    return np.concatenate([histogram.reshape(len(images), -1), colours.reshape(len(images), -1)], axis=1)


def _cells(plane: np.ndarray, cell: int) -> np.ndarray:
    """Means over cell × cell squares: (n, H, W) -> (n, H / cell, W / cell)."""
    n, height, width = plane.shape
    return plane.reshape(n, height // cell, cell, width // cell, cell).mean((2, 4))
