"""A member: out-of-fold predictions, the refit on all data, and what is left of it after a failure."""

from __future__ import annotations

import numpy as np
import pytest

from automl_engine import clock
from automl_engine.auto.ensemble import Ensemble
from automl_engine.auto.member import Member
from automl_engine.auto.schedule import Schedule
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.splits import fold_numbers
from automl_engine.features.cached import cached
from automl_engine.models.base import AnytimeModel
from tests.engine.toy_examples import toy

TRAIN = toy("tabular", 50, False, seed=1)


class Counting(AnytimeModel):
    """Predicts how many examples it has learned from."""

    name = "counting"
    learned = 0

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self.learned, self.done_training = len(split), True

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        return np.full((len(split), 3), self.params.get("value", float(self.learned)))


class Seeing(Counting):
    """Looks at every example first, ``anew`` in every fold or once for all."""

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self._see(split)
        self.params["now"]["s"] += 0.5
        super().train(split, remaining_time_budget)

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        self._see(split)
        return super().test(split, remaining_time_budget)

    def _see(self, split: Examples) -> None:
        def look(some: Examples) -> list[int]:
            self.params["now"]["s"] += len(some)
            return [0] * len(some)

        look(split) if self.params.get("anew") else cached(split, "seen", look)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What the clock says."""
    now = {"s": 0.0}
    monkeypatch.setattr(clock, "now_s", lambda: now["s"])
    return now


@pytest.fixture
def member(now: dict[str, float]) -> Member:
    members: dict[str, Member] = {}
    schedule = Schedule(members, Ensemble(members))
    schedule.start(100.0)
    schedule.end_s = schedule.start_s + 100.0 if schedule.start_s is not None else 0.0
    folds, oof = fold_numbers(TRAIN.labels, 5, 0), np.full(TRAIN.labels.shape, np.nan)
    members["a"] = Member("a", lambda: Counting(TRAIN.spec), schedule, folds, oof, Counting(TRAIN.spec))
    return members["a"]


def test_every_fold_is_predicted_by_a_model_that_has_not_seen_it(member: Member) -> None:
    member.check_folds(TRAIN, limit_s=50)
    rest = len(TRAIN) - np.bincount(member.folds)
    np.testing.assert_array_equal(member.oof[:, 0], rest[member.folds])
    assert len(member.unchecked_folds) == 0


def test_the_cost_of_a_further_fold_leaves_out_what_is_cached(member: Member, now: dict[str, float]) -> None:
    """To see an example takes 1 s, to fit 0.5 s."""
    member.new_model = lambda: Seeing(TRAIN.spec, now=now)
    member.check_folds(TRAIN.subset(np.arange(len(TRAIN))), limit_s=1.0)
    assert now["s"] == len(TRAIN) + 0.5
    assert member.fold_s == 0.5
    assert member.unchecked_s == 2.0
    member.check_folds(TRAIN, limit_s=2.0)
    assert now["s"] == len(TRAIN) + 2.5
    assert member.unchecked_s == 0


def test_what_every_fold_computes_again_counts(member: Member, now: dict[str, float]) -> None:
    member.new_model = lambda: Seeing(TRAIN.spec, now=now, anew=True)
    member.check_folds(TRAIN, limit_s=50.0)
    assert len(member.unchecked_folds) == 4
    assert member.unchecked_s == 4 * (len(TRAIN) + 0.5)


def test_after_the_refit_it_predicts_with_a_model_of_all_examples(member: Member) -> None:
    member.check_folds(TRAIN, limit_s=50)
    member.refit(TRAIN)
    assert member.predict(TRAIN, 10).max() == len(TRAIN)


def test_bagged_models_predict_their_mean_and_no_split_twice(member: Member) -> None:
    member.ensemble_model = Counting(TRAIN.spec, value=1.0)
    member.bagged = [Counting(TRAIN.spec, value=3.0)]
    assert member.predict(TRAIN, 10).mean() == 2
    assert member.next_test_s == 0


def test_nan_is_an_error_that_names_the_member(member: Member) -> None:
    member.current = Counting(TRAIN.spec, value=np.nan)
    with pytest.raises(ValueError, match="a predicted NaN"):
        member.slice(TRAIN)


def test_after_a_failure_only_the_ensemble_keeps_its_test_time(member: Member) -> None:
    member.oof[:], member.test_s = 1.0, 3.0
    member.fail(predicts=True)
    assert np.isnan(member.oof).all()
    assert member.test_s == 3.0
    member.fail(predicts=False)
    assert member.test_s == 0.0
