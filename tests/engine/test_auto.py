"""AutoModel: a first model at once, a guarded ensemble, failures survived, files that repeat the prediction."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_engine.auto.loop import AutoModel
from automl_engine.auto.schedule import FIRST_BYTES, FIRST_SAMPLE
from automl_engine.dataset.examples import Examples, MemoryExamples
from automl_engine.dataset.metrics import nauc
from automl_engine.dataset.modality import modality
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.models import MODELS
from automl_engine.models.base import AnytimeModel
from automl_engine.portfolio import load
from tests.engine.test_models import exported_prediction
from tests.engine.toy_examples import TOYS, hidden, toy


class Journal:
    """What a model emits."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, kind: str, **fields: Any) -> None:
        self.events.append({"event": kind, **fields})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]


def drive(model: AutoModel, train: Examples, test: Examples, budget_s: float) -> list[np.ndarray]:
    """All predictions, as the ingestion loop would take them."""
    start, predictions = time.monotonic(), []
    while not model.done_training:
        model.train(train, budget_s - (time.monotonic() - start))
        prediction = model.test(test, budget_s - (time.monotonic() - start))
        if prediction is None:
            break
        predictions.append(prediction)
    return predictions


def auto(train: MemoryExamples, rows: list[dict[str, Any]] | None = None) -> tuple[AutoModel, Journal]:
    model = AutoModel(train.spec, rows=rows or [asdict(row) for row in load()], seed=0, device="cpu")
    model.emit = journal = Journal()
    return model, journal


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.long if kind in ("audio", "video") else ()) for kind in sorted(TOYS)],
)
def test_auto_learns_every_modality(kind: str, tmp_path: Path) -> None:
    train, test = toy(kind, 60, False, seed=1), toy(kind, 30, False, seed=2)
    unlabelled = hidden(test)
    model, journal = auto(train)

    predictions = drive(model, train, unlabelled, budget_s=30)

    assert len(predictions) >= 2
    assert nauc(test.labels, predictions[-1]) > 0.7
    assert model.done_training
    assert journal.of("chosen")
    assert all(event["reason"] for event in journal.of("chosen"))
    assert journal.of("failed") == []
    assert len(journal.of("stopped")) == 1
    assert all(0 <= event["fraction"] <= 1 for event in journal.of("progress"))
    assert model.made_by
    assert model.why

    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    loaded = AutoModel.load(tmp_path / "saved", train.spec)
    again = loaded.test(unlabelled, 10)
    assert again is not None
    np.testing.assert_allclose(again, predictions[-1], atol=1e-6)
    (tmp_path / "bundle").mkdir()
    np.testing.assert_allclose(
        exported_prediction(loaded, tmp_path / "bundle", unlabelled, False), predictions[-1], atol=1e-4
    )


class Toy(AnytimeModel):
    """Predicts the truth mixed with noise; ``skill`` says how much of it is truth, slice by slice."""

    name = "toy"
    refits = False

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        self.slices = getattr(self, "slices", 0) + 1
        if self.slices > len(self.params["skill"]):
            raise RuntimeError("out of memory, say")
        self.done_training = self.slices == len(self.params["skill"])

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        skill = self.params["skill"][self.slices - 1]
        truth = np.stack([split.tensor(i).ravel()[:3] for i in range(len(split))]).round()
        noise = np.random.default_rng(10 + self.slices).random(truth.shape)
        return skill * truth + (1 - skill) * noise


def toy_rows(**skills: list[float]) -> list[dict[str, Any]]:
    return [
        {"name": name, "modality": "tabular", "model": "toy", "params": {"skill": skill}, "origin": "a test"}
        for name, skill in skills.items()
    ]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> tuple[MemoryExamples, MemoryExamples]:
    monkeypatch.setitem(MODELS, "toy", "tests.engine.test_auto:Toy")
    return toy("tabular", 200, False, seed=1), toy("tabular", 60, False, seed=2)


class QuickToy(Toy):
    """Is fitted fold by fold."""

    refits = True


def test_the_order_holds_and_each_step_tells_what_it_gained(tables: tuple[MemoryExamples, MemoryExamples]) -> None:
    train, test = tables
    rows = [
        *toy_rows(first=[0.1], useless=[0.0], superb=[0.9]),
        {"name": "theirs", "modality": "tabular", "model": "challenge", "place": "early"},
        {"name": "pictures", "modality": "image", "model": "challenge"},
    ]
    model, journal = auto(train, rows)
    drive(model, train, hidden(test), budget_s=20)
    (order,) = journal.of("order")
    assert [(told["row"], told["place"]) for told in order["rows"]] == [
        *(("first", "given"), ("useless", "given"), ("superb", "given"))
    ]
    assert order["left_out"] == [{"row": "theirs", "reason": "it is foreign code, which learns alone"}]
    assert (order["known_sets"], order["all_known_sets"]) == (28, 76)
    assert [event["row"] for event in journal.of("chosen")] == ["first", "useless", "superb"]
    steps = [event for event in journal.of("progress") if "gain" in event]
    gains = {event["by"]: event["gain"] for event in steps}
    assert gains["useless"] <= 0 < 0.2 < gains["superb"]
    assert sum(gains.values()) == pytest.approx(model.ensemble.validation, abs=0.05)  # the latter is of more examples
    assert all(event["took_s"] > 0 for event in steps)


