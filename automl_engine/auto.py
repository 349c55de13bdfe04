"""The AutoML model: climbs a ladder of portfolio rows, blends what helps, and is itself an AnytimeModel.

The first row learns from a small sample and predicts at once.  Then every row in its order learns from the examples
outside fold 0 and is checked on fold 0 (quick rows on every fold); the blend changes only where that raises its
quality on examples that its members have not seen.  ``train`` returns when a better prediction is due, at growing
intervals, and keeps enough time back for the prediction itself.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from automl_engine import clock
from automl_engine.blend import clearly_worse, holds_up, mix, reweighed, validation_nauc
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.modality import modality
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.splits import fold_numbers, stratified_sample
from automl_engine.errors import DataError
from automl_engine.metalearning import tables
from automl_engine.metalearning.choice import Knowledge
from automl_engine.metalearning.features import meta_features
from automl_engine.models import model_class
from automl_engine.models.base import AnytimeModel, is_multi_label
from automl_engine.rung import Rung

FIRST_SAMPLE = {"image": 1000, "video": 60, "audio": 400, "text": 1500, "tabular": 4000, "timeseries": 400}
"""Examples behind the first prediction, at most."""
FIRST_BYTES = 40e6
"""And what they may hold: large photographs take their time to decode."""
TINY, TINIEST = 100, 30
"""With fewer examples only quick rows run: too little is left to check a network on.  One that begins with weights
predicts well from the start, and runs down to the lesser number."""
FOLDS, MOST_FOLDS = 5, 50
FOLD_EXAMPLES = 100, 2000
"""Where there are enough, a fold takes four times as long to read as the first sample, within these bounds."""
PERFECT = 0.9999
SPACING = 0.08
"""A better blend is written once this share of the time since the start has passed since the last prediction."""
PATIENCE_S = 60.0
SETTLED_S, SETTLED_SHARE = 20.0, 0.33
"""A network that has not gained for so long, nor for this share of the time since the start, leaves the rest of the
time to versions of it that learn without another fold: together they have seen all examples, and their mean is better
than any of them (Breiman, "Bagging predictors", 1996)."""
MOST_VERSIONS = 5
LEAST_VERSION_S = 30.0
"""A version learns as long as the first took to its best state, and no less."""


class AutoModel(AnytimeModel):
    """Params: ``rows`` (as in the portfolio, in order), ``knowledge`` (folder of tables), ``seed``, ``device``."""

    name = "auto"

    def __init__(self, spec: Spec, rows: Sequence[Mapping[str, Any]] = (), **params: Any) -> None:
        super().__init__(spec, rows=list(rows), **params)
        domains = ("audio", "timeseries") if spec.domain == "series" else (spec.domain,)
        rows = [row for row in rows if row["modality"] in domains and row.get("enabled", True)]
        self.rows = [row for row in rows if model_class(row["model"]).available(row.get("params", {}))]
        self._broken: dict[str, Exception] = {}
        for row in self.rows:  # imports, weights and tables are not on the clock
            try:
                self._new_model(row["name"])
            except Exception as error:  # told once there is a journal
                self._broken[row["name"]] = error
        self.rows = [row for row in self.rows if row["name"] not in self._broken]
        names, folder = [row["name"] for row in self.rows], Path(self.params.get("knowledge", tables.HERE))
        self._knowledge = {kind: Knowledge(kind, names, folder) for kind in {row["modality"] for row in self.rows}}
        self.described: dict[str, Any] | None = None  # for whoever lets the run teach the meta-learner
        self.rungs: dict[str, Rung] = {}
        self.weights: dict[str, float] = {}
        self.made_by, self.why = self.name, ""
        self._start: float | None = None
        self._first_look: tuple[Rung, np.ndarray] | None = None
        self._written, self._written_blend, self._test_count, self._said = 0, self._blend(), 0, ""
        self._noted: set[str] = set()

    # The ladder

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        """Return when a better prediction is due, or when nothing more can be gained."""
        self._end = clock.now_s() + remaining_time_budget
        if self._start is None:
            return self._begin(split, remaining_time_budget)
        while not self.done_training:
            reason = self._nothing_left()
            if reason:
                self.done_training = True
                self.emit("note", text=f"Training is over: {reason}.")
            else:
                self._advance(split)
                if self._prediction_is_due() or (not self._queue and self._has_news()):  # long steps follow
                    break
        return None

    def _begin(self, split: Examples, budget_s: float) -> None:
        """Look at the data, and fit the first row that works to a small sample."""
        self._start, self.budget_s = clock.now_s(), budget_s
        for name, error in self._broken.items():
            self._failed(name, error)
        kind, kind_reason = modality(split)
        self.rows = [row for row in self.rows if row["modality"] == kind]
        self._modality = kind
        if not self.rows:
            raise DataError(f"No portfolio row for {kind} data is enabled; enable one or choose a model.")
        self.labels, self.multi_label = split.labels, is_multi_label(split.labels)
        self.emit("note", text=f"This is {kind} data: {kind_reason}.")
        affordable = _affordable(split)
        fold_count = np.clip(-(-len(split) // np.clip(4 * affordable, *FOLD_EXAMPLES)), FOLDS, MOST_FOLDS)
        self.folds = fold_numbers(self.labels, int(fold_count), self._seed)
        enough = [row for row in self.rows if len(split) >= _least_examples(row)]
        self._queue = enough or list(self.rows)
        if len(self._queue) < len(self.rows):
            left_out = ", ".join(row["name"] for row in self.rows if row not in self._queue)
            self.emit("note", text=f"{len(split)} examples are too few to check {left_out} on; the others run.")
        sample = stratified_sample(self.labels, min(FIRST_SAMPLE[kind], affordable), self._seed)
        while self._queue and not self.weights:
            rung = self._open(self._queue[0])
            if self._guarded(rung, lambda rung=rung: self._fit(rung.live, split.subset(sample))):
                rung.adopted, self.weights = rung.live, {rung.name: 1.0}
                rung.whole = rung.live if len(sample) == len(split) and type(rung.live).quick else None
                rung.live = self._new_model(rung.name)  # the first has seen what is to be checked on
                self._first_look = rung, sample
                self._explain(f"first look: {rung.name} on {len(sample)} of {len(split)} training examples")
        if not self.weights:
            raise RuntimeError("every row of the portfolio failed; the journal tells how")

    def _advance(self, split: Examples) -> None:
        """One step of the present row: a quick one as a whole, a network by a slice; at last the folds left out."""
        if self._first_look:
            self._check_first_look(split, *self._first_look)
            with clock.work(f"choose among {self._modality} rows"):
                self._choose(split)
        if not self._queue:
            self._check_more(split)
            return
        rung = self.rungs.get(self._queue[0]["name"]) or self._open(self._queue[0])
        limit_s = max(1.0, min(0.25 * self._elapsed_s(), 0.05 * self._remaining_s()))
        quick = type(rung.live).quick
        worked = self._guarded(
            rung, lambda: self._check_folds(rung, split, limit_s) if quick else self._slice(rung, split)
        )
        if worked:
            self._judge(rung, split)
        if not worked or quick or rung.live.done_training or self._has_stalled(rung):
            self._queue = [row for row in self._queue if row["name"] != rung.name]
            if not quick and worked:
                rung.live = rung.live.frozen()  # without its images

    def _check_more(self, split: Examples) -> None:
        """At last the folds left out: all of a quick row, or the next of a network."""
        rung = self._half_checked()[0]
        if not type(rung.live).quick:
            if not self._guarded(rung, lambda: self._learn_again(rung, split)):
                rung.spare_folds.clear()  # it would fail again
        elif self._guarded(rung, lambda: self._check_folds(rung, split, self._remaining_s())):
            self._judge(rung, split)

    def _judge(self, rung: Rung, split: Examples) -> None:
        with clock.work("consider", scores=self.labels.size):
            better = self._consider(rung)
        if better and type(rung.live).quick:
            self._guarded(rung, lambda: self._refit(rung, split))

    def _choose(self, split: Examples) -> None:
        """After the first look: of several networks, those that did best on data like these come first.

        Quick rows keep the portfolio's order, cheap ones first: what each reached alone does not tell in which order
        they do best together (docs/results/order_of_configurations.csv).
        """
        features = meta_features(split, self._modality, self._seed)
        self.described = {"modality": self._modality, "features": features}
        networks = [row["name"] for row in self._queue if not model_class(row["model"]).quick]
        among = networks if len(networks) > 1 else [row["name"] for row in self._queue]
        choice = self._knowledge[self._modality].choose(features, among, self.budget_s)
        if choice is None:
            return
        about = {"row": choice.order[0], "by": choice.by, "resembles": choice.resembles}
        if among is not networks:
            self.emit("note", text=f"Known data: {choice.reason}.", **about)
            return
        place = {name: i for i, name in enumerate(choice.order)}

        def turn(row: Mapping[str, Any]) -> tuple[bool, bool, int]:
            name = row["name"]
            return name in networks, name not in self.rungs, place.get(name, len(place)) if name in networks else 0

        self._queue.sort(key=turn)
        self.emit("chosen", reason=choice.reason, **about)

    def _check_first_look(self, split: Examples, rung: Rung, sample: np.ndarray) -> None:
        """The first look is asked about the examples of fold 0 that it has not seen, where these are most of them."""
        self._first_look = None
        fold = np.flatnonzero(self.folds == 0)
        unseen = np.setdiff1d(fold, sample)
        if 2 * len(unseen) > len(fold) and rung.adopted is not None:
            first = Rung(rung.name, rung.adopted, rung.checked.copy())
            if self._guarded(first, lambda: self._check(first, first.live, split, unseen)):
                rung.adopted_checked = first.checked

    def _slice(self, rung: Rung, split: Examples) -> None:
        """A network learns on for some seconds and is checked on fold 0."""
        rung.live.train(split.subset(np.flatnonzero(self.folds != 0)), self._remaining_s())
        self._check(rung, rung.live, split, np.flatnonzero(self.folds == 0))

    def _check_folds(self, rung: Rung, split: Examples, limit_s: float) -> None:
        """A quick row is fitted without a fold and asked about it; then the next, if all take at most ``limit_s``."""
        folds = self._unchecked_folds(rung)
        for done, fold in enumerate(folds, 1):
            start, model = clock.now_s(), self._new_model(rung.name)
            self._fit(model, split.subset(np.flatnonzero(self.folds != fold)))
            rung.fit_s = clock.now_s() - start
            self._check(rung, model, split, np.flatnonzero(self.folds == fold))
            if (clock.now_s() - start) * (len(folds) - done) > limit_s:
                break
        rung.live = model

    def _unchecked_folds(self, rung: Rung) -> np.ndarray:
        return np.unique(self.folds[np.isnan(rung.checked).any(1)])

    def _half_checked(self) -> list[Rung]:
        """Rungs that were checked on some folds only, where there is time for more."""
        blended = [self.rungs[name] for name in self.weights]
        networks = [rung for rung in blended if not type(rung.live).quick]
        if networks:  # they are checked on fold 0: how quick rows do on others tells nothing
            return [rung for rung in networks if self._can_learn_again(rung)]
        begun = [rung for rung in self.rungs.values() if not np.isnan(rung.checked).all()]
        return [rung for rung in begun if 0 < 2 * rung.fit_s * len(self._unchecked_folds(rung)) < self._remaining_s()]

    def _can_learn_again(self, rung: Rung) -> bool:
        is_checked = bool(rung.spare_folds) and rung.adopted_checked is not None
        return is_checked and 0.7 * self._learning_s(rung) < self._remaining_s() - 2 * rung.test_s

    def _learning_s(self, rung: Rung) -> float:
        """What it took the network to become as good as it is."""
        return max(LEAST_VERSION_S, rung.gained_at - rung.opened_at)

    def _learn_again(self, rung: Rung, split: Examples) -> None:
        """A network like it learns without another fold, for as long as the first did; from now on both predict."""
        assert rung.adopted_checked is not None
        fold, model, number = rung.spare_folds.pop(0), self._new_model(rung.name), len(rung.versions) + 1
        members = split.subset(np.flatnonzero(self.folds != fold))
        end = clock.now_s() + min(self._learning_s(rung), self._remaining_s() - 2 * rung.test_s)
        while not model.done_training and clock.now_s() < end:
            model.train(members, end - clock.now_s())
            self._emit_progress(rung, f"version {number} on other examples: {self._said or rung.name}")
        held_out, first = self.folds == fold, ~np.isnan(rung.adopted_checked).any(1)
        self._check(rung, model, split, np.flatnonzero(held_out))
        one = self.labels[held_out], rung.checked[held_out]
        if clearly_worse(one, (self.labels[first], rung.adopted_checked[first])):
            self.emit("note", text=f"Version {number} of {rung.name} learned less and is left out.")
        else:
            rung.others.append(model.frozen())

    def _check(self, rung: Rung, model: AnytimeModel, split: Examples, members: np.ndarray) -> None:
        start = clock.now_s()
        prediction = model.test(split.subset(members), self._remaining_s())
        if prediction is None or not np.isfinite(prediction).all():
            raise ValueError(f"{rung.name} predicted {'nothing' if prediction is None else 'NaN or infinity'}")
        rung.checked[members] = prediction
        share = max(1.0, self._test_count / len(members))
        rung.test_s = max(rung.test_s, share * (clock.now_s() - start))
        if rung.name not in self.weights and rung.test_s > max(0.1 * self.budget_s, self._end - clock.now_s()):
            raise TimeoutError(f"to predict the test set would take {rung.test_s:.0f} s, more than there is left")

    def _refit(self, rung: Rung, split: Examples) -> None:
        """The version for the test set learns from all training examples, if there is time."""
        if rung.whole is None and 1.5 * rung.fit_s < self._remaining_s():
            model = self._new_model(rung.name)
            self._fit(model, split)
            rung.whole = model
        rung.adopted = rung.whole or rung.adopted

    def _fit(self, model: AnytimeModel, split: Examples) -> None:
        """A quick row to its end; a network (it is the first look) for a slice."""
        model.train(split, max(1.0, self._remaining_s()))
        while type(model).quick and not model.done_training and self._remaining_s() > 0:
            model.train(split, self._remaining_s())

    # The blend

    def _consider(self, rung: Rung) -> bool:
        """Adopt what the rung has learned if that improves the blend on unseen examples; tell how it stands."""
        first_known = False
        if type(rung.live).quick and rung.adopted is not None and rung.adopted is rung.whole:
            first_known = rung.adopted_checked is None
            rung.adopted_checked = rung.checked.copy()  # it is what it was, and now known on more folds
        known = self._known()
        seen = np.logical_and.reduce([~np.isnan(checked).any(1) for checked in (rung.checked, *known.values())])
        if not seen.any():
            return False
        labels, newcomer = self.labels[seen], {rung.name: rung.checked[seen]}
        known = {name: checked[seen] for name, checked in known.items()}
        weights = reweighed(labels, known, self.weights, newcomer, self.multi_label)
        if weights:
            self.weights = weights
            rung.adopted, rung.adopted_checked = rung.live.frozen(), rung.checked.copy()
            rung.gained_at = clock.now_s()
        elif (
            rung.name in known
            and not type(rung.live).quick
            and holds_up(labels, known, self.weights, newcomer, self.multi_label)
        ):
            rung.adopted = rung.live.frozen()
        self._tell(rung, seen, bool(weights) or first_known)
        return bool(weights)

    def _known(self) -> dict[str, np.ndarray]:
        """What the blend's rows were checked to be; the first look is never checked."""
        checked = {name: self.rungs[name].adopted_checked for name in self.weights}
        return {name: c for name, c in checked.items() if c is not None}

    def _tell(self, rung: Rung, seen: np.ndarray, better: bool) -> None:
        known = {name: checked[seen] for name, checked in self._known().items()}
        blend = mix(known, self.weights) if known else rung.checked[seen]
        alone = validation_nauc(self.labels[seen], rung.checked[seen])
        self.validation = validation_nauc(self.labels[seen], blend)
        text = f"{self._said or rung.name}: validation {alone:.3f}"
        if len(self.weights) > 1:
            text += f", blend {self.validation:.3f}"
        self._emit_progress(rung, text)
        if better:
            self._explain(f"validation NAUC {self.validation:.3f} on {seen.sum()} unseen training examples")

    def _emit_progress(self, rung: Rung, text: str) -> None:
        fraction = min(1.0, self._elapsed_s() / self.budget_s)
        self.emit("progress", by=rung.name, text=text, fraction=round(fraction, 3))

    def _explain(self, why: str) -> None:
        shares = sorted(self.weights.items(), key=lambda item: -item[1])
        self.made_by = " + ".join(name for name, _ in shares)
        self.why = why if len(shares) == 1 else why + "; " + ", ".join(f"{name} {w:.0%}" for name, w in shares)

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray | None:
        """The blend's (N, K); None when training is over and all is said."""
        if self.done_training and not self._has_news() and self._written > 1:
            return None
        self._test_count = len(split)
        for name in list(self.weights):
            rung = self.rungs[name]
            predicts = self._guarded(rung, lambda rung=rung: rung.predict(split, remaining_time_budget))
            if not predicts and rung.others:
                rung.others.clear()
                predicts = self._guarded(rung, lambda rung=rung: rung.predict(split, remaining_time_budget))
            if not predicts:
                rung.checked[:] = np.nan
                del self.weights[name]
        if not self.weights:
            raise RuntimeError("no row of the portfolio can predict; the journal tells why")
        self._written, self._written_blend, self._written_at = self._written + 1, self._blend(), clock.now_s()
        return mix(
            {name: self.rungs[name].predict(split, remaining_time_budget) for name in self.weights}, self.weights
        )

    # The clock

    def _elapsed_s(self) -> float:
        return 0.0 if self._start is None else clock.now_s() - self._start

    def _remaining_s(self) -> float:
        """Until training must end, so that the last prediction is written in time."""
        tests_s = sum(max(rung.test_s, rung.next_test_s) for rung in self.rungs.values())
        reserve_s = 0.5 + 0.01 * self.budget_s + 1.5 * tests_s
        return self._end - clock.now_s() - reserve_s

    def _nothing_left(self) -> str:
        """Why training is over, or an empty string."""
        if self._remaining_s() < 0.02 * self.budget_s:
            return "the time budget is used"
        if not self._queue and not self._half_checked():
            return "every model of the ladder has learned what it can"
        return ""

    def _prediction_is_due(self) -> bool:
        cost_s = sum(self.rungs[name].next_test_s for name in self.weights)
        pause_s = max(SPACING * self._elapsed_s(), 2 * cost_s)
        return self._has_news() and clock.now_s() - self._written_at >= pause_s

    def _has_news(self) -> bool:
        """Whether the next prediction would differ from the last."""
        return self._blend() != self._written_blend

    def _blend(self) -> tuple[tuple[tuple[AnytimeModel, ...], float], ...]:
        return tuple((self.rungs[name].versions, weight) for name, weight in self.weights.items())

    def _has_stalled(self, rung: Rung) -> bool:
        """Without a gain for long; for less long where the ranking of unseen examples is perfect already, or where
        there is something better to do with the time."""
        idle_s, elapsed_s = clock.now_s() - rung.gained_at, self._elapsed_s()
        patience_s = PATIENCE_S if self.validation < PERFECT else PATIENCE_S / 4
        settled = rung.name in self.weights and idle_s > max(SETTLED_S, SETTLED_SHARE * elapsed_s)
        return idle_s > max(patience_s, 0.5 * elapsed_s) or (settled and self._can_learn_again(rung))

    # Rungs

    @property
    def _seed(self) -> int:
        return int(self.params.get("seed", 0))

    def _open(self, row: Mapping[str, Any]) -> Rung:
        self.emit("chosen", row=row["name"], reason=row.get("origin", ""))
        rung = Rung(row["name"], self._new_model(row["name"]), np.full(self.labels.shape, np.nan, np.float32))
        rung.opened_at = rung.gained_at = clock.now_s()
        rung.spare_folds = list(range(1, int(self.folds.max()) + 1))[: MOST_VERSIONS - 1]
        self.rungs[rung.name] = rung
        return rung

    def _new_model(self, name: str) -> AnytimeModel:
        row = next(row for row in self.rows if row["name"] == name)
        shared = {key: self.params[key] for key in ("seed", "device") if key in self.params}
        model = model_class(row["model"])(self.spec, **{**shared, **row.get("params", {})})
        model.emit, self._said = self._relay, ""
        return model

    def _relay(self, kind: str, **fields: Any) -> None:
        """A rung's progress is told together with how it does on unseen examples, and its notes once, not by fold."""
        if kind == "progress":
            self._said = fields["text"]
        elif kind != "note" or fields["text"] not in self._noted:
            self._noted.add(fields.get("text", ""))
            self.emit(kind, **fields)

    def _guarded(self, rung: Rung, work: Callable[[], Any]) -> bool:
        """Whether the work was done; a row that raises is told and leaves the ladder, the others go on."""
        try:
            work()
            return True
        except DataError:
            raise  # the user's to fix, and no row can do without the data
        except Exception as error:
            self._failed(rung.name, error)
            rung.checked[:] = np.nan
            if rung.name not in self.weights:  # else what it is in the blend goes on predicting
                rung.test_s = 0.0
            self._queue = [row for row in self._queue if row["name"] != rung.name]
            return False

    def _failed(self, name: str, error: Exception) -> None:
        text, trace = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
        self.emit("failed", what=name, error=text, traceback=trace, fatal=False)

    # Files

    def save(self, dir: Path) -> None:
        members = []
        for name, model, weight in self._versions():
            (dir / name).mkdir()
            model.save(dir / name)
            members.append({"name": name, "model": model.name, "weight": weight})
        (dir / "auto.json").write_text(json.dumps(members))

    @classmethod
    def load(cls, dir: Path, spec: Spec) -> Self:
        auto = cls(spec)
        auto.done_training = True
        for member in json.loads((dir / "auto.json").read_text()):
            name, model = member["name"], model_class(member["model"]).load(dir / member["name"], spec)
            auto.rungs[name] = Rung(name, model, np.empty((0, spec.output_dim)), adopted=model)
            auto.weights[name] = member["weight"]
        return auto

    def export(self, dir: Path) -> list[dict[str, Any]]:
        """Members of all rows, each in a folder of its own."""
        members = []
        for name, model, weight in self._versions():
            (dir / name).mkdir()
            for member in model.export(dir / name):
                files = {key: f"{name}/{member[key]}" for key in ("graph", "booster", "arrays") if member.get(key)}
                share = np.asarray(member["weight"], np.float64) * weight
                members.append({**member, **files, "name": name, "weight": share.tolist()})
        return members

    def _versions(self) -> Iterator[tuple[str, AnytimeModel, float]]:
        """(name, model, weight) of all that predicts; versions of one row share its weight."""
        for name, weight in self.weights.items():
            versions = self.rungs[name].versions
            for number, model in enumerate(versions, 1):
                yield name if number == 1 else f"{name}.{number}", model, weight / len(versions)


def _least_examples(row: Mapping[str, Any]) -> int:
    """That are worth running the row on."""
    if model_class(row["model"]).quick:
        return 0
    return TINIEST if "weights" in row.get("params", {}) else TINY


def _affordable(split: Examples, probes: int = 8) -> int:
    """How many examples hold FIRST_BYTES, judged by a few of them; two at least."""
    some = [split.steps(int(i)) for i in np.linspace(0, len(split) - 1, min(len(split), probes))]
    size_bytes = [steps.nbytes if isinstance(steps, np.ndarray) else sum(map(len, steps)) for steps in some]
    return max(2, int(FIRST_BYTES / max(1.0, float(np.mean(size_bytes)))))
