"""Image features in numpy: the pixels themselves, histograms of gradients, statistics of colour and texture."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from automl_engine import clock
from automl_engine.dataset.decode import THREADS, step_shape
from automl_engine.dataset.examples import Examples
from automl_engine.features.cached import cached_rows

CHUNK = 128
"""Number of images whose features are extracted at once: the intermediate arrays stay in the cache of the processor."""
QUANTILES = np.array([0, 0.005, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 0.995, 1])
"""Close at both ends: a small thing in a large picture is a few extreme values."""
GRADIENT_SIDE = 32
"""Gradients of larger pictures are taken after shrinking to this (measured: as good as 64, a quarter of the time)."""


def pixels(examples: Examples, height: int, width: int) -> np.ndarray:
    """(N, height, width, channels) uint8, what a network takes."""
    return examples.images(height, width)[:, 0]


def typical_side(examples: Examples) -> float:
    """The root of the area of an image, in pixels; the median of a few where they differ."""
    height, width = typical_shape(examples, 8)
    return float(np.sqrt(height * width))


def typical_shape(examples: Examples, probes: int) -> tuple[float, float]:
    """(height, width) of an image; the medians of those of a few where they differ."""
    spec = examples.spec
    if min(spec.row_count, spec.col_count) >= 0:
        return spec.row_count, spec.col_count
    picks = np.linspace(0, len(examples) - 1, min(len(examples), probes)).astype(int)
    shapes = [step_shape(examples.steps(int(i))[0], spec.num_channels) for i in picks]
    height, width = np.median(shapes, axis=0).tolist()
    return height, width


def appearance(examples: Examples, size: int = 32, levels: int = 3, grid: int = 4) -> np.ndarray:
    """(N, D) float32 of images resized to size × size, a power of 2: which edges and colours are where
    (``gradient_features`` on a grid × grid), and which there are anywhere (``texture_features``; none at 0 levels)."""
    compute = partial(_appearance, size=size, levels=levels, grid=grid)
    return cached_rows(examples, ("appearance", size, levels, grid), compute)


def _appearance(examples: Examples, size: int, levels: int, grid: int) -> np.ndarray:
    images = pixels(examples, size, size)
    with clock.work("appearance", images=len(images), edges=images.size, texture=images.size * (levels > 0)):
        small = images
        while small.shape[1] > GRADIENT_SIDE:
            quarters = [small[:, row::2, col::2].astype(np.uint16) for row in (0, 1) for col in (0, 1)]
            small = (sum(quarters[1:], quarters[0]) // 4).astype(np.uint8)
        where = gradient_features(small, small.shape[1] // grid)
        return np.concatenate([where, texture_features(images, levels)], axis=1) if levels else where


def texture_features(images: np.ndarray, levels: int) -> np.ndarray:
    """Quantiles of each channel, of brightness and two opponent colours, and of these in each band of a pyramid.

    The bands are those of Burt & Adelson, "The Laplacian pyramid as a compact image code", IEEE Trans. Comm. 1983;
    statistics of bands stand for texture, wherever it is (Portilla & Simoncelli, IJCV 2000).

    Args:
        images: (N, H, W, channels) uint8; H and W are multiples of 2 ** levels.

    Returns:
        (N, D) float32.
    """
    return _in_chunks(images, lambda chunk: np.stack([_texture(image, levels) for image in chunk]))


def _texture(image: np.ndarray, levels: int) -> np.ndarray:
    import cv2

    plane: np.ndarray = image.astype(np.float32)
    channels = image.astype(np.int16).transpose(2, 0, 1)
    parts = [_counted_quantiles(channel) for channel in channels]
    if len(channels) == 3:
        red, green, blue = channels
        opponents = (red + green + blue, 3), (red - green, 1), (red + green - 2 * blue, 2)
        parts += [_counted_quantiles(values) / scale for values, scale in opponents]
        plane = cv2.merge([values.astype(np.float32) / scale for values, scale in opponents])
    for _ in range(levels):
        smaller = cv2.pyrDown(plane)
        larger = cv2.pyrUp(smaller, dstsize=plane.shape[1::-1])
        parts.append(_quantiles(plane.reshape(larger.shape) - larger))
        plane = smaller
    return np.concatenate(parts)


def _counted_quantiles(values: np.ndarray) -> np.ndarray:
    """(H, W) integers -> (quantiles,) float32; counting takes a tenth of the time of sorting."""
    low = values.min()
    below = np.bincount((values - low).ravel()).cumsum()
    return (np.searchsorted(below, _ranks(values.size), side="right") + low).astype(np.float32)


def _quantiles(planes: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, C) -> (C * quantiles,)."""
    ordered = np.sort(planes.reshape(planes.shape[0] * planes.shape[1], -1).T.copy(), axis=1)
    return ordered[:, _ranks(ordered.shape[1])].ravel()


