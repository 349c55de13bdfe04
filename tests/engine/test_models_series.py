"""What the models of series and sound promise beyond the conformance test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.metrics import nauc
from automl_engine.dataset.spec import Spec
from automl_engine.features.quantiles import quantile_count
from automl_engine.models.audio.resnet import PITCH_REACH, AudioResnet, _mask
from automl_engine.models.timeseries import backbone
from automl_engine.models.timeseries import linear as series_linear
from automl_engine.models.timeseries.backbone import SHORTEST, SeriesBackbone
from automl_engine.models.timeseries.linear import SeriesConvolutions
from automl_engine.models.timeseries.quant import MOST_COLUMNS, SeriesQuant
from tests.engine.toy_examples import toy


def bursts(count: int, seed: int) -> MemoryExamples:
    """Noise with one burst anywhere: a fast wave or a slow one. Neither mean nor place tells which."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 2
    rows = rng.normal(scale=0.3, size=(count, 120))
    for row, c in zip(rows, classes, strict=True):
        at = int(rng.integers(0, 90))
        row[at : at + 30] += np.sin(np.arange(30) * (1.2 if c else 0.6))
    steps = [row.astype(np.float32).reshape(-1, 1, 1, 1) for row in rows]
    return MemoryExamples(
        Spec("toy", count, 2, -1, 1, 1, 1, is_sequence=True), steps, np.eye(2, dtype=np.float32)[classes]
    )


def test_convolutions_find_a_shape_wherever_it_is() -> None:
    train, test = bursts(100, 1), bursts(60, 2)
    model = SeriesConvolutions(train.spec)
    model.train(train, 60)
    assert nauc(test.labels, model.test(test, 60)) > 0.95


def test_many_series_get_fewer_features(monkeypatch: pytest.MonkeyPatch) -> None:
    train = bursts(40, 1)
    whole = SeriesConvolutions(train.spec)
    whole.train(train, 60)
    monkeypatch.setattr(series_linear, "WORK", 40 * 120 * 2000)
    hurried = SeriesConvolutions(train.spec)
    hurried.train(train, 60)
    assert hurried.arrays["biases"].size < whole.arrays["biases"].size / 3


def test_masks_are_one_short_run_of_zeros() -> None:
    torch.manual_seed(0)
    mask = _mask(200, 40, torch.device("cpu")).numpy()
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert (mask == 0).sum(1).max() <= 5
    assert (np.abs(np.diff(mask, axis=1)).sum(1) <= 2).all()


def test_sound_is_moved_but_not_bent() -> None:
    torch.manual_seed(0)
    model = AudioResnet(toy("audio", 6, False, seed=0).spec)
    picture = torch.zeros(50, 1, 64, 48)
    picture[:, :, 30, 20] = 1.0
    moved = model._augment(picture)
    assert moved.shape == picture.shape
    for image in moved[:, 0]:
        bright = image.nonzero()
        assert len(bright) <= 1  # none where a mask covers it
        if len(bright):
            assert abs(int(bright[0, 0]) - 30) <= PITCH_REACH
            assert abs(int(bright[0, 1]) - 20) <= 48 // 8


def test_a_backbone_sees_every_fold_the_same_way_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Length and scale are those of the whole data set; more channels than it takes are mixed."""
    looked = []
    look = SeriesBackbone._look
    monkeypatch.setattr(SeriesBackbone, "_look", lambda self, part: looked.append(len(part)) or look(self, part))
    train = bursts(60, 1)
    for fold in range(3):
        model = SeriesBackbone(train.spec, weights="nobody_has_this")
        model.train(train.subset(np.flatnonzero(np.arange(60) % 3 != fold)), 60)
        model.test(train.subset(np.flatnonzero(np.arange(60) % 3 == fold)), 60)
    assert sum(looked) == 60
    assert model.network.config == {"channels": 1, "mixtures": 1, "length": 120}


@pytest.mark.parametrize(("channels", "length", "mixtures"), [(3, 5, 3), (40, 20, 16)])
def test_a_backbone_takes_any_length_and_channels(channels: int, length: int, mixtures: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    classes = np.arange(24) % 2
    steps = [(rng.normal(size=(length, 1, 1, channels)) + 3 * c).astype(np.float32) for c in classes]
    spec = Spec("toy", 24, 2, -1, 1, 1, channels, is_sequence=True)
    train = MemoryExamples(spec, steps, np.eye(2, dtype=np.float32)[classes])
    model = SeriesBackbone(spec, weights="nobody_has_this")
    model.train(train, 60)
    assert model.network.config == {"channels": channels, "mixtures": mixtures, "length": SHORTEST}
    prediction = model.test(train, 60)
    assert (prediction.argmax(1) == classes).mean() > 0.9
    model.save(tmp_path)
    np.testing.assert_allclose(SeriesBackbone.load(tmp_path, spec).test(train, 60), prediction, atol=1e-6)


def test_a_backbone_of_many_series_sees_fewer_mixtures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "WORK", 60 * 120)
    rng = np.random.default_rng(0)
    spec = Spec("toy", 60, 2, -1, 1, 1, 4, is_sequence=True)
    steps = [rng.normal(size=(120, 1, 1, 4)).astype(np.float32) for _ in range(60)]
    train = MemoryExamples(spec, steps, np.eye(2, dtype=np.float32)[np.arange(60) % 2])
    model = SeriesBackbone(spec, weights="nobody_has_this")
    model.train(train, 60)
    assert model.network.mixture.shape == (1, 4)
    assert np.isfinite(model.test(train, 60)).all()


def test_quantiles_find_what_the_variance_of_a_part_tells() -> None:
    """Noise that is louder in the first or in the last quarter."""
    rng = np.random.default_rng(0)
    classes = np.arange(120) % 2
    rows = rng.normal(size=(120, 64))
    rows[classes == 0, :16] *= 2
    rows[classes == 1, -16:] *= 2
    examples = MemoryExamples(
        Spec("toy", 120, 2, 64, 1, 1, 1, is_sequence=True),
        list(rows.astype(np.float32).reshape(120, 64, 1, 1, 1)),
        np.eye(2, dtype=np.float32)[classes],
    )
    model = SeriesQuant(examples.spec, trees=[5, 60])
    model.train(examples.subset(range(80)), 60)
    assert (len(model.forest.roots), model.done_training) == (5, False)
    model.train(examples.subset(range(80)), 60)
    assert nauc(examples.labels[80:], model.test(examples.subset(range(80, 120)), 60)) > 0.9


def test_quantiles_of_many_channels_leave_out_small_windows() -> None:
    rng = np.random.default_rng(0)
    steps = [rng.normal(size=(100, 1, 1, 60)).astype(np.float32) for _ in range(12)]
    train = MemoryExamples(
        Spec("toy", 12, 2, 100, 1, 1, 60, is_sequence=True), steps, np.eye(2, dtype=np.float32)[np.arange(12) % 2]
    )
    model = SeriesQuant(train.spec, trees=[2])
    model.train(train, 60)
    assert model.inputs(train).shape[1] <= MOST_COLUMNS < 60 * quantile_count(100)
