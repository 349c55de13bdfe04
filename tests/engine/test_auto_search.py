"""What AutoModel loads late, and the settings that it tries when every configuration has had its turn."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from automl_engine.dataset.metrics import nauc
from automl_engine.dataset.spec import Spec
from automl_engine.models import MODELS
from automl_engine.models.configuration import LIBRARY
from tests.engine.test_auto import Toy, auto, drive, toy_rows
from tests.engine.toy_examples import hidden, toy

TRAIN, TEST = toy("tabular", 200, False, seed=1), toy("tabular", 60, False, seed=2)


class SlowlyLoaded(Toy):
    """Its library is not loaded; one of its configurations cannot be made."""

    name = "slowly_loaded"
    log: ClassVar[list[str]] = []

    def __init__(self, spec: Spec, **params: Any) -> None:
        super().__init__(spec, **params)
        self.log.append(f"made {params['skill']}")
        if not params["skill"]:
            raise RuntimeError("no weights, say")

    @classmethod
    def load_ahead(cls, **params: Any) -> None:
        cls.log.append(f"loaded {params['skill']}")


def test_what_takes_long_to_load_waits_for_the_first_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "slowly_loaded", "tests.engine.test_auto_search:SlowlyLoaded")
    monkeypatch.setitem(LIBRARY, "slowly_loaded", "no_such_library")
    rows = toy_rows(first=[0.1], second=[0.2], broken=[], late=[0.5])
    rows[2:] = [row | {"model": "slowly_loaded"} for row in rows[2:]]
    monkeypatch.setitem(MODELS, "toy", "tests.engine.test_auto:Toy")
    model, journal = auto(TRAIN, rows)
    model.train(TRAIN, 20)
    assert model.test(hidden(TEST), 20) is not None
    assert SlowlyLoaded.log == []
    predictions = drive(model, TRAIN, hidden(TEST), budget_s=20)
    assert nauc(TEST.labels, predictions[-1]) > 0.5
    assert [event["error"] for event in journal.of("failed")] == ["RuntimeError: no weights, say"]
    for skill in ([], [0.5]):
        assert SlowlyLoaded.log.index(f"loaded {skill}") < SlowlyLoaded.log.index(f"made {skill}")


def test_settings_are_searched_and_kept_where_they_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "toy", "tests.engine.test_auto:QuickToy")
    rows = toy_rows(only=[0.3])
    rows[0]["space"] = {"skill": [[0.1], [0.3], [0.5], []]}
    model, journal = auto(TRAIN, rows)
    predictions = drive(model, TRAIN, hidden(TEST), budget_s=30)
    settings = {event["row"]: event["reason"] for event in journal.of("chosen")[1:]}
    assert set(settings.values()) <= {f"another setting of only: skill {skill}" for skill in ([0.1], [0.3], [0.5], [])}
    assert {name for name in model.ensemble.weights if "~" in name} <= {
        name for name, reason in settings.items() if reason.endswith("[0.5]")
    }
    assert set(model.members) <= {"only", *model.ensemble.weights}
    assert nauc(TEST.labels, predictions[-1]) > nauc(TEST.labels, predictions[0]) + 0.1
    assert {event["what"] for event in journal.of("failed")} <= set(settings)
    assert [event["reason"] for event in journal.of("stopped")] == [
        "no further version or setting of a model gains on unseen examples"
    ]


def test_what_ranks_perfectly_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "toy", "tests.engine.test_auto:QuickToy")
    monkeypatch.setattr("automl_engine.auto.schedule.PERFECT", 0.5)
    rows = toy_rows(only=[0.6])
    rows[0]["space"] = {"skill": [[0.1], [0.3]]}
    model, journal = auto(TRAIN, rows)
    drive(model, TRAIN, hidden(TEST), budget_s=20)
    assert [event["row"] for event in journal.of("chosen")] == ["only"]


def test_with_all_networks_bagged_every_fold_of_the_others_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "toy", "tests.engine.test_auto:QuickToy")
    monkeypatch.setitem(MODELS, "network", "tests.engine.test_auto:Toy")
    rows = toy_rows(quick=[0.3], network=[0.5])
    rows[1]["model"] = "network"
    model, _ = auto(TRAIN, rows)
    drive(model, TRAIN, hidden(TEST), budget_s=60)
    assert len(model.members["network"].versions) == 5
    assert not len(model.members["quick"].unchecked_folds)
    assert "on 200 unseen training examples" in model.why
