"""Sets of any size for measuring the ingestor and the first prediction: pictures, tables and documents, not learnt at a
glance.

    python -m automl_engine.lab.bench.ingestor sets --out DIR

The pictures are smooth noise, a gradient and a grating that tells the class, as large in bytes as photos of the same
size (noise is what makes a JPEG large).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from automl_engine.dataset.examples import Steps
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.writer import write_solution, write_split

CLASSES, CODES = 10, 8
TELLING = 30
"""Columns of a table that have to do with the class, at most."""
MANY = 7.0
"""Score above which a label is there, where there may be several: that of one in ten."""
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
    classes: ClassVar[int] = CLASSES
    distinct: int = 0
    """Images made; the rest repeats their bytes (0: all are made).  Reading and decoding cost the same."""

    def spec(self, name: str) -> Spec:
        label_to_index = {f"grating {c}": c for c in range(CLASSES)}
        shape = self.height, self.width, self.channels
        return Spec(name, 0, CLASSES, 1, *shape, "COMPRESSED", label_to_index=label_to_index)

    def rows(self, count: int, seed: int) -> Iterator[tuple[Steps, list[int]]]:
        """(the encoded image, its class) one after the other; a batch is made in threads."""
        distinct = min(count, self.distinct or count)
        kept: list[bytes] = []

        def encoded(number: int) -> bytes:
            image = picture(number % CLASSES, self, np.random.default_rng([seed, number]))
            options = [cv2.IMWRITE_JPEG_QUALITY, 90] if self.suffix == ".jpg" else []
            return cv2.imencode(self.suffix, image, options)[1].tobytes()

        with ThreadPoolExecutor() as pool:
            for start in range(0, count, BATCH):
                numbers = range(start, min(start + BATCH, count))
                made = list(pool.map(encoded, (n for n in numbers if n < distinct)))
                kept += made if distinct < count else []
                for n in numbers:
                    yield [made[n - start] if n < distinct else kept[n % distinct]], [n % distinct % CLASSES]


@dataclass(frozen=True)
class Table:
    """Half of the columns are numbers, the others codes of ``CODES`` categories; one cell in fifty is missing."""

    columns: int
    train: int
    test: int
    classes: int = CLASSES
    several: bool = False
    """Whether a row may have several labels, or none."""

    def spec(self, name: str) -> Spec:
        feature_to_index = {f"column {c}": c for c in range(self.columns)}
        return Spec(name, 0, self.classes, 1, 1, self.columns, 1, "DENSE", feature_to_index=feature_to_index)

    def rows(self, count: int, seed: int) -> Iterator[tuple[Steps, list[int]]]:
        """(1, 1, columns, 1) float32 and the class: the highest of noisy sums of columns and of products of two."""
        law, telling = np.random.default_rng(0), min(TELLING, self.columns)
        shape = telling, self.classes
        alone, together = law.normal(size=shape), law.normal(size=shape)
        partner = law.permutation(telling)
        for start in range(0, count, BATCH):
            generator = np.random.default_rng([seed, start])
            cells = generator.standard_normal((min(BATCH, count - start), self.columns), np.float32)
            cells[:, ::2] = np.clip(np.floor(CODES / 2 + 2 * cells[:, ::2]), 0, CODES - 1)
            level = ((cells - CODES / 2 * (np.arange(self.columns) % 2 == 0)) / 2)[:, :telling]
            scores = level @ alone + (level * level[:, partner]) @ together
            scores += 5 * generator.gumbel(size=scores.shape) if not self.several else 0
            cells[generator.random(cells.shape) < 0.02] = np.nan
            for row, found in zip(cells, scores, strict=True):
                yield (
                    row.reshape(1, 1, -1, 1),
                    np.flatnonzero(found > MANY).tolist() if self.several else [int(found.argmax())],
                )


@dataclass(frozen=True)
class Documents:
    """Texts of common and rare words; one word in fifty is of the topic."""

    words: int
    """Of a text."""
    train: int
    test: int
    vocabulary: int = 20_000
    classes: ClassVar[int] = CLASSES

    def spec(self, name: str) -> Spec:
        channel_to_index = {f"w{word:05d}": word for word in range(self.vocabulary)}
        return Spec(name, 0, CLASSES, -1, 1, 1, 1, "DENSE", is_sequence=True, channel_to_index=channel_to_index)

    def rows(self, count: int, seed: int) -> Iterator[tuple[Steps, list[int]]]:
        """(words, 1, 1, 1) indices of tokens and the topic."""
        topics = np.random.default_rng(0).integers(0, self.vocabulary, (CLASSES, 200))
        for number in range(count):
            generator, topic = np.random.default_rng([seed, number]), number % CLASSES
            words = (self.vocabulary ** generator.random(self.words)).astype(int)
            told = generator.random(self.words) < 0.02
            words[told] = generator.choice(topics[topic], told.sum())
            yield words.astype(np.float32).reshape(-1, 1, 1, 1), [topic]


Made = Recipe | Table | Documents
SETS: dict[str, Made] = {
    "png28": Recipe(28, 28, 1, ".png", 30_000, 3_000),
    "jpeg32": Recipe(32, 32, 3, ".jpg", 100_000, 10_000),
    "jpeg500": Recipe(375, 500, 3, ".jpg", 2_000, 200),
    "jpeg6gb": Recipe(1200, 1600, 3, ".jpg", 14_500, 500, distinct=400),
    "table1m": Table(30, 1_000_000, 250_000),
    "labels200": Table(500, 3_000, 500, 200, several=True),
    "classes1000": Table(20, 20_000, 2_000, 1000),
    "columns5000": Table(5_000, 1_500, 300, 2),
    "documents": Documents(5_000, 1_000, 200),
    "photos": Recipe(2000, 3000, 3, ".jpg", 300, 60, distinct=20),
}


def make_set(folder: Path, name: str, recipe: Made, seed: int = 0) -> Path:
    """``folder/name`` with NAME.data and NAME.solution, made unless it is there."""
    place = folder / name
    if (place / f"{name}.solution").is_file():
        return place
    cv2.setNumThreads(1)
    spec, data_dir = recipe.spec(name), place / f"{name}.data"
    labels: list[list[int]] = []

    def test_rows() -> Iterator[tuple[Steps, list[int]]]:
        for content, positives in recipe.rows(recipe.test, seed + 1):
            labels.append(positives)
            yield content, positives

    write_split(data_dir / "test", spec, test_rows(), 0, hide_labels=True)
    write_split(data_dir / "train", spec, recipe.rows(recipe.train, seed), recipe.test, hide_labels=False)
    truth = np.zeros((len(labels), recipe.classes), int)
    for row, positives in zip(truth, labels, strict=True):
        row[positives] = 1
    write_solution(place / f"{name}.solution", truth)
    return place


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
