"""A member: out-of-fold predictions, the refit on all data, and what is left of it after a failure."""

from __future__ import annotations

import numpy as np
import pytest

from automl_engine.auto.ensemble import Ensemble
from automl_engine.auto.member import Member
from automl_engine.auto.schedule import FIRST_S, Schedule
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.splits import fold_numbers
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


class Stepwise(Counting):
    """Is done after two steps."""

    steps = 0

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self.learned, self.steps = len(split), self.steps + 1
        self.done_training = self.steps == 2


@pytest.fixture
def member() -> Member:
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


def test_after_the_refit_it_predicts_with_a_model_of_all_examples(member: Member) -> None:
    member.check_folds(TRAIN, limit_s=50)
    member.refit(TRAIN)
    assert member.predict(TRAIN, 10).max() == len(TRAIN)


def test_the_first_model_learns_by_one_step_and_the_next_to_the_end(member: Member) -> None:
    member.new_model, member.current = lambda: Stepwise(TRAIN.spec), Stepwise(TRAIN.spec)
    member.fit_first(TRAIN, np.arange(len(TRAIN)))
    assert isinstance(member.ensemble_model, Stepwise)
    assert (member.ensemble_model.steps, member.full_model) == (1, None)
    member.check_folds(TRAIN, limit_s=50)
    member.refit(TRAIN)
    assert isinstance(member.ensemble_model, Stepwise)
    assert member.ensemble_model.steps == 2


def test_bagged_models_predict_their_mean_and_no_split_twice(member: Member) -> None:
    member.ensemble_model = Counting(TRAIN.spec, value=1.0)
    member.bagged = [Counting(TRAIN.spec, value=3.0)]
    assert member.predict(TRAIN, 10).mean() == 2
    assert member.next_test_s == 0


def test_the_first_model_is_quick_and_learns_again_if_it_took_all_its_time(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []

    def train(model: Counting, split: Examples, remaining_time_budget: float) -> None:
        told.append(remaining_time_budget)
        model.done_training = True

    monkeypatch.setattr(Counting, "train", train)
    member.fit_first(TRAIN, np.arange(len(TRAIN)))
    assert member.full_model is not None
    monkeypatch.setattr("automl_engine.auto.member.HURRIED", 0)
    member.fit_first(TRAIN, np.arange(len(TRAIN)))
    assert member.full_model is None
    assert max(told) <= 2 * FIRST_S


def test_versions_with_other_random_numbers_join_as_long_as_they_gain(member: Member) -> None:
    member.new_model = lambda version=0: Counting(TRAIN.spec, value=float(version))
    member.check_folds(TRAIN, limit_s=50)
    member.refit(TRAIN)
    member.ensemble_oof = member.oof.copy()
    assert member.schedule.can_vary(member)
    assert member.vary(TRAIN, lambda oof: bool((oof == 0.5).all()))
    assert member.predict(TRAIN, 10).mean() == 0.5
    assert member.schedule.can_vary(member)
    assert not member.vary(TRAIN, lambda oof: bool((oof != 1).any()))
    assert not member.schedule.can_vary(member)
    assert member.predict(TRAIN, 10).mean() == 0.5


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
