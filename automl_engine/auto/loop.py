"""AutoModel: tries the configurations of the portfolio, averages the best and predicts whenever that improves.

The first configuration learns from a small sample and predicts at once.  Then every configuration learns from the
examples outside fold 0 and predicts fold 0 (every fold, if it is cheap to refit).  The ensemble changes only where
that improves its out-of-fold predictions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from automl_engine import clock
from automl_engine.auto.ensemble import Ensemble, mix, objective
from automl_engine.auto.later import Later, make_ahead
from automl_engine.auto.member import Member
from automl_engine.auto.report import Reporter
from automl_engine.auto.schedule import Schedule, affordable_count, first_count, fold_count, has_enough_examples
from automl_engine.auto.search import Search
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.modality import likely, modality
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.splits import fold_numbers, stratified_sample
from automl_engine.errors import DataError
from automl_engine.models import model_class
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.models.configuration import obstacle

NO_TIME = "too little time was left for another step"
NO_GAIN = "no further version or setting of a model gains on unseen examples"
SEED_STEP = 1000
"""Between the random numbers of two versions: runs of neighbouring seeds share none."""


class AutoModel(AnytimeModel):
    """Params: ``rows`` (the configurations in order), ``seed``, ``device``."""

    name = "auto"

    def __init__(self, spec: Spec, rows: Sequence[Mapping[str, Any]] = (), **params: Any) -> None:
        super().__init__(spec, rows=list(rows), **params)
        domains = ("audio", "timeseries") if spec.domain == "series" else (spec.domain,)
        rows = [row for row in rows if row["modality"] in domains and row.get("enabled", True)]
        self.seed = int(self.params.get("seed", 0))
        self.members: dict[str, Member] = {}
        self.ensemble = Ensemble(self.members)
        self.schedule = Schedule(self.members, self.ensemble)
        self.search = Search(self.seed)
        self._report = Reporter(
            lambda kind, **fields: self.emit(kind, **fields), self.schedule.fraction
        )  # emit is set later
        self._left_out = {row["name"]: why for row in rows if (why := obstacle(row["model"], row.get("params", {})))}
        self.configurations = [row for row in rows if row["name"] not in self._left_out]
        probable = [row for row in self.configurations if row["modality"] == likely(spec)]
        self._tried = make_ahead(probable, self.params.get("device", "auto"), self._new_model)
        self.configurations = [row for row in self.configurations if not self._tried.get(row["name"])]
        self._later = Later([])
        self.modality = ""
        self.folds = np.empty(0, np.int64)
        self._first: tuple[Member, np.ndarray] | None = None

    @property
    def made_by(self) -> str:
        return self.ensemble.made_by or self.name

    @property
    def why(self) -> str:
        return self.ensemble.why

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """Return when a better prediction is due, or when nothing more can be gained."""
        self.schedule.end_s = clock.now_s() + remaining_time_budget
        if self.schedule.start_s is None:
            self.schedule.start(remaining_time_budget)
            self._begin(split)
            return self._fit_first_model(split)
        self._later.start()
        while not self.done_training:
            over = ""
            if self.schedule.is_late():
                over = NO_TIME
            elif self._first:
                self._check_first_model(split, *self._first)
            elif self.schedule.queue:
                self._advance(split)
            elif unfinished := self.schedule.unfinished():
                self._improve(unfinished[0], split)
            elif row := self.search.chosen(self.configurations, self.schedule):
                self._try_setting(row, split)
            else:
                endless = self.schedule.without_end()
                more = endless.unfinished() or self.search.chosen(self.configurations, endless)
                over = NO_TIME if more else NO_GAIN
            if over:
                self.done_training = True
                self.emit("stopped", reason=over)
            if self.schedule.prediction_is_due():
                break
        return None

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray | None:
        """The ensemble's (N, K); None when training is over and the last prediction stands."""
        if self.done_training and not self.ensemble.has_news() and self.schedule.written_count > 1:
            return None
        self.schedule.test_count = len(split)
        weights = self.ensemble.weights
        for member in [self.members[name] for name in weights]:
            predicts = self._attempt(member, partial(member.predict, split, remaining_time_budget))
            if not predicts and member.bagged:
                member.bagged.clear()
                predicts = self._attempt(member, partial(member.predict, split, remaining_time_budget))
            if not predicts:
                del weights[member.name]
        if not weights:
            raise RuntimeError("no configuration can predict; the log holds the errors")
        self.ensemble.note_written()
        self.schedule.written()
        return mix({name: self.members[name].predict(split, remaining_time_budget) for name in weights}, weights)

    def _begin(self, split: Examples) -> None:
        """Find the modality, the folds and the configurations that are worth running."""
        for name, error in self._tried.items():
            if error:
                self._report.failure(name, error)
        self.modality, kind_reason = modality(split)
        self.configurations = [row for row in self.configurations if row["modality"] == self.modality]
        if not self.configurations:
            raise DataError(f"No configuration for {self.modality} data is enabled; enable one or choose a model.")
        self.ensemble.labels, self.ensemble.multi_label = split.labels, is_multi_label(split.labels)
        self.emit("note", text=f"This is {self.modality} data: {kind_reason}.")
        count = fold_count(len(split), affordable_count(split, self.modality))
        self.folds = fold_numbers(split.labels, count, self.seed)
        enough = [row for row in self.configurations if has_enough_examples(row, len(split))]
        self.schedule.queue = enough or list(self.configurations)
        self._later = Later([row for row in self.schedule.queue if row["name"] not in self._tried])
        few = [row["name"] for row in self.configurations if row not in self.schedule.queue]
        rows = [row for row in self.params["rows"] if row["modality"] == self.modality]
        left_out = {row["name"]: self._left_out[row["name"]] for row in rows if row["name"] in self._left_out}
        left_out |= dict.fromkeys(few, f"{len(split)} examples are too few to validate it")
        self._report.order(self.schedule.queue, left_out, self.modality)

    def _fit_first_model(self, split: Examples) -> None:
        """Fit the first configuration that works to a small sample."""
        sample = stratified_sample(self.ensemble.labels, first_count(split, self.modality), self.seed)
        while self.schedule.queue and not self.ensemble.weights:
            member = self._open(self.schedule.queue[0])
            if member and self._attempt(member, partial(member.fit_first, split, sample)):
                self.ensemble.weights = {member.name: 1.0}
                member.current = self._new_model(member.name)  # the first has seen what is held out later
                self._first = member, sample
                self.ensemble.explain(f"first model: {member.name} on {len(sample)} of {len(split)} training examples")
        if not self.ensemble.weights:
            raise RuntimeError("every configuration failed; the log holds the errors")

    def _check_first_model(self, split: Examples, member: Member, sample: np.ndarray) -> None:
        """Validate the first model on the examples of fold 0 that it has not seen, if these are most of them."""
        self._first = None
        fold = np.flatnonzero(self.folds == 0)
        unseen = np.setdiff1d(fold, sample)
        if 2 * len(unseen) > len(fold) and member.ensemble_model is not None:
            self._attempt(member, lambda: member.check_first(split, unseen))

    def _advance(self, split: Examples) -> None:
        """One step of the first configuration in the queue: a slice of a network, or all of one that refits."""
        configuration = self.schedule.queue[0]
        member = self.members.get(configuration["name"]) or self._open(configuration)
        if member is None:
            return
        start_s, limit_s, refits = clock.now_s(), self.schedule.folds_limit_s(), member.refits
        worked = self._attempt(member, lambda: member.check_folds(split, limit_s) if refits else member.slice(split))
        if worked:
            self._consider(member, split, start_s)
        if not worked or refits or member.current.done_training or self.schedule.has_stalled(member):
            self.schedule.drop(member.name)
            if not refits and worked:
                member.current = member.current.frozen()  # releases what only training needs

    def _improve(self, member: Member, split: Examples) -> None:
        """Use the time after the queue: the folds left out so far, or another version."""
        step, start_s = member.next_step, clock.now_s()
        if step == "folds":
            if self._attempt(member, lambda: member.check_folds(split, self.schedule.remaining_s())):
                self._consider(member, split, start_s)
        elif not self._attempt(member, lambda: self._add_version(member, split)):
            member.is_settled = True  # it would fail again
        goes_on = any(other.next_step == step for other in self.schedule.unfinished()[:1])
        if step != "vary" and not goes_on:
            self._weigh_anew(split)

    def _try_setting(self, row: Mapping[str, Any], split: Examples) -> None:
        """Another setting of a configuration; it stays only if the ensemble gains by it."""
        own, labels, several = self.members[row["name"]].oof, self.ensemble.labels, self.ensemble.multi_label
        setting, trial = self.search.propose(row, objective(labels, own, several))
        self.configurations.append(setting)
        start_s, member, entered, score = clock.now_s(), self._open(setting), False, None
        limit_s = self.schedule.remaining_s()
        worked = member and self._attempt(member, lambda: member.check_folds(split, limit_s))
        if member and worked and not len(member.unchecked_folds):
            score = objective(labels, member.oof, several)
            entered = self._consider(member, split, start_s, must_gain=True)
        self.search.note(row, trial, score, entered)
        if not entered:
            self.configurations.remove(setting)
            self.members.pop(setting["name"], None)

    def _add_version(self, member: Member, split: Examples) -> None:
        number, kind = len(member.versions) + 1, "random numbers" if member.refits else "examples"
        report = partial(self._report.progress, member.name, f"version {number} with other {kind}", after=False)
        if member.refits:
            joins, why = member.vary(split, partial(self.ensemble.gains, member)), "gains nothing on unseen examples"
            report()
        else:
            joins, why = member.bag(split, self.ensemble.labels, report), "learned less"
        if not joins:
            self.emit("note", text=f"Version {number} of {member.name} {why} and is left out.")

    def _consider(self, member: Member, split: Examples, start_s: float, must_gain: bool = False) -> bool:
        """Decide on what the member has learned since ``start_s``; whether it has changed the ensemble."""
        with clock.work("consider", scores=self.ensemble.labels.size):
            entered, gain, report = self.ensemble.consider(member, must_gain)
            if report:
                took_s = clock.now_s() - start_s
                self._report.progress(member.name, report, gain=round(gain, 5), took_s=round(took_s, 3))
        if entered and member.refits:
            self._attempt(member, lambda: member.refit(split))
        return entered

    def _weigh_anew(self, split: Examples) -> None:
        before = self.ensemble.weights
        with clock.work("consider", scores=self.ensemble.labels.size):
            count = self.ensemble.weigh_anew()
        chosen = [self.members[name] for name in self.ensemble.weights]
        worked = [member for member in chosen if self._attempt(member, partial(member.refit, split))]
        fitted = [member for member in worked if member.ensemble_model is not None]
        self.ensemble.weights = {m.name: self.ensemble.weights[m.name] for m in fitted} or before
        if count:
            self.ensemble.explain(f"validation NAUC {self.ensemble.validation:.3f} on {count} unseen training examples")

    def _open(self, row: Mapping[str, Any]) -> Member | None:
        """None, and reported, where its model cannot be made."""
        name = row["name"]
        self.emit("chosen", row=name, reason=row.get("origin", ""))
        self._later.wait_for(name)
        try:
            model = self._new_model(name)
        except Exception as error:
            self._report.failure(name, error)
            self.schedule.drop(name)
            return None
        oof = np.full(self.ensemble.labels.shape, np.nan, np.float32)
        self.members[name] = Member(name, partial(self._new_model, name), self.schedule, self.folds, oof, model)
        return self.members[name]

    def _new_model(self, name: str, version: int = 0) -> AnytimeModel:
        row = next(row for row in self.configurations if row["name"] == name)
        shared = {key: self.params[key] for key in ("seed", "device") if key in self.params}
        if version:
            shared["seed"] = self.seed + SEED_STEP * version
        model = model_class(row["model"])(self.spec, **{**shared, **row.get("params", {})})
        model.emit = self._report.relay
        self._report.forget_progress()
        return model

    def _attempt(self, member: Member, work: Callable[[], Any]) -> bool:
        """Whether the work was done; a configuration that raises is reported and leaves the queue, the others go on."""
        try:
            work()
            return True
        except DataError:
            raise  # the user's to fix, and no configuration can do without the data
        except Exception as error:
            self._report.failure(member.name, error)
            member.fail(predicts=member.name in self.ensemble.weights)
            self.schedule.drop(member.name)
            return False

    def save(self, dir: Path) -> None:
        members = []
        for name, model, weight in self.ensemble.versions():
            (dir / name).mkdir()
            model.save(dir / name)
            members.append({"name": name, "model": model.name, "weight": weight})
        (dir / "auto.json").write_text(json.dumps(members))

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        auto = cls(spec)
        auto.done_training = True
        for saved in json.loads((dir / "auto.json").read_text()):
            name, model = saved["name"], model_class(saved["model"]).load(dir / saved["name"], spec)
            oof = np.empty((0, spec.output_dim))
            auto.members[name] = Member(name, model.frozen, auto.schedule, auto.folds, oof, model, ensemble_model=model)
            auto.ensemble.weights[name] = saved["weight"]
        return auto

    def export(self, dir: Path) -> list[dict[str, Any]]:
        """Graphs of all members, each in a folder of its own."""
        members = []
        for name, model, weight in self.ensemble.versions():
            (dir / name).mkdir()
            for member in model.export(dir / name):
                files = {key: f"{name}/{member[key]}" for key in ("graph", "booster", "arrays") if member.get(key)}
                weights = np.asarray(member["weight"], np.float64) * weight
                members.append({**member, **files, "name": name, "weight": weights.tolist()})
        return members
