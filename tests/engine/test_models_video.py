"""The video networks: torchvision's names, stages of frames, frozen layers, and where weights come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from automl_engine.models.shared import vision
from automl_engine.models.video.frames import FrameMean, VideoFrames
from automl_engine.models.video.mc3 import PRETRAINED_WIDTH, MixedConvolutions, VideoMc3
from automl_engine.models.video.network import Clips, evenly_spread
from tests.engine.toy_examples import toy


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder where weights are looked for."""
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


def test_mixed_convolutions_take_the_weights_of_torchvision() -> None:
    theirs = vision.torchvision("models.video").mc3_18(weights=None, num_classes=5)
    ours = MixedConvolutions(PRETRAINED_WIDTH, 5)
    ours.load_state_dict(theirs.state_dict())
    clips = torch.rand(2, 3, 4, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(clips), theirs.eval()(clips))


class Counter(nn.Module):
    """Tells how many frames it was shown, and the first pixel of the last."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full((len(clips),), float(clips.shape[2])), clips[:, 0, -1, 0, 0]], 1)


def test_clips_show_evenly_spread_frames_and_average_the_views() -> None:
    body = Clips(Counter(), 12, (3, 12))
    inputs = torch.arange(24.0).view(1, 24, 1, 1).expand(2, -1, 8, 8)  # 12 frames of 2 channels
    assert body.train()(inputs)[:, 0].tolist() == [12, 12]  # it learns at the last stage
    assert body.eval()(inputs).tolist() == [[7.5, 22.0]] * 2
    assert evenly_spread(12, 3) == [0, 6, 11]
    assert evenly_spread(3, 10) == [0, 1, 2]


def test_frames_are_seen_alone_and_averaged() -> None:
    network = FrameMean(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    clips = torch.rand(2, 3, 5, 8, 8)
    torch.testing.assert_close(network(clips), clips.mean((2, 3, 4)))


def test_stages_of_training_show_more_frames() -> None:
    model = VideoMc3(toy("video", 6, False, 0).spec, frames=[2, 3], side=16, width=8, batch=3, device="cpu", seed=0)
    split = toy("video", 6, False, seed=0)
    model.train(split, 0.2)
    assert model.config["views"][0] == 2
    early = model.frozen()
    assert model.training is not None
    model._enter_stage(model.training, 1)
    assert model.network.body.views == (2, 3)
    assert early.network.body.views == tuple(early.config["views"])
    assert model.frozen().config["views"] == [2, 3]


def test_pretrained_first_layers_are_frozen(weights: Path) -> None:
    torch.manual_seed(0)
    save_file(MixedConvolutions(PRETRAINED_WIDTH, 400).state_dict(), str(weights / "mc3_18-test.safetensors"))
    split = toy("video", 4, False, seed=0)
    model, notes = VideoMc3(split.spec, frames=[2], side=16, batch=2, device="cpu", seed=0, slice_s=1.0), []
    model.emit = lambda kind, **fields: notes.append(fields["text"]) if kind == "note" else None
    assert model.params["width"] == PRETRAINED_WIDTH
    while model.training is None or not model.training.trainer.steps:  # the first slice may end before the first step
        model.train(split, 10)
    assert notes == ["video_mc3 uses the weights of mc3_18-test."]
    saved = vision.local_weights("mc3_18")
    assert saved is not None
    state = model.training.network.body.network.state_dict()
    for key in ("stem.0.weight", "stem.1.running_mean", "layer1.0.conv1.0.weight"):
        torch.testing.assert_close(state[key], saved[key])
    assert not torch.equal(state["layer2.0.conv1.0.weight"], saved["layer2.0.conv1.0.weight"])


def test_the_architecture_is_remembered_where_the_weights_are_gone(weights: Path, tmp_path: Path) -> None:
    efficientnet = vision.torchvision("models.efficientnet")
    save_file(efficientnet.efficientnet_b0().state_dict(), str(weights / "efficientnet_b0-test.safetensors"))
    split = toy("video", 4, False, seed=0)
    model = VideoFrames(split.spec, frames=[2], side=16, batch=2, device="cpu", seed=0, slice_s=0.1)
    model.train(split, 5)
    expected = model.test(split, 5)
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    (weights / "efficientnet_b0-test.safetensors").unlink()
    np.testing.assert_allclose(VideoFrames.load(tmp_path / "saved", split.spec).test(split, 5), expected, atol=1e-5)
