"""Frames and motion: what stands, what moves, and in which channel it lies."""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.metrics import nauc
from automl_engine.dataset.spec import Spec
from automl_engine.features.video import frames, motion, stacked_frames
from automl_engine.models.video.linear import VideoLinear

CLIP = {"sequence_size": -1, "row_count": 32, "col_count": 32, "num_channels": 3, "is_sequence": True}


def clips(count: int, seed: int) -> MemoryExamples:
    """A square that starts anywhere and goes down (class 0), right (1) or nowhere (2): no single frame tells."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 3
    videos = rng.uniform(0, 60, (count, 8, 32, 32, 3))
    for video, c in zip(videos, classes, strict=True):
        y, x = rng.integers(0, 16, 2)
        for t in range(8):
            top, left = y + t * (c == 0), x + t * (c == 1)
            video[t, top : top + 8, left : left + 8] = 220
    spec = Spec("toy", count, 3, **CLIP)
    return MemoryExamples(spec, list(videos.astype(np.float32)), np.eye(3, dtype=np.float32)[classes])


def test_motion_alone_tells_classes_apart() -> None:
    train, test = clips(90, 1), clips(60, 2)
    model = VideoLinear(train.spec)
    model.train(train, 60)
    assert nauc(test.labels, model.test(test, 60)) > 0.7


def test_motion_begins_with_the_scene() -> None:
    examples = clips(3, 1)
    mean = examples.images(48, 48, 6).mean((1, 4)).reshape(3, -1)
    np.testing.assert_allclose(motion(examples)[:, : 48 * 48], mean, atol=0.01)


def test_frames_are_channels_in_order_of_time() -> None:
    examples = clips(2, 1)
    stacked = frames(examples, size=32, frames=4)
    assert stacked.shape == (2, 32, 32, 12)
    np.testing.assert_array_equal(stacked[..., 3:6], examples.images(32, 32, 4)[:, 1])


def test_a_still_clip_has_grey_differences() -> None:
    still = MemoryExamples(Spec("toy", 1, 3, **CLIP), [np.full((5, 32, 32, 3), 200, np.float32)])
    assert (stacked_frames(still, 16, 3)[..., 3:] == 128).all()
    assert np.isfinite(motion(still)).all()
