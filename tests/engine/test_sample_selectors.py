"""Selectors of samples: nearest centroid, perceptron, latent t-test; the autoencoder; samples on disk."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import ttest_ind
from sklearn.neighbors import NearestCentroid as SklearnNearestCentroid

from automl_engine.__main__ import main
from automl_engine.errors import DataError
from automl_engine.lab.meta import autoencoder as training
from automl_engine.lab.meta.recognition import SIZES, recognised
from automl_engine.lab.meta.selectors.mlp_samples import MlpSamples
from automl_engine.lab.meta.selectors.nearest_centroid import NearestCentroid
from automl_engine.lab.meta.selectors.vae import LatentNearest
from automl_engine.lab.meta.selectors.voting import SampleSelector, order_by_votes
from automl_engine.metalearning import samples as store
from automl_engine.metalearning import vae
from automl_engine.metalearning.vae import welch
from automl_engine.metalearning.vae.classes import FEWEST, NEAR, classes_alike, nearest_classes
from automl_engine.metalearning.vae.network import Decoder, Encoder, log_likelihood
from automl_engine.portfolio.space import parse
from tests.engine.toy_examples import toy
from tests.engine.toys import write_dataset

SELECTORS = [NearestCentroid, MlpSamples, LatentNearest]
NAN = float("nan")


def clouds(sets: int, count: int = 32, size: int = 8, seed: int = 0) -> np.ndarray:
    """(D, n, E): each set lies around a point of its own."""
    middles = np.random.default_rng(7).normal(size=(40, 1, size))[:sets]
    return (middles + np.random.default_rng(seed).normal(scale=0.6, size=(sets, count, size))).astype(np.float32)


@pytest.mark.parametrize("kind", SELECTORS)
def test_the_rows_of_the_set_that_a_batch_comes_from_are_first(kind: type[SampleSelector]) -> None:
    scores = np.full((6, 7), 0.2)
    scores[np.arange(6), np.arange(6)] = 0.9  # set i likes row i
    scores[:, 6] = 0.5
    selector = kind().fit(clouds(6), scores)
    for query, batch in enumerate(clouds(6, seed=1)):
        votes = selector.votes(batch)
        assert votes.shape == (6,)
        assert votes.sum() == pytest.approx(1)
        order = selector.rank(batch)
        assert order[:2].tolist() == [query, 6]
        assert sorted(order) == list(range(7))
        assert selector.rank(batch[:1]).shape == (7,)


@pytest.mark.parametrize("kind", SELECTORS)
def test_same_seed_same_votes(kind: type[SampleSelector]) -> None:
    batch = clouds(5, seed=2)[3]
    first, second = (kind(seed=3).fit(clouds(5), np.zeros((5, 1))).votes(batch) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", SELECTORS)
def test_each_declares_its_space(kind: type[SampleSelector]) -> None:
    space = parse(kind.SPACE, kind.__name__)
    for name, parameter in space.items():
        default = kind().__dict__[name]
        assert parameter.stored(default) is not None, f"{name} = {default} lies outside its space"


@pytest.mark.parametrize("kind", [NearestCentroid, LatentNearest])
def test_a_new_known_set_needs_no_training(kind: type[SampleSelector]) -> None:
    """Adding the 40th is a few statistics, and it is found at once."""
    known = clouds(40, count=64, size=64)
    start = time.perf_counter()
    selector = kind().fit(known, np.zeros((40, 1)))
    assert time.perf_counter() - start < 2
    before = kind().fit(known[:39], np.zeros((39, 1)))
    batch = clouds(40, size=64, seed=1)[39]
    assert selector.votes(batch).argmax() == 39
    assert before.votes(batch).argmax() != 39
    other = clouds(40, size=64, seed=1)[5]
    assert selector.votes(other).argmax() == before.votes(other).argmax() == 5


def test_centroids_are_those_of_scikit_learn() -> None:
    known, batch = clouds(5), clouds(5, seed=4)[2]
    selector = NearestCentroid(scale="none").fit(known, np.zeros((5, 1)))
    reference = SklearnNearestCentroid(metric="manhattan").fit(known.reshape(-1, 8), np.repeat(np.arange(5), 32))
    expected = np.bincount(reference.predict(batch), minlength=5) / len(batch)
    np.testing.assert_allclose(selector.votes(batch), expected)


def test_the_centroid_may_vote_alone() -> None:
    selector = NearestCentroid(vote="centroid").fit(clouds(5), np.zeros((5, 1)))
    assert selector.votes(clouds(5, seed=1)[4]).tolist() == [0, 0, 0, 0, 1]


def test_votes_order_rows_and_unknown_ones_stand_where_others_let_expect() -> None:
    scores = np.array([[0.9, 0.1, NAN, NAN], [0.2, 0.8, 0.7, NAN], [0.3, 0.9, 0.2, NAN]])
    first, second = np.eye(3)[:2]
    assert order_by_votes(first, scores, "alc", 0.01).tolist() == [0, 2, 1, 3]
    assert order_by_votes(second, scores, "alc", 0.01).tolist() == [1, 2, 0, 3]
    assert order_by_votes(first, scores, "rank", 10.0)[0] == 1  # the best on average


def test_welch_is_that_of_scipy() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(12, 5)), generator.normal(0.3, 2, (40, 5))
    found = welch.statistic(welch.moments(a), welch.moments(b))
    np.testing.assert_allclose(found, ttest_ind(a, b, equal_var=False).statistic, rtol=1e-6)


def test_welch_counts_repeated_samples_once_and_takes_single_ones() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 9, 3))
    twice = welch.statistic(welch.moments(np.tile(a, (2, 1))), welch.moments(b))
    np.testing.assert_allclose(twice, welch.statistic(welch.moments(a), welch.moments(b)))
    assert np.isfinite(welch.statistic(welch.moments(a[:1]), welch.moments(b))).all()
    assert np.isfinite(welch.statistic(welch.moments(a[:1]), welch.moments(b[:1]))).all()


def test_a_small_known_set_is_not_near_to_everything() -> None:
    known = clouds(2, count=64)
    new = welch.moments(clouds(2, count=64, seed=1)[0])
    small = welch.moments(known[1][:3])
    assert np.abs(welch.statistic(new, small)).mean() < np.abs(welch.statistic(new, welch.moments(known[1]))).mean()
    assert welch.distances(new, [welch.moments(known[0]), small]).argmin() == 0


def test_deviations_tell_sets_of_one_mean_apart() -> None:
    generator = np.random.default_rng(0)
    narrow, wide, new = (generator.normal(scale=scale, size=(64, 8)) for scale in (1, 2, 2))
    known = [welch.moments(narrow), welch.moments(wide)]
    assert welch.distances(welch.moments(new), known).argmin() == 1
    mean_alone, both = (welch.distances(welch.moments(new), known, told) for told in (False, True))
    assert (both > mean_alone).all()


def test_which_class_of_which_set() -> None:
    known = dict(zip(("pets/cat", "pets--n90/dog", "digits/0"), clouds(3), strict=True))
    new = dict(zip(("tiger", "wolf"), clouds(2, seed=1), strict=True))
    told = {alike.label: alike for alike in nearest_classes(new, known)}
    assert told["tiger"].in_words().startswith("your class tiger looks most like cat of pets (")
    assert (told["wolf"].dataset, told["wolf"].known_label) == ("pets", "dog")
    assert all(alike.distance < NEAR for alike in told.values())


def test_what_is_far_or_too_small_is_not_named() -> None:
    first, second, far = clouds(3)
    new = clouds(1, seed=1)[0]
    assert nearest_classes({"a": new}, {"x/far": far}) == []
    assert nearest_classes({"a": new}, {}) == []
    assert nearest_classes({"a": np.tile(new[: FEWEST - 1], (9, 1))}, {"x/first": first}) == []
    assert nearest_classes({"a": new}, {"x/first": first[: FEWEST - 1], "x/second": second}) == []
    assert [alike.label for alike in nearest_classes({"a": new, "far": far + 9}, {"x/first": first})] == ["a"]


def test_the_verb_names_the_classes_of_a_known_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, split = tmp_path / "new", toy("image", 60, multi_label=False, seed=0)
    rows = [(split.steps(i), np.flatnonzero(split.labels[i]).tolist()) for i in range(60)]
    write_dataset(data, split.spec, rows, rows[:3])
    store.add(split, "toys", "image", tmp_path)
    found = {alike.label: alike for alike in classes_alike(split, "image", tmp_path)}
    assert found
    order = ["meta", "classes", str(data), "--modality=image", f"--out={tmp_path / 'alike.json'}"]
    assert main([*order, f"--tables={tmp_path}"]) == 0
    told = json.loads((tmp_path / "alike.json").read_text())["alike"]
    assert {line["label"] for line in told} == set(found)
    assert {line["dataset"] for line in told} == {"toys"}
    assert len(capsys.readouterr().out.splitlines()) == len(told)


def test_samples_on_disk_grow_by_data_set(tmp_path: Path) -> None:
    path = store.samples_path("vae", tmp_path)
    assert store.read_samples(path) == {}
    first, second = clouds(2)
    store.write_samples(path, {"a": first, "a/cat": first[:4], "b": second})
    store.write_samples(path, {"a": second})
    found = store.read_samples(path)
    assert sorted(found) == ["a", "b"]
    np.testing.assert_allclose(found["a"], second, atol=2e-3)
    assert store.batches(found, ["b", "a"]).shape == (2, 32, 8)
    with pytest.raises(DataError, match="no samples of c"):
        store.batches(found, ["a", "c"])
    path.write_bytes(b"none")
    with pytest.raises(DataError, match="holds no samples"):
        store.read_samples(path)


def test_a_public_set_is_added(tmp_path: Path) -> None:
    store.add(toy("image", 30, multi_label=False, seed=0), "toys", "image", tmp_path)
    own, latent = (store.read_samples(store.samples_path(space, tmp_path)) for space in ("image", "vae"))
    assert own["toys"].shape[0] == store.COUNT
    assert latent["toys"].shape == (store.COUNT, len(vae.NAMES))
    assert sorted(latent) == ["toys", "toys/a", "toys/b", "toys/c"]
    assert latent["toys/a"].shape[0] == 10


def test_recognition_names_the_source_with_its_own_set_hidden() -> None:
    known = clouds(6).reshape(3, 2, 32, 8)[:, [0, 0]].reshape(6, 32, 8)  # pairs of variations of three sources
    names = ["x", "x--n9", "y", "y--n9", "z", "w"]
    queries = {"x": clouds(6, seed=1)[0], "y--n9": clouds(6, seed=1)[2], "z": clouds(6, seed=1)[4]}
    shares, choice_s = recognised(NearestCentroid, dict(zip(names, known, strict=True)), queries, repeats=3)
    assert len(shares) == len(SIZES)
    assert shares[5] == (1.0, 2)  # z has no other variation
    assert shares[6][1] == 0  # no query has 64 samples
    assert choice_s > 0


def test_a_pixel_depends_on_those_before_it_alone() -> None:
    torch.manual_seed(0)
    decoder = Decoder(side=6, latent=4, width=8, depth=2)
    images = torch.rand(1, 3, 6, 6, requires_grad=True)
    latent = torch.randn(1, 4, requires_grad=True)
    decoder(images, latent)[0, :, 3, 2].sum().backward()
    seen = images.grad[0].abs().sum(0) > 0  # (6, 6)
    assert seen[:3].any()
    assert seen[3, :2].any()
    assert not seen[3, 2:].any()
    assert not seen[4:].any()
    assert (latent.grad != 0).all()


def test_probabilities_of_the_levels_sum_to_one() -> None:
    """With one logistic and no factors the channels are independent: P(r, g, b) summed over r is P(g) P(b)."""
    torch.manual_seed(0)
    parameters = torch.zeros(1, 50, 1, 1, dtype=torch.float64)
    parameters[:, 0] = 100  # the share of the first logistic
    parameters[:, 5:8] = torch.tensor([-0.9, 0.1, 0.6])[:, None, None]
    parameters[:, 8:11] = -1.5
    levels = torch.arange(256, dtype=torch.float64) / 127.5 - 1
    centre = levels[[20, 140, 190]]
    product = 1.0
    for channel in range(3):
        images = centre.repeat(256, 1)
        images[:, channel] = levels
        product *= float(log_likelihood(parameters.expand(256, -1, -1, -1), images[:, :, None, None]).exp().sum())
    once = float(log_likelihood(parameters, centre[None, :, None, None]).exp())
    assert product == pytest.approx(once**2, rel=1e-6)


def test_the_autoencoder_learns_and_its_file_is_read_back(tmp_path: Path) -> None:
    examples = toy("image", 48, multi_label=False, seed=0)
    planes = vae.to_planes(examples.images(12, 12)[:, 0])
    config = {"side": 12, "blocks": [1, 1], "growth": 4, "latent": 4}
    lines: list[str] = []
    first = training.train(planes, np.zeros(48, np.int64), config, 1)[1]["bits_a_value"]
    encoder, figures = training.train(planes, np.zeros(48, np.int64), config, 60, on_line=lines.append)
    assert figures["bits_a_value"] < first - 0.5
    training.write(tmp_path, encoder, config)
    found = vae.embed(examples, tmp_path)
    assert found.shape == (48, 4)
    with torch.inference_mode():
        expected = encoder(vae.scaled(torch.from_numpy(planes)))[0].numpy()
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_the_shipped_encoder_is_small_and_tells_toys_apart() -> None:
    assert (vae.HERE / "encoder.safetensors").stat().st_size < 2 << 20
    images = vae.embed(toy("image", 24, multi_label=False, seed=0))
    again = vae.embed(toy("image", 24, multi_label=False, seed=1))
    video = vae.embed(toy("video", 24, multi_label=False, seed=0))
    assert images.shape == (24, len(vae.NAMES))
    selector = LatentNearest().fit(np.stack([video, images]), np.zeros((2, 1)))
    assert selector.distances(again).argmin() == 1


def test_the_layout_of_densenet_121() -> None:
    """At growth 32 and with its blocks the body has the size that the paper gives: about 7 million parameters."""
    encoder = Encoder([6, 12, 24, 16], 32, 196)
    assert sum(weights.numel() for weights in encoder.parameters()) == pytest.approx(7.3e6, rel=0.05)


def test_only_pictures_train_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must hold one NAME\.data"):
        training.read_images([tmp_path])
