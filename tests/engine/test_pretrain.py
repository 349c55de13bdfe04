"""Pretraining on what formulas draw, and networks that begin with it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from automl_engine.__main__ import main
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.lab.pretrain.architectures import ARCHITECTURES
from automl_engine.lab.pretrain.probe import Probe
from automl_engine.lab.pretrain.sources import source
from automl_engine.lab.pretrain.sources.contours import ContourFormulas
from automl_engine.lab.pretrain.sources.fractals import FractalFormulas
from automl_engine.lab.pretrain.sources.shapes import SHAPES, Contours, Fractals, Mixed
from automl_engine.lab.pretrain.training import STATE, Recipe, Training
from automl_engine.models.image.resnet import ImageResnet
from automl_engine.models.shared import residual
from automl_engine.portfolio import load
from automl_engine.weights import FOLDER as weights_folder
from tests.engine.toy_examples import hidden, toy
from tests.engine.toys import write_dataset

CPU = torch.device("cpu")


def begun(arch: str = "resnet_small", source: str = "mixed", hours: float = 1.0) -> Training:
    return Training(Recipe(arch, source, hours, batch=8), CPU)


@pytest.mark.parametrize("kind", [Mixed, Fractals, Contours])
@pytest.mark.parametrize("side", [24, 64])
def test_drawings_are_pixels_and_their_shares_add_up(kind: type[Mixed], side: int) -> None:
    torch.manual_seed(0)
    source = kind(0, CPU)
    images, targets = source.draw(32, side)
    assert images.shape == (32, 3, side, side)
    assert 0 <= images.min() < images.max() <= 255
    assert targets.keys() == source.classes.keys()
    for name, shares in targets.items():
        assert shares.shape == (32, source.classes[name])
        assert torch.allclose(shares.sum(1), torch.ones(32))
    crowd = (targets["shape"] > 0).sum(1)
    assert set(crowd.tolist()) == {1, 2}


def test_formulas_depend_on_the_seed_alone() -> None:
    first, again, other = (FractalFormulas(4, torch.Generator().manual_seed(seed), CPU) for seed in (1, 1, 2))
    assert torch.equal(first.maps, again.maps)
    assert not torch.equal(first.maps, other.maps)


def test_a_formula_looks_alike_however_often_it_is_drawn() -> None:
    """More like itself than like another, although every drawing varies it."""
    torch.manual_seed(0)
    span = torch.linspace(-1, 1, 32).expand(12, 32, 32)
    which = torch.arange(6).repeat(2)
    frame = torch.tensor([[0.8, 0, 0], [0, 0.8, 0]]).expand(12, 2, 3)
    rng = torch.Generator().manual_seed(0)
    drawn = [
        FractalFormulas(6, rng, CPU).draw(which, frame, 32),
        ContourFormulas(6, rng, CPU).draw(which, span, span.transpose(1, 2)),
    ]
    for masks in drawn:
        assert 0 <= masks.min() < masks.max() <= 1
        alike = torch.cosine_similarity(masks[:6, None].flatten(2), masks[None, 6:].flatten(2), dim=2)
        assert torch.equal(alike.argmax(1), torch.arange(6))


def test_a_fractal_out_of_sight_covers_nothing() -> None:
    far = torch.tensor([[[0.1, 0, 50], [0, 0.1, 50]]])
    masks = FractalFormulas(1, torch.Generator().manual_seed(0), CPU).draw(torch.zeros(1, dtype=torch.long), far, 16)
    assert torch.equal(masks, torch.zeros(1, 16, 16))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_takes_every_side(arch: str) -> None:
    for channels in (1, 3):
        network = ARCHITECTURES[arch].build(channels).eval()
        shapes = {tuple(network(torch.zeros(2, channels, side, side)).shape) for side in ARCHITECTURES[arch].sides}
        assert len(shapes) == 1


def test_training_learns_what_it_sees() -> None:
    training = begun()
    seen = training.source.draw(8, 32)
    training.source.draw = lambda count, side: seen  # type: ignore[method-assign]
    losses = [sum(training.step().values()) for _ in range(25)]
    assert losses[-1] < 0.6 * losses[0]


def test_the_verb_writes_weights_and_a_card_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hours, out = 1 / 3600, tmp_path / "out"
    command = ["pretrain", "--out", str(out), "--batch", "8", "--device", "cpu"]
    assert main([*command, "--hours", str(hours)]) == 0
    card = json.loads((out / "resnet_small_mixed.json").read_text())
    assert card["formula"] == f"mixed: {2 * SHAPES} shapes, 64 textures, 27 colours"
    assert card["examples"] == 8 * card["steps"] > 0
    state = load_file(out / "resnet_small_mixed.safetensors")
    assert {value.dtype for value in state.values()} <= {torch.float16, torch.int64}
    assert main([*command, "--hours", str((card["spent_s"] + 1) / 3600)]) == 0
    assert json.loads((out / "resnet_small_mixed.json").read_text())["steps"] > card["steps"]
    assert len((out / "log.jsonl").read_text().splitlines()) == 2
    assert main([*command, "--hours", str(hours)]) == 0  # no more to do
    assert len((out / "log.jsonl").read_text().splitlines()) == 2
    capsys.readouterr()
    assert main([*command, "--seed", "1"]) == 2
    assert "choose another --out folder" in capsys.readouterr().err


def test_a_training_is_resumed_where_it_was(tmp_path: Path) -> None:
    first, second = begun(), begun()
    first.step()
    first.save(tmp_path)
    second.resume(tmp_path)
    assert (second.steps, second.spent_s) == (1, first.spent_s)
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
        assert torch.equal(first.average.state_dict()[name], second.average.state_dict()[name]), name
    old, new = (training.optimiser.state_dict()["state"][0]["exp_avg"] for training in (first, second))
    assert torch.equal(old, new)
    assert (tmp_path / STATE).exists()
    assert not list(tmp_path.glob("*.part"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    training = begun()
    training.step()
    training.write_weights(folder, "trunk")
    return folder / "trunk.safetensors"


@pytest.mark.parametrize(("side", "stem"), [(32, "small"), (64, "large")])
def test_a_network_takes_the_backbone_over(weights: Path, side: int, stem: str) -> None:
    network = residual.residual_network(3, 5, side, 24)
    last = network[-1].weight.clone()
    residual.take_over(network, weights)
    state = load_file(weights)
    assert torch.equal(network[0].weight, state[f"{stem}.weight"].float())
    assert torch.equal(network[1].conv1.weight, state["body.1.conv1.weight"].float())
    assert torch.equal(network[-1].weight, last)


def test_a_backbone_of_another_width_is_refused(weights: Path) -> None:
    with pytest.raises(RuntimeError, match="was not made for a residual network of 16 channels"):
        residual.take_over(residual.residual_network(3, 5, 32, 16), weights)
    with pytest.raises(RuntimeError, match="of 24 channels like this one"):
        residual.take_over(residual.residual_network(3, 5, 32, 24, blocks=2), weights)
    save_file({"features.0.weight": torch.zeros(1)}, weights.with_name("foreign.safetensors"))
    with pytest.raises(RuntimeError, match="was not made for a residual network of 24"):
        residual.take_over(residual.residual_network(3, 5, 32, 24), weights.with_name("foreign.safetensors"))


def test_filters_answer_as_strongly_to_any_number_of_channels() -> None:
    filters, grey = torch.randn(4, 3, 5, 5), torch.randn(2, 1, 9, 9)
    colour = torch.conv2d(grey.expand(-1, 3, -1, -1), filters)
    assert torch.allclose(torch.conv2d(grey, residual.for_channels(filters, 1)), colour, atol=1e-5)
    six = torch.conv2d(grey.expand(-1, 6, -1, -1), residual.for_channels(filters, 6))
    assert torch.allclose(six, colour, atol=1e-5)


@pytest.mark.long
def test_the_first_prediction_needs_no_training_of_the_backbone(weights: Path) -> None:
    """The last layer in closed form on what the backbone sees; then the whole network learns."""
    train, test = toy("image", 90, False, 0), toy("image", 30, False, 1)
    model, told = ImageResnet(train.spec, weights=str(weights), slice_s=0.5, device="cpu"), []
    model.emit = lambda kind, **fields: told.append(fields.get("text"))
    model.train(train, 20)
    assert told == ["image_resnet uses the weights of trunk."]
    first = model.test(hidden(test), 20)
    assert (first.argmax(1) == test.labels.argmax(1)).mean() > 0.8
    assert torch.equal(model.network.body[1].conv1.weight, load_file(weights)["body.1.conv1.weight"].float())
    model.train(train, 20)
    assert model.training is not None
    assert model.training.trainer.steps > 0
    assert np.isfinite(model.test(hidden(test), 20)).all()


def test_without_the_weights_the_network_is_random_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(tmp_path))
    train = toy("image", 30, False, 0)
    model, told = ImageResnet(train.spec, weights="nobody_has_this", slice_s=0.2, device="cpu"), []
    model.emit = lambda kind, **fields: told.append(fields.get("text"))
    model.train(train, 20)
    assert told[0] == "image_resnet uses random weights: none were found."


def test_what_ships_is_small_and_has_a_card_and_a_row() -> None:
    """Every file of weights says what it is made of, and is used by a row; but for two by a row that is on."""
    files = sorted(weights_folder.glob("*.safetensors"))
    assert files
    assert sum(file.stat().st_size for file in files) < 30e6
    used = {row.params.get("weights") for row in load() if row.enabled or row.name in ("series_trunk", "text_words")}
    for file in files:
        assert file.stem in used
        told = json.loads(file.with_suffix(".json").read_text())
        assert {"formula", "examples", "date", "licence"} <= told.keys()
        assert any(key.startswith("nauc_") for key in told)
        if told["arch"] not in ARCHITECTURES:  # the words of test_pretrain_words.py
            continue
        assert {"steps", "device"} <= told.keys()
        kind = source(told["source"])(told["seed"], CPU)
        formula = ", ".join(f"{count} {name}s" for name, count in kind.classes.items())
        assert told["formula"] == f"{told['source']}: {formula}"
        ARCHITECTURES[told["arch"]].build(kind.channels).load_state_dict(load_file(file))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator on this machine")
def test_a_gpu_draws_thousands_of_images_a_second() -> None:
    device = torch.device("cuda")
    training = Training(Recipe("resnet18", "mixed", 1.0, batch=512), device)
    losses = training.step()
    assert all(np.isfinite(loss) for loss in losses.values())
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        training.source.draw(512, 64)
    torch.cuda.synchronize()
    assert 20 * 512 / (time.perf_counter() - start) >= 5000


def test_a_probe_asks_what_a_frozen_backbone_is_worth(tmp_path: Path) -> None:
    """Held-out training examples that differ in colour, seen through a backbone that knows nothing yet."""
    labels = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    images = np.random.default_rng(0).integers(0, 80, (40, 24, 24, 3))
    images[:, :, :, 0] += 150 * labels[:, 1, None, None].astype(int)
    steps = [[cv2.imencode(".png", image[..., ::-1].astype(np.uint8))[1].tobytes()] for image in images]
    spec = Spec("colours", 40, 2, 1, 24, 24, 3, format="COMPRESSED", label_to_index={"a": 0, "b": 1})
    train = [(step, [int(row.argmax())]) for step, row in zip(steps, labels, strict=True)]
    write_dataset(tmp_path / "colours", spec, train, train[:4])
    probe = Probe(tmp_path / "colours", channels=3)
    assert (probe.name, int(probe.held_out.sum())) == ("colours", 10)
    assert probe.nauc(begun().backbone) > 0.9
    with pytest.raises(DataError, match="colours has 3 channels; this network wants 1"):
        Probe(tmp_path / "colours", channels=1)


@pytest.mark.parametrize("wrong", [["--hours", "0"], ["--batch", "1"], ["--arch", "vgg"]])
def test_wrong_arguments_are_told(wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrain", "--out", str(tmp_path), *wrong]) == 2
    assert wrong[0] in capsys.readouterr().err
