"""In which order to try the configurations, and whether known data sets tell: strategies compared by replay.

Each source is left out in turn; a strategy sees the records of all others, and its order is replayed on what was left
out.  Each strategy that reads the meta-features of the new set has a control, which gets those of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from automl_engine.lab.meta.selectors import SELECTORS, selector_class
from automl_engine.lab.replay.board import Board, Order
from automl_engine.lab.replay.policy import followed
from automl_engine.lab.replay.run import Outcome
from automl_engine.portfolio import load

LEAST_GAIN = 1e-4
"""Gain of the mean ALC for which an order is changed."""
TRUST = 0.5
"""Weight of the known sets that resemble the new one; the rest is shared by all."""
FEW = 8
"""Number of records on which the local search tries an order first."""
RANDOM_ORDERS = 10

Strategy = Callable[[Board, np.ndarray, np.ndarray], Order]
"""(board, (R,) 1.0 for each record of another source, (F,) meta-features of the new set) -> order."""


def portfolio(board: Board, others: np.ndarray, features: np.ndarray) -> Order:
    """What ``auto`` does."""
    return tuple(row.name for row in load() if row.enabled and row.name in board.names)


def by_greedy_gain(board: Board, others: np.ndarray, features: np.ndarray) -> Order:
    """The configuration that adds most to the mean ALC comes next."""
    order: Order = ()
    while left := [name for name in board.names if name not in order]:
        order += (max(left, key=lambda name: board.mean((*order, name), others)),)
    return order


def climbed(board: Board, others: np.ndarray, features: np.ndarray) -> Order:
    """The best fixed order: from the portfolio's, moves, removals and additions as long as the mean ALC gains."""
    return climb(board, portfolio(board, others, features), others)


def by_resemblance(board: Board, others: np.ndarray, features: np.ndarray) -> Order:
    """``climbed``, where half of the weight lies on the sets that resemble the new one."""
    at, weights = np.flatnonzero(others).tolist(), np.zeros(len(others))
    near = board.nearness(at, features)
    weights[at] = (1 - TRUST) / len(at) + TRUST * near / near.sum()
    return climb(board, climbed(board, others, features), weights)


def selected(name: str, board: Board, others: np.ndarray, features: np.ndarray) -> Order:
    """What a selector of the papers learns from the ALC that each configuration reached alone."""
    at = np.flatnonzero(others).tolist()
    selector = selector_class(name)().fit(np.stack([board.records[i].features for i in at]), board.alone(at))
    return tuple(board.names[j] for j in selector.rank(features))


def climb(board: Board, order: Order, weights: np.ndarray) -> Order:
    """Local search, which takes the first neighbour that gains; ``weights`` (R,) of the records."""
    while better := next((one for one in neighbours(order, board.names) if _gains(board, one, order, weights)), None):
        order = better
    return order


def _gains(board: Board, order: Order, before: Order, weights: np.ndarray) -> bool:
    """Whether an order is better than another.  One that loses on a few records is not replayed on the others."""
    known = np.flatnonzero(weights)
    few = np.where(np.isin(np.arange(len(weights)), known[:: max(1, len(known) // FEW)]), weights, 0)
    if board.mean(order, few) < board.mean(before, few):
        return False
    return board.mean(order, weights) >= board.mean(before, weights) + LEAST_GAIN


def neighbours(order: Order, names: Sequence[str]) -> Iterator[Order]:
    """One configuration moved, removed or added."""
    for i, name in enumerate(order):
        rest = order[:i] + order[i + 1 :]
        if rest:
            yield rest
        yield from ((*rest[:j], name, *rest[j:]) for j in range(len(order)) if j != i)
    for name in [name for name in names if name not in order]:
        yield from ((*order[:j], name, *order[j:]) for j in range(len(order) + 1))


VECTORS = [name for name in SELECTORS if not selector_class(name).of_samples]
"""Selectors that need no samples of the sets: a record has none."""
FIXED: dict[str, Strategy] = {
    "portfolio": portfolio,
    "greedy gain": by_greedy_gain,
    "best fixed order": climbed,
    **{f"selector {name}": partial(selected, name) for name in VECTORS if "average" in name},
}
ADAPTED: dict[str, Strategy] = {
    "resemblance": by_resemblance,
    **{f"selector {name}": partial(selected, name) for name in VECTORS if "average" not in name},
}
CONTROL = ", features of another set"


def compare(board: Board) -> Iterator[tuple[str, str, Order, Outcome]]:
    """(set, strategy, order, outcome) of each strategy on each record; of random orders, one line each."""
    for i, record in enumerate(board.records):
        others = (board.sources != board.sources[i]).astype(float)
        another = board.records[np.random.default_rng(i).choice(np.flatnonzero(others))]
        for name, strategy in FIXED.items():
            order = strategy(board, others, record.features)
            yield record.name, name, order, board.outcome(i, order)
        for control, features in (("", record.features), (CONTROL, another.features)):
            for name, strategy in ADAPTED.items():
                order = strategy(board, others, features)
                yield record.name, name + control, order, board.outcome(i, order)
            yield record.name, "policy" + control, *followed(board, i, others, features)
        for seed in range(RANDOM_ORDERS):
            order = tuple(np.random.default_rng(seed).permutation(sorted(record.courses)).tolist())
            yield record.name, "random", order, board.outcome(i, order)
