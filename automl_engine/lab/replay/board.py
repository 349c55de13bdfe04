"""The records of one modality, and what was replayed on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from automl_engine.auto.ensemble import validation_nauc
from automl_engine.lab.meta.features import distances
from automl_engine.lab.replay.records import Record
from automl_engine.lab.replay.run import Engine, Outcome, Replay

Order = tuple[str, ...]
Pieces = tuple[tuple[str, int], ...]
"""Pieces of work in turn: a configuration, and how many slices of it are known then.  0 is the first model of the run;
of one that is checked fold by fold, 1 stands for as many folds as there is time for."""
MOST_STATES = 20_000
"""Beginnings of orders that are kept: orders share them."""


@dataclass(frozen=True)
class Standing:
    """Where a replay stands after some pieces of work."""

    replay: Replay
    nauc: float
    """Of the test set."""
    validation: float
    done: bool
    """Whether the last piece could be done."""


class Board:
    """The records of one modality, and every order that was replayed on them."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = list(records)
        self.sources = np.array([record.source for record in records])
        self.names = sorted({name for record in records for name in record.courses})
        self.known: dict[tuple[int, Order], Outcome] = {}
        self.begun: dict[tuple[int, Order], Replay] = {}
        self.standings: dict[tuple[int, Pieces], Standing] = {}

    def outcome(self, i: int, order: Order) -> Outcome:
        """Of an order on record i; configurations without a record there are passed over."""
        order = tuple(name for name in order if name in self.records[i].courses)
        if (i, order) not in self.known:
            self.known[i, order] = self._after(i, order[:-1]).fork().run(order[-1:])
        return self.known[i, order]

    def _after(self, i: int, order: Order) -> Replay:
        """Record i after the whole courses of some configurations that others follow."""
        if not order:
            return Replay(self.records[i], Engine(self.records[i]))
        if (i, order) not in self.begun:
            if len(self.begun) >= MOST_STATES:
                self.begun.clear()
            replay = self._after(i, order[:-1]).fork()
            replay.whole(order[-1])
            self.begun[i, order] = replay
        return self.begun[i, order]

    def mean(self, order: Order, weights: np.ndarray) -> float:
        """ALC of an order, (R,) weights of the records; those of weight 0 are not replayed."""
        known = np.flatnonzero(weights).tolist()
        return float(sum(weights[i] * self.outcome(i, order).alc for i in known) / weights.sum())

    def alone(self, at: Sequence[int]) -> np.ndarray:
        """(len(at), C) ALC of each configuration alone on some records; NaN where it has no record."""
        return np.array(
            [
                [self.outcome(i, (name,)).alc if name in self.records[i].courses else np.nan for name in self.names]
                for i in at
            ]
        )

    def nearness(self, at: Sequence[int], features: np.ndarray) -> np.ndarray:
        """(len(at),) how much some records resemble a data set by its meta-features; 1 for one like it."""
        apart = distances(np.stack([self.records[i].features for i in at]), features)
        return np.exp(-apart / max(float(np.median(apart)), 1e-9) * 3)

    def standing(self, i: int, pieces: Pieces) -> Standing:
        """Record i after some pieces of work, with time for all; those that it does not know are passed over."""
        if not pieces:
            return Standing(self._after(i, ()), 0.0, 0.0, True)
        if (i, pieces) not in self.standings:
            before, (name, steps) = self.standing(i, pieces[:-1]), pieces[-1]
            replay = before.replay.fork()
            if done := name in self.records[i].courses and name not in replay.over:
                if steps and not replay.mixture.weights:
                    replay.work(name, True)
                replay.work(name, True, steps - replay.steps.get(name, 0))
                done = self.records[i].courses[name].refits or replay.steps.get(name, 0) >= steps
            has_model = bool(replay.mixture.weights)
            nauc = validation_nauc(self.records[i].test_labels, replay.mixture.predict()) if has_model else 0.0
            self.standings[i, pieces] = Standing(replay, nauc, replay.mixture.validation(), done)
        return self.standings[i, pieces]
