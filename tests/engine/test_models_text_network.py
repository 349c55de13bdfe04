"""The text networks: every body learns, exports, ignores padding; word vectors come from a file."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from automl_engine.dataset.metrics import nauc
from automl_engine.errors import DataError
from automl_engine.features.text import plain_tokens, token_hash
from automl_engine.models.configuration import can_join
from automl_engine.models.text import network as text_network
from automl_engine.models.text.bodies import BODIES
from automl_engine.models.text.network import TextNetwork, common_tokens, word_vectors
from tests.engine.test_models import exported_prediction
from tests.engine.toy_examples import WORDS, hidden, toy

SMALL = {"dim": 16, "width": 16, "lr": 0.01, "device": "cpu"}


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_network, "FEWEST_STEPS", 100)


def trained(**params: object) -> TextNetwork:
    """By steps, not by the clock: it is the same on a busy machine."""
    train = toy("text", 90, False, seed=1)
    model = TextNetwork(train.spec, slice_s=600.0, **{**SMALL, **params})
    model.train(train, 600)
    assert model.done_training
    return model


@pytest.mark.parametrize("body", sorted(BODIES))
def test_every_body_learns_and_exports(body: str, tmp_path: Path) -> None:
    model, test = trained(body=body), toy("text", 60, False, seed=2)
    prediction = model.test(test, 10)
    assert nauc(test.labels, prediction) > 0.9
    exported = exported_prediction(model, tmp_path, hidden(test), False)
    np.testing.assert_allclose(exported, prediction, atol=1e-4)


@pytest.mark.parametrize("body", sorted(BODIES))
def test_padding_changes_nothing(body: str) -> None:
    torch.manual_seed(0)
    network = BODIES[body](6, 5).eval()
    x, mask = torch.randn(3, 7, 6), torch.ones(3, 7, dtype=torch.bool)
    mask[0, 4:] = mask[1, :] = False
    x = x * mask[:, :, None]
    longer = torch.cat([x, torch.zeros(3, 9, 6)], 1), torch.cat([mask, torch.zeros(3, 9, dtype=torch.bool)], 1)
    torch.testing.assert_close(network(x, mask)[[0, 2]], network(*longer)[[0, 2]])
    assert network(x, mask).isfinite().all()


def test_it_ends_before_the_time_is_over() -> None:
    train = toy("text", 60, False, seed=1)
    model = TextNetwork(train.spec, passes=10**6, **SMALL)
    start = time.monotonic()
    model.train(train, 0.5)
    model.train(train, 0.5)
    assert model.done_training
    assert time.monotonic() - start < 5
    assert np.isfinite(model.test(train, 1)).all()


def test_common_tokens_stand_in_two_texts() -> None:
    texts = [np.array([5, 3, 3]), np.array([5, 9]), np.array([9, 5])]
    assert common_tokens(texts).tolist() == [5, 9]
    assert common_tokens([np.array([2, 1])]).tolist() == [1, 2]
    assert common_tokens([np.zeros(0, np.int64)]).tolist() == []


def test_word_vectors_are_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words.vec").write_text("3 2\nball 1 2\nGoal 3 4\nunheard 5 6\n")
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(tmp_path))
    train = toy("text", 30, False, seed=1)
    known = common_tokens(plain_tokens(train))
    vectors = word_vectors("words.vec", train.spec, known)
    assert vectors.shape == (len(WORDS), 2)
    assert vectors[known.tolist().index(token_hash("ball"))].tolist() == [1, 2]
    assert vectors[known.tolist().index(token_hash("goal"))].tolist() == [3, 4]
    assert can_join("text_network", {"vectors": "words.vec"})
    model = trained(vectors="words.vec")
    assert model.config["dim"] == 2


def test_word_vectors_that_cannot_be_used_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTODL_WEIGHTS_DIR", str(tmp_path))
    train = toy("text", 30, False, seed=1)
    known = common_tokens(plain_tokens(train))
    assert not can_join("text_network", {"vectors": "words.vec"})
    assert can_join("text_network", {})
    with pytest.raises(DataError, match="not found"):
        word_vectors("words.vec", train.spec, known)
    (tmp_path / "words.vec").write_text("ball 1 2\ngoal 3 4 5\n")
    with pytest.raises(DataError, match="different lengths"):
        word_vectors("words.vec", train.spec, known)
