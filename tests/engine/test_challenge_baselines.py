"""The organisers' baselines are what their paper says: networks, input sizes, optimiser, batches and steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.models.challenge import baselines
from automl_engine.models.challenge.baselines import Baseline, Doubling
from automl_engine.models.challenge.networks import PreActivated, cnn3d, resnet50_v2
from automl_engine.portfolio import load
from tests.engine.toy_examples import toy


@pytest.fixture(scope="module")
def images() -> MemoryExamples:
    return toy("image", 66, False, seed=0)


def begun(kind: type[Baseline], split: MemoryExamples, **params: object) -> Baseline:
    model = kind(split.spec, device="cpu", seed=0, **params)
    model.training = model._begin(split)
    return model


def test_the_steps_double_until_there_is_no_time_for_as_many() -> None:
    schedule, steps = Doubling(), []
    remaining_s = 100.0
    while schedule.is_affordable(remaining_s):
        steps.append(schedule.steps)
        remaining_s -= 0.2 * schedule.steps
        schedule.add(0.2 * schedule.steps)
    assert steps == [10, 20, 40, 80, 160]  # 62 s; 320 steps would take 64 of the 38 that are left


def test_adam_batches_of_30_and_a_new_order_in_each_pass(images: MemoryExamples) -> None:
    model = begun(baselines.ImageBaselineLinear, images)
    training = model.training
    assert training is not None
    optimiser = training.trainer.optimiser
    assert isinstance(optimiser, torch.optim.Adam)
    assert (optimiser.defaults["lr"], optimiser.defaults["betas"]) == (0.001, (0.9, 0.999))
    assert training.trainer.loss is nn.functional.binary_cross_entropy_with_logits
    seen: list[list[int]] = []
    batch = training.trainer.batch
    training.trainer.batch = lambda chosen: seen.append(chosen.tolist()) or batch(chosen)
    model.train(images, 60)
    assert (len(seen), {len(chosen) for chosen in seen}) == (10, {30})
    assert seen[0] + seen[1] != seen[2] + seen[3]
    assert len({*seen[0], *seen[1]}) == 60
    model.train(images, 60)
    assert len(seen) == 30
    assert not model.done_training
    model.train(images, 1e-6)
    assert model.done_training
    assert len(seen) == 30


def test_the_linear_one_has_one_layer_on_the_pixels(images: MemoryExamples) -> None:
    model = begun(baselines.ImageBaselineLinear, images)
    flatten, layer = model.network.body
    assert isinstance(flatten, nn.Flatten)
    assert layer.in_features == 24 * 28 * 3
    assert model.config["feature_params"] == {"height": 24, "width": 28}
    inputs = model.network.standardise(torch.full((1, 24, 28, 3), 255, dtype=torch.uint8))
    assert float(inputs.max()) == pytest.approx(1)
    variable = MemoryExamples(replace(images.spec, row_count=-1, col_count=-1), [], images.labels[:0])
    assert model.choose_feature_params(variable) == {"height": 112, "width": 112}


@pytest.mark.long
def test_resnet_50_v2() -> None:
    network = resnet50_v2(3, 7)
    assert sum(p.numel() for p in network[:-1].parameters()) == pytest.approx(23.5e6, rel=0.01)
    blocks = [module for module in network if isinstance(module, PreActivated)]
    assert len(blocks) == 16
    assert sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in network.modules()) == 50 + 4  # and the projections
    limit = (6 / (network[-1].in_features + 7)) ** 0.5  # Xavier's
    assert 0.9 * limit < float(network[-1].weight.detach().abs().max()) <= limit
    split = toy("image", 6, False, seed=0)
    model = begun(baselines.ImageResnet50V2, split)
    assert model.config["shape"] == [128, 128, 3]
    inputs = model.network.standardise(model.pixels(split))
    assert float(inputs.mean()) == pytest.approx(0, abs=0.01)
    assert float(inputs.std()) == pytest.approx(1, abs=0.01)


def test_inception_sees_299_pixels_and_says_which_weights_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODL_PRETRAINED", "none")
    split, told = toy("image", 2, False, seed=0), []
    model = baselines.ImageInceptionV3(split.spec, device="cpu")
    model.emit = lambda kind, **fields: told.append(fields.get("text"))
    model._begin(split)
    assert model.config["shape"] == [299, 299, 3]
    assert "random weights" in str(told)
    inputs = model.network.standardise(torch.tensor([[[[0, 255, 0]]]], dtype=torch.uint8))
    assert (float(inputs.min()), float(inputs.max())) == pytest.approx((-1, 1))
    body = model.network.body
    seen: list[torch.Tensor] = []
    body.network = nn.Identity()
    for channels in (1, 4):
        seen.append(body(torch.rand(1, channels, 8, 8)))
    assert {tuple(found.shape) for found in seen} == {(1, 3, 8, 8)}


@pytest.mark.parametrize(("shape", "frames"), [([112, 112, 30], 10), ([24, 28, 1], 1), ([2, 2, 3], 1)])
def test_the_3_d_cnn_convolves_until_few_values_are_left(shape: list[int], frames: int) -> None:
    network = cnn3d(shape, frames, 5)
    convolutions = [module for module in network if isinstance(module, nn.Conv3d)]
    assert {module.kernel_size for module in convolutions} == {(3, 3, 3)}
    assert network[-1].in_features <= 1000
    with torch.inference_mode():
        assert network(torch.rand(2, shape[2], *shape[:2])).shape == (2, 5)


def test_clips_are_ten_frames_of_112_pixels() -> None:
    split = toy("video", 4, False, seed=0)
    for kind in (baselines.VideoBaselineLinear, baselines.VideoCnn3d):
        model = begun(kind, split)
        assert model.config["feature_params"] == {"size": 112, "frames": 10}
        assert model.predict(model.pixels(split)).shape == (4, 3)


def test_sigmoids_are_divided_by_their_sum_only_where_labels_exclude_each_other() -> None:
    for multi_label in (False, True):
        network = baselines.Sigmoids(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), 3, multi_label)
        found = network(torch.randint(0, 255, (4, 2, 2, 3), dtype=torch.uint8)).sum(1).detach().numpy()
        assert bool(np.allclose(found, 1, atol=1e-5)) != multi_label


def test_they_are_off_in_auto() -> None:
    rows = {row.model: row.enabled for row in load()}
    names = [name for name, kind in vars(baselines).items() if isinstance(kind, type) and issubclass(kind, Baseline)]
    assert len(names) == 8
    for name in ("image_baseline_linear", "image_resnet50_v2", "image_inception_v3", "image_cnn3d", "video_cnn3d"):
        assert rows[name] is False
