"""From stored steps to arrays: images at the scale that is needed, in parallel, once.

OpenCV decodes (JPEG, PNG, BMP); it releases the GIL, so threads are enough.  EXIF orientation is ignored,
as the challenge's reader does.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from automl_engine.errors import DataError
from automl_engine.spec import Spec

if TYPE_CHECKING:
    from automl_engine.dataset.examples import Examples, Steps

THREADS = min(16, os.cpu_count() or 1)


def to_tensor(steps: Steps, spec: Spec) -> np.ndarray:
    """(T, row, col, channels) float32 as in the challenge: images in [0, 1], the rest as stored."""
    if isinstance(steps, np.ndarray):
        if spec.format == "SPARSE":  # pairs are one matrix, tokens are a series
            steps = steps[None] if spec.col_count > spec.num_channels else steps[..., None]
        return steps.astype(np.float32, copy=False)
    return np.stack([decode_image(step, spec.num_channels) for step in steps]).astype(np.float32) / 255


def decode_image(data: bytes, channels: int, min_side: int = 0) -> np.ndarray:
    """(row, col, channels) uint8; a JPEG is decoded at 1/2, 1/4 or 1/8 where both sides stay >= min_side.

    Raises:
        DataError: the bytes are no image that we can decode.
    """
    cv2 = _cv2()
    reduce = _reduction(data, min_side) if min_side and channels != 4 else 1
    image = cv2.imdecode(np.frombuffer(data, np.uint8), _flag(channels, reduce) | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise DataError(f"an image of {len(data)} bytes cannot be decoded; it is damaged or no JPEG, PNG or BMP.")
    if channels == 4:
        return _rgba(image)
    if image.ndim == 2:
        image = image[..., None]
    elif reduce != 1:
        image = image[..., ::-1]  # the reduced flags have no RGB twin
    return image[..., :channels]


def prepare() -> None:
    """Load the decoder now, so that the first image doesn't wait for it."""
    _cv2()


@cache
def _cv2() -> ModuleType:
    """Imported late: tables and texts do without it."""
    import cv2

    cv2.setNumThreads(1)  # we thread over examples
    return cv2


@cache
def _flag(channels: int, reduce: int) -> int:
    cv2 = _cv2()
    if channels == 4:
        return cv2.IMREAD_UNCHANGED
    kind = "GRAYSCALE" if channels == 1 else "COLOR"
    if reduce > 1:
        return getattr(cv2, f"IMREAD_REDUCED_{kind}_{reduce}")
    return cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB


def _rgba(image: np.ndarray) -> np.ndarray:
    """(row, col, 4) uint8 from whatever the file holds: grey or BGR with or without alpha, 8 or 16 bits."""
    cv2 = _cv2()
    if image.dtype == np.uint16:
        image = (image // 257).astype(np.uint8)
    codes = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
    return cv2.cvtColor(image, codes[1 if image.ndim == 2 else image.shape[-1]])


def _reduction(data: bytes, min_side: int) -> int:
    size = jpeg_size(data)
    if size is None:
        return 1
    return next((r for r in (8, 4, 2) if min(size) >= r * min_side), 1)


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) from the frame header, or None when it is no JPEG."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


class ImageCache:
    """uint8 images of a root's examples by size, filled as they are asked for."""

    def __init__(self, root: Examples) -> None:
        self._root = root
        self._stores: dict[tuple[int, int, int], tuple[np.ndarray, np.ndarray]] = {}

    def images(self, indices: np.ndarray, height: int, width: int, frame_count: int) -> np.ndarray:
        """(len(indices), frame_count, height, width, channels) uint8."""
        key = (height, width, frame_count)
        if key not in self._stores:
            shape = (len(self._root), frame_count, height, width, self._root.spec.num_channels)
            self._stores[key] = np.empty(shape, np.uint8), np.zeros(len(self._root), bool)
        store, done = self._stores[key]
        missing = np.unique(indices[~done[indices]])
        chunks = np.array_split(missing, max(1, min(len(missing), 4 * THREADS)))

        def fill(chunk: np.ndarray) -> None:
            for i in chunk:
                steps = self._root.steps(int(i))
                try:
                    store[i] = resized_frames(steps, self._root.spec, height, width, frame_count)
                except DataError as error:
                    raise DataError(f"Example {i} of {self._root.spec.name}: {error}") from error
                done[i] = True

        if len(missing):
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(fill, chunks))
        whole = len(indices) == len(store) and np.array_equal(indices, np.arange(len(store)))
        return store if whole else store[indices]


def resized_frames(steps: Steps, spec: Spec, height: int, width: int, frame_count: int) -> np.ndarray:
    """(frame_count, height, width, channels) uint8, frames spread evenly over the example."""
    picks = np.linspace(0, len(steps) - 1, frame_count).round().astype(int)
    frames = np.empty((frame_count, height, width, spec.num_channels), np.uint8)
    for slot, pick in enumerate(picks):
        if isinstance(steps, np.ndarray):
            frame = _to_uint8(steps[pick])
        else:
            frame = decode_image(steps[pick], spec.num_channels, min_side=max(height, width))
        if frame.shape[:2] != (height, width):
            cv2 = _cv2()
            shrink = frame.shape[0] > height or frame.shape[1] > width
            frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
        frames[slot] = frame.reshape(height, width, -1)
    return frames


def _to_uint8(frame: np.ndarray) -> np.ndarray:
    """A raw-array image has any scale: [0, 1] or 0..255 by its maximum."""
    return np.clip(frame * (255 if frame.max() <= 1 else 1), 0, 255).astype(np.uint8)
