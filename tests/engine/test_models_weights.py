"""Where weights come from, in which order, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from automl_engine import weights
from automl_engine.models.shared import vision

CARD = {"formula": "mixed: 512 fractals, 512 contours", "examples": 1_234_567}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The administrator's, torchvision's and ours, in this order; empty."""
    found = [tmp_path / "chosen", tmp_path / "hub" / "checkpoints", tmp_path / "ours"]
    for folder in found:
        folder.mkdir(parents=True)
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(found[0]))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "FOLDER", found[2])
    return found


def test_the_administrators_come_first_and_ours_last(folders: list[Path]) -> None:
    assert weights.find_weights("net") is None
    files = [folders[2] / "net_mixed.safetensors", folders[1] / "net-0123abcd.pth", folders[0] / "net.safetensors"]
    for value, file in enumerate(files):
        state = {"a": torch.full((2,), float(value))}
        torch.save(state, file) if file.suffix == ".pth" else save_file(state, file)
        assert weights.find_weights("net") == file
        assert vision.load_weights(file)["a"].tolist() == [value, value]
    assert weights.find_weights("ne") is None
    (folders[0] / "other.safetensors.0f.partial").touch()
    assert weights.find_weights("other") is None


def test_a_path_stands_for_itself(folders: list[Path]) -> None:
    file = folders[0].parent / "mine.safetensors"
    assert weights.find_weights(str(file)) is None
    file.touch()
    assert weights.find_weights(str(file)) == file


def test_a_run_can_say_which_it_uses(folders: list[Path]) -> None:
    assert vision.describe_weights(None) == "random weights: none were found"
    assert vision.describe_weights(folders[1] / "net-0123abcd.pth") == "the weights of net-0123abcd"
    for folder in (folders[0], folders[2]):
        (folder / "net_mixed.json").write_text(json.dumps(CARD))
    made = "net_mixed (mixed: 512 fractals, 512 contours; 1.2 M examples)"
    assert vision.describe_weights(folders[2] / "net_mixed.safetensors") == f"weights of our own: {made}"
    assert vision.describe_weights(folders[0] / "net_mixed.safetensors") == "the weights of net_mixed"
