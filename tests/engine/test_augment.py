"""Augmentations: what each operation does, that strength 0 does nothing, and which policies the search keeps."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from automl_engine.dataset.metrics import nauc
from automl_engine.models.image import resnet as image_resnet
from automl_engine.models.image.resnet import ImageResnet
from automl_engine.models.shared import augment
from tests.engine.toy_examples import hidden, toy

WITHOUT_STRENGTH = {"auto_contrast", "equalize", "invert"}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(10, 240, (8, 3, 24, 24), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize("name", sorted(augment.OPERATIONS))
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_operations_keep_shape_and_range(name: str, channels: int, images: torch.Tensor) -> None:
    some = torch.cat([images, images], 1)[:, :channels]
    for strength in (-1.0, 0.0, 0.4, 1.0):
        changed = augment.OPERATIONS[name](some, torch.full((8,), strength))
        assert changed.shape == some.shape
        assert changed.min() >= -0.01
        assert changed.max() <= 255.01
        if strength == 0 and name not in WITHOUT_STRENGTH:
            torch.testing.assert_close(changed, some, atol=0.01, rtol=0)
    if (name, channels) != ("color", 1):
        assert not torch.allclose(changed, some, atol=1)


def test_translation_moves_by_the_published_share_of_the_side(images: torch.Tensor) -> None:
    strength = torch.full((8,), 331 / 150 / 4)  # a quarter of the side
    moved = augment.OPERATIONS["translate_x"](images, strength)
    torch.testing.assert_close(moved[..., :18], images[..., 6:], atol=0.05, rtol=0)
    assert (moved[..., 18:] == 128).all()


def test_a_quarter_turn_is_a_rotation(images: torch.Tensor) -> None:
    turned = augment.OPERATIONS["rotate"](images, torch.full((8,), 3.0))  # 90 degrees
    assert any(torch.allclose(turned, images.rot90(k, (2, 3)), atol=0.1) for k in (1, 3))


def test_equalized_values_are_spread_evenly() -> None:
    image = torch.arange(64.0).reshape(1, 1, 8, 8)
    flat = augment.OPERATIONS["equalize"](image, torch.zeros(1)).flatten()
    torch.testing.assert_close(flat, torch.linspace(0, 255, 64), atol=0.01, rtol=0)
    constant = torch.full((1, 1, 8, 8), 7.0)
    torch.testing.assert_close(augment.OPERATIONS["equalize"](constant, torch.zeros(1)), constant)


def test_sub_policies_are_the_25_of_the_paper() -> None:
    assert len(augment.SUB_POLICIES) == 25
    steps = [step for sub_policy in augment.SUB_POLICIES for step in sub_policy]
    assert {name for name, _, _ in steps} <= set(augment.OPERATIONS)
    assert all(0 <= probability <= 1 and 0 <= magnitude <= 9 for _, probability, magnitude in steps)


def test_only_policies_that_help_unseen_images_are_kept(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    labels = np.eye(2, dtype=np.float32)[np.arange(8) % 2]

    def sees_what_changed(batch: torch.Tensor) -> np.ndarray:
        """Right only about images that are not what they were."""
        changed = (batch - images).abs().mean((1, 2, 3)).numpy() > 20
        score = np.where(changed, labels[:, 1], 0.5)
        return np.stack([1 - score, score], 1)

    found = augment.search(sees_what_changed, images, labels, time_s=20, tries=20, kept=2)
    assert len(found) == 6
    assert set(found) <= set(augment.SUB_POLICIES)
    assert augment.search(lambda _: labels, images, labels, time_s=20, tries=5) == []  # nothing beats perfect


def test_mixed_labels_still_sum_to_one(images: torch.Tensor) -> None:
    torch.manual_seed(0)
    labels = torch.eye(2)[torch.arange(8) % 2]
    inputs, targets = augment.mixed(images, labels, 1.0)
    assert inputs.shape == images.shape
    torch.testing.assert_close(targets.sum(1), torch.ones(8))
    assert ((targets > 0.01) & (targets < 0.99)).any()


@pytest.mark.parametrize(
    ("params", "multi_label"),
    [
        pytest.param({"augment": "faa"}, False, marks=pytest.mark.long),
        ({"augment": "faa"}, True),
        ({"mixup": 0.2}, False),
        ({"grow": 0.5}, True),
    ],
)
def test_the_network_learns_under_each_of_them(params: dict[str, Any], multi_label: bool) -> None:
    train, test = toy("image", 60, multi_label, seed=1), toy("image", 30, multi_label, seed=2)
    model = ImageResnet(train.spec, seed=0, device="cpu", width=8, slice_s=1.5, **params)
    notes: list[str] = []
    model.emit = lambda kind, **fields: notes.append(fields.get("text", ""))
    end, score = time.monotonic() + 40, 0.0
    while (score < 0.3 or starts_small(model)) and not model.done_training and time.monotonic() < end:
        model.train(train, 4)
        prediction = model.test(hidden(test), 9)
        assert prediction.shape == (30, 3)
        score = nauc(test.labels, prediction)
    assert score >= 0.3
    assert any("searched" in note for note in notes) == (params.get("augment") == "faa")
    assert model.training is not None
    assert len(model.training.batches.seen) == 60
    assert model.config["shape"][0] == 32


def test_only_many_images_begin_small(monkeypatch: pytest.MonkeyPatch) -> None:
    train = toy("image", 20, False, seed=1)
    few, full = ImageResnet(train.spec)._first_pixels(train)
    monkeypatch.setattr(image_resnet, "GROW_EXAMPLES", 10)
    many, _ = ImageResnet(train.spec)._first_pixels(train)
    assert (few.shape[1], many.shape[1], full["height"]) == (32, 24, 32)


def starts_small(model: ImageResnet) -> bool:
    return model.training is None or model.training.starts_small
