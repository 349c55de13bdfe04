"""Member: a configuration at work, with its models, its out-of-fold predictions and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from automl_engine import clock
from automl_engine.auto.ensemble import clearly_worse
from automl_engine.auto.schedule import HURRIED, Schedule
from automl_engine.dataset.examples import Examples
from automl_engine.models.base import AnytimeModel

MOST_VERSIONS = 5
"""The most models of one configuration whose mean predicts: the first and the bagged ones."""


@dataclass(eq=False)
class Member:
    """A configuration at work.  One that is cheap to refit is fitted fold by fold; a network learns slice by slice."""

    name: str
    new_model: Callable[..., AnytimeModel]
    """Makes one; its argument, 0 by default, chooses other random numbers."""
    schedule: Schedule
    folds: np.ndarray
    """(N,) fold of each training example."""
    oof: np.ndarray
    """(N, K) out-of-fold predictions; NaN = not predicted."""
    current: AnytimeModel
    """The model that learns."""
    ensemble_model: AnytimeModel | None = None
    """The state that predicts in the ensemble."""
    ensemble_oof: np.ndarray | None = None
    """The out-of-fold predictions of the best state so far."""
    bagged: list[AnytimeModel] = field(default_factory=list)
    """Networks trained without other folds, or models refit with other random numbers; the mean of all predicts."""
    is_settled: bool = False
    """Whether another version would be of no use."""
    full_model: AnytimeModel | None = None
    """The model that was refit on all training examples."""
    fit_s: float = 0.0
    """Training time of the last model, in a network of all slices so far."""
    fold_s: float = 0.0
    """What another fold takes, which finds the features of all examples there."""
    test_s: float = 0.0
    """Longest time that one model took, or would take, to predict the test set."""
    opened_s: float = field(default_factory=clock.now_s)
    gained_s: float = field(init=False)
    """When its best state was found."""
    spare_folds: list[int] = field(init=False)
    """Folds that no bagged model has left out yet."""
    tested: list[tuple[AnytimeModel, Examples, np.ndarray]] = field(default_factory=list)
    """(model, split, prediction) of the last test."""

    def __post_init__(self) -> None:
        self.gained_s = self.opened_s
        self.spare_folds = list(range(1, int(self.folds.max(initial=0)) + 1))[: MOST_VERSIONS - 1]

    @property
    def refits(self) -> bool:
        """Whether it is cheap to refit."""
        return type(self.current).refits

    @property
    def versions(self) -> tuple[AnytimeModel, ...]:
        """All models that predict."""
        assert self.ensemble_model is not None
        return self.ensemble_model, *self.bagged

    @property
    def next_test_s(self) -> float:
        """Expected time of the next test; a model that has predicted already costs nothing."""
        known = {id(model) for model, _, _ in self.tested}
        return self.test_s * sum(id(model) not in known for model in (self.ensemble_model, *self.bagged))

    @property
    def unchecked_folds(self) -> np.ndarray:
        """Folds without out-of-fold predictions."""
        return np.unique(self.folds[np.isnan(self.oof).any(1)])

    @property
    def next_step(self) -> Literal["folds", "bag", "vary"]:
        """What it would do with more time: check the folds left out so far, or make another version."""
        if not self.refits:
            return "bag"
        return "folds" if len(self.unchecked_folds) else "vary"

    @property
    def folds_left_s(self) -> float:
        """Expected time to check the folds left out so far."""
        return self.fold_s * len(self.unchecked_folds)

    def fit_first(self, split: Examples, sample: np.ndarray) -> None:
        """Fit the first model to a sample, by one quick step: more would be late.  A new one follows, which has not
        seen the examples held out later."""
        start, time_s = clock.now_s(), self.schedule.first_fit_s()
        self.current.train(split.subset(sample), time_s)
        self.ensemble_model = self.current
        is_whole = self.current.done_training and clock.now_s() - start < HURRIED * time_s
        self.full_model = self.current if is_whole and self.refits and len(sample) == len(split) else None

    def check_first(self, split: Examples, examples: np.ndarray) -> None:
        """Predict examples that the first model has not seen."""
        assert self.ensemble_model is not None
        oof = self.oof.copy()
        oof[examples] = self._predictions(self.ensemble_model, split, examples)
        self.ensemble_oof = oof

    def slice(self, split: Examples) -> None:
        """A network learns for some seconds and predicts fold 0."""
        start = clock.now_s()
        self.current.train(split.subset(np.flatnonzero(self.folds != 0)), self.schedule.remaining_s())
        self.fit_s += clock.now_s() - start
        self._check(self.current, split, np.flatnonzero(self.folds == 0))

    def check_folds(self, split: Examples, limit_s: float) -> None:
        """Fit without one fold and predict it; go on with the others if all of them take at most ``limit_s``."""
        folds = self.unchecked_folds
        root = split.origin()[0]
        for done, fold in enumerate(folds, 1):
            start, kept_s, model = clock.now_s(), root.kept_s, self.new_model()
            self._fit(model, split.subset(np.flatnonzero(self.folds != fold)))
            self.fit_s = clock.now_s() - start
            self._check(model, split, np.flatnonzero(self.folds == fold))
            took_s = clock.now_s() - start
            self.fold_s = took_s - (root.kept_s - kept_s)
            if took_s * (len(folds) - done) > limit_s:
                break
        self.current = model

    def refit(self, split: Examples) -> None:
        """The model that predicts the test set learns from all training examples, if that is cheap and in time."""
        if self.refits and self.full_model is None and 1.5 * self.fit_s < self.schedule.remaining_s():
            model = self.new_model()
            self._fit(model, split)
            self.full_model = model
        self.ensemble_model = self.full_model or self.ensemble_model

    def bag(self, split: Examples, labels: np.ndarray, report: Callable[[], None]) -> bool:
        """Train a network without another fold, for as long as the first; whether it is good enough to predict too."""
        assert self.ensemble_oof is not None
        fold, model = self.spare_folds.pop(0), self.new_model()
        rest = split.subset(np.flatnonzero(self.folds != fold))
        end = clock.now_s() + self.schedule.bagging_s(self)
        while not model.done_training and clock.now_s() < end:
            model.train(rest, end - clock.now_s())
            report()
        held_out, first = self.folds == fold, ~np.isnan(self.ensemble_oof).any(1)
        self.oof[first] = self.ensemble_oof[first]
        self._check(model, split, np.flatnonzero(held_out))
        if clearly_worse((labels[held_out], self.oof[held_out]), (labels[first], self.oof[first])):
            self.oof[held_out] = np.nan
            return False
        self.bagged.append(model.frozen())
        self.ensemble_oof = self.oof.copy()
        return True

    def vary(self, split: Examples, gains: Callable[[np.ndarray], bool]) -> bool:
        """Learn again with other random numbers, without each fold and then from all examples; whether the mean with
        the other versions, by its out-of-fold predictions, ``gains``."""
        assert self.ensemble_oof is not None
        count, oof = len(self.versions), np.empty_like(self.ensemble_oof)
        for fold in np.unique(self.folds):
            model, held_out = self.new_model(count), np.flatnonzero(self.folds == fold)
            self._fit(model, split.subset(np.flatnonzero(self.folds != fold)))
            oof[held_out] = self._predictions(model, split, held_out)
        mean = self.ensemble_oof + (oof - self.ensemble_oof) / (count + 1)
        joins = gains(mean)
        self.is_settled = not joins or count + 1 == MOST_VERSIONS
        if not joins:
            return False
        model = self.new_model(count)
        self._fit(model, split)
        self.bagged.append(model)
        self.oof = self.ensemble_oof = mean
        return True

    def predict(self, split: Examples, remaining_s: float) -> np.ndarray:
        """(N, K), the mean of all versions; each predicts the same split once."""
        known = {id(model): prediction for model, of, prediction in self.tested if of is split}
        self.tested = [(model, split, known[id(model)]) for model in self.versions if id(model) in known]
        for model in self.versions:
            if id(model) not in known:
                start = clock.now_s()
                prediction = np.asarray(model.test(split, remaining_s), np.float64)
                self.test_s = max(self.test_s, clock.now_s() - start)
                self.tested.append((model, split, prediction))
        return np.mean([prediction for _, _, prediction in self.tested], 0)

    def fail(self, predicts: bool) -> None:
        """Forget the out-of-fold predictions; what ``predicts`` in the ensemble goes on."""
        self.oof[:] = np.nan
        if not predicts:
            self.test_s = 0.0

    def _fit(self, model: AnytimeModel, split: Examples) -> None:
        """Train to the end if that is cheap; a network learns for one slice."""
        model.train(split, max(1.0, self.schedule.remaining_s()))
        while type(model).refits and not model.done_training and self.schedule.remaining_s() > 0:
            model.train(split, self.schedule.remaining_s())

    def _check(self, model: AnytimeModel, split: Examples, examples: np.ndarray) -> None:
        start = clock.now_s()
        self.oof[examples] = self._predictions(model, split, examples)
        times = max(1.0, self.schedule.test_count / len(examples))
        self.test_s = max(self.test_s, times * (clock.now_s() - start))
        self.schedule.require_test_time(self)

    def _predictions(self, model: AnytimeModel, split: Examples, examples: np.ndarray) -> np.ndarray:
        prediction = model.test(split.subset(examples), self.schedule.remaining_s())
        if prediction is None or not np.isfinite(prediction).all():
            raise ValueError(f"{self.name} predicted {'nothing' if prediction is None else 'NaN or infinity'}")
        return prediction
