"""Image sets of any size for measuring the ingestor: smooth noise, a gradient and a grating that tells the class.

    python -m automl_engine.bench.ingestor sets --out DIR

They are as large in bytes as photos of the same size (noise is what makes a JPEG large) and not learnt at a glance.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from automl_engine.dataset.writer import write_solution, write_split
from automl_engine.spec import Spec

CLASSES = 10
BATCH = 256


@dataclass(frozen=True)
class Recipe:
    """What a set is made of."""

    height: int
    width: int
    channels: int
    suffix: str
    """.jpg or .png"""
    train: int
    test: int
    distinct: int = 0
    """Images made; the rest repeats their bytes (0: all are made).  Reading and decoding cost the same."""


SETS = {
    "png28": Recipe(28, 28, 1, ".png", 30_000, 3_000),
    "jpeg32": Recipe(32, 32, 3, ".jpg", 100_000, 10_000),
    "jpeg500": Recipe(375, 500, 3, ".jpg", 2_000, 200),
    "jpeg6gb": Recipe(1200, 1600, 3, ".jpg", 14_500, 500, distinct=400),
}


def make_set(folder: Path, name: str, recipe: Recipe, seed: int = 0) -> Path:
    """``folder/name`` with NAME.data and NAME.solution, made unless it is there."""
    place = folder / name
    if (place / f"{name}.solution").is_file():
        return place
    cv2.setNumThreads(1)
    spec = Spec(
        name, 0, CLASSES, 1, recipe.height, recipe.width, recipe.channels, "COMPRESSED",
        label_to_index={f"grating {c}": c for c in range(CLASSES)},
    )  # fmt: skip
    data_dir = place / f"{name}.data"
    write_split(data_dir / "test", spec, _rows(recipe, recipe.test, seed + 1), 0, hide_labels=True)
    write_split(data_dir / "train", spec, _rows(recipe, recipe.train, seed), recipe.test, hide_labels=False)
    solution = np.eye(CLASSES, dtype=int)[_labels(recipe, recipe.test)]
    write_solution(place / f"{name}.solution", solution)
    return place


def _labels(recipe: Recipe, count: int) -> np.ndarray:
    return np.arange(count) % (recipe.distinct or count) % CLASSES


def _rows(recipe: Recipe, count: int, seed: int) -> Iterator[tuple[list[bytes], list[int]]]:
    """(the encoded image, its class) one after the other; a batch is made in threads."""
    labels, distinct = _labels(recipe, count), min(count, recipe.distinct or count)
    kept: list[bytes] = []

    def encoded(number: int) -> bytes:
        image = picture(int(labels[number]), recipe, np.random.default_rng([seed, number]))
        options = [cv2.IMWRITE_JPEG_QUALITY, 90] if recipe.suffix == ".jpg" else []
        return cv2.imencode(recipe.suffix, image, options)[1].tobytes()

    with ThreadPoolExecutor() as pool:
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            made = list(pool.map(encoded, (n for n in numbers if n < distinct)))
            kept += made if distinct < count else []
            for n in numbers:
                yield [made[n - start] if n < distinct else kept[n % distinct]], [int(labels[n])]


def picture(label: int, recipe: Recipe, generator: np.random.Generator) -> np.ndarray:
    """(height, width, channels) uint8; the class is the direction and the fineness of a faint grating."""
    height, width = recipe.height, recipe.width
    y, x = np.ogrid[: height / width : height * 1j, 0 : 1 : width * 1j]
    x, y = x.astype(np.float32), y.astype(np.float32)
    angle, waves = np.pi * (label % 5) / 5 + generator.normal(0, 0.1), 3 + 3 * (label // 5)
    grating = np.sin(2 * np.pi * waves * (x * np.cos(angle) + y * np.sin(angle)) + generator.uniform(0, 6.3))
    coarse = generator.standard_normal((5, 5, recipe.channels), np.float32)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, -1)
    grain = cv2.GaussianBlur(generator.standard_normal((height, width), np.float32), (0, 0), 0.7)
    tilt = x * generator.normal() + y * generator.normal()
    return np.clip(128 + 45 * smooth + (25 * grating + 40 * tilt + 14 * grain)[..., None], 0, 255).astype(np.uint8)
