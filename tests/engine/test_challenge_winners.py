"""The winners' configurations are what their papers say: network, optimiser, input size, batch and order of steps.

Where a paper does not say, it is the published code (AutoCLINT: batches of 32, SGD with Nesterov momentum 0.9 and
weight decay 2.5e-4), or a choice of ours, which the comment names.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.metrics import nauc
from automl_engine.models import model_class
from automl_engine.models.challenge.audio_thin_resnet34 import STAGES, AudioThinResnet34, thin_resnet34
from automl_engine.models.challenge.image_autoclint import ImageAutoclint
from automl_engine.models.tabular import catboost
from automl_engine.models.tabular.ensemble import FOLDS, SPACE, TabularEnsemble
from automl_engine.models.video.frames import FrameMean, VideoFrames
from automl_engine.models.video.mc3 import VideoMc3
from automl_engine.portfolio import load
from tests.engine.toy_examples import toy

WINNERS = ("image_autoclint", "image_autoclint_faa", "video_mc3", "video_frames", "audio_thin_resnet34")


def made(name: str, split: MemoryExamples, **params: Any) -> tuple[Any, list[str]]:
    """The model of a configuration, and where its notes go."""
    (row,) = (row for row in load() if row.name == name)
    model = model_class(row.model)(split.spec, device="cpu", seed=0, **{**row.params, **params})
    notes: list[str] = []
    model.emit = lambda kind, **fields: notes.append(str(fields.get("text")))
    return model, notes


def assert_sgd(optimiser: torch.optim.Optimizer, decay: float) -> None:
    assert isinstance(optimiser, torch.optim.SGD)
    assert {key: optimiser.defaults[key] for key in ("momentum", "nesterov", "weight_decay")} == {
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": decay,
    }


def convolutions(network: nn.Module) -> int:
    return sum(isinstance(module, nn.Conv2d | nn.Conv3d) for module in network.modules())


def test_they_are_off_in_auto() -> None:
    enabled = {row.name: row.enabled for row in load()}
    assert not any(enabled[name] for name in (*WINNERS, "tabular_catboost", "tabular_ensemble"))


@pytest.mark.long  # ResNet-18 on the processor
@pytest.mark.parametrize(("name", "then"), [("image_autoclint", "resnet9"), ("image_autoclint_faa", "resnet18")])
def test_autoclint(name: str, then: str) -> None:
    """Section 3.1: ResNet-18, tau = 8, 5 passes of warm-up, a tenth after 10 passes without a gain; DeepWisdom's goes
    on with ResNet-9."""
    split = toy("image", 40, False, seed=0)
    model, notes = made(name, split)
    assert isinstance(model, ImageAutoclint)
    training = model._begin("resnet18", model._read(split))
    body = training.network.body[1]
    assert convolutions(body) == 20  # 17 in blocks and stem, 3 shortcuts
    assert body.fc.tau == 8
    assert (training.batch_size, training.rate.highest, training.rate.warm_up) == (32, 0.1, 5)
    assert_sgd(training.trainer.optimiser, 2.5e-4)
    assert [round(training.rate.highest * 0.1**drop, 6) for drop in (0, 1, 2)] == [0.1, 0.01, 0.001]
    training.rate.begin_pass(0, 10)
    assert training.rate.at(9) == pytest.approx(0.1 / 5)
    for passes in (1, 2):
        training.losses = [1.0]
        training.rate.passes = passes - 1
        following = model._end_pass(training)
    assert following.kind == then
    assert "AutoCLINT uses random weights: those of ResNet-18 (ImageNet) are not on this machine." in notes
    assert any("DeepWisdom's ResNet-9 (ImageNet) are not on this machine" in note for note in notes) == (
        then == "resnet9"
    )
    assert (model.params.get("augment") == "faa") == (name == "image_autoclint_faa")


@pytest.mark.parametrize("name", ["video_mc3", "video_frames"])
def test_video(name: str) -> None:
    """Slides and Freiburg's section 4; our choices: 48 pixels on a processor (112 on a GPU), SGD in cosine cycles."""
    split = toy("video", 6, False, seed=0)
    model, notes = made(name, split)
    assert model.choose_feature_params(split) == {"size": 48, "frames": 12 if name == "video_mc3" else 4}
    training = model._prepare(split)
    assert model.params["batch"] == 16
    assert_sgd(training.trainer.optimiser, 1e-3)
    clips = training.network.body
    if isinstance(model, VideoMc3):
        assert VideoMc3.stages == (3, 10, 12)
        kernels = [m.kernel_size for m in clips.network.modules() if isinstance(m, nn.Conv3d)]
        assert kernels[:5] == [(3, 7, 7), *[(3, 3, 3)] * 4]  # of the first layer; the others see no time
        assert {kernel[0] for kernel in kernels[5:]} == {1}
        assert len(kernels) == 20
        missing = "MC3-18 (Kinetics-400)"
    else:
        assert isinstance(model, VideoFrames)
        assert isinstance(clips.network, FrameMean)
        assert type(clips.network.network).__name__ == "EfficientNet"
        missing = "EfficientNet-B0 (ImageNet)"
    assert notes[-1] == f"{name} uses random weights: those of {missing} are not on this machine."


