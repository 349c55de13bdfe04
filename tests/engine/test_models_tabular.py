"""What the table models promise beyond the conformance test."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from sklearn.ensemble import ExtraTreesRegressor

from automl_engine import clock
from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.metrics import nauc
from automl_engine.dataset.spec import Spec
from automl_engine.features.tabular import category_columns, tabular_values
from automl_engine.models.base import AnytimeModel
from automl_engine.models.shared.linear import fit_logistic_head
from automl_engine.models.tabular import ensemble as tabular_ensemble
from automl_engine.models.tabular import forest
from automl_engine.models.tabular.boosting import (
    CHUNK,
    FOLDS,
    TabularBoosting,
    deal,
    row_weights,
    rows_in_time,
)
from automl_engine.models.tabular.catboost import TabularCatBoost
from automl_engine.models.tabular.ensemble import TabularEnsemble
from automl_engine.models.tabular.forest import Forest, TabularForest, shrink
from automl_engine.models.tabular.lightgbm import TabularLightGBM
from automl_engine.models.tabular.linear import TabularLinear, telling_columns
from automl_engine.models.tabular.network import TabularNetwork
from automl_engine.models.tabular.xgboost import TabularXGBoost

KINDS = (TabularForest, TabularLightGBM, TabularLinear, TabularXGBoost)


def table(values: np.ndarray, labels: np.ndarray) -> MemoryExamples:
    spec = Spec("toy", len(values), labels.shape[1], 1, 1, values.shape[1], 1)
    steps = [row.astype(np.float32).reshape(1, 1, -1, 1) for row in values]
    return MemoryExamples(spec, steps, labels.astype(np.float32))


def xor(count: int, seed: int) -> MemoryExamples:
    """The class is whether two signs agree: nothing for a linear model."""
    values = np.random.default_rng(seed).normal(size=(count, 4))
    return table(values, np.eye(2)[(values[:, 0] * values[:, 1] > 0).astype(int)])


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_forest_is_the_same_in_sklearn_numpy_and_onnx(missing: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 5)).astype(np.float32).round(1)
    values[rng.random(values.shape) < missing] = np.nan
    labels = np.eye(4)[rng.integers(0, 4, 300)]
    trees = ExtraTreesRegressor(20, min_samples_leaf=2, random_state=0).fit(values, labels)
    for estimator in trees.estimators_:
        shrink(estimator.tree_, 3.0)
    forest = Forest.from_trees([tree.tree_ for tree in trees.estimators_])
    fresh = rng.normal(size=(200, 5)).astype(np.float32).round(1)
    fresh[rng.random(fresh.shape) < missing] = np.nan

    np.testing.assert_allclose(forest.predict(fresh), trees.predict(fresh), atol=1e-6)
    forest.to_onnx(tmp_path / "forest.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "forest.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"features": fresh})[0], trees.predict(fresh), atol=1e-6)


def test_shrinking_pulls_leaves_to_their_parents_and_keeps_the_root() -> None:
    rng = np.random.default_rng(0)
    values, target = rng.normal(size=(100, 3)), rng.normal(size=(100, 2))
    trees = ExtraTreesRegressor(1, random_state=0).fit(values, target)
    tree = trees.estimators_[0].tree_
    before = tree.value.copy()
    shrink(tree, 5.0)
    np.testing.assert_allclose(tree.value[0], before[0])
    child = tree.children_left[0]
    share = 1 / (1 + 5.0 / 100)
    np.testing.assert_allclose(tree.value[child], before[0] + share * (before[child] - before[0]))
    assert tree.value.std() < before.std()


def test_forest_grows_step_by_step() -> None:
    model = TabularForest(xor(80, 0).spec, trees=[5, 15])
    model.train(xor(80, 0), 60)
    assert (len(model.forest.roots), model.done_training) == (5, False)
    model.train(xor(80, 0), 60)
    assert (len(model.forest.roots), model.done_training) == (15, True)


def test_trees_learn_what_a_linear_model_cannot() -> None:
    train, test = xor(400, 1), xor(200, 2)
    scores = {}
    for kind in KINDS:
        model = kind(train.spec)
        while not model.done_training:
            model.train(train, 60)
        scores[kind] = nauc(test.labels, model.test(test, 60))
    assert scores[TabularForest] > 0.8
    assert scores[TabularLightGBM] > 0.8
    assert scores[TabularLinear] < 0.5


def test_folds_are_stratified_and_cover_every_row_once() -> None:
    model = TabularLightGBM(xor(50, 0).spec)
    model.train(xor(50, 0), 60)
    folds = list(deal(model.labels, seed=0))
    assert len(folds) == FOLDS
    assert sorted(np.concatenate([held for _, held in folds])) == list(range(50))
    shares = [model.labels[held].mean(0)[0] for _, held in folds]
    assert np.ptp(shares) < 0.1
    for inside, held in folds:
        assert not set(inside) & set(held)


@pytest.mark.parametrize("kind", [TabularLightGBM, TabularXGBoost])
def test_boosting_stops_in_time(kind: type[TabularBoosting]) -> None:
    train = xor(400, 1)
    model = kind(train.spec)
    model.train(train, 60)
    loss, rounds = model.cross_validate(kind.candidates[0], stop_at=0.0)
    assert rounds == 1
    assert np.isfinite(loss)


def test_classes_that_training_lacks_do_not_break_anything() -> None:
    values = np.random.default_rng(0).normal(size=(40, 3))
    labels = np.eye(5)[(values[:, 0] > 0) * 3]  # classes 1, 2 and 4 have no example
    for kind in KINDS:
        model = kind(table(values, labels).spec)
        while not model.done_training:
            model.train(table(values, labels), 60)
        prediction = model.test(table(values, labels), 60)
        assert prediction.shape == (40, 5)
        assert np.isfinite(prediction).all()
        assert prediction[:, [1, 2, 4]].max() < 0.2


def test_a_column_that_is_missing_throughout_is_no_problem() -> None:
    values = np.random.default_rng(0).normal(size=(40, 3))
    values[:, 1] = np.nan
    examples = table(values, np.eye(2)[(values[:, 0] > 0).astype(int)])
    assert np.isnan(tabular_values(examples)[:, 1]).all()
    for kind in KINDS:
        model = kind(examples.spec)
        while not model.done_training:
            model.train(examples, 60)
        assert nauc(examples.labels, model.test(examples, 60)) > 0.9


@pytest.mark.parametrize("kind", [*KINDS, TabularCatBoost, TabularNetwork])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_handful_of_rows_of_rare_classes_is_no_problem(kind: type[AnytimeModel], count: int) -> None:
    values = np.random.default_rng(0).normal(size=(count, 3))
    values[:, 2] = np.nan
    examples = table(values, np.eye(7)[np.arange(count)])
    model = kind(examples.spec)
    while not model.done_training:
        model.train(examples, 1.0)
    assert np.isfinite(model.test(examples, 1.0)).all()


def test_rows_are_read_for_as_long_as_there_is_time() -> None:
    examples = xor(2 * CHUNK + 10, 0)
    assert len(rows_in_time(examples, stop_at=0.0, most=10**9, seed=0)) == CHUNK
    assert len(rows_in_time(examples, time.monotonic() + 60, most=CHUNK + 3, seed=0)) == CHUNK + 3
    assert rows_in_time(examples, time.monotonic() + 60, most=10**9, seed=0) is examples


def test_a_forest_without_time_is_one_tree() -> None:
    model = TabularForest(xor(80, 0).spec, trees=[50])
    model.train(xor(80, 0), 0.0)
    assert (len(model.forest.roots), model.done_training) == (1, True)


def test_rare_classes_weigh_more() -> None:
    weights = row_weights(np.eye(2)[[0] * 9 + [1]])
    assert weights[-1] / weights[0] == pytest.approx(3)
    assert weights.mean() == pytest.approx(1)


def test_an_ensemble_weighs_its_members_by_rows_that_none_has_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    space = {"tabular_linear": ({},), "tabular_forest": ({"trees": [1]}, {"trees": [30]})}
    monkeypatch.setattr(tabular_ensemble, "SPACE", space)
    train, test = xor(240, 1), xor(100, 2)
    model = TabularEnsemble(train.spec)
    model.train(train, 5)
    assert len(model.members) == 1  # it can predict after each member
    while not model.done_training:
        model.train(train, 5)
    members = {member.name: member for member in model.members}
    assert len(members) == 3 * 2
    assert members["tabular_forest-0"].score > members["tabular_linear-0"].score
    assert members["tabular_forest-1"].model.params["trees"] == [30]
    assert nauc(test.labels, model.test(test, 5)) > 0.6


def test_sets_of_categories_are_split_at_once() -> None:
    """Odd codes against even ones: seven cuts for an ordinary tree, one for sets."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 8, 400)
    examples = table(np.column_stack([codes, rng.normal(size=400)]), np.eye(2)[codes % 2])
    assert category_columns(tabular_values(examples)) == [0]
    model = TabularLightGBM(examples.spec)
    model.train(examples, 60)
    setting = next(candidate for candidate in TabularLightGBM.candidates if "categories" in candidate)
    sets = {**setting, "num_leaves": 2}
    cuts = {key: value for key, value in sets.items() if key != "categories"}
    scores = []
    for tried in (sets, cuts):
        model.booster = model.fit(tried, 1, time.monotonic() + 60)
        scores.append(nauc(examples.labels, model.test(examples, 60)))
    assert scores[0] == 1
    assert scores[1] < 0.9


