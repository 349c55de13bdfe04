"""Examples: what every model trains on and predicts, wherever they come from.

``Examples`` is the interface; a split on disk (``reader.py``) and raw inputs that were just formatted
(``MemoryExamples``) differ only in how they hand over the steps of example i.  Decoded images are kept
in memory as uint8 and shared by all subsets, so several models decode each file once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from automl_engine.dataset.decode import ImageCache, to_tensor
from automl_engine.dataset.spec import Spec

if TYPE_CHECKING:
    import tensorflow as tf

Steps = list[bytes] | np.ndarray
"""COMPRESSED: one encoded image a time step; DENSE: (T, row, col, channels) float32;
SPARSE: (nnz, 2, 1) float32 pairs (col index, value), or (T, 1, 1) channel indices of old sparse text."""


def stored_bytes(steps: Steps) -> int:
    """What the undecoded content takes."""
    return steps.nbytes if isinstance(steps, np.ndarray) else sum(map(len, steps))


class Examples(ABC):
    """N examples of one Spec in a fixed order, read lazily; safe to read from several threads."""

    spec: Spec
    kept_s = 0.0
    """Time that took what is computed once for these examples and kept, such as their features."""

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def labels(self) -> np.ndarray:
        """(N, K) float32, the label confidences; all zeros where labels are hidden or unknown."""

    @abstractmethod
    def steps(self, index: int) -> Steps:
        """The undecoded content of one example."""

    @abstractmethod
    def images(self, height: int, width: int, frame_count: int = 1) -> np.ndarray:
        """(N, frame_count, height, width, channels) uint8; decoded in parallel and kept.

        COMPRESSED images and videos, and DENSE images (scaled to 0..255).  Frames are spread evenly over
        the video.  Resizing averages over the area, without regard to the aspect.
        """

    @abstractmethod
    def subset(self, indices: Sequence[int] | np.ndarray) -> Examples:
        """The examples at these positions, sharing what is decoded already."""

    def origin(self) -> tuple[Examples, np.ndarray]:
        """The examples that own the content, and the positions of these among them: the key of every cache."""
        return self, np.arange(len(self))

    def stored_bytes(self, probes: int = 8) -> float:
        """What the undecoded content of an example takes, judged by a few of them."""
        some = np.linspace(0, len(self) - 1, min(len(self), probes))
        return float(np.mean([stored_bytes(self.steps(int(i))) for i in some])) if len(self) else 0.0

    def tensor(self, index: int) -> np.ndarray:
        """(T, row, col, channels) float32, as the challenge hands it to a model; decoders of JPEG differ a little."""
        return to_tensor(self.steps(index), self.spec)

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """(n, F) float32, the cells of these examples of a DENSE table."""
        cells = [np.asarray(self.steps(i), np.float32).ravel() for i in indices.tolist()]
        return np.stack(cells) if cells else np.zeros((0, self.spec.row_count * self.spec.col_count), np.float32)

    def arrays(self) -> list[np.ndarray]:
        """The tensors of all examples (series, text tokens, tables)."""
        return [self.tensor(i) for i in range(len(self))]

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        labels = self.labels
        for i in range(len(self)):
            yield self.tensor(i), labels[i]

    def as_tf_dataset(self) -> tf.data.Dataset:
        """The view of the challenge: (4-D float32 tensor, float32 label vector), unbatched, unshuffled."""
        import tensorflow as tf

        shape = [None if n == -1 else n for n in self._tensor_shape()]
        signature = (
            tf.TensorSpec(shape, tf.float32),
            tf.TensorSpec([self.spec.output_dim], tf.float32),
        )
        return tf.data.Dataset.from_generator(lambda: iter(self), output_signature=signature)

    def _tensor_shape(self) -> tuple[int, int, int, int]:
        spec = self.spec
        if spec.format == "SPARSE":
            return -1, -1, -1, 1
        return spec.sequence_size, spec.row_count, spec.col_count, spec.num_channels


class MemoryExamples(Examples):
    """Examples whose steps are held in memory: raw inputs to predict, and toys in tests."""

    def __init__(self, spec: Spec, steps: Sequence[Steps], labels: np.ndarray | None = None) -> None:
        self.spec = spec
        self._steps = list(steps)
        self._labels = np.zeros((len(steps), spec.output_dim), np.float32) if labels is None else labels
        self._cache = ImageCache(self)

    def __len__(self) -> int:
        return len(self._steps)

    @property
    def labels(self) -> np.ndarray:
        return self._labels

    def steps(self, index: int) -> Steps:
        return self._steps[index]

    def images(self, height: int, width: int, frame_count: int = 1) -> np.ndarray:
        return self._cache.images(np.arange(len(self)), height, width, frame_count)

    def subset(self, indices: Sequence[int] | np.ndarray) -> Examples:
        return SubsetExamples(self, self._cache, np.asarray(indices, np.int64))


class SubsetExamples(Examples):
    """Some examples of a root that owns the records and the image cache."""

    def __init__(self, root: Examples, cache: ImageCache, indices: np.ndarray) -> None:
        self.spec = root.spec.with_count(len(indices))
        self._root, self._cache, self._indices = root, cache, indices

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def labels(self) -> np.ndarray:
        return self._root.labels[self._indices]

    def steps(self, index: int) -> Steps:
        return self._root.steps(int(self._indices[index]))

    def images(self, height: int, width: int, frame_count: int = 1) -> np.ndarray:
        return self._cache.images(self._indices, height, width, frame_count)

    def subset(self, indices: Sequence[int] | np.ndarray) -> Examples:
        return SubsetExamples(self._root, self._cache, self._indices[np.asarray(indices, np.int64)])

    def origin(self) -> tuple[Examples, np.ndarray]:
        return self._root, self._indices
