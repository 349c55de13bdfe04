"""Thin ResNet-34: the paper's shapes, random crops, and the mean of the best last states."""

from __future__ import annotations

import numpy as np
import torch

from automl_engine.features.audio import BANDS
from automl_engine.models.challenge.audio_thin_resnet34 import BEST, AudioThinResnet34, thin_resnet34
from tests.engine.toy_examples import toy


def test_shapes_are_those_of_the_paper_and_any_length_works() -> None:
    network = thin_resnet34(5, 64).eval()
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert sum(1 for c in convolutions if c.kernel_size == (3, 3)) == 11
    assert network[-1].in_features == 512
    with torch.inference_mode():
        for frames in (32, 50, 128):
            assert network(torch.rand(2, 1, BANDS, frames)).shape == (2, 5)


def test_the_best_states_predict_together() -> None:
    split = toy("audio", 120, False, seed=0)
    model = AudioThinResnet34(split.spec, width=8, slice_s=0.2, device="cpu", seed=0)
    for _ in range(BEST + 2):
        model.train(split, 5)
    assert model.training is not None
    batches = model.training.batches
    assert len(batches.held_out) == 12
    assert not set(batches.held_out.tolist()) & set(batches.seen.tolist())
    losses = [loss for loss, _ in model.best]
    assert len(losses) == BEST
    assert losses == sorted(losses)
    images = model.pixels(split)
    alone = np.stack([torch.log_softmax(_logits(network, images), 1).numpy() for _, network in model.best])
    together = model.predict(images)
    expected = torch.softmax(torch.from_numpy(alone.mean(0)), 1).numpy()
    np.testing.assert_allclose(together, expected, atol=1e-4)


def _logits(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return network.body(network.standardise(images))


def test_training_sees_crops() -> None:
    model = AudioThinResnet34(toy("audio", 6, False, seed=0).spec)
    assert model._augment(torch.rand(4, 1, BANDS, 64)).shape == (4, 1, BANDS, 48)
    assert model._augment(torch.rand(4, 1, BANDS, 16)).shape == (4, 1, BANDS, 16)
