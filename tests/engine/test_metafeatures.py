"""Meta-features: the same for the same data, near for halves of it, apart for other data, quick, always finite."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.lab.meta.features import COUNTS, MOMENTS, distances, meta_features, moments
from automl_engine.metalearning.embeddings import EMBEDDINGS, embedding
from automl_engine.metalearning.samples import embed
from tests.engine.toy_examples import CLASSES, TOYS, hidden, toy

MODALITIES = sorted(TOYS)


def test_every_modality_has_an_embedding_of_its_name() -> None:
    assert set(COUNTS) == set(MODALITIES) <= set(EMBEDDINGS)
    with pytest.raises(ValueError, match="embedding must be one of"):
        embedding("smell")


@pytest.mark.parametrize("modality", MODALITIES)
def test_meta_features_are_finite_and_depend_on_data_and_seed_alone(modality: str) -> None:
    split = toy(modality, 30, multi_label=False, seed=0)
    values = meta_features(split, modality)
    assert values == meta_features(toy(modality, 30, multi_label=False, seed=0), modality)
    assert list(values) == list(meta_features(toy(modality, 12, multi_label=True, seed=3), modality, seed=5))
    assert all(type(value) is float and np.isfinite(value) for value in values.values())
    assert all(name.split("_")[0] in ("trivial", modality, "landmark") for name in values)
    assert len(values) == 15 + 2 * len(embedding(modality).NAMES) + (modality != "tabular")


def test_trivial_features_say_what_the_data_are() -> None:
    values = meta_features(toy("image", 32, multi_label=False, seed=0), "image")
    assert values["trivial_log_samples"] == 5
    assert values["trivial_log_classes"] == pytest.approx(np.log2(CLASSES))
    assert values["trivial_log_height"] == pytest.approx(np.log2(24))
    assert values["trivial_log_width"] == pytest.approx(np.log2(28))
    assert values["trivial_channels"] == 3
    assert values["trivial_multi_label"] == 0
    assert values["trivial_label_density"] == pytest.approx(1 / CLASSES)
    assert values["trivial_balance"] == pytest.approx(1, abs=0.01)
    assert meta_features(toy("image", 32, multi_label=True, seed=0), "image")["trivial_multi_label"] == 1


def test_images_of_any_size_are_measured_by_their_headers() -> None:
    pictures = [cv2.imencode(".png", np.full((40, width, 3), width, np.uint8))[1].tobytes() for width in (50, 64, 90)]
    spec = Spec("any", 3, 2, row_count=-1, col_count=-1, num_channels=3, format="COMPRESSED")
    values = meta_features(MemoryExamples(spec, [[one] for one in pictures], np.eye(2)[[0, 1, 0]]), "image")
    assert values["trivial_log_height"] == pytest.approx(np.log2(40))
    assert values["trivial_log_width"] == 6
    assert values["trivial_variable_size"] == 1


@pytest.mark.parametrize("modality", MODALITIES)
def test_embeddings_have_exactly_as_many_rows_as_asked_for(modality: str) -> None:
    split = toy(modality, 10, multi_label=False, seed=0)
    points = embed(split, modality, count=16)
    assert points.shape == (16, len(embedding(modality).NAMES))
    assert points.dtype == np.float32
    assert np.isfinite(points).all()
    if modality != "tabular":  # its samples are columns
        assert np.array_equal(points[:6], points[10:])


@pytest.mark.parametrize("modality", ["image", "video", "audio", "text", "timeseries"])
def test_samples_without_labels_or_content_do_not_break_anything(modality: str) -> None:
    for split in (hidden(toy(modality, 6, multi_label=False, seed=0)), toy(modality, 1, multi_label=False, seed=0)):
        assert np.isfinite(list(meta_features(split, modality).values())).all()


@pytest.mark.parametrize("cells", [np.full(4, np.nan), np.full(4, 3e38), np.zeros(4)])
def test_odd_tables_and_series_give_finite_features(cells: np.ndarray) -> None:
    table = Spec("odd", 6, 2, 1, 1, 4, 1)
    rows = [(cells * (-1) ** i).astype(np.float32).reshape(1, 1, 4, 1) for i in range(6)]
    labels = np.eye(2, dtype=np.float32)[[0, 1] * 3]
    assert np.isfinite(list(meta_features(MemoryExamples(table, rows, labels), "tabular").values())).all()
    series = replace(table, sequence_size=-1, col_count=1)
    steps = [row.reshape(-1, 1, 1, 1)[: i % 4] for i, row in enumerate(rows)]
    assert np.isfinite(list(meta_features(MemoryExamples(series, steps, labels), "timeseries").values())).all()


PICTURES: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda picture: picture,
    lambda picture: 255 - picture,
    lambda picture: cv2.GaussianBlur(picture, (7, 7), 0),
    lambda picture: picture // 2 + np.array([0, 0, 120], np.uint8),
]
SERIES: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda series: series,
    lambda series: np.rint(np.cumsum(series, axis=0) / 20),
    lambda series: np.abs(series),
    lambda series: np.repeat(series, 3, axis=0),
]


def _kind(modality: str, seed: int, kind: int) -> MemoryExamples:
    """A toy data set whose content was changed, so that it is another kind of data."""
    split = toy(modality, 24, multi_label=False, seed=seed)
    if modality in ("image", "video"):
        steps = [[_changed(frame, PICTURES[kind]) for frame in split.steps(i)] for i in range(24)]
    else:
        steps = [SERIES[kind](split.steps(i)) for i in range(24)]
    return MemoryExamples(split.spec, steps, split.labels)


def _changed(frame: bytes, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    picture = cv2.imdecode(np.frombuffer(frame, np.uint8), cv2.IMREAD_COLOR)
    return cv2.imencode(".png", change(picture))[1].tobytes()


@pytest.mark.parametrize("modality", ["image", "video", "audio", "timeseries"])
def test_other_samples_of_the_same_data_are_the_nearest(modality: str) -> None:
    sets = [(kind, seed) for kind in range(4) for seed in (0, 1)]
    features = np.array([list(meta_features(_kind(modality, seed, kind), modality).values()) for kind, seed in sets])
    for place, (kind, _) in enumerate(sets):
        others = np.delete(np.arange(len(sets)), place)
        assert sets[others[distances(features[others], features[place]).argmin()]][0] == kind


def test_distances_ignore_what_is_constant_or_unknown_and_one_odd_feature_does_not_decide() -> None:
    generator = np.random.default_rng(0)
    known = generator.normal(size=(9, 8))
    known[:, 6], known[4, 7] = 5, np.nan
    new = known[3].copy()
    new[6], new[7] = 7, 1e9
    assert distances(known, new)[3] == 0
    new[0] += 1e6
    assert distances(known, new).argmin() == 3
    assert distances(known[:, 6:], new[6:]).tolist() == [0] * 9
    assert np.allclose(distances(known * 1000 + 4, new * 1000 + 4), distances(known, new))


def test_moments_are_those_of_the_paper() -> None:
    batch = np.random.default_rng(0).gamma(2, size=(5000, 2)).astype(np.float32)
    found = moments(batch, (*MOMENTS, "q00", "q25", "q40")).reshape(-1, 2)
    assert found.shape == (9, 2)
    mean, median, deviation, variance, skewness, kurtosis = found[:6, 0]
    assert (mean, variance, deviation**2) == pytest.approx((2, 2, 2), rel=0.1)
    assert skewness == pytest.approx(2 / np.sqrt(2), rel=0.15)
    assert kurtosis == pytest.approx(3, rel=0.4)
    assert found[6, 0] == batch[:, 0].min()
    assert found[6, 0] < found[7, 0] < found[8, 0] < median


def test_few_of_many_large_samples_are_looked_at() -> None:
    """100,000 references to one photo of 500 × 375: within the 0.3 s of the issue, with room for a busy machine."""
    generator = np.random.default_rng(0)
    noise = cv2.resize(generator.integers(0, 255, (50, 37, 3)).astype(np.uint8), (500, 375))
    photo = [cv2.imencode(".jpg", noise)[1].tobytes()]
    spec = Spec("many", 100_000, 10, row_count=375, col_count=500, num_channels=3, format="COMPRESSED")
    split = MemoryExamples(spec, [photo] * 100_000, np.eye(10, dtype=np.float32)[np.arange(100_000) % 10])
    meta_features(toy("image", 6, multi_label=False, seed=0), "image")  # imports
    start = time.perf_counter()
    meta_features(split, "image")
    assert time.perf_counter() - start < 1


def test_resnet18_sees_grey_and_colour_alike_and_is_the_same_in_every_call() -> None:
    split = toy("image", 5, multi_label=False, seed=0)
    points = embed(split, "image", count=5, by="resnet18")
    assert points.shape == (5, 512)
    assert np.isfinite(points).all()
    assert np.allclose(points, embed(split, "image", count=5, by="resnet18"), atol=1e-4)
    grey = MemoryExamples(replace(split.spec, num_channels=1), [split.steps(i) for i in range(5)], split.labels)
    assert embed(grey, "image", count=5, by="resnet18").shape == (5, 512)


def test_hashed_ngrams_are_near_for_texts_that_share_words() -> None:
    vocabulary = {f"{word}{i}": 20 * place + i for place, word in enumerate(("apple", "zebra")) for i in range(20)}
    spec = Spec("texts", 8, 2, sequence_size=-1, is_sequence=True, channel_to_index=vocabulary)
    generator = np.random.default_rng(0)
    words = [generator.integers(0, 20, 30) + 20 * (i % 2) for i in range(8)]
    steps = [text.astype(np.float32).reshape(-1, 1, 1, 1) for text in words]
    points = embedding("text_ngrams").embed(MemoryExamples(spec, steps))
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.ones(8))
    products = points @ points.T
    assert products[::2, ::2].min() > products[::2, 1::2].max()