def test_where_only_networks_are_on_the_first_look_is_one_slice(tables: tuple[MemoryExamples, MemoryExamples]) -> None:
    train, _ = tables
    model, _ = auto(train, toy_rows(only=[0.2, 0.3, 0.4]))
    model.train(train, 20)
    first = model.members["only"].ensemble_model
    assert isinstance(first, Toy)
    assert first.slices == 1


def test_a_worse_slice_does_not_replace_a_better_one(tables: tuple[MemoryExamples, MemoryExamples]) -> None:
    train, test = tables
    model, _ = auto(train, toy_rows(first=[0.1], second=[0.2, 0.5, 0.0, 0.1]))
    predictions = drive(model, train, hidden(test), budget_s=20)
    scores = [nauc(test.labels, prediction) for prediction in predictions]
    assert scores[-1] == max(scores)
    adopted = model.members["second"].ensemble_model
    assert isinstance(adopted, Toy)
    assert adopted.slices == 2
    assert adopted is not model.members["second"].current


def test_a_slice_that_is_not_clearly_worse_is_believed(tables: tuple[MemoryExamples, MemoryExamples]) -> None:
    train, test = tables
    model, _ = auto(train, toy_rows(first=[0.1], second=[0.2, 0.35, 0.34]))
    drive(model, train, hidden(test), budget_s=20)
    adopted = model.members["second"].ensemble_model
    assert isinstance(adopted, Toy)
    assert adopted.slices == 3


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks leave the time to further versions at once, and these learn for three seconds at most."""
    for name, value in (("SETTLED_S", 0.01), ("SETTLED_FRACTION", 0.01), ("LEAST_VERSION_S", 3.0)):
        monkeypatch.setattr(f"automl_engine.auto.schedule.{name}", value)


def test_versions_without_other_folds_join_a_network(
    tables: tuple[MemoryExamples, MemoryExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    train, test = tables
    model, journal = auto(train, toy_rows(first=[0.1], second=[0.2, 0.5]))
    drive(model, train, hidden(test), budget_s=20)
    second = model.members["second"]
    assert len(second.versions) == 5
    assert not np.isnan(second.oof).any()  # each learned without a fold of its own
    assert "version 5" in journal.of("progress")[-1]["text"]


def test_versions_take_as_long_as_a_network_that_came_to_its_end(tables: tuple[MemoryExamples, MemoryExamples]) -> None:
    """Half a minute each, which they may have otherwise, would not fit into the budget."""
    train, test = tables
    model, _ = auto(train, toy_rows(first=[0.1], second=[0.2, 0.5]))
    drive(model, train, hidden(test), budget_s=20)
    assert len(model.members["second"].versions) == 5


def test_a_version_that_fails_is_told_once_and_the_first_goes_on(
    tables: tuple[MemoryExamples, MemoryExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    train, test = tables
    model, journal = auto(train, toy_rows(first=[0.1], second=[0.5]))
    made = itertools.count()
    usual = model._new_model

    def breaking(name: str, version: int = 0) -> AnytimeModel:
        toy = usual(name, version)
        if name == "second" and next(made) > 0:
            toy.params = {"skill": []}
        return toy

    monkeypatch.setattr(model, "_new_model", breaking)
    predictions = drive(model, train, hidden(test), budget_s=20)
    assert [event["error"] for event in journal.of("failed")] == ["RuntimeError: out of memory, say"]
    assert len(model.members["second"].versions) == 1
    assert nauc(test.labels, predictions[-1]) > 0.7


def test_a_version_that_learned_less_is_left_out(
    tables: tuple[MemoryExamples, MemoryExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient(monkeypatch)
    train, test = tables
    model, journal = auto(train, toy_rows(first=[0.1], second=[0.5, 0.0]))
    predictions = drive(model, train, hidden(test), budget_s=20)
    scores = [nauc(test.labels, prediction) for prediction in predictions]
    assert scores[-1] == max(scores)
    assert len(model.members["second"].versions) == 1
    assert sum("is left out" in event["text"] for event in journal.of("note")) == 4


def test_versions_are_saved_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impatient(monkeypatch)
    monkeypatch.setattr("automl_engine.auto.member.MOST_VERSIONS", 2)
    train, test = toy("image", 120, False, seed=1), hidden(toy("image", 30, False, seed=2))
    params = {"width": 8, "side": 16, "slice_s": 0.2}
    rows = [
        {"name": "quick", "modality": "image", "model": "constant", "origin": "a test"},
        {"name": "slow", "modality": "image", "model": "image_resnet", "params": params, "origin": "a test"},
    ]
    model, _ = auto(train, rows)
    drive(model, train, test, budget_s=120)  # the end comes before
    expected = model.members["slow"].predict(test, 10)
    del model.ensemble.weights["quick"]  # it cannot be saved
    for name in ("saved", "bundle"):
        (tmp_path / name).mkdir()
    model.save(tmp_path / "saved")
    loaded = AutoModel.load(tmp_path / "saved", train.spec)
    assert {*loaded.ensemble.weights} == {"slow", "slow.2"}
    assert loaded.ensemble.weights["slow"] == loaded.ensemble.weights["slow.2"]
    np.testing.assert_allclose(loaded.test(test, 10), expected, atol=1e-6)
    exported = exported_prediction(loaded, tmp_path / "bundle", test, False)
    np.testing.assert_allclose(exported, expected, atol=1e-4)


class SlowToy(Toy):
    """Quick, but not so quick that all folds are checked at once."""

    refits = True

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        super().train(split, remaining_time_budget)
        time.sleep(0.4)


@pytest.fixture
def slow(tables: tuple[MemoryExamples, MemoryExamples], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, "toy", "tests.engine.test_auto:SlowToy")
    monkeypatch.setitem(FIRST_SAMPLE, "tabular", 50)


def half_checked(train: MemoryExamples, test: MemoryExamples) -> tuple[AutoModel, Journal]:
    """After the first look and the first of five folds."""
    model, journal = auto(train, toy_rows(only=[0.5]))
    model.train(train, 20)
    model.test(hidden(test), 20)
    model.train(train, 20)
    return model, journal


@pytest.mark.usefixtures("slow")
def test_folds_left_out_at_first_are_checked_when_there_is_time(tables: tuple[MemoryExamples, MemoryExamples]) -> None:
    train, test = tables
    model, _ = half_checked(train, test)
    assert np.isnan(model.members["only"].oof).any()
    drive(model, train, hidden(test), budget_s=20)
    assert not np.isnan(model.members["only"].oof).any()


@pytest.mark.usefixtures("slow")
def test_when_all_folds_are_known_the_weights_are_decided_again(
    tables: tuple[MemoryExamples, MemoryExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = tables
    model, _ = auto(train, toy_rows(fair=[0.3], good=[0.5]))
    decided = list[dict[str, float]]()
    anew = model.ensemble.weigh_anew
    monkeypatch.setattr(model.ensemble, "weigh_anew", lambda: (anew(), decided.append(dict(model.ensemble.weights)))[0])
    drive(model, train, hidden(test), budget_s=30)
    assert [weights["good"] > weights.get("fair", 0) for weights in decided] == [True]
    assert all(model.members[name].full_model for name in model.ensemble.weights)
    assert "on 200 unseen training examples" in model.why


@pytest.mark.usefixtures("slow")
def test_a_quick_row_that_fails_on_a_later_fold_is_told_once(tables: tuple[MemoryExamples, MemoryExamples]) -> None:
    train, test = tables
    model, journal = half_checked(train, test)
    model.configurations[0]["params"]["skill"] = []
    drive(model, train, hidden(test), budget_s=20)
    assert [event["error"] for event in journal.of("failed")] == ["RuntimeError: out of memory, say"]
    assert set(model.ensemble.weights) == {"only"}


class Fickle(Toy):
    """Learns more from a sample than from all."""

    refits = True

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        super().train(split, remaining_time_budget)
        self.params["skill"] = [0.6 if len(split) < 60 else 0.1]


def test_a_better_first_look_is_kept(
    tables: tuple[MemoryExamples, MemoryExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = tables
    monkeypatch.setitem(MODELS, "toy", "tests.engine.test_auto:Fickle")
    monkeypatch.setitem(FIRST_SAMPLE, "tabular", 50)
    model, _ = auto(train, toy_rows(only=[0.5]))
    predictions = drive(model, train, hidden(test), budget_s=20)
    assert nauc(test.labels, predictions[-1]) == nauc(test.labels, predictions[0]) > 0.9


def test_the_first_look_is_at_few_large_examples(
    tables: tuple[MemoryExamples, MemoryExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, _ = tables
    monkeypatch.setitem(FIRST_BYTES, "tabular", 30 * train.tensor(0).nbytes)
    model, _ = auto(train, toy_rows(only=[0.5]))
    model.train(train, 10)
    assert "on 30 of 200" in model.why


def test_what_was_written_is_not_written_again(
    tables: tuple[MemoryExamples, MemoryExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = tables
    monkeypatch.setattr(Toy, "refits", True)
    model, _ = auto(train, toy_rows(first=[0.3], worse=[0.1], better=[0.6]))
    predictions = drive(model, train, hidden(test), budget_s=20)
    assert all((one != next_one).any() for one, next_one in itertools.pairwise(predictions))


def test_a_row_that_raises_is_told_and_the_others_go_on(tables: tuple[MemoryExamples, MemoryExamples]) -> None:
    train, test = tables
    model, journal = auto(train, toy_rows(broken=[], good=[0.5], late=[]))
    predictions = drive(model, train, hidden(test), budget_s=20)
    assert nauc(test.labels, predictions[-1]) > 0.5
    assert [event["what"] for event in journal.of("failed")] == ["broken", "late"]
    assert all(not event["fatal"] and "out of memory" in event["traceback"] for event in journal.of("failed"))
    assert set(model.ensemble.weights) == {"good"}


def test_a_row_that_predicts_nan_is_told_and_left_out(tables: tuple[MemoryExamples, MemoryExamples]) -> None:
    train, test = tables
    model, journal = auto(train, toy_rows(good=[0.5], strange=[np.nan]))
    predictions = drive(model, train, hidden(test), budget_s=20)
    assert np.isfinite(predictions[-1]).all()
    assert "NaN" in journal.of("failed")[0]["error"]


class Ponderous(Toy):
    """Its second row takes too long to predict."""

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        time.sleep(1.2 * (self.params["skill"] == [0.9]))
        return super().test(split, remaining_time_budget)


def test_a_row_that_could_not_predict_in_time_is_left_out(
    tables: tuple[MemoryExamples, MemoryExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 examples in 1.2 s are 60 in 1.8 s: more than is left of 2.4 s."""
    monkeypatch.setitem(MODELS, "toy", "tests.engine.test_auto:Ponderous")
    train, test = tables
    model, journal = auto(train, toy_rows(first=[0.3], second=[0.9], third=[0.5]))
    start = time.monotonic()
    drive(model, train, hidden(test), budget_s=2.4)
    assert time.monotonic() - start < 2.4
    assert journal.of("failed")[0]["what"] == "second"
    assert journal.of("failed")[0]["error"].startswith("TimeoutError: to predict the test set would take")
    assert "second" not in model.ensemble.weights
    assert "third" in model.ensemble.weights