def test_speech() -> None:
    """The slides' table: bottlenecks of (48, 96), (96, 128), (128, 256), (256, 512) channels, 2, 3, 3 and 3 of them."""
    assert [(inside, outputs, blocks) for inside, outputs, blocks, _ in STAGES] == [
        (48, 96, 2),
        (96, 128, 3),
        (128, 256, 3),
        (256, 512, 3),
    ]
    assert convolutions(thin_resnet34(5, 64)) == 1 + 3 * 11 + 4 + 1  # stem, bottlenecks, shortcuts, the last
    split = toy("audio", 70, False, seed=0)
    model, notes = made("audio_thin_resnet34", split)
    assert isinstance(model, AudioThinResnet34)
    training = model._prepare(split)
    assert_sgd(training.trainer.optimiser, 1e-3)
    assert (training.batch_size, model.params["width"]) == (64, 32)  # ours: half as wide, for two cores
    assert any("thin ResNet-34 (VoxCeleb2), with which DeepWisdom's began, are not on this machine" in n for n in notes)


def test_texts_and_tables() -> None:
    """SVM on tf-idf (test_models_text.py: it is scikit-learn's); five kinds of models in three folds (Algorithm 2)."""
    model, _ = made("text_svm", toy("text", 12, False, seed=0))
    assert (model.name, model.params["head"]) == ("text_linear", "svm")
    model, _ = made("tabular_ensemble", toy("tabular", 12, False, seed=0))
    assert isinstance(model, TabularEnsemble)
    assert FOLDS == 3
    assert list(SPACE) == ["tabular_linear", "tabular_forest", "tabular_xgboost", "tabular_lightgbm", "tabular_network"]


@pytest.mark.parametrize("multi_label", [False, True])
def test_catboost(multi_label: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepWisdom's Auto_Tabular/model_lib/cb.py: draws of 300 rounds, early stopping, then all rows; no column is
    named as one of categories."""
    monkeypatch.setattr(catboost, "DEPTHS", (4,))  # deep ones take seconds
    given: list[tuple[dict[str, Any], dict[str, Any]]] = []

    class Seen(catboost.CatBoost):
        def fit(self, *args: Any, **options: Any) -> Seen:
            given.append((self.get_params(), options))
            return super().fit(*args, **options)

    monkeypatch.setattr(catboost, "CatBoost", Seen)
    train, test = (toy("tabular", count, multi_label, seed=count) for count in (60, 30))
    model, notes = made("tabular_catboost", train)
    assert isinstance(model, catboost.TabularCatBoost)
    while not model.done_training:
        model.train(train, 60)
    assert nauc(test.labels, model.test(test, 60)) > 0.8

    (first, _), *draws, (stopped, early), (last, _) = given
    assert (first["iterations"], first["learning_rate"], first["depth"]) == (30, 0.1, 4)
    assert [params["iterations"] for params, _ in draws] == [300] * 15
    assert all(0.01 <= params["learning_rate"] <= 0.1 for params, _ in draws)
    assert all(0.1 <= params["l2_leaf_reg"] <= 2 for params, _ in draws)
    assert len({params["learning_rate"] for params, _ in draws}) == 15
    assert (stopped["iterations"], early["early_stopping_rounds"], early["use_best_model"]) == (1200, 20, True)
    assert {**stopped, "iterations": last["iterations"]} == last
    assert f"{last['iterations']} rounds" in notes[-1]
    for params, _ in given:
        assert params["loss_function"] == ("MultiLogloss" if multi_label else "MultiClass")
        assert params["thread_count"] == 1  # a small table
        assert not {"cat_features", "class_weights", "auto_class_weights", "task_type"} & set(params)


def test_catboost_draws_as_deep_wisdom_did_and_keeps_to_the_time() -> None:
    assert (catboost.DRAWS, catboost.DRAW_ROUNDS, catboost.DRAW_ROWS, catboost.PARTS) == (15, 300, 20_000, 5)
    assert (catboost.DEPTHS, catboost.ROUNDS, catboost.PATIENCE) == ((4, 6, 8, 10, 12), 1200, 20)
    assert catboost.TabularCatBoost.candidates == ({"learning_rate": 0.02},)
    train = toy("tabular", 60, False, seed=0)
    model, _ = made("tabular_catboost", train)
    model.train(train, 0.0)
    model.train(train, 0.0)
    assert model.booster.tree_count_ == 1
