"""Pictures by what they are like wherever it is in them: light, colour, detail at each scale, directions, layout."""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import Examples

SIDE = 64
BANDS = 4
NAMES = (
    *("brightness", "contrast", "dark", "light", "flat"),
    *("saturation", "red_green", "yellow_blue", "hues"),
    *(f"band_{octave}" for octave in range(BANDS)),
    *("sparsity", "upright", "directions"),
    *("centre", "border_contrast", "symmetry"),
)


def embed(examples: Examples) -> np.ndarray:
    """(n, E) float32 of COMPRESSED or DENSE images; ones in grey have no colour, of many channels three count."""
    return picture_statistics(examples.images(SIDE, SIDE)[:, 0])


def picture_statistics(images: np.ndarray) -> np.ndarray:
    """(n, SIDE, SIDE, channels) uint8 -> (n, E) float32."""
    colours = images[..., :3] if images.shape[3] >= 3 else images[..., :1].repeat(3, axis=3)
    red, green, blue = np.moveaxis(colours.astype(np.float32) / 255, 3, 0)
    grey = (red + green + blue) / 3
    parts = [_light(grey), _colour(red - green, (red + green) / 2 - blue), _detail(grey), _layout(grey)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _light(grey: np.ndarray) -> np.ndarray:
    """(n, H, W) -> (n, 5): the last is the share of the most frequent of 16 levels, as of a plain background."""
    levels = (grey * 15.99).astype(np.int64) + 16 * np.arange(len(grey))[:, None, None]
    histogram = np.bincount(levels.ravel(), minlength=16 * len(grey)).reshape(-1, 16) / grey[0].size
    deviation = grey.std((1, 2))
    return np.stack([grey.mean((1, 2)), deviation, histogram[:, 0], histogram[:, -1], histogram.max(1)], axis=1)


def _colour(red_green: np.ndarray, yellow_blue: np.ndarray) -> np.ndarray:
    """Two opponent colours (n, H, W) -> (n, 4)."""
    saturation = np.hypot(red_green, yellow_blue).mean((1, 2))
    hues = np.hypot(red_green.std((1, 2)), yellow_blue.std((1, 2)))
    return np.stack([saturation, red_green.mean((1, 2)), yellow_blue.mean((1, 2)), hues], axis=1)


def _detail(grey: np.ndarray) -> np.ndarray:
    """(n, H, W) -> (n, BANDS + 3): energy of the bands of a pyramid, how rare the strong edges are, their directions.

    After the statistics of natural images by Torralba & Oliva, "Statistics of natural image categories", Network 2003.
    """
    values = []
    plane = grey
    for _ in range(BANDS):
        n, height, width = plane.shape
        smaller = plane.reshape(n, height // 2, 2, width // 2, 2).mean((2, 4))
        band = plane - smaller.repeat(2, axis=1).repeat(2, axis=2)
        values.append(np.log(band.std((1, 2)) + 1e-3))
        plane = smaller
    dx, dy = np.diff(grey, axis=2)[:, 1:], np.diff(grey, axis=1)[:, :, 1:]
    strength = np.hypot(dx, dy) + 1e-6
    sparsity = np.log(np.square(strength).mean((1, 2)) / strength.mean((1, 2)) ** 2)
    across, along, both = (dx**2).mean((1, 2)), (dy**2).mean((1, 2)), (dx * dy).mean((1, 2))
    total = across + along + 1e-6
    oneness = np.hypot(across - along, 2 * both) / total  # coherence of the structure tensor
    return np.stack([*values, sparsity, (across - along) / total, oneness], axis=1)


def _layout(grey: np.ndarray) -> np.ndarray:
    """(n, H, W) -> (n, 3): the middle against the border, in light and in contrast; left against right."""
    quarter = grey.shape[1] // 4
    middle = grey[:, quarter:-quarter, quarter:-quarter]
    top, bottom = grey[:, : quarter // 2], grey[:, -(quarter // 2) :]
    border = np.concatenate([top, bottom], axis=1)
    mirrored = np.abs(grey - grey[:, :, ::-1]).mean((1, 2)) / (grey.std((1, 2)) + 1e-2)
    contrast = border.std((1, 2)) - middle.std((1, 2))
    return np.stack([middle.mean((1, 2)) - border.mean((1, 2)), contrast, mirrored], axis=1)
