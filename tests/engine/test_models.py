"""Every entry of MODELS keeps the AnytimeModel contract, and its exported graphs repeat its predictions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.metrics import nauc
from automl_engine.features import feature
from automl_engine.models import MODELS, model_class
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.shared.linear import LinearHead, fit_logistic_head, fit_ridge
from automl_engine.package.predictor import Predictor
from tests.engine.toy_examples import CLASSES, TOYS, hidden, toy

NOT_LEARNERS = {"auto", "challenge", "constant"}
"""Tested in test_auto.py, test_challenge_model.py and test_ingestion.py."""
LEARNERS = sorted(set(MODELS) - NOT_LEARNERS)
LARGE = {
    "audio_thin_resnet34",
    "image_autoclint",
    "image_inception_v3",
    "image_resnet50_v2",
    "video_cnn3d",
    "video_mc3",
}
"""Networks of the challenge take a minute each; tests of their own are in test_models_*.py."""
NETWORKS = {"image_resnet", "video_resnet", "audio_resnet", "video_frames"}
"""These share their code and take long; each runs once here, and twice in make test-long."""


def each(is_second: bool) -> list[Any]:
    left_out = LARGE | NETWORKS if is_second else LARGE
    return [pytest.param(name, marks=pytest.mark.long if name in left_out else ()) for name in LEARNERS]


def modality_of(model: str) -> str:
    """Models are named after their modality; series_... serve time series."""
    prefix = model.split("_")[0]
    return prefix if prefix in TOYS else "timeseries"


def trained(name: str, train: MemoryExamples) -> AnytimeModel:
    """The model once it is done or knows its training examples; networks may take a while on a busy machine."""
    model = model_class(name)(train.spec, seed=0, device="cpu")
    end = time.monotonic() + 40
    while not model.done_training and time.monotonic() < end:
        model.train(train, end - time.monotonic())
        prediction = model.test(train, 10)
        assert prediction is not None
        if nauc(train.labels, prediction) > 0.9:
            break
    return model


@pytest.mark.parametrize("name", each(is_second=False))
def test_model_learns_saves_loads_and_exports(name: str, tmp_path: Path) -> None:
    _learn_save_load_and_export(name, False, tmp_path)


@pytest.mark.parametrize("name", each(is_second=True))
def test_model_with_many_labels_learns_saves_loads_and_exports(name: str, tmp_path: Path) -> None:
    _learn_save_load_and_export(name, True, tmp_path)


def _learn_save_load_and_export(name: str, multi_label: bool, tmp_path: Path) -> None:
    train = toy(modality_of(name), 60, multi_label, seed=1)
    test = toy(modality_of(name), 30, multi_label, seed=2)
    unlabelled = hidden(test)
    assert is_multi_label(train.labels) == multi_label

    model = trained(name, train)
    prediction = model.test(unlabelled, 10)

    assert prediction is not None
    assert prediction.shape == (30, CLASSES)
    assert np.isfinite(prediction).all()
    assert prediction.min() >= 0
    assert prediction.max() <= 1 + 1e-6
    if not multi_label:
        np.testing.assert_allclose(prediction.sum(1), 1, atol=1e-4)
    assert nauc(test.labels, prediction) > 0.5

    frozen = model.frozen()
    np.testing.assert_allclose(frozen.test(unlabelled, 10), prediction, atol=1e-6)

    saved = tmp_path / "saved"
    saved.mkdir()
    model.save(saved)
    assert not [path for path in saved.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    loaded = type(model).load(saved, train.spec)
    np.testing.assert_allclose(loaded.test(unlabelled, 10), prediction, atol=1e-6)

    bundle = tmp_path / "bundle"
    bundle.mkdir()
    exported = exported_prediction(loaded, bundle, unlabelled, multi_label)
    np.testing.assert_allclose(exported, prediction, atol=1e-4)


def exported_prediction(model: AnytimeModel, bundle: Path, split: MemoryExamples, multi_label: bool) -> np.ndarray:
    description = {
        "output": "sigmoid" if multi_label else "softmax",
        "labels": split.spec.labels,
        "members": model.export(bundle),
    }
    (bundle / "predictor.json").write_text(json.dumps(description))
    return Predictor(bundle)(split)


@pytest.mark.parametrize("name", each(is_second=True))
def test_a_class_may_have_one_example(name: str) -> None:
    """Rare classes are real: a fold can lack a class altogether."""
    full = toy(modality_of(name), 40, False, seed=3)
    keep = np.flatnonzero(full.labels[:, 2] == 0)
    train = full.subset([*keep, int(full.labels[:, 2].argmax())])
    prediction = trained(name, train).test(full, 10)
    assert prediction is not None
    assert np.isfinite(prediction).all()


def test_unknown_model_is_told_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"model must be one of .*constant.* but got 'nonsense'"):
        model_class("nonsense")
    with pytest.raises(ValueError, match=r"feature must be one of .* but got 'nonsense'"):
        feature("nonsense")


def test_ridge_leave_one_out_is_what_leaving_one_out_gives() -> None:
    """The shortcut of Rifkin & Lippert against fitting without the example (same strength, own centring aside)."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(40, 6)).astype(np.float32)
    classes = (features[:, 0] + 0.5 * generator.normal(size=40) > 0).astype(int)
    labels = np.eye(2, dtype=np.float32)[classes]
    _, loo = fit_ridge(features, labels, multi_label=False)
    honest = np.empty_like(loo)
    for i in range(40):
        rest = np.arange(40) != i
        honest[i] = fit_ridge(features[rest], labels[rest], multi_label=False)[0].predict(features[i : i + 1])
    assert np.abs(loo - honest).max() < 0.25
    assert np.corrcoef(loo[:, 0], honest[:, 0])[0, 1] > 0.97


def test_constant_features_and_outliers_do_no_harm() -> None:
    generator = np.random.default_rng(0)
    labels = np.eye(2, dtype=np.float32)[np.arange(50) % 2]
    features = np.concatenate([labels[:, :1] + generator.normal(0, 0.1, (50, 1)), np.full((50, 1), 7.0)], axis=1)
    strange = np.array([[1.0, 1e9], [0.0, -1e9]])
    for head in (fit_ridge(features, labels, False)[0], fit_logistic_head(features, labels, False)):
        assert head.predict(strange).argmax(1).tolist() == [0, 1]


def test_linear_head_survives_its_file(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(30, 4)).astype(np.float32)
    labels = (generator.random((30, 3)) < 0.5).astype(np.float32)
    head, _ = fit_ridge(features, labels, multi_label=True)
    head.save(tmp_path / "head.npz")
    np.testing.assert_array_equal(LinearHead.load(tmp_path / "head.npz").predict(features), head.predict(features))