def test_a_forest_reads_what_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "PART", 50)
    examples = xor(120, 0)
    for remaining_s, count in ((0.0, 50), (60.0, 120)):
        model = TabularForest(examples.spec, trees=[3])
        model.train(examples, remaining_s)
        assert len(model._inputs) == len(model._labels) == count
    assert model.test(examples, 60).shape == (120, 2)
    monkeypatch.setattr(forest, "feature_limit_bytes", lambda: 60 * examples.spec.col_count * 4)
    model = TabularForest(examples.spec, trees=[3])
    model.train(examples, 60)
    assert len(model._inputs) == 100


def test_a_forest_looks_at_as_many_columns_as_it_is_told() -> None:
    examples = xor(40, 0)
    usual, all_columns = TabularForest(examples.spec, trees=[1]), TabularForest(examples.spec, trees=[1], looked_at=1.0)
    for model in (usual, all_columns):
        model.train(examples, 60)
    assert [model._trees[0].max_features for model in (usual, all_columns)] == [2, 4]


def test_of_a_wide_table_only_columns_that_tell_the_classes_apart_count() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(400, 1500)).astype(np.float32)
    values[::7, 3], values[:, 8] = np.nan, np.nan
    labels = np.eye(2)[(np.nan_to_num(values[:, :5]).sum(1) > 0).astype(int)]
    columns = telling_columns(values, labels)
    assert set(range(5)) <= set(columns.tolist())
    assert 10 <= len(columns) < 40
    noise = telling_columns(values, np.eye(2)[generator.integers(2, size=400)])
    assert len(noise) < 40


def test_many_classes_are_told_apart_by_their_means_where_there_is_no_time_for_a_step() -> None:
    generator = np.random.default_rng(0)
    centres, classes = generator.normal(size=(60, 10)), np.arange(1200) % 60
    features = (centres[classes] + 0.7 * generator.normal(size=(1200, 10))).astype(np.float32)
    head = fit_logistic_head(features[:600], np.eye(60)[classes[:600]], False, end=clock.now_s())
    assert nauc(np.eye(60)[classes[600:]], head.predict(features[600:])) > 0.8
    assert 0.1 < head.predict(features[600:]).max(1).mean() < 0.99
