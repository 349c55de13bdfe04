"""The parts of AutoCLINT, each on its own; that it learns is tested in test_models.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.models.challenge.image_autoclint import ImageAutoclint, Plateaus, Training, class_weights
from automl_engine.models.shared import augment
from automl_engine.models.shared.vision import torchvision
from tests.engine.toy_examples import toy

SHAPE = {"shape": [16, 16, 3], "classes": 2, "multi_label": False, "flips": []}


@pytest.mark.parametrize(
    ("rows", "cols", "size"), [(28, 28, (32, 32)), (100, 100, (64, 64)), (480, 640, (56, 72)), (100, 400, (32, 128))]
)
def test_the_input_keeps_the_aspect(rows: int, cols: int, size: tuple[int, int]) -> None:
    spec = Spec("images", 4, 2, 1, rows, cols, 3)
    chosen = ImageAutoclint(spec).choose_feature_params(MemoryExamples(spec, [], np.zeros((0, 2), np.float32)))
    assert (chosen["height"], chosen["width"]) == size


def test_the_median_of_any_size() -> None:
    spec = Spec("images", 3, 2, 1, -1, -1, 1)
    steps = [np.zeros((1, side, 2 * side, 1), np.float32) for side in (20, 24, 400)]
    train = MemoryExamples(spec, steps, np.eye(2, dtype=np.float32)[[0, 1, 0]])
    assert ImageAutoclint(spec).choose_feature_params(train) == {"height": 24, "width": 48}


def test_the_rate_warms_up_and_falls_on_plateaus() -> None:
    rate = Plateaus(0.1, warm_up=5)
    rate.begin_pass(0, 2)
    assert [rate.at(step) for step in (0, 4, 9, 99)] == pytest.approx([0.01, 0.05, 0.1, 0.1])
    for loss in [1.0, 0.9, *[0.899] * 10]:
        rate.end_pass(loss)
    assert rate.at(0) == pytest.approx(0.01)
    rate.end_pass(0.5)
    assert (rate.waited, rate.passes) == (0, 13)


def test_a_backbone_of_our_own_is_taken_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In half precision and without a last layer, as ``pretrain`` writes it."""
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(tmp_path))
    backbone = torchvision().resnet18(weights=None)
    backbone.fc = torch.nn.Identity()
    save_file(backbone.half().state_dict(), tmp_path / "resnet18_mixed.safetensors")
    train, notes = toy("image", 8, False, seed=0), []
    model = ImageAutoclint(train.spec, device="cpu", slice_s=0.0)
    model.emit = lambda kind, **fields: notes.append(fields["text"]) if kind == "note" else None
    built = model.build({"network": "resnet18", "pretrained": True, "tau": 8.0, **SHAPE}).body[1]
    torch.testing.assert_close(built.layer4[1].conv2.weight, backbone.layer4[1].conv2.weight.float())
    model.train(train, 10)
    assert notes == ["AutoCLINT uses the weights of resnet18_mixed."]


@pytest.mark.long
def test_the_second_network_predicts_once_it_fits_better() -> None:
    train = toy("image", 40, False, seed=0)
    model = ImageAutoclint(train.spec, width=8, switch=1, device="cpu", batch=20, slice_s=0.0)
    seen: list[tuple[str, str]] = []
    while not seen or training(model).rate.passes < 7:
        model.train(train, 10)
        end_slice(model)
        seen.append((training(model).kind, model.config["network"]))
        loaded = model.build(model.config)
        loaded.load_state_dict(model.network.state_dict())
    assert seen[0] == ("resnet9", "resnet18")
    assert seen[-1][0] == "resnet9"


def training(model: ImageAutoclint) -> Training:
    assert model.training is not None
    return model.training


def end_slice(model: ImageAutoclint) -> None:
    """Go on to the end of the pass."""
    part = training(model)
    while part.queue:
        part.losses.append(float(part.trainer.step(part.queue.pop())))
    model.training = model._end_pass(part)


def test_presence_and_absence_weigh_the_same() -> None:
    labels = torch.from_numpy(toy("image", 50, True, seed=0).labels)
    absence, presence = class_weights(labels)
    per_class = torch.where(labels > 0.5, presence, absence)
    present, absent = (per_class * labels).sum(0), (per_class * (1 - labels)).sum(0)
    torch.testing.assert_close(present, absent, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(present + absent, torch.full((3,), 50.0), rtol=1e-4, atol=1e-4)


def test_augmentations_are_searched_on_what_was_held_out_until_the_warm_up_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, applied = toy("image", 50, False, seed=0), []
    found = [augment.SUB_POLICIES[1]]
    monkeypatch.setattr(augment, "search", lambda predict, images, labels, time_s: found if len(images) == 10 else [])
    monkeypatch.setattr(augment, "apply", lambda policy, images: applied.append(policy) or images)
    model = ImageAutoclint(train.spec, width=8, switch=0, warm_up=2, augment="faa", device="cpu", slice_s=0.01)
    notes: list[str] = []
    model.emit = lambda kind, **fields: notes.append(fields.get("text", ""))
    model.train(train, 10)
    batches = training(model).batches
    assert (len(batches.seen), len(batches.held_out), applied) == (40, 10, [])
    while len(batches.held_out):
        model.train(train, 10)
    assert training(model).rate.passes >= 2
    model.train(train, 10)
    assert batches.policy == applied[0] == found
    assert sorted(batches.seen.tolist()) == list(range(50))
    assert any("rotate, translate_x" in note for note in notes)


def test_other_channels_get_a_stem() -> None:
    spec = Spec("images", 8, 2, 1, 16, 16, 4)
    generator = np.random.default_rng(0)
    steps = [generator.random((1, 16, 16, 4), np.float32) for _ in range(8)]
    train = MemoryExamples(spec, steps, np.eye(2, dtype=np.float32)[np.arange(8) % 2])
    model = ImageAutoclint(spec, width=8, switch=0, device="cpu", slice_s=0.0)
    model.train(train, 10)
    assert isinstance(model.network.body[0], torch.nn.Conv2d)
    assert model.test(train, 10).shape == (8, 2)
