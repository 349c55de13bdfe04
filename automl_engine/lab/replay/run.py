"""Replay: a run of ``auto`` from recorded courses, with any order of its pieces of work and any rule for the weights.

What is left out: the validation of the first model, versions of a model, and failures.  Features that several
configurations share count for the one that was recorded first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Self

import numpy as np

from automl_engine.auto.ensemble import (
    LEAST_WEIGHT,
    difference_error,
    holds_up,
    mix,
    objective,
    reweighed,
    validation_nauc,
    weighed_anew,
)
from automl_engine.auto.schedule import PATIENCE_S, PERFECT, SPACING
from automl_engine.lab.replay.records import Record
from automl_engine.lab.replay.rules import Rule
from automl_engine.models.base import is_multi_label
from automl_engine.run.curve import alc


@dataclass(frozen=True)
class Outcome:
    """A curve of test NAUCs."""

    times_s: list[float]
    scores: list[float]
    budget_s: float
    fall_error: float = 0.0
    """Standard error of the fall, for there are so many test examples only."""

    @property
    def alc(self) -> float:
        return alc(self.times_s, self.scores, self.budget_s)

    @property
    def nauc(self) -> float:
        return self.scores[-1] if self.scores else 0.0

    @property
    def fall(self) -> float:
        return max(self.scores, default=0.0) - self.nauc


class Mixture(ABC):
    """The members and their weights."""

    def __init__(self, record: Record) -> None:
        self.labels, self.multi_label = record.labels, is_multi_label(record.labels)
        self.oof: dict[str, np.ndarray] = {}
        self.test: dict[str, np.ndarray] = {}
        self.weights: dict[str, float] = {}

    def fork(self) -> Self:
        """Another in the same state, which goes on by itself; no array is ever changed."""
        twin = copy(self)
        twin.oof, twin.test, twin.weights = dict(self.oof), dict(self.test), dict(self.weights)
        return twin

    def first(self, name: str, test: np.ndarray) -> None:
        self.weights, self.test[name] = {name: 1.0}, test

    @abstractmethod
    def consider(self, name: str, refits: bool, oof: np.ndarray, test: np.ndarray) -> bool:
        """A member has learned more; whether the best state is a new one."""

    @abstractmethod
    def settle(self) -> None:
        """Every member has predicted all folds, of which some were left out before."""

    def predict(self) -> np.ndarray:
        return mix({name: self.test[name] for name in self.weights}, self.weights)

    def validation(self) -> float:
        known = {name: self.oof[name] for name in self.weights if name in self.oof}
        if not known:
            return 0.0
        seen = _seen(*known.values())
        return validation_nauc(self.labels[seen], mix(known, self.weights)[seen]) if seen.any() else 0.0


class Engine(Mixture):
    """The rules of ``Ensemble.consider`` and ``weigh_anew``."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self.latest: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        """Predictions (out of fold, test) of all members, also of those without weight."""

    def fork(self) -> Self:
        twin = super().fork()
        twin.latest = dict(self.latest)
        return twin

    def consider(self, name: str, refits: bool, oof: np.ndarray, test: np.ndarray) -> bool:
        self.latest[name] = oof, test
        known = {other: self.oof[other] for other in self.weights if other in self.oof}
        seen = _seen(oof, *known.values())
        if not seen.any():
            return False
        labels, candidate = self.labels[seen], {name: oof[seen]}
        known = {other: predictions[seen] for other, predictions in known.items()}
        weights = reweighed(labels, known, self.weights, candidate, self.multi_label)
        if weights:
            self.weights, self.oof[name], self.test[name] = weights, oof, test
        elif name in known and not refits and holds_up(labels, known, self.weights, candidate, self.multi_label):
            self.test[name] = test
        return bool(weights)

    def settle(self) -> None:
        whole = {name: pair for name, pair in self.latest.items() if not np.isnan(pair[0]).any()}
        weights = weighed_anew(self.labels, {name: oof for name, (oof, _) in whole.items()}, self.multi_label)
        self.weights = weights
        self.oof |= {name: whole[name][0] for name in weights}
        self.test |= {name: whole[name][1] for name in weights}


class Anew(Mixture):
    """All members are weighed anew by a rule."""

    def __init__(self, record: Record, rule: Rule) -> None:
        super().__init__(record)
        self.rule = rule

    def consider(self, name: str, refits: bool, oof: np.ndarray, test: np.ndarray) -> bool:
        is_best = self._keep(name, refits, oof, test)
        seen = _seen(*self.oof.values())
        if not seen.any():
            return False
        predictions = np.stack([each[seen] for each in self.oof.values()])
        weights = self.rule(self.labels[seen], predictions, self.multi_label).tolist()
        least = min(LEAST_WEIGHT, max(weights))
        self.weights = {n: w for n, w in zip(self.oof, weights, strict=True) if w >= least}
        return is_best

    def settle(self) -> None:
        """The weights are those of all folds already."""

    def _keep(self, name: str, refits: bool, oof: np.ndarray, test: np.ndarray) -> bool:
        """The best state of a network counts; a later one predicts unless it is clearly worse."""
        if refits or name not in self.oof:
            self.oof[name], self.test[name] = oof, test
            return True
        seen = _seen(oof, self.oof[name])
        labels, best, now = self.labels[seen], {name: self.oof[name][seen]}, {name: oof[seen]}
        gain = objective(labels, now[name], self.multi_label) - objective(labels, best[name], self.multi_label)
        if gain > 0:
            self.oof[name], self.test[name] = oof, test
        elif holds_up(labels, best, {name: 1.0}, now, self.multi_label):
            self.test[name] = test
        return gain > 0


def _seen(*oof: np.ndarray) -> np.ndarray:
    return np.logical_and.reduce([~np.isnan(predictions).any(1) for predictions in oof])


@dataclass(frozen=True)
class Progress:
    """What a run knows of itself when it decides what comes next; the test labels are not among it."""

    left: tuple[str, ...]
    """The configurations that have not come to their end."""
    steps: Mapping[str, int]
    """How many folds or slices of each are known."""
    now_s: float
    budget_s: float
    validation: float
    """NAUC of the ensemble's out-of-fold predictions; 0 if there are none."""


