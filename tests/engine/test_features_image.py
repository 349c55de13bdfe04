"""Image features: gradients vote for their direction, textures are told wherever they are, any channel count works."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from automl_engine.dataset import decode
from automl_engine.dataset.decode import decode_image, step_shape
from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.features import image
from automl_engine.features.image import appearance, gradient_features, texture_features, typical_side
from automl_engine.models.image.linear import MANY, appearance_params


def noise(count: int, side: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, channels), dtype=np.uint8)


def waves(direction: str) -> np.ndarray:
    """(1, 32, 32, 1), brightness changing along one axis."""
    wave = 128 + 100 * np.sin(np.arange(32) / 3)
    image = np.tile(wave, (32, 1)) if direction == "across" else np.tile(wave[:, None], (1, 32))
    return image[None, :, :, None].astype(np.uint8)


@pytest.mark.parametrize(("direction", "strongest"), [("across", {0}), ("down", {4, 5})])
def test_gradients_vote_for_their_direction(direction: str, strongest: set[int]) -> None:
    histogram = gradient_features(waves(direction), cell=8)[0, : 16 * 9].reshape(16, 9)
    assert set(histogram.argmax(1).tolist()) <= strongest


def test_votes_of_a_pixel_sum_to_the_length_of_its_gradient() -> None:
    """The histogram before normalisation, got back from a picture of one cell whose surroundings are itself."""
    image = noise(1, 8)
    grey = image[0].astype(np.float64).mean(2) / 255
    dx, dy = np.zeros_like(grey), np.zeros_like(grey)
    dx[:, 1:-1], dy[1:-1] = grey[:, 2:] - grey[:, :-2], grey[2:] - grey[:-2]
    histogram = gradient_features(image, cell=8)[0, :9]
    length = np.hypot(dx, dy).mean()
    share = histogram / histogram.sum() * length
    np.testing.assert_allclose(share / (3 * np.sqrt((share**2).sum()) + 0.02), histogram, rtol=1e-4)


def test_chunks_do_not_change_the_features() -> None:
    images = noise(300, 16)
    whole = np.concatenate([gradient_features(images, 4), texture_features(images, 2)], axis=1)
    parts = [np.concatenate([gradient_features(one, 4), texture_features(one, 2)], axis=1) for one in images[:, None]]
    np.testing.assert_allclose(whole, np.concatenate(parts), atol=1e-6)


@pytest.mark.parametrize("scale", [1, 300])
def test_quantiles_by_counting_are_those_by_sorting(scale: int) -> None:
    values = np.random.default_rng(0).normal(0, scale, (32, 32)).astype(np.int16)
    assert (image._counted_quantiles(values) == image._quantiles(values)).all()


def test_textures_are_the_same_wherever_a_thing_is() -> None:
    images = np.full((2, 64, 64, 3), 200, np.uint8)
    images[0, 8:12, 8:12] = images[1, 40:44, 24:28] = (90, 30, 160)
    here, there = texture_features(images, 3)
    nowhere = texture_features(np.full((1, 64, 64, 3), 200, np.uint8), 3)[0]
    assert np.abs(here - there).max() < 3
    assert np.abs(here - nowhere).max() > 50


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("size", [32, 128])
def test_any_number_of_channels(channels: int, size: int) -> None:
    spec = Spec("toy", 3, 2, 1, size, size, channels)
    examples = MemoryExamples(spec, list(noise(3, size, channels)[:, None].astype(np.float32)))
    features = appearance(examples, size, levels=2)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    quantities = {1: 1, 3: 2}.get(channels, 1) * channels
    assert features.shape == (3, 16 * (9 + channels) + 11 * (quantities + 2 * channels))


def test_the_closer_look_is_for_few_large_images() -> None:
    def params(count: int, side: int) -> dict[str, int]:
        spec = Spec("toy", count, 2, 1, side, side, 1)
        return appearance_params(MemoryExamples(spec, [np.zeros((1, 1, 1, 1), np.float32)] * count))

    assert params(50, 28) == {"size": 32, "levels": 3, "grid": 4}
    assert params(50, 100)["size"] == 64
    assert params(50, 480)["size"] == 128
    assert params(2000, 480)["size"] == 64
    assert params(MANY + 1, 480) == {"size": 32, "levels": 0, "grid": 8}


def test_typical_side_where_sizes_differ() -> None:
    spec = Spec("toy", 3, 2, 1, -1, -1, 1)
    shapes = [(20, 20), (40, 40), (90, 90)]
    examples = MemoryExamples(spec, [np.zeros((1, *shape, 1), np.float32) for shape in shapes])
    assert typical_side(examples) == 40


def encoded(suffix: str, row: int, col: int, channels: int = 3) -> bytes:
    return cv2.imencode(suffix, np.full((row, col, channels), 90, np.uint8))[1].tobytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_shape_of_a_stored_image_is_that_of_the_decoded_one(suffix: str, channels: int) -> None:
    data = encoded(suffix, 37, 51, channels)
    assert step_shape(data, channels) == decode_image(data, channels).shape[:2] == (37, 51)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_typical_side_decodes_nothing(suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Spec("toy", 3, 2, 1, -1, -1, 3, "COMPRESSED")
    examples = MemoryExamples(spec, [[encoded(suffix, side, side)] for side in (20, 40, 90)])

    def fail(*arguments: object) -> None:
        raise AssertionError("this would take long for a photograph")

    monkeypatch.setattr(decode, "decode_image", fail)
    assert typical_side(examples) == 40
