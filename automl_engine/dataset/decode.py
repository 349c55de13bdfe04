"""From stored steps to arrays: images at the scale that is needed, in parallel, once.

simplejpeg (libjpeg-turbo without detours) decodes JPEG, OpenCV the rest (PNG, BMP, JPEGs that are odd or damaged);
both release the GIL, so threads are enough.  EXIF orientation is ignored, as the challenge's reader does.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from automl_engine import clock
from automl_engine.dataset.memory import cache_limit_bytes
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError

if TYPE_CHECKING:
    from automl_engine.dataset.examples import Examples, Steps

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = min(16, CORES)
READ_TOGETHER = 32
"""Records: threads that read some and then decode them hand the GIL over less often than those that do it by turns."""
MANY, SMALL_BYTES = 4096, 8192
"""So many images of so few bytes are decoded in processes: threads spend their time on handing the GIL over."""
FORKS = sys.platform == "linux"
_JPEG = b"\xff\xd8"
_PNG, _PNG_SIZE = b"\x89PNG\r\n\x1a\n", slice(16, 24)
_COLOURS = {1: "GRAY", 3: "RGB"}


def to_tensor(steps: Steps, spec: Spec) -> np.ndarray:
    """(T, row, col, channels) float32 as in the challenge: images in [0, 1], the rest as stored."""
    if isinstance(steps, np.ndarray):
        if spec.format == "SPARSE":  # pairs are one matrix, tokens are a series
            steps = steps[None] if spec.col_count > spec.num_channels else steps[..., None]
        return steps.astype(np.float32, copy=False)
    return np.stack([decode_image(step, spec.num_channels) for step in steps]).astype(np.float32) / 255


def decode_image(data: bytes, channels: int, min_side: int = 0) -> np.ndarray:
    """(row, col, channels) uint8; a JPEG is decoded at a smaller scale (DCT) where both sides stay >= min_side.

    Raises:
        DataError: the bytes are no image that we can decode.
    """
    if data.startswith(_JPEG) and channels in _COLOURS:
        try:
            return _simplejpeg().decode_jpeg(data, _COLOURS[channels], False, False, min_side, min_side)
        except ValueError:  # four inks, or something wrong in it: OpenCV is more lenient
            pass
    cv2 = _cv2()
    kind = cv2.IMREAD_UNCHANGED if channels == 4 else cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_RGB
    image = cv2.imdecode(np.frombuffer(data, np.uint8), kind | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise DataError(f"an image of {len(data)} bytes cannot be decoded; it is damaged or no JPEG, PNG or BMP.")
    if channels == 4:
        return _rgba(image)
    return image[..., None] if image.ndim == 2 else image[..., :channels]


def step_shape(step: bytes | np.ndarray, channels: int) -> tuple[int, int]:
    """(row, col) of a step as it is stored; of a JPEG or PNG by its header, for decoding takes long."""
    if isinstance(step, np.ndarray):
        return step.shape[0], step.shape[1]
    if step.startswith(_JPEG):
        try:
            return _simplejpeg().decode_jpeg_header(step)[:2]
        except ValueError:  # as in ``decode_image``
            pass
    if step.startswith(_PNG) and len(step) >= _PNG_SIZE.stop:
        col, row = struct.unpack(">II", step[_PNG_SIZE])
        return row, col
    row, col, _ = decode_image(step, channels).shape
    return row, col


def prepare() -> None:
    """Load the decoders now, so that the first image doesn't wait for them."""
    _cv2()
    _simplejpeg()


@cache
def _cv2() -> ModuleType:
    """Imported late: tables and texts do without it."""
    import cv2

    cv2.setNumThreads(1)  # we thread over examples
    return cv2


@cache
def _simplejpeg() -> ModuleType:
    import simplejpeg

    return simplejpeg