Choose = Callable[[Progress], str]


class Replay:
    """One run: the first model on a sample, then one piece of work after the other."""

    def __init__(self, record: Record, mixture: Mixture) -> None:
        self.record, self.mixture = record, mixture
        self.now_s, self.written_s = 0.0, 0.0
        self.times_s, self.scores = list[float](), list[float]()
        self.best = self.latest = np.empty(0)
        """Predictions of the test set."""
        self.written: dict[str, tuple[int, float]] = {}
        self.refitted: set[str] = set()
        self.steps: dict[str, int] = {}
        self.idle_s: dict[str, float] = {}
        """How long a network has learned since it gained."""
        self.over: set[str] = set()
        self.tested: set[str] = set()
        """Configurations that have predicted the test set: the next time, they need not read it."""

    def fork(self) -> Replay:
        """Another in the same state, which goes on by itself."""
        twin = copy(self)
        twin.mixture, twin.written = self.mixture.fork(), dict(self.written)
        twin.times_s, twin.scores = list(self.times_s), list(self.scores)
        twin.refitted, twin.over, twin.tested = set(self.refitted), set(self.over), set(self.tested)
        twin.steps, twin.idle_s = dict(self.steps), dict(self.idle_s)
        return twin

    def run(self, names: Sequence[str], choose: Choose | None = None) -> Outcome:
        """To the end: one configuration after the other, or what ``choose`` says before each piece of work."""
        while (left := self._left(names)) and not self.is_over():
            name = choose(self._progress(left)) if choose else left[0]
            self.work(name, len(left) > 1)
        self._finish()
        self._write()
        has_fallen = bool(self.scores) and max(self.scores) > self.scores[-1]
        error = difference_error(self.record.test_labels, self.best, self.latest, few=0) if has_fallen else 0.0
        return Outcome(self.times_s, self.scores, self.record.budget_s, error)

    def whole(self, name: str) -> None:
        """The whole course of a configuration that others follow."""
        while self._left([name]) and not self.is_over():
            self.work(name, True)

    def work(self, name: str, more: bool, slices: int = 1) -> None:
        """A piece of work: the first model of the run, the folds of a configuration, or slices of a network, of which
        the last one is looked at.  ``more``: whether other configurations are left."""
        if not self.mixture.weights:
            self._first(name)
        elif self.record.courses[name].refits:
            self._check_folds(name)
            self._predict(more)
        else:
            self._learn(name, slices, more)

    def is_over(self) -> bool:
        return self._remaining_s() < 0.02 * self.record.budget_s

    def _left(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self.record.courses and name not in self.over]

    def _progress(self, left: Sequence[str]) -> Progress:
        return Progress(tuple(left), self.steps, self.now_s, self.record.budget_s, self.mixture.validation())

    def _remaining_s(self) -> float:
        reserve_s = 0.5 + 0.01 * self.record.budget_s + 1.5 * sum(self._test_s(name) for name in self.mixture.weights)
        return self.record.budget_s - self.now_s - reserve_s

    def _test_s(self, name: str) -> float:
        course = self.record.courses[name]
        return course.again_s if name in self.tested else course.test_s

    def _first(self, name: str) -> None:
        course = self.record.courses[name]
        self.now_s += course.first_s
        self.mixture.first(name, course.first_test)
        self._write()

    def _check_folds(self, name: str) -> None:
        """The first folds of a configuration, all if they are cheap."""
        steps_s = self.record.courses[name].steps_s
        limit_s = max(1.0, min(0.25 * self.now_s, 0.05 * self._remaining_s()))
        affordable = (done for done in range(1, len(steps_s)) if steps_s[done - 1] * (len(steps_s) - done) > limit_s)
        self._check(name, next(affordable, len(steps_s)))
        self.over.add(name)

    def _check(self, name: str, count: int) -> None:
        """So many folds of a member are known after this."""
        self.now_s += float(self.record.courses[name].steps_s[self.steps.get(name, 0) : count].sum())
        self.steps[name] = count
        self.mixture.consider(name, True, *self.record.state(name, count))
        self._refit()

    def _refit(self) -> None:
        for member in self.mixture.weights:
            if self.record.courses[member].refits and member not in self.refitted and member in self.mixture.oof:
                self.now_s += self.record.courses[member].refit_s
                self.refitted.add(member)

    def _finish(self) -> None:
        """The folds that were left out so far, unless the ensemble holds networks, which know fold 0 only."""
        if not all(self.record.courses[name].refits for name in self.mixture.weights):
            return
        folds = {name: self.record.courses[name].steps_s for name in self.steps if self.record.courses[name].refits}
        begun = [name for name, steps_s in folds.items() if self.steps[name] < len(steps_s)]
        left_out = set(begun)
        for name in begun:
            if 2 * folds[name][self.steps[name] :].sum() < self._remaining_s():
                self._check(name, len(folds[name]))
                self._predict(False)
                left_out.discard(name)
        if begun and not left_out & set(self.mixture.weights):
            self.mixture.settle()
            self._refit()

    def _learn(self, name: str, slices: int, more: bool) -> None:
        steps_s, begun = self.record.courses[name].steps_s, self.steps.get(name, 0)
        steps, begun_s = min(begun + slices, len(steps_s)), self.now_s
        self.now_s += float(steps_s[begun:steps].sum())
        self.steps[name] = steps
        self.idle_s.setdefault(name, 0.0)
        if steps > begun and self.mixture.consider(name, False, *self.record.state(name, steps)):
            self.idle_s[name], begun_s = 0.0, self.now_s
        self._predict(more)
        self.idle_s[name] += self.now_s - begun_s
        patience_s = PATIENCE_S / 4 if self.mixture.validation() >= PERFECT else PATIENCE_S
        if steps == len(steps_s) or self.idle_s[name] > max(patience_s, 0.5 * self.now_s):
            self.over.add(name)

    def _predict(self, more: bool) -> None:
        if self.is_over() or not (news := self._news()):
            return
        pause_s = max(SPACING * self.now_s, 2 * sum(self._test_s(name) for name in news))
        if self.now_s - self.written_s >= pause_s or not more:
            self._write()

    def _state(self) -> dict[str, tuple[int, float]]:
        return {name: (id(self.mixture.test[name]), weight) for name, weight in self.mixture.weights.items()}

    def _news(self) -> list[str]:
        state = self._state()
        if state == self.written:
            return []
        old = {name: model for name, (model, _) in self.written.items()}
        return [name for name, (model, _) in state.items() if old.get(name) != model] or list(state)[:1]

    def _write(self) -> None:
        if not self.mixture.weights or not (news := self._news()):
            return
        old = {name: model for name, (model, _) in self.written.items()}
        state = self._state()
        tested = [name for name in news if old.get(name) != state[name][0]]
        self.now_s += sum(map(self._test_s, tested))
        self.tested.update(tested)
        self.written, self.written_s = state, self.now_s
        if self.now_s <= self.record.budget_s:
            self.latest = self.mixture.predict()
            score = validation_nauc(self.record.test_labels, self.latest)
            if score > max(self.scores, default=-np.inf):
                self.best = self.latest
            self.times_s.append(self.now_s)
            self.scores.append(score)


def replayed(record: Record, order: Sequence[str], rule: Rule | None = None) -> Outcome:
    """``order`` with the engine's rule for the weights, or another."""
    return Replay(record, Anew(record, rule) if rule else Engine(record)).run(order)
