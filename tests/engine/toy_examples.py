"""A tiny learnable data set per modality, made in code: the class decides a shape, a sound, a word."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from automl_engine.dataset.examples import MemoryExamples, Steps
from automl_engine.dataset.spec import Spec

CLASSES = 3


def toy(modality: str, count: int, multi_label: bool, seed: int) -> MemoryExamples:
    """``count`` examples of 3 classes; multi-label: each class is there or not on its own."""
    generator = np.random.default_rng(seed)
    if multi_label:
        labels = (generator.random((count, CLASSES)) < 0.4).astype(np.float32)
        labels[:2] = [[1, 1, 0], [0, 0, 0]]
    else:
        labels = np.eye(CLASSES, dtype=np.float32)[generator.permutation(np.arange(count) % CLASSES)]
    make, shape = TOYS[modality]
    spec = Spec(
        name=f"toy_{modality}",
        sample_count=count,
        output_dim=CLASSES,
        label_to_index={"a": 0, "b": 1, "c": 2},
        **shape,
    )
    return MemoryExamples(spec, [make(row, generator) for row in labels], labels)


def hidden(examples: MemoryExamples) -> MemoryExamples:
    """The same examples without their labels."""
    return MemoryExamples(examples.spec, [examples.steps(i) for i in range(len(examples))])


def _picture(present: np.ndarray, generator: np.random.Generator, shift: int = 0) -> np.ndarray:
    """(24, 28, 3) uint8 noise with a bright bar (class 0), bar across (1), square (2)."""
    image = generator.integers(0, 60, (24, 28, 3))
    at = int(generator.integers(0, 4)) + shift
    if present[0]:
        image[2:12, 3 + at : 6 + at] += 180
    if present[1]:
        image[18:21, 2 + at : 18 + at] += 180
    if present[2]:
        image[6:14, 16 + at : 22 + at] += 180
    return image.astype(np.uint8)


def _image(present: np.ndarray, generator: np.random.Generator) -> Steps:
    return [cv2.imencode(".png", _picture(present, generator))[1].tobytes()]


def _video(present: np.ndarray, generator: np.random.Generator) -> Steps:
    frames = [_picture(present, generator, shift=t // 2) for t in range(int(generator.integers(3, 7)))]
    return [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]


def _audio(present: np.ndarray, generator: np.random.Generator) -> Steps:
    """0.2 to 0.4 s of 16 kHz tones, each class its own."""
    time = np.arange(int(generator.integers(3200, 6400))) / 16_000
    tones = sum(p * np.sin(2 * np.pi * f * time) for p, f in zip(present, (300, 900, 2400), strict=True))
    sound = 6000 * tones + generator.normal(0, 300, len(time))
    return np.rint(sound).astype(np.float32).reshape(-1, 1, 1, 1)


def _timeseries(present: np.ndarray, generator: np.random.Generator) -> Steps:
    """30 to 50 steps of 2 channels: a slow wave, a fast wave, a trend."""
    length = int(generator.integers(30, 50))
    time = np.arange(length)
    waves = np.stack([np.sin(time / 6), np.sin(time / 1.5), time / 20])
    first = present @ waves + generator.normal(0, 0.2, length)
    second = generator.normal(0, 1, length)
    return np.stack([first, second], axis=1).astype(np.float32).reshape(length, 1, 1, 2)


WORDS = ("the", "a", "of", "ball", "goal", "bank", "money", "star", "moon")


def _text(present: np.ndarray, generator: np.random.Generator) -> Steps:
    words = list(generator.integers(0, 3, 8))
    for c in np.flatnonzero(present):
        words += [3 + 2 * c, 4 + 2 * c]
    return generator.permutation(words).astype(np.float32).reshape(-1, 1, 1, 1)


def _table(present: np.ndarray, generator: np.random.Generator) -> Steps:
    """Three telling columns, a category and one with holes."""
    cells = np.concatenate([present + generator.normal(0, 0.2, CLASSES), generator.integers(0, 4, 1), [np.nan]])
    if generator.random() < 0.7:
        cells[-1] = present[0] + generator.normal()
    return cells.astype(np.float32).reshape(1, 1, 5, 1)


_PICTURES = {"row_count": 24, "col_count": 28, "num_channels": 3, "format": "COMPRESSED"}
_SERIES = {"sequence_size": -1, "is_sequence": True}
TOYS: dict[str, tuple[Callable[[np.ndarray, np.random.Generator], Steps], dict[str, object]]] = {
    "image": (_image, _PICTURES),
    "video": (_video, _PICTURES | {"sequence_size": -1, "is_sequence": True}),
    "audio": (_audio, _SERIES),
    "timeseries": (_timeseries, _SERIES | {"num_channels": 2}),
    "text": (_text, _SERIES | {"channel_to_index": {word: i for i, word in enumerate(WORDS)}}),
    "tabular": (
        _table,
        {"col_count": 5, "feature_to_index": {name: i for i, name in enumerate(("x", "y", "z", "kind", "rare"))}},
    ),
}
