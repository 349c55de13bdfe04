"""Selectors of vectors (and the voters beside them), on toys made in code."""

from __future__ import annotations

import time

import numpy as np
import pytest

from automl_engine.lab.meta.selectors import SELECTORS, selector_class
from automl_engine.lab.meta.selectors.average import BestAverage, BestAverageRank
from automl_engine.lab.meta.selectors.kmeans import KMeansVotes
from automl_engine.lab.meta.selectors.knn import NearestNeighbours
from automl_engine.lab.meta.selectors.linear import Linear
from automl_engine.lab.meta.selectors.mlp_moments import MlpMoments
from automl_engine.lab.meta.selectors.vectors import TARGETS, Scale, filled
from automl_engine.portfolio.space import parse

NAN = float("nan")
OF_VECTORS = [name for name in SELECTORS if not selector_class(name).of_samples]
LEARN = [name for name in OF_VECTORS if not name.startswith("average")]
BY_BATCH = [KMeansVotes, MlpMoments]


def world(sets: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(D, F) features, (D, C) ALC: the first feature says whether row 0 or row 1 is best; row 2 is always fair."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(sets, 4)) * [1, 10, 0.1, 1] + [0, 100, 0, 0]
    scores = np.full((sets, 4), 0.6) + draw.normal(scale=0.005, size=(sets, 4))
    side = np.sign(features[:, 0])
    scores[:, 0] += 0.2 * side
    scores[:, 1] -= 0.2 * side
    scores[:, 3] -= 0.3
    return features, scores


def clouds(sets: int, count: int = 48, size: int = 6, seed: int = 0) -> np.ndarray:
    """(D, n, E): each set lies around a point of its own."""
    middles = np.random.default_rng(7).normal(scale=2, size=(40, 1, size))[:sets]
    return (middles + np.random.default_rng(seed).normal(scale=0.6, size=(sets, count, size))).astype(np.float32)


@pytest.mark.parametrize("name", LEARN)
def test_it_learns_which_row_fits_which_data(name: str) -> None:
    selector = selector_class(name)(seed=1).fit(*world())
    right = 0
    for features, scores in zip(*world(20, seed=1), strict=True):
        if abs(features[0]) > 0.3:  # beside the border nobody knows
            order = selector.rank(features)
            assert sorted(order) == [0, 1, 2, 3]
            right += order[0] == scores.argmax()
        else:
            right += 1
    assert right >= 18


@pytest.mark.parametrize("name", OF_VECTORS)
def test_holes_rows_never_run_and_strange_features_do_no_harm(name: str) -> None:
    features, scores = world(12)
    scores[3, 0] = scores[5, 1:3] = NAN
    scores = np.column_stack([scores, np.full(12, NAN)])  # a new row
    features = np.column_stack([features, np.full(12, 7.0), np.full(12, NAN)])  # never varies; never known
    features[4, 1] = NAN
    selector = selector_class(name)().fit(features, scores)
    for new in (features[0], np.full(6, 1e9), np.full(6, NAN)):
        order = selector.rank(new)
        assert sorted(order) == [0, 1, 2, 3, 4]
        assert order[0] != 4


@pytest.mark.parametrize("name", OF_VECTORS)
def test_the_same_seed_gives_the_same_order(name: str) -> None:
    new = world(5, seed=3)[0]
    first, second = (selector_class(name)(seed=2).fit(*world()) for _ in range(2))
    assert [first.rank(one).tolist() for one in new] == [second.rank(one).tolist() for one in new]


@pytest.mark.parametrize("name", OF_VECTORS)
def test_learning_a_table_takes_seconds_at_most(name: str) -> None:
    draw = np.random.default_rng(0)
    start = time.process_time()
    selector_class(name)().fit(draw.normal(size=(50, 60)), draw.uniform(size=(50, 14)))
    assert time.process_time() - start < 10


@pytest.mark.parametrize("name", SELECTORS)
def test_every_space_can_be_searched_and_its_parameters_are_taken(name: str) -> None:
    kind = selector_class(name)
    if not kind.SPACE:
        return
    space = parse(kind.SPACE, name)
    kind(**{key: entry.values[0] if hasattr(entry, "values") else entry.low for key, entry in space.items()})


def test_an_unknown_selector_is_named() -> None:
    with pytest.raises(ValueError, match="'nonsense'"):
        selector_class("nonsense")


def test_averages_of_scores_and_of_ranks_may_differ() -> None:
    scores = np.array([[0.9, 0.2, 0.1], [0.50, 0.51, 0.1], [0.50, 0.51, 0.1]])
    features = np.zeros((3, 1))
    assert BestAverage().fit(features, scores).rank(features[0]).tolist() == [0, 1, 2]
    assert BestAverageRank().fit(features, scores).rank(features[0]).tolist() == [1, 0, 2]


def test_neighbours_are_near_in_units_of_the_spread() -> None:
    features = np.array([[0.0, 0], [1, 1000], [0, 2000], [1, 3000]])
    scores = np.eye(4)
    nearest = NearestNeighbours(k=1, prior=0).fit(features, scores)
    assert [nearest.rank(one)[0] for one in np.add(features, [0.1, 100])] == [0, 1, 2, 3]


def test_without_signal_the_linear_model_is_the_average() -> None:
    draw = np.random.default_rng(0)
    features, noise = draw.normal(size=(30, 5)), draw.normal(scale=0.05, size=(30, 6))
    scores = np.add(noise, [0.5, 0.52, 0.8, 0.3, 0.4, 0.2])
    linear = Linear(targets=("alc",)).fit(features, scores)
    best = BestAverage().fit(features, scores).rank(features[0])
    for new in draw.normal(size=(10, 5)):
        assert linear.rank(new)[0] == best[0]


def test_the_linear_model_extrapolates_where_neighbours_cannot() -> None:
    features = np.linspace(0, 1, 12)[:, None]
    scores = np.column_stack([0.3 + 0.6 * features[:, 0], np.full(12, 0.9)])  # row 0 catches up only beyond 1
    assert Linear(targets=("alc",)).fit(features, scores).rank(np.array([1.5]))[0] == 0
    assert NearestNeighbours(k=3).fit(features, scores).rank(np.array([1.5]))[0] == 1


def test_holes_are_filled_from_set_and_row() -> None:
    full = filled(np.array([[0.9, 0.7, NAN], [0.5, NAN, NAN], [0.6, 0.4, NAN]]))
    assert full[1, 1] < full[1, 0] == 0.5
    assert (full[:, 2] <= full[:, :2].min(1)).all()


def test_a_row_that_was_not_run_is_never_expected_to_win() -> None:
    """Above the others by .4 where all are bad, it would have 1.38 where all are good."""
    full = filled(np.array([[0.2, 0.2, 0.8], [0.97, 0.99, NAN]]))
    assert full[1, 2] == 0.99


def test_targets_weigh_data_sets_as_they_say() -> None:
    scores = np.array([[0.1, 0.9, 0.5], [0.500, 0.502, 0.501]])
    np.testing.assert_allclose(TARGETS["alc"](scores)[1], [-0.001, 0.001, 0], atol=1e-12)
    np.testing.assert_allclose(*TARGETS["deviation"](scores), atol=1e-9)
    np.testing.assert_array_equal(TARGETS["rank"](scores), [[-3, -1, -2]] * 2)


def test_a_scale_bounds_what_is_strange() -> None:
    scale = Scale(np.array([[0.0, 5], [2, 5]]))
    np.testing.assert_allclose(scale(np.array([[2.0, 9], [1e6, 5], [NAN, NAN]])), [[1, 0], [5, 0], [0, 0]])


@pytest.mark.parametrize("kind", BY_BATCH)
def test_a_batch_is_named_after_the_set_it_comes_from(kind: type[KMeansVotes]) -> None:
    scores = np.full((6, 7), 0.2)
    scores[np.arange(6), np.arange(6)] = 0.9
    scores[:, 6] = 0.1
    selector = kind().fit(clouds(6), scores)
    for query, batch in enumerate(clouds(6, seed=1)):
        votes = selector.votes(batch)
        assert votes.sum() == pytest.approx(1, abs=1e-5)
        assert votes.argmax() == query
        assert selector.rank(batch)[0] == query
        assert sorted(selector.rank(batch[:1])) == list(range(7))
