"""Record each configuration alone, step by step, so that any order and any ensemble of them can be replayed.

    python -m automl_engine.lab.replay.record DATA OUT [--sets A,B] [--rows NAME,...] [--seeds 1] [--budget 60]

Each set is converted once.  OUT/NAME-SEED/ holds labels.npz and one file a configuration: how long each of its steps
took on the virtual clock, and what it then predicted for held-out training examples and for the test set.  What is
there already is kept.  Test labels only serve to score a replay.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automl_engine import clock
from automl_engine.auto.ensemble import Ensemble
from automl_engine.auto.member import Member
from automl_engine.auto.schedule import Schedule, affordable_count, first_count, fold_count, has_enough_examples
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.reader import open_split
from automl_engine.dataset.splits import fold_numbers, stratified_sample
from automl_engine.errors import exit_code
from automl_engine.files import atomic_write
from automl_engine.lab.bench.sets import convert, find_sets
from automl_engine.lab.meta.features import meta_features
from automl_engine.models import model_class
from automl_engine.models.base import AnytimeModel
from automl_engine.models.configuration import can_join
from automl_engine.portfolio import Row, load
from automl_engine.run.scoring import read_matrix
from automl_engine.run.supervisor import find_dataset


@dataclass(frozen=True)
class Course:
    """What one configuration did alone.  N training and M test examples, K classes, S steps."""

    refits: bool
    """Whether a step is a fold; otherwise it is a slice of training that ends with a prediction of fold 0."""
    first_s: float
    """Time to fit to the first sample."""
    first_test: np.ndarray
    """(M, K) predictions of that model."""
    steps_s: np.ndarray
    """(S,) time of each step."""
    oof: np.ndarray
    """(N, K) where a step is a fold, NaN for folds without a step; else (S, n, K) of the n examples of fold 0."""
    test: np.ndarray
    """(1, M, K) of the model of all examples, if there was time for it, or (S, M, K)."""
    refit_s: float
    test_s: float
    """Time of the first prediction of the test set, with reading it."""
    again_s: float
    """Time of one prediction more."""

    def part(self, train: np.ndarray, held_out: np.ndarray, test: np.ndarray) -> Course:
        """Of some training examples, of some of those of fold 0, and of some test examples, by their numbers."""
        oof = self.oof[train] if self.refits else self.oof[:, held_out]
        return replace(self, first_test=self.first_test[test], oof=oof, test=self.test[:, test])

    def write(self, path: Path) -> None:
        with atomic_write(path) as part, open(part, "wb") as file:
            np.savez_compressed(file, **{item.name: getattr(self, item.name) for item in fields(self)})

    @classmethod
    def read(cls, path: Path) -> Course:
        with np.load(path) as saved:
            values = {item.name: saved[item.name] for item in fields(cls)}
            scalars = {name: value.item() for name, value in values.items() if value.ndim == 0}
            return cls(**{**values, **scalars})


@dataclass(frozen=True)
class First:
    """A model fitted to the first sample."""

    fit_s: float
    test: np.ndarray
    """(M, K) what it predicts."""


class Soloist:
    """A configuration that learns alone as a member of an ensemble does."""

    def __init__(self, row: Row, train: Examples, test: Examples, folds: np.ndarray, seed: int) -> None:
        self.train, self.test, self.folds = train, test, folds
        members: dict[str, Member] = {}
        self.schedule = Schedule(members, Ensemble(members))
        params = {"seed": seed, "device": "cpu", **row.params}
        make = partial(_new_model, row.model, train, params)
        oof = np.full(train.labels.shape, np.nan, np.float32)
        self.member = members[row.name] = Member(row.name, make, self.schedule, folds, oof, make())

    def first(self, sample: np.ndarray, budget_s: float) -> First:
        """As the first model of a run."""
        self._start(budget_s)
        start_s = clock.now_s()
        self.member.fit_first(self.train, sample)
        first_s = clock.now_s() - start_s
        return First(first_s, _half(self._tested(self.member.current)[0]))

    def learn(self, first: First, budget_s: float) -> Course:
        """As one of those that follow."""
        self._start(budget_s)
        known = partial(Course, self.member.refits, first.fit_s, first.test)
        return self._folds(known) if self.member.refits else self._slices(known, budget_s)

    def _start(self, budget_s: float) -> None:
        self.schedule.start(budget_s)
        self.schedule.end_s, self.schedule.test_count = clock.now_s() + budget_s, len(self.test)

    def _folds(self, known: partial[Course]) -> Course:
        member, steps_s, test_s = self.member, list[float](), 0.0
        while len(member.unchecked_folds) and self.schedule.remaining_s() > (steps_s[-1] if steps_s else 0.0):
            start_s = clock.now_s()
            member.check_folds(self.train, 0.0)
            steps_s.append(clock.now_s() - start_s)
        start_s = clock.now_s()
        self.schedule.end_s = np.inf  # one without time for it is refit too: the replay knows what it costs
        member.refit(self.train)
        refit_s, test = clock.now_s() - start_s, np.empty((0, *self.test.labels.shape))
        again_s = 0.0
        if member.full_model:
            prediction, test_s = self._tested(member.full_model)
            _, again_s = self._tested(member.full_model)
            test = prediction[None]
        return known(np.array(steps_s), _half(member.oof), _half(test), refit_s, test_s, again_s)

    def _slices(self, known: partial[Course], budget_s: float) -> Course:
        member, end_s, steps_s, tests_s = self.member, clock.now_s() + budget_s, list[float](), list[float]()
        oof, tests = list[np.ndarray](), list[np.ndarray]()
        while clock.now_s() < end_s and not member.current.done_training:
            start_s = clock.now_s()
            member.slice(self.train)
            steps_s.append(clock.now_s() - start_s)
            oof.append(member.oof[self.folds == 0])
            paused_s = clock.now_s()
            prediction, test_s = self._tested(member.current)
            tests_s.append(test_s)
            end_s += clock.now_s() - paused_s
            self.schedule.end_s = end_s
            tests.append(prediction)
        return known(
            np.array(steps_s), _half(np.array(oof)), _half(np.array(tests)), 0.0, test_s=tests_s[0], again_s=tests_s[-1]
        )

    def _tested(self, model: AnytimeModel) -> tuple[np.ndarray, float]:
        """The predictions of the test set, and their time; random numbers of the training stay as they were."""
        start_s = clock.now_s()
        with torch.random.fork_rng():
            prediction = model.test(self.test, 600.0)
        assert prediction is not None
        return np.asarray(prediction), clock.now_s() - start_s


def _new_model(name: str, train: Examples, params: dict[str, object], version: int = 0) -> AnytimeModel:
    return model_class(name)(train.spec, **params)


def _half(predictions: np.ndarray) -> np.ndarray:
    return predictions.astype(np.float16)


@contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """One thread, the virtual clock, known random numbers."""
    with clock.using(clock.Virtual(clock.Costs.read())):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        np.random.seed(seed)
        yield


def wanted(rows: Sequence[Row], modality: str, count: int) -> list[Row]:
    """Those that ``auto`` would try on so many training examples."""
    here = [row for row in rows if row.modality == modality]
    return [row for row in here if has_enough_examples({"model": row.model, "params": row.params}, count)]


def record(data: Path, modality: str, rows: Sequence[Row], folder: Path, seed: int, budget_s: float) -> None:
    """The courses of those configurations that are not in ``folder`` yet; they share the features that they read."""
    data_dir, solution = find_dataset(data)
    train, test = _open(data_dir)
    folds = fold_numbers(train.labels, fold_count(len(train), affordable_count(train, modality)), seed)
    sample = stratified_sample(train.labels, first_count(train, modality), seed)
    folder.mkdir(parents=True, exist_ok=True)
    about: dict[str, Any] = {
        "modality": modality,
        "labels": train.labels.astype(np.int8),
        "folds": folds,
        "sample": sample,
    }
    with atomic_write(folder / "labels.npz") as part, open(part, "wb") as file:
        about |= {"test_labels": read_matrix(solution).astype(np.int8), "budget_s": budget_s}
        np.savez_compressed(file, **about, features=list(meta_features(train, modality, seed).values()))
    for row in wanted(rows, modality, len(train)):
        path, begun = folder / f"{row.name}.npz", time.monotonic()
        if path.exists() or not can_join(row.model, row.params):
            continue
        try:
            with repeatable(seed):
                first = Soloist(row, *_open(data_dir), folds, seed).first(sample, budget_s)  # no features are known yet
                Soloist(row, train, test, folds, seed).learn(first, budget_s).write(path)
        except Exception:  # a model's failure is a result; the others go on
            path.with_suffix(".error").write_text(traceback.format_exc())
        print(f"{folder.name} {row.name} {time.monotonic() - begun:.0f} s", flush=True)


def _open(data_dir: Path) -> tuple[Examples, Examples]:
    return open_split(data_dir, "train"), open_split(data_dir, "test")


def main(arguments: list[str] | None = None) -> int:
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m automl_engine.lab.replay.record", description=about)
    parser.add_argument("data", type=Path, metavar="DATA", help="holds zips and AutoDL data sets")
    parser.add_argument("out", type=Path, metavar="OUT", help="what is there already is kept")
    listed: dict[str, Any] = {"type": lambda text: text.split(","), "default": [], "metavar": "A,B"}
    parser.add_argument("--sets", **listed, help="these alone, in this order")
    parser.add_argument("--rows", **listed, help="these configurations, also those that are off (all that are on)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N - 1 (1)")
    parser.add_argument("--budget", type=float, default=60.0, metavar="S", help="of each configuration (60)")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _record_all(options))


def _record_all(options: argparse.Namespace) -> int:
    sources = find_sets(options.data, options.out, options.sets)
    rows = [row for row in load() if (row.name in options.rows if options.rows else row.enabled)]
    for seed in range(options.seeds):
        for name in options.sets or sources:
            data = options.out / "sets" / name
            modality = convert(sources[name], data)
            record(data, modality, rows, options.out / f"{name}-{seed}", seed, options.budget)
    return 0


if __name__ == "__main__":
    sys.exit(main())
