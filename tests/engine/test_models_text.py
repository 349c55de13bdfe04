"""What the text models promise beyond the conformance test."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.metrics import nauc
from automl_engine.dataset.spec import Spec
from automl_engine.models.shared.logistic import fit_logistic
from automl_engine.models.text.linear import (
    TextLinear,
    fit_naive_bayes,
    fit_svm,
    naive_bayes_weights,
)
from tests.engine.toy_examples import toy

STEP = {"work": "sparse logistic step", "amounts": {"products": 1, "weights": 1, "scores": 1}}
HEADS = ("naive_bayes", "logistic", "nb_logistic", "svm")


@pytest.mark.parametrize("multi_label", [False, True], ids=["single", "multi"])
@pytest.mark.parametrize("head", HEADS)
def test_every_head_learns(head: str, multi_label: bool) -> None:
    train, test = toy("text", 90, multi_label, seed=1), toy("text", 60, multi_label, seed=2)
    model = TextLinear(train.spec, head=head)
    model.train(train, 60)
    assert model.done_training
    assert nauc(test.labels, model.test(test, 60)) > 0.9


def test_unknown_head_is_named() -> None:
    train = toy("text", 20, False, seed=1)
    with pytest.raises(ValueError, match="'trees'"):
        TextLinear(train.spec, head="trees").train(train, 60)


def test_chinese_is_read_by_characters() -> None:
    good, bad, filler = "很好喜欢", "太差失望", "酒店房间位置服务"
    rng = np.random.default_rng(0)
    lines = ["".join(rng.permutation(list(filler))) + (good if i % 2 else bad) for i in range(40)]
    vocabulary = {c: i for i, c in enumerate(good + bad + filler)}
    steps = [np.array([vocabulary[c] for c in line], np.float32).reshape(-1, 1, 1) for line in lines]
    spec = Spec("toy", 40, 2, -1, 1, 1, 1, is_sequence=True, channel_to_index=vocabulary)
    examples = MemoryExamples(spec, steps, np.eye(2, dtype=np.float32)[np.arange(40) % 2])
    model = TextLinear(spec)
    model.train(examples, 60)
    assert model.fitted.characters
    assert nauc(examples.labels, model.test(examples, 60)) == 1


def test_words_that_training_has_not_seen_are_understood_by_their_letters() -> None:
    """``recipe.encode`` appends new words to the vocabulary."""
    words = ["running", "runner", "swimming", "swimmer"]
    spec = Spec("toy", 40, 2, -1, 1, 1, 1, is_sequence=True, channel_to_index={w: i for i, w in enumerate(words)})
    steps = [np.array([i % 4], np.float32).reshape(-1, 1, 1) for i in range(40)]
    labels = np.eye(2, dtype=np.float32)[[(i % 4) // 2 for i in range(40)]]
    model = TextLinear(spec)
    model.train(MemoryExamples(spec, steps, labels), 60)
    longer = {**spec.channel_to_index, "runs": 4, "swims": 5}
    fresh = Spec("toy", 2, 2, -1, 1, 1, 1, is_sequence=True, channel_to_index=longer)
    prediction = model.test(MemoryExamples(fresh, [np.full((1, 1, 1), i, np.float32) for i in (4, 5)]), 60)
    assert prediction[0, 0] > 0.5 > prediction[1, 0]


def test_naive_bayes_weights_tell_how_much_more_often() -> None:
    counts = csr_matrix(np.array([[8, 2], [1, 9]], np.float32))
    weights = naive_bayes_weights(counts, np.eye(2), smoothing=0.0)
    np.testing.assert_allclose(weights[:, 0], np.log([0.8 / 0.1, 0.2 / 0.9]), rtol=1e-5)
    np.testing.assert_allclose(weights[:, 1], -weights[:, 0], rtol=1e-5)


def test_the_svm_is_scikit_learns_and_a_constant_class_gets_a_bias() -> None:
    rng = np.random.default_rng(0)
    inputs, labels = csr_matrix(rng.random((40, 6))), np.ones((40, 3), np.float32)
    labels[:, 1] = rng.random(40) < 0.4
    labels[:, 2] = 0
    weights, bias = fit_svm(inputs, labels, seed=0)
    machine = LinearSVC(random_state=0).fit(inputs, labels[:, 1])
    assert (machine.loss, machine.C, machine.penalty) == ("squared_hinge", 1.0, "l2")
    np.testing.assert_allclose(inputs @ weights[:, 1] + bias[1], machine.decision_function(inputs), atol=1e-4)
    assert (bias[0], bias[2], abs(weights[:, [0, 2]]).max()) == (1, -1, 0)


def test_naive_bayes_does_not_mind_records_sorted_by_class() -> None:
    inputs = csr_matrix(np.repeat(np.eye(2, 6), 20, axis=0).astype(np.float32))
    labels = np.repeat(np.eye(2), 20, axis=0)
    weights, bias = fit_naive_bayes(inputs, labels, multi_label=False)
    scores = inputs @ weights + bias
    assert (scores.argmax(1) == labels.argmax(1)).all()


def test_sparse_logistic_regression_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((200, 6)) * (rng.random((200, 6)) < 0.5)
    classes = (dense @ rng.normal(size=(6, 3)) + rng.normal(scale=0.3, size=(200, 3))).argmax(1)
    inputs = csr_matrix(dense.astype(np.float32))
    never = time.monotonic() + 60
    weights, bias = fit_logistic(inputs, np.eye(3)[classes], False, 0.5, never, **STEP, maxiter=500)
    scores = inputs @ weights + bias
    ours = np.exp(scores - scores.max(1, keepdims=True))
    theirs = LogisticRegression(C=2.0, max_iter=1000).fit(dense, classes).predict_proba(dense)
    np.testing.assert_allclose(ours / ours.sum(1, keepdims=True), theirs, atol=0.02)


def test_logistic_regression_stops_in_time() -> None:
    inputs = csr_matrix(np.eye(4, dtype=np.float32))
    weights, _ = fit_logistic(inputs, np.eye(4), False, 1e-6, end=0.0, **STEP, maxiter=10**6)
    assert np.isfinite(weights).all()
