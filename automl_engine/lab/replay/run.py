"""Replay: a run of ``auto`` from recorded courses, with any order of its configurations and any rule for the weights.

What is left out: the validation of the first model, versions of a model, and failures.  Features that several
configurations share count for the one that was recorded first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_engine.auto.ensemble import LEAST_WEIGHT, holds_up, mix, objective, reweighed, validation_nauc, weighed_anew
from automl_engine.auto.schedule import PATIENCE_S, PERFECT, SPACING
from automl_engine.lab.replay.record import Course
from automl_engine.lab.replay.rules import Rule
from automl_engine.models.base import is_multi_label
from automl_engine.run.curve import alc

MOST = 2000
"""Number of training and of test examples that a replay looks at: more cost time and change little."""


@dataclass(frozen=True)
class Record:
    """The courses of one data set."""

    name: str
    modality: str
    budget_s: float
    labels: np.ndarray
    """(N, K)"""
    folds: np.ndarray
    test_labels: np.ndarray
    features: np.ndarray
    """(F,) meta-features."""
    courses: dict[str, Course]

    @classmethod
    def read(cls, folder: Path, names: Sequence[str] = ()) -> Record:
        with np.load(folder / "labels.npz") as saved:
            about = {key: saved[key] for key in saved.files}
        paths = [path for path in sorted(folder.glob("*.npz")) if path.stem != "labels"]
        courses = {path.stem: Course.read(path) for path in paths if not names or path.stem in names}
        train, test = (_some(len(about[key])) for key in ("labels", "test_labels"))
        held_out = np.flatnonzero((about["folds"] == 0)[train])  # of fold 0, in the order of the courses
        place = np.cumsum(about["folds"] == 0) - 1
        return cls(
            folder.name,
            str(about["modality"]),
            float(about["budget_s"]),
            about["labels"][train],
            about["folds"][train],
            about["test_labels"][test],
            about["features"],
            {name: course.part(train, place[train[held_out]], test) for name, course in courses.items()},
        )


def _some(count: int) -> np.ndarray:
    """Numbers of at most ``MOST`` random examples, in order."""
    return np.sort(np.random.default_rng(0).permutation(count)[:MOST])


@dataclass(frozen=True)
class Outcome:
    """A curve of test NAUCs."""

    times_s: list[float]
    scores: list[float]
    budget_s: float

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


class Replay:
    """One run: the first model of ``order`` on a sample, then each configuration in turn."""

    def __init__(self, record: Record, order: Sequence[str], mixture: Mixture) -> None:
        self.record, self.mixture = record, mixture
        self.queue = [name for name in order if name in record.courses]
        self.now_s, self.written_s = 0.0, 0.0
        self.times_s, self.scores = list[float](), list[float]()
        self.written: dict[str, tuple[int, float]] = {}
        self.refitted: set[str] = set()
        self.folds: dict[str, int] = {}
        """How many folds of a member are known."""

    def run(self) -> Outcome:
        if self.queue:
            self._first(self.queue[0])
        while self.queue and not self._is_over():
            name = self.queue[0]
            course = self.record.courses[name]
            for _ in self._folds(name, course) if course.refits else self._slices(name, course):
                if self._is_over():
                    break
                self._predict()
            self.queue.pop(0)
        self._finish()
        self._write()
        return Outcome(self.times_s, self.scores, self.record.budget_s)

    def _remaining_s(self) -> float:
        reserve_s = 0.5 + 0.01 * self.record.budget_s + 1.5 * sum(self._test_s(name) for name in self.mixture.weights)
        return self.record.budget_s - self.now_s - reserve_s

    def _is_over(self) -> bool:
        return self._remaining_s() < 0.02 * self.record.budget_s

    def _test_s(self, name: str) -> float:
        return self.record.courses[name].test_s

    def _first(self, name: str) -> None:
        course = self.record.courses[name]
        self.now_s += course.first_s
        self.mixture.first(name, course.first_test)
        self._write()

    def _folds(self, name: str, course: Course) -> Iterator[None]:
        limit_s = max(1.0, min(0.25 * self.now_s, 0.05 * self._remaining_s()))
        count = len(course.steps_s)
        for done, step_s in enumerate(course.steps_s, 1):
            if step_s * (count - done) > limit_s:
                count = done
                break
        self._check(name, course, count)
        yield

    def _check(self, name: str, course: Course, count: int) -> None:
        """So many folds of a member are known after this."""
        self.now_s += float(course.steps_s[self.folds.get(name, 0) : count].sum())
        self.folds[name] = count
        oof = np.where((self.record.folds < count)[:, None], course.oof, np.nan).astype(np.float32)
        test = course.test[0] if len(course.test) else course.first_test
        self.mixture.consider(name, True, oof, test)
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
        begun = [name for name, known in self.folds.items() if known < len(self.record.courses[name].steps_s)]
        left_out = set(begun)
        for name in begun:
            course = self.record.courses[name]
            if 2 * course.steps_s[self.folds[name] :].sum() < self._remaining_s():
                self._check(name, course, len(course.steps_s))
                self._predict()
                left_out.discard(name)
        if begun and not left_out & set(self.mixture.weights):
            self.mixture.settle()
            self._refit()

    def _slices(self, name: str, course: Course) -> Iterator[None]:
        gained_s = self.now_s
        for step_s, held_out, test in zip(course.steps_s, course.oof, course.test, strict=True):
            self.now_s += float(step_s)
            oof = np.full(self.record.labels.shape, np.nan, np.float32)
            oof[self.record.folds == 0] = held_out
            if self.mixture.consider(name, False, oof, test):
                gained_s = self.now_s
            yield
            patience_s = PATIENCE_S / 4 if self.mixture.validation() >= PERFECT else PATIENCE_S
            if self.now_s - gained_s > max(patience_s, 0.5 * self.now_s):
                break

    def _predict(self) -> None:
        cost_s = sum(self._test_s(name) for name in self._news())
        pause_s = max(SPACING * self.now_s, 2 * cost_s)
        if self._news() and (self.now_s - self.written_s >= pause_s or len(self.queue) < 2):
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
        self.now_s += sum(self._test_s(name) for name in news if old.get(name) != state[name][0])
        self.written, self.written_s = state, self.now_s
        if self.now_s <= self.record.budget_s:
            self.times_s.append(self.now_s)
            self.scores.append(validation_nauc(self.record.test_labels, self.mixture.predict()))


def replayed(record: Record, order: Sequence[str], rule: Rule | None = None) -> Outcome:
    """``order`` with the engine's rule for the weights, or another."""
    return Replay(record, order, Anew(record, rule) if rule else Engine(record)).run()
