"""Frozen ImageNet networks: where the weights come from, that folding changes nothing, that nothing is seen twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from automl_engine.auto.loop import AutoModel
from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.models.configuration import can_join
from automl_engine.models.image.pretrained import ColourNetwork, ImagePretrained
from automl_engine.models.shared import pretrained
from automl_engine.models.shared.vision import torchvision
from tests.engine.toy_examples import toy

SMALL = "mobilenet_v2_035"
ROWS = [
    {"name": "linear", "modality": "image", "model": "image_linear"},
    {"name": "small", "modality": "image", "model": "image_pretrained", "params": {"network": SMALL, "sides": [32]}},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only place with weights; empty."""
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    caches = (pretrained.backbone, pretrained.seconds_per_pixel)
    for function in caches:
        function.cache_clear()
    yield tmp_path
    for function in caches:
        function.cache_clear()


@pytest.fixture
def network(folder: Path) -> nn.Module:
    """torchvision's network whose weights lie in the folder; every batch normalisation does something."""
    torch.manual_seed(1)
    network = torchvision().mobilenet_v2(weights=None, width_mult=0.35).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(8, 3, 64, 64))
    network.classifier = nn.Identity()
    save_file(network.state_dict(), str(folder / "mobilenet_v2_035_imagenet.safetensors"))
    return network.eval()


