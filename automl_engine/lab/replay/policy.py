"""A policy instead of an order: before each piece of work it decides anew which configuration learns next.

That is the one expected to gain most area under the curve a second (networks freeze and thaw; Swersky et al.,
"Freeze-thaw Bayesian optimization", 2014).  What the next piece brings, and takes, is the mean of what it did on the
known data sets after the same pieces of work.  Sets weigh more that resemble the new one, by their meta-features and by
what the pieces so far brought there and here; the fewer these are, the more all count alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from automl_engine.lab.replay.board import Board, Order, Pieces, Standing
from automl_engine.lab.replay.run import Engine, Outcome, Progress, Replay
from automl_engine.run.curve import time_transform

FEW = 5.0
"""Number of alike data sets that count as much as all together."""
ALIKE = 0.1
"""Difference of what a piece brought here and there, as a fraction of what was missing, that says little."""
LEAST = 1e-4
"""Expected gain, at least: more work rarely harms, since the ensemble refuses it then."""
GROWTH = 1.5
"""Of the number of slices of a network from one decision about it to the next."""
AHEAD = 6
"""Number of pieces of one network that are looked ahead: the first slices may gain nothing."""


class Policy:
    """Chooses in one run; it sees the records of other sources and what the run tells of itself."""

    def __init__(self, board: Board, others: np.ndarray, features: np.ndarray) -> None:
        """``others`` (R,) 1.0 for each record of another source; ``features`` of the new data set."""
        self.board, self.at = board, np.flatnonzero(others).tolist()
        self.log_near = np.log(np.maximum(board.nearness(self.at, features), 1e-9))
        self.done: Pieces = ()
        self.brought: list[float] = []
        """What each piece brought, as a fraction of what was missing before."""
        self.validation = 0.0
        self.current, self.goal = "", 0
        self.refits = {name for i in self.at for name, course in board.records[i].courses.items() if course.refits}

    def __call__(self, seen: Progress) -> str:
        if self.current:
            steps = seen.steps.get(self.current, 0)
            if self.current in seen.left and steps < self.goal:
                return self.current
            self.done += ((self.current, min(steps, 1) if self.current in self.refits else steps),)
            self.brought.append(_fraction(self.validation, seen.validation))
            self.validation = seen.validation
        before = [self.board.standing(i, self.done) for i in self.at]
        weights = self._weights()
        self.current = max(seen.left, key=lambda name: self._rate(name, seen, before, weights))
        self.goal = self._next(self.current, seen.steps.get(self.current, 0)) if self.done else 0
        return self.current

    def _weights(self) -> np.ndarray:
        """(D,) of the known data sets; the sum is 1."""
        log_likelihood = self.log_near.copy()
        for k, here in enumerate(self.brought):
            pairs = [[self.board.standing(i, self.done[:n]).validation for n in (k, k + 1)] for i in self.at]
            there = np.array([_fraction(*pair) for pair in pairs])
            log_likelihood -= ((there - here) / ALIKE) ** 2 / 2
        near = np.exp(log_likelihood - log_likelihood.max())
        near /= near.sum()
        count = 1 / (near**2).sum()
        trust = count / (count + FEW)
        return trust * near + (1 - trust) / len(near)

    def _next(self, name: str, steps: int) -> int:
        """How many steps are known after the next piece."""
        return 1 if name in self.refits else max(steps + 1, int(steps * GROWTH))

    def _ahead(self, name: str, steps: int) -> Iterator[Pieces]:
        """The next pieces of one configuration: one, two, and so on."""
        pieces: Pieces = () if self.done else ((name, 0),)
        if pieces:
            yield pieces
        for _ in range(1 if name in self.refits else AHEAD):
            steps = self._next(name, steps)
            pieces += ((name, steps),)
            yield pieces

    def _rate(self, name: str, seen: Progress, before: list[Standing], weights: np.ndarray) -> float:
        """Expected area a second, for as many of its next pieces as that is best for."""
        best = 0.0
        for pieces in self._ahead(name, seen.steps.get(name, 0)):
            after = [self.board.standing(i, self.done + pieces) for i in self.at]
            told = np.array([one.done for one in after])
            if not told.any():
                break
            share = weights * told / (weights * told).sum()
            gain = share @ [now.nauc - then.nauc for now, then in zip(after, before, strict=True)]
            clocks = np.array([[one.replay.now_s for one in standings] for standings in (before, after)])
            relative = np.maximum(clocks[1] - clocks[0], 1e-3) / (clocks[0] if self.done else 1.0)
            cost_s = float(np.exp(share @ np.log(relative))) * (seen.now_s if self.done else 1.0)
            left = 1 - time_transform(seen.now_s + cost_s, seen.budget_s)
            best = max(best, max(float(gain), LEAST) * left / cost_s)
        return best


def _fraction(before: float, after: float) -> float:
    """Of what was missing before; where that is next to nothing, differences are chance."""
    return (after - before) / max(1 - before, ALIKE)


def followed(board: Board, new: int, others: np.ndarray, features: np.ndarray) -> tuple[Order, Outcome]:
    """(the configurations in the order of their first pieces, outcome) of a run on record ``new`` with the policy."""
    record, policy = board.records[new], Policy(board, others, features)
    outcome = Replay(record, Engine(record)).run(sorted(record.courses), policy)
    return tuple(dict.fromkeys([*(name for name, _ in policy.done), policy.current])), outcome