def test_when_every_row_fails_it_says_so(tables: tuple[MemoryExamples, MemoryExamples]) -> None:
    train, test = tables
    model, _ = auto(train, toy_rows(broken=[]))
    with pytest.raises(RuntimeError, match="every configuration failed"):
        drive(model, train, hidden(test), budget_s=20)


def test_without_a_row_for_the_data_it_is_the_administrators_to_fix() -> None:
    train = toy("tabular", 30, False, seed=1)
    rows = [asdict(row) for row in load() if row.modality == "image"]
    model, _ = auto(train, rows)
    with pytest.raises(DataError, match="No configuration for tabular data"):
        model.train(train, 10)


def test_the_first_prediction_comes_from_a_sample_and_the_next_from_all(
    tables: tuple[MemoryExamples, MemoryExamples], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, _ = tables
    monkeypatch.setitem(FIRST_SAMPLE, "tabular", 50)
    model, _ = auto(train, toy_rows(only=[0.5]))
    model.train(train, 10)
    assert "of 200 training examples" in model.why
    assert int(model.why.split(" on ")[1].split()[0]) < 60


@pytest.mark.parametrize("kind", sorted(TOYS))
def test_modality_with_its_reason(kind: str) -> None:
    found, reason = modality(toy(kind, 9, False, seed=0))
    assert found == kind
    assert reason


def test_one_channel_of_small_numbers_is_no_sound() -> None:
    spec = Spec("heart", 2, 2, -1, 1, 1, 1)
    waves = [np.sin(np.arange(3000) / 9).astype(np.float32).reshape(-1, 1, 1, 1)] * 2
    assert modality(MemoryExamples(spec, waves))[0] == "timeseries"


def test_a_row_that_cannot_be_made_is_told_and_left_out(tmp_path: Path) -> None:
    """Weights that are torn, for instance."""
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"\x08")
    rows = [
        {"name": "linear", "modality": "image", "model": "image_linear"},
        {"name": "torn", "modality": "image", "model": "image_pretrained", "params": {"weights": str(torn)}},
    ]
    train = toy("image", 40, False, seed=0)
    model, journal = auto(train, rows)
    predictions = drive(model, train, train, budget_s=60)
    [failed] = journal.of("failed")
    assert failed["what"] == "torn"
    assert "Traceback" in failed["traceback"]
    assert predictions[-1].shape == (40, 3)
