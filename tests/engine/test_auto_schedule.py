"""The schedule: what time is kept back, and when a prediction is due."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from automl_engine import clock
from automl_engine.auto.ensemble import Ensemble
from automl_engine.auto.member import Member
from automl_engine.auto.schedule import Schedule, first_count
from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.models.challenge.constant import ConstantModel

SPEC = Spec("toy", 2, 2, 1, 1, 1, 1)
TRAIN = MemoryExamples(SPEC, [])


@pytest.fixture
def schedule(monkeypatch: pytest.MonkeyPatch) -> Schedule:
    """At 0 of 100 s, with one member in the ensemble."""
    now: dict[str, float] = {"s": 0.0}
    monkeypatch.setattr(clock, "now_s", lambda: now["s"])
    members: dict[str, Member] = {}
    schedule: Any = Schedule(members, Ensemble(members))
    schedule.now = now
    schedule.start(100.0)
    schedule.end_s = 100.0
    model = ConstantModel(SPEC)
    folds, oof = np.arange(10) % 5, np.full((10, 2), np.nan)
    members["a"] = Member("a", lambda: ConstantModel(SPEC), schedule, folds, oof, model, ensemble_model=model)
    schedule.ensemble.weights = {"a": 1.0}
    return schedule


def test_time_for_the_last_prediction_is_kept_back(schedule: Any) -> None:
    assert schedule.remaining_s() == 98.5
    member = schedule.members["a"]
    member.test_s = 10.0
    assert schedule.remaining_s() == 83.5
    member.tested = [(member.ensemble_model, TRAIN, np.zeros((10, 2)))]
    assert schedule.remaining_s() == 98.5, "what was refit has predicted for good"
    member.tested = []
    schedule.now["s"] = 90.0
    assert schedule.is_late()


def test_a_prediction_is_due_once_it_differs_and_some_time_has_passed(schedule: Any) -> None:
    schedule.queue = [{"name": "b"}]
    schedule.now["s"] = schedule.written_s = 50.0
    assert not schedule.prediction_is_due()
    schedule.now["s"] = 55.0
    assert schedule.prediction_is_due()
    schedule.ensemble.note_written()
    assert not schedule.prediction_is_due()


def test_a_gain_larger_than_what_is_left_to_gain_is_written_at_once(schedule: Any) -> None:
    schedule.queue = [{"name": "b"}]
    schedule.now["s"] = schedule.written_s = 50.0
    schedule.ensemble.gained, schedule.ensemble.validation = 0.1, 0.8
    assert not schedule.prediction_is_due()
    schedule.ensemble.validation = 0.95
    assert schedule.prediction_is_due()
    schedule.ensemble.note_written()
    assert not schedule.prediction_is_due()
    assert schedule.ensemble.gained == 0


def test_a_member_too_slow_to_predict_in_time_is_refused(schedule: Any) -> None:
    member = schedule.members["a"]
    member.test_s = 101.0
    schedule.require_test_time(member)  # what is in the ensemble goes on
    schedule.ensemble.weights = {}
    with pytest.raises(TimeoutError, match="101 s"):
        schedule.require_test_time(member)


def test_what_only_time_prevents_is_known(schedule: Any) -> None:
    member = schedule.members["a"]
    member.oof = member.ensemble_oof = np.zeros((10, 2))
    member.full_model = member.ensemble_model
    member.fit_s = 30.0
    assert schedule.unfinished() == []
    assert schedule.without_end().unfinished() == [member]
    member.is_settled = True
    assert schedule.without_end().unfinished() == []


class Stored(MemoryExamples):
    """Nothing but the size of an example is known."""

    def __init__(self, spec: Spec, example_bytes: float) -> None:
        super().__init__(spec, [])
        self.example_bytes = example_bytes

    def stored_bytes(self, probes: int = 8) -> float:
        return self.example_bytes


@pytest.mark.parametrize(
    ("modality", "example_bytes", "count"),
    [
        ("tabular", 5_000 * 4, 1_600),  # what tells the classes apart among thousands of columns is seen in many rows
        ("tabular", 50_000 * 4, 160),
        ("tabular", 30 * 4, 4_000),
        ("image", 1.3e6, 30),  # a photograph of 6 megapixels
        ("image", 20e3, 1_000),
    ],
)
def test_the_first_sample_is_what_can_be_read_at_once(modality: str, example_bytes: float, count: int) -> None:
    assert first_count(Stored(SPEC, example_bytes), modality) == count
