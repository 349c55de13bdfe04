"""In which order to try the configurations, and whether known data sets tell: strategies compared by replay.

Each source is left out in turn; a strategy sees the records of all others, and its order is replayed on what was left
out.  The oracle is the best of all orders that any strategy tried on that set: it has seen the test labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from automl_engine.lab.meta.features import distances
from automl_engine.lab.replay.run import Outcome, Record, replayed
from automl_engine.metalearning.sources import source_of
from automl_engine.portfolio import load

Order = tuple[str, ...]
LEAST_GAIN = 1e-4
"""Gain of the mean ALC for which an order is changed."""
TRUST = 0.5
"""Weight of the known sets that resemble the new one; the rest is shared by all."""
RANDOM_ORDERS = 10


class Board:
    """The records of one modality, and every order that was replayed on them."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = list(records)
        self.sources = np.array([source_of(record.name.rpartition("-")[0]) for record in records])
        self.names = sorted({name for record in records for name in record.courses})
        self.known: dict[tuple[int, Order], Outcome] = {}

    def outcome(self, i: int, order: Order) -> Outcome:
        """Of an order on record i; configurations without a record there are passed over."""
        order = tuple(name for name in order if name in self.records[i].courses)
        if (i, order) not in self.known:
            self.known[i, order] = replayed(self.records[i], order)
        return self.known[i, order]

    def mean(self, order: Order, weights: np.ndarray) -> float:
        """ALC of an order, (R,) weights of the records; those of weight 0 are not replayed."""
        known = np.flatnonzero(weights).tolist()
        return float(sum(weights[i] * self.outcome(i, order).alc for i in known) / weights.sum())

    def best(self, i: int) -> float:
        """ALC of the best order that was tried on record i."""
        return max(outcome.alc for (j, _), outcome in self.known.items() if j == i)


Strategy = Callable[[Board, int, np.ndarray], Order]
"""(board, number of the new record, (R,) 1.0 for each record of another source) -> order."""


def portfolio(board: Board, new: int, others: np.ndarray) -> Order:
    """What ``auto`` does."""
    return tuple(row.name for row in load() if row.enabled and row.name in board.names)


def by_average_rank(board: Board, new: int, others: np.ndarray) -> Order:
    """By the ALC that each configuration reached alone."""
    ranks = [
        np.argsort(np.argsort([-board.outcome(i, (name,)).alc for name in board.names]))
        for i in np.flatnonzero(others).tolist()
    ]
    return tuple(board.names[j] for j in np.argsort(np.mean(ranks, 0), kind="stable"))


def by_greedy_gain(board: Board, new: int, others: np.ndarray) -> Order:
    """The configuration that adds most to the mean ALC comes next."""
    order: Order = ()
    while left := [name for name in board.names if name not in order]:
        order += (max(left, key=lambda name: board.mean((*order, name), others)),)
    return order


def climbed(board: Board, new: int, others: np.ndarray) -> Order:
    """The best fixed order: from the portfolio's, moves, removals and additions as long as the mean ALC gains."""
    return climb(board, portfolio(board, new, others), others)


def by_resemblance(board: Board, new: int, others: np.ndarray) -> Order:
    """``climbed``, where half of the weight lies on the sets that resemble the new one."""
    return _resembling(board, others, board.records[new].features)


def by_shuffled_features(board: Board, new: int, others: np.ndarray) -> Order:
    """The control: as if the new set had the meta-features of another."""
    other = np.random.default_rng(new).choice(np.flatnonzero(others))
    return _resembling(board, others, board.records[other].features)


def _resembling(board: Board, others: np.ndarray, features: np.ndarray) -> Order:
    at = np.flatnonzero(others)
    apart = distances(np.stack([board.records[i].features for i in at]), features)
    near = np.exp(-apart / max(float(np.median(apart)), 1e-9) * 3)
    weights = np.zeros(len(others))
    weights[at] = (1 - TRUST) / len(at) + TRUST * near / near.sum()
    return climb(board, climbed(board, -1, others), weights)


def climb(board: Board, order: Order, weights: np.ndarray) -> Order:
    """Local search; ``weights`` (R,) of the records."""
    reached = board.mean(order, weights)
    while True:
        others = {other: board.mean(other, weights) for other in dict.fromkeys(neighbours(order, board.names))}
        best = max(others, key=lambda other: others[other])
        if others[best] < reached + LEAST_GAIN:
            return order
        order, reached = best, others[best]


def neighbours(order: Order, names: Sequence[str]) -> Iterator[Order]:
    """One configuration moved, removed or added."""
    for i, name in enumerate(order):
        rest = order[:i] + order[i + 1 :]
        if rest:
            yield rest
        yield from ((*rest[:j], name, *rest[j:]) for j in range(len(order)) if j != i)
    for name in set(names) - set(order):
        yield from ((*order[:j], name, *order[j:]) for j in range(len(order) + 1))


STRATEGIES: dict[str, Strategy] = {
    "portfolio": portfolio,
    "average rank": by_average_rank,
    "greedy gain": by_greedy_gain,
    "best fixed order": climbed,
    "resemblance": by_resemblance,
    "shuffled features": by_shuffled_features,
}


def compare(board: Board) -> Iterator[tuple[str, str, Order, Outcome]]:
    """(set, strategy, order, outcome) of each strategy on each record; of random orders, one line each."""
    for i, record in enumerate(board.records):
        others = (board.sources != board.sources[i]).astype(float)
        for name, strategy in STRATEGIES.items():
            order = strategy(board, i, others)
            yield record.name, name, order, board.outcome(i, order)
        for seed in range(RANDOM_ORDERS):
            order = tuple(np.random.default_rng(seed).permutation(sorted(record.courses)).tolist())
            yield record.name, "random", order, board.outcome(i, order)