def tensorflow_padding(network: nn.Module) -> nn.Module:
    """As the weights' own documentation does it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.padding = (0, 0)
            module.register_forward_pre_hook(lambda module, inputs: (F.pad(inputs[0], (1, 0, 0, 1)),))
    return network


def test_the_folded_network_is_the_same_function(network: nn.Module) -> None:
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        plain = pretrained.build(SMALL, False, network.state_dict())(images)
        torch.testing.assert_close(plain, network(images), rtol=1e-3, atol=1e-3)
        found = pretrained.backbone(SMALL)
        assert found.source is not None
        assert found.source.stem == "mobilenet_v2_035_imagenet"
        exact = found.network(images)
        torch.testing.assert_close(exact, tensorflow_padding(network)(images), rtol=1e-3, atol=1e-3)
    assert (exact - plain).abs().max() > 0.01


def test_without_weights_auto_leaves_the_row_out(folder: Path) -> None:
    assert not can_join("image_pretrained", {"network": SMALL})
    auto = AutoModel(toy("image", 10, False, seed=0).spec, rows=ROWS)
    assert [row["name"] for row in auto.configurations] == ["linear"]


def test_with_weights_auto_uses_the_row_and_tells_which(network: nn.Module) -> None:
    train = toy("image", 110, False, seed=0)
    auto, notes = AutoModel(train.spec, rows=ROWS, device="cpu"), []
    auto.emit = lambda kind, **fields: notes.append(fields.get("text"))
    while not auto.done_training:
        auto.train(train, 30)
        auto.test(train, 30)
    assert notes.count("mobilenet v2 035 uses the weights of mobilenet_v2_035_imagenet.") == 1
    assert "small" in auto.members


def test_an_example_is_seen_once(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    train, looked = toy("image", 40, False, seed=0), []
    look = ImagePretrained._look
    monkeypatch.setattr(ImagePretrained, "_look", lambda self, part: looked.append(len(part)) or look(self, part))
    for fold in range(4):
        model = ImagePretrained(train.spec, network=SMALL, sides=[32], device="cpu")
        model.train(train.subset(np.flatnonzero(np.arange(40) % 4 != fold)), 100)
        model.test(train.subset(np.flatnonzero(np.arange(40) % 4 == fold)), 100)
    assert sum(looked) == 40


def test_little_time_means_smaller_images(network: nn.Module) -> None:
    def side(remaining_s: float) -> int:
        train = toy("image", 40, False, seed=0)
        model = ImagePretrained(train.spec, network=SMALL, sides=[64, 32], limit_s=5, device="cpu")
        model.costs_s = [0.1, 0.01]
        model.train(train, remaining_s)
        return model.config["feature_params"]["height"]

    assert [side(100), side(10), side(0.01)] == [64, 32, 32]


def test_too_many_images_are_left_to_others(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    train = toy("image", 40, False, seed=0)
    model = ImagePretrained(train.spec, network=SMALL, sides=[32], device="cpu")
    model.costs_s = [10.0]
    monkeypatch.setattr("automl_engine.models.image.pretrained.MANY", 30)
    with pytest.raises(RuntimeError, match="40 images are too many for mobilenet_v2_035"):
        model.train(train.subset(range(20)), 100)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_any_number_of_channels(channels: int) -> None:
    images = torch.randint(0, 256, (2, 8, 8, channels), dtype=torch.uint8)
    seen = ColourNetwork(SMALL, nn.Identity(), channels, False).standardise(images)
    assert seen.shape == (2, 3, 8, 8)
    picks = {1: [0, 0, 0], 2: [0, 1, 1]}.get(channels, [0, 1, 2])
    torch.testing.assert_close(
        seen[1, :, 3, 4] * torch.tensor(pretrained.DEVIATION) + torch.tensor(pretrained.MEAN),
        images[1, 3, 4, picks] / 255,
    )


def test_classes_without_contrast_do_no_harm(network: nn.Module) -> None:
    """All images alike: nothing to learn, nothing to fall over."""
    spec = Spec("flat", 12, 2, 1, 8, 8, 1)
    steps = [np.full((1, 8, 8, 1), 0.5, np.float32) for _ in range(12)]
    train = MemoryExamples(spec, steps, np.eye(2, dtype=np.float32)[np.arange(12) % 2])
    model = ImagePretrained(spec, network=SMALL, sides=[32], device="cpu")
    model.train(train, 100)
    np.testing.assert_allclose(model.test(train, 10), 0.5, atol=0.01)


def test_a_row_can_bring_its_own_weights(folder: Path, network: nn.Module) -> None:
    """Wherever the file lies; it is loaded before the clock starts."""
    own = folder / "rows" / "mine_imagenet.safetensors"
    own.parent.mkdir()
    (folder / "mobilenet_v2_035_imagenet.safetensors").rename(own)
    params = {"network": SMALL, "sides": [32], "weights": str(own)}
    assert can_join("image_pretrained", params)
    assert not can_join("image_pretrained", params | {"weights": str(own / "other")})
    examples = toy("image", 40, False, seed=0)
    model = ImagePretrained(examples.spec, **params)
    assert pretrained.backbone(SMALL, str(own)).source == own
    model.train(examples, 60.0)
    assert model.network.body[0] is pretrained.backbone(SMALL, str(own)).network
    with pytest.raises(RuntimeError, match="size mismatch"):
        ImagePretrained(examples.spec, **params | {"network": "mobilenet_v2"})


def test_our_own_backbone_sees_small_images_as_they_are(folder: Path) -> None:
    """It works with whatever weights there are, and its bundle says what it says."""
    onnxruntime = pytest.importorskip("onnxruntime")
    train = toy("image", 60, False, seed=0)
    model = ImagePretrained(train.spec, network="resnet_small", sides=[64, 32], enlarge=False, device="cpu")
    model.train(train, 100)
    assert model.config["shape"] == [32, 32, 3]
    [entry] = model.export(folder)
    pixels = model.pixels(train)
    graph = onnxruntime.InferenceSession(str(folder / entry["graph"]))
    told = graph.run(None, {"pixels": pixels.numpy()})[0]
    np.testing.assert_allclose(told, model.test(train, 100), atol=1e-4)
    assert (told.argmax(1) == train.labels.argmax(1)).mean() > 0.9
    features = pretrained.NETWORKS["resnet_small"].features
    assert model.network.body[0](torch.zeros(1, 3, 64, 64)).shape == (1, features)
    model.save(folder)
    loaded = ImagePretrained.load(folder, train.spec)
    np.testing.assert_allclose(loaded.test(train, 100), model.test(train, 100), atol=1e-6)
