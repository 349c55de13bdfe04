"""Record what every member of ``auto`` predicts, state by state, so that rules for the weights can be replayed.

    python -m automl_engine.lab.ensembles.record DATA OUT [--sets A,B] [--seeds 1]

Each set is converted and ``auto`` runs on it on the virtual clock; OUT/NAME-SEED.npz holds the states of all members,
also of those without weight.  What is there already is used again.  Test labels only serve to score a replay.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from automl_engine import clock
from automl_engine.auto.loop import AutoModel
from automl_engine.auto.member import Member
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.reader import open_split
from automl_engine.errors import exit_code
from automl_engine.files import atomic_write
from automl_engine.lab.bench.sets import convert, find_sets
from automl_engine.models.base import AnytimeModel
from automl_engine.portfolio import load
from automl_engine.run.scoring import read_matrix
from automl_engine.run.supervisor import find_dataset

FIRST, CHECKED, STATE, VERSION, WRITTEN = range(5)
"""Kinds of an entry: the first model, its validation, a state of a member, a bagged version, a prediction of `auto`."""
LIMIT_S = 60.0
"""Time for a model that is only fitted to be recorded."""


@dataclass(frozen=True)
class Entry:
    """One change."""

    t: float
    """Seconds on the clock of the run."""
    kind: int
    member: int
    """Its place in ``Record.names``."""
    refits: bool
    oof: np.ndarray
    """(N, K) predictions of training examples; NaN where there are none."""
    test: np.ndarray
    """(M, K) predictions of the test set."""


@dataclass(frozen=True)
class Record:
    """One run."""

    name: str
    modality: str
    budget_s: float
    labels: np.ndarray
    test_labels: np.ndarray
    names: list[str]
    entries: list[Entry]

    def write(self, path: Path) -> None:
        arrays: dict[str, Any] = {
            key: getattr(self, key) for key in ("name", "modality", "budget_s", "labels", "test_labels", "names")
        }
        for key in ("t", "kind", "member", "refits"):
            arrays[key] = np.array([getattr(entry, key) for entry in self.entries])
        for key in ("oof", "test"):
            arrays[key] = np.stack([getattr(entry, key) for entry in self.entries]).astype(np.float32)
        with atomic_write(path) as part, open(part, "wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def read(cls, path: Path) -> Record:
        with np.load(path) as saved:
            columns = [saved[key] for key in ("t", "kind", "member", "refits", "oof", "test")]
            entries = [
                Entry(float(t), int(kind), int(m), bool(r), oof, test)
                for t, kind, m, r, oof, test in zip(*columns, strict=True)
            ]
            return cls(
                str(saved["name"]),
                str(saved["modality"]),
                float(saved["budget_s"]),
                saved["labels"],
                saved["test_labels"],
                saved["names"].tolist(),
                entries,
            )


class RecordingAuto(AutoModel):
    """``auto``, which also notes what its members predict; noting takes no time on the clock."""

    def __init__(self, *args: Any, test_split: Examples, **params: Any) -> None:
        super().__init__(*args, **params)
        self.test_split, self.entries, self.names = test_split, list[Entry](), list[str]()
        self._tests: dict[str, np.ndarray] = {}  # of members that are refit on all examples

    def run(self, train: Examples, budget_s: float) -> None:
        """Train and predict by turns, as the engine does, without files."""
        end_s = clock.now_s() + budget_s
        while not self.done_training and clock.now_s() < end_s:
            self.train(train, end_s - clock.now_s())
            prediction = self.test(self.test_split, end_s - clock.now_s())
            if prediction is not None:
                member = next(iter(self.ensemble.weights))
                self.note(WRITTEN, self.members[member], np.full(train.labels.shape, np.nan), prediction)

    def note(self, kind: int, member: Member, oof: np.ndarray, test: np.ndarray) -> None:
        if member.name not in self.names:
            self.names.append(member.name)
        place, refits = self.names.index(member.name), member.refits
        self.entries.append(Entry(self.schedule.elapsed_s(), kind, place, refits, oof.copy(), test))

    def _fit_first_model(self, split: Examples, affordable: int) -> None:
        super()._fit_first_model(split, affordable)
        ((name, _),) = self.ensemble.weights.items()
        member = self.members[name]
        assert member.ensemble_model is not None
        test = self._predicted(member.ensemble_model)
        if member.full_model:
            self._tests[name] = test
        self.note(FIRST, member, member.oof, test)

    def _check_first_model(self, split: Examples, member: Member, sample: np.ndarray) -> None:
        super()._check_first_model(split, member, sample)
        if member.ensemble_oof is not None:
            self.note(CHECKED, member, member.ensemble_oof, self.entries[0].test)

    def _consider(self, member: Member, split: Examples) -> None:
        super()._consider(member, split)
        name = member.name
        if not member.refits:
            test = self._predicted(member.current)
        else:
            if name not in self._tests:  # also one without weight is refit, off the clock
                self._tests[name] = self._predicted(member.full_model or self._refit(name, split))
            test = self._tests[name]
        self.note(STATE, member, member.oof, test)

    def _add_version(self, member: Member, split: Examples) -> None:
        known, versions = member.oof.copy(), len(member.bagged)
        super()._add_version(member, split)
        if len(member.bagged) > versions:
            oof = np.where(np.isnan(known), member.oof, np.nan)
            self.note(VERSION, member, oof, self._predicted(member.bagged[-1]))

    def _refit(self, name: str, split: Examples) -> AnytimeModel:
        with unseen():
            model, end_s = self._new_model(name), time.monotonic() + LIMIT_S
            while not model.done_training and time.monotonic() < end_s:
                model.train(split, end_s - time.monotonic())
        return model

    def _predicted(self, model: AnytimeModel) -> np.ndarray:
        with unseen():
            prediction = model.test(self.test_split, LIMIT_S)
        assert prediction is not None
        return np.asarray(prediction)


@contextmanager
def unseen() -> Iterator[None]:
    """Neither the clock nor the random numbers of the run notice what is done in this block."""
    with clock.using(clock.Wall()), torch.random.fork_rng():
        yield


def record(folder: Path, modality: str, budget_s: float, seed: int) -> Record:
    """Run ``auto`` on a converted set."""
    data, solution = find_dataset(folder)
    train, test = open_split(data, "train"), open_split(data, "test")
    with clock.using(clock.Virtual(clock.Costs.read())):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        np.random.seed(seed)
        auto = RecordingAuto(train.spec, rows=[asdict(row) for row in load()], test_split=test, seed=seed, device="cpu")
        auto.run(train, budget_s)
    labels = read_matrix(solution)
    return Record(folder.name, modality, budget_s, train.labels, labels, auto.names, auto.entries)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m automl_engine.lab.ensembles.record", description=__doc__.splitlines()[0]
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="holds zips and AutoDL data sets")
    parser.add_argument("out", type=Path, metavar="OUT", help="what is there already is used again")
    parser.add_argument(
        "--sets", type=lambda text: text.split(","), default=[], metavar="A,B", help="these alone, in this order"
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N - 1 (1)")
    parser.add_argument("--budget", type=float, default=60.0, metavar="S", help="of each run (60)")
    options = parser.parse_args(arguments)
    return exit_code(lambda: _record_all(options))


def _record_all(options: argparse.Namespace) -> int:
    sources = find_sets(options.data, options.out, options.sets)
    for seed in range(options.seeds):
        for name in options.sets or sources:
            path, begun = options.out / f"{name}-{seed}.npz", time.monotonic()
            if not path.exists():
                folder = options.out / "sets" / name
                modality = convert(sources[name], folder)
                record(folder, modality, options.budget, seed).write(path)
                print(f"{path.name} after {time.monotonic() - begun:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