def _rgba(image: np.ndarray) -> np.ndarray:
    """(row, col, 4) uint8 from whatever the file holds: grey or BGR with or without alpha, 8 or 16 bits."""
    cv2 = _cv2()
    if image.dtype == np.uint16:
        image = (image // 257).astype(np.uint8)
    codes = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
    return cv2.cvtColor(image, codes[1 if image.ndim == 2 else image.shape[-1]])


class ImageCache:
    """uint8 images of a root's examples by size, filled as they are asked for, within ``memory.cache_limit_bytes``.

    Where not all images of a size fit, the first ones that are asked for are kept and the others are decoded each
    time; sizes that were not asked for the longest time make room.
    """

    def __init__(self, root: Examples) -> None:
        self._root = root
        self._stores: dict[tuple[int, int, int], _Store] = {}  # the one used last is last
        self._lock = threading.Lock()

    def images(self, indices: np.ndarray, height: int, width: int, frame_count: int) -> np.ndarray:
        """(len(indices), frame_count, height, width, channels) uint8; not to be written to."""
        shape = (frame_count, height, width, self._root.spec.num_channels)
        store = self._store(shape)
        with self._lock:
            slots = store.slots_of(indices)
        homeless = np.flatnonzero(slots < 0)
        missing = np.unique(slots[slots >= 0])
        missing = missing[~store.done[missing]]
        if len(missing):
            self._decode(store.owners[missing], store.images, missing, is_shared=FORKS)
        store.done[missing] = True
        if len(slots) == len(store.images) and np.array_equal(slots, np.arange(len(slots))):
            return store.images  # all of them in their order: nothing is copied
        with clock.work("gather images", bytes=len(slots) * int(np.prod(shape))):
            out = store.images[slots]
        if len(homeless):
            self._decode(indices[homeless], out, homeless)
        return out

    def _amounts(self, indices: np.ndarray, shape: tuple[int, ...]) -> dict[str, float]:
        """What the time of decoding these goes by; how large they are is judged by a few."""
        steps = self._root.steps(int(indices[0]))
        kind = "jpeg bytes" if isinstance(steps, list) and steps[0].startswith(_JPEG) else "bytes"
        frames, share = len(indices) * shape[0], min(1.0, shape[0] / max(1, len(steps)))
        stored = len(indices) * self._root.subset(indices).stored_bytes() * share
        return {"frames": frames, "pixels": frames * shape[1] * shape[2], kind: stored}

    def _store(self, shape: tuple[int, int, int, int]) -> _Store:
        with self._lock:
            key = shape[:3]
            store = self._stores.pop(key, None)
            if store is None:
                size_bytes, limit_bytes = int(np.prod(shape)), cache_limit_bytes()
                count = min(len(self._root), max(1, limit_bytes // size_bytes))
                while (
                    self._stores
                    and count * size_bytes + sum(s.images.nbytes for s in self._stores.values()) > limit_bytes
                ):
                    del self._stores[next(iter(self._stores))]
                store = _Store(len(self._root), count, shape)
            self._stores[key] = store
            return store

    def _decode(self, indices: np.ndarray, out: np.ndarray, rows: np.ndarray, is_shared: bool = False) -> None:
        """Write the images of these examples into these rows of ``out``; forks see it where it ``is_shared``."""
        read, frame_count, shape = self._root.steps, out.shape[1], out.shape[2:]

        def fill(part: slice) -> None:
            for at in range(part.start, part.stop, READ_TOGETHER):
                few = slice(at, min(at + READ_TOGETHER, part.stop))
                contents = [read(index) for index in indices[few].tolist()]
                for row, steps in zip(rows[few].tolist(), contents, strict=True):
                    try:
                        for slot, pick in enumerate(_spread(len(steps), frame_count)):
                            out[row, slot] = frame_of(steps[pick], shape)
                    except DataError as error:
                        index = indices[at + contents.index(steps)]
                        raise DataError(f"Example {index} of {self._root.spec.name}: {error}") from error

        with clock.work("decode", lambda: self._amounts(indices, out.shape[1:])):
            if is_shared and len(indices) >= MANY and self._are_small(indices):
                in_processes(fill, len(indices))
            else:
                bounds = np.linspace(0, len(indices), min(len(indices), 8 * THREADS) + 1).astype(int)
                with ThreadPoolExecutor(THREADS) as pool:
                    list(pool.map(fill, map(slice, bounds[:-1], bounds[1:])))

    def _are_small(self, indices: np.ndarray) -> bool:
        some = [self._root.steps(int(index)) for index in indices[:: len(indices) // 8]]
        return all(isinstance(step, bytes) and len(step) < SMALL_BYTES for steps in some for step in steps)


def in_processes(work: Callable[[slice], None], count: int) -> None:
    """Do ``work`` on parts of range(count) in forks of this process; its results must lie in shared memory.

    What a fork could not do is done here, so that its error is raised here.
    """
    bounds = np.linspace(0, count, THREADS + 1).astype(int).tolist()
    mine, *others = (slice(*pair) for pair in pairwise(bounds))
    forks: list[tuple[int, slice]] = []
    undone = [mine]
    for part in others:
        try:
            pid = os.fork()
        except OSError:  # no more processes or memory for one
            undone.append(part)
            continue
        if pid == 0:
            code = 1
            try:
                work(part)
                code = 0
            finally:
                os._exit(code)  # neither the parent's handlers nor its cleaning up are ours
        forks.append((pid, part))
    try:
        for part in undone:
            work(part)
    finally:
        failed = [part for pid, part in forks if os.waitpid(pid, 0)[1]]
    for part in failed:
        work(part)


class _Store:
    """Images of one size: row ``slot`` of ``images`` belongs to the example that has it."""

    def __init__(self, total: int, count: int, shape: tuple[int, ...]) -> None:
        self.images = shared_array((count, *shape))
        self.done = np.zeros(count, bool)
        self.owners = np.arange(count)  # the example of each slot
        self._slots = np.arange(total) if count == total else np.full(total, -1)
        self._taken = count if count == total else 0

    def slots_of(self, indices: np.ndarray) -> np.ndarray:
        """(len(indices),) the slot of each example, given out while there are any; -1 = none."""
        new = np.unique(indices[self._slots[indices] < 0])[: max(0, len(self.images) - self._taken)]
        slots = self._taken + np.arange(len(new))
        self._slots[new], self.owners[slots] = slots, new
        self._taken += len(new)
        return self._slots[indices]


def shared_array(shape: tuple[int, ...]) -> np.ndarray:
    """uint8 that forks of this process can write to; it takes memory only where it is written to."""
    size_bytes = int(np.prod(shape))
    if not (FORKS and size_bytes):
        return np.empty(shape, np.uint8)
    return np.frombuffer(mmap.mmap(-1, size_bytes), np.uint8).reshape(shape)


@lru_cache
def _spread(length: int, count: int) -> tuple[int, ...]:
    """``count`` positions spread evenly over ``length`` steps."""
    return tuple(np.linspace(0, length - 1, count).round().astype(int).tolist())


def frame_of(step: bytes | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """One step as uint8 of this shape (height, width, channels); the mean over the area where it shrinks."""
    height, width, channels = shape
    frame = decode_image(step, channels, max(height, width)) if isinstance(step, bytes) else _to_uint8(step)
    if frame.shape == shape:
        return frame
    cv2 = _cv2()
    shrink = frame.shape[0] > height or frame.shape[1] > width
    resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)
    return resized.reshape(shape)


def _to_uint8(frame: np.ndarray) -> np.ndarray:
    """A raw-array image has any scale: [0, 1] or 0..255 by its maximum."""
    return np.clip(frame * (255 if frame.max() <= 1 else 1), 0, 255).astype(np.uint8)