def _ranks(count: int) -> np.ndarray:
    return np.rint(QUANTILES * (count - 1)).astype(int)


def gradient_features(images: np.ndarray, cell: int = 4, bins: int = 9) -> np.ndarray:
    """Mean colour and histogram of oriented gradients of every cell × cell square: (N, D) float32.

    After Dalal & Triggs, "Histograms of oriented gradients for human detection", CVPR 2005: unsigned
    orientations with linear votes; a cell is normalised by the energy of its 3 × 3 neighbourhood.

    Args:
        images: (N, H, W, channels) uint8; H and W are multiples of ``cell``.
    """
    return _in_chunks(images, lambda chunk: _chunk_gradients(chunk, cell, bins))


def _in_chunks(images: np.ndarray, work: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The results of all chunks, joined; numpy and OpenCV release the GIL."""
    size = min(CHUNK, -(-len(images) // THREADS) or 1)  # no thread idles while the other works on the last chunk
    chunks = [images[at : at + size] for at in range(0, len(images) or 1, size)]
    if len(chunks) == 1:
        return work(images)
    with ThreadPoolExecutor(THREADS) as pool:
        return np.concatenate(list(pool.map(work, chunks)))


def _chunk_gradients(images: np.ndarray, cell: int, bins: int) -> np.ndarray:
    images = images.astype(np.float32) / 255
    planes = [images[..., c] for c in range(images.shape[3])]
    grey = sum(planes[1:], planes[0]) / len(planes)  # (n, H, W)
    dx, dy = np.zeros_like(grey), np.zeros_like(grey)
    dx[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    dy[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    histogram = _orientations(dx, dy, cell, bins)
    energy = np.pad((histogram**2).sum(3), ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows, cols = histogram.shape[1:3]
    around = sum(energy[:, i : i + rows, j : j + cols] for i in range(3) for j in range(3))
    histogram /= np.sqrt(around)[..., None] + 0.02
    colours = np.stack([_cells(plane, cell) for plane in planes], axis=3)
    return np.concatenate([histogram.reshape(len(images), -1), colours.reshape(len(images), -1)], axis=1)


def _orientations(dx: np.ndarray, dy: np.ndarray, cell: int, bins: int) -> np.ndarray:
    """(n, H, W) derivatives -> (n, H / cell, W / cell, bins): mean gradient length by direction, linear votes."""
    n, height, width = dx.shape
    rows, cols = height // cell, width // cell
    length = np.sqrt(dx * dx + dy * dy)
    angle = np.arctan2(dy, dx) * (bins / np.pi)
    angle += bins * (angle < 0)  # in 0..bins
    lower = angle.astype(np.int32)
    upper_vote = (angle - lower) * length
    first = np.arange(n * rows * cols, dtype=np.int32).reshape(n, rows, 1, cols, 1) * bins
    at = np.broadcast_to(first, (n, rows, cell, cols, cell)).reshape(dx.shape)
    votes = np.zeros(n * rows * cols * bins)
    for bin_, vote in ((lower, length - upper_vote), (lower + 1, upper_vote)):
        around = np.where(bin_ < bins, bin_, bin_ - bins)  # the last direction is next to the first
        votes += np.bincount((at + around).ravel(), vote.ravel(), len(votes))
    return (votes / cell**2).astype(np.float32).reshape(n, rows, cols, bins)


def _cells(plane: np.ndarray, cell: int) -> np.ndarray:
    """Means over cell × cell squares: (n, H, W) -> (n, H / cell, W / cell)."""
    n, height, width = plane.shape
    return plane.reshape(n, height // cell, cell, width // cell, cell).mean((2, 4))
