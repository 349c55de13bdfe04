"""Replay recorded runs of ``auto`` with other rules for the weights.

    python -m automl_engine.lab.ensembles.replay OUT [--csv FILE]

A rule weighs all members anew at each change of a record (record.py); "engine" is the rule of ``auto``.  The order of
the work stays as it was recorded.  Rules are chosen on one half of the sets and confirmed on the other.
"""

from __future__ import annotations

import argparse
import csv
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from automl_engine.auto.ensemble import LEAST_WEIGHT, holds_up, mix, reweighed, validation_nauc
from automl_engine.files import atomic_write
from automl_engine.lab.ensembles.record import CHECKED, FIRST, STATE, VERSION, WRITTEN, Entry, Record
from automl_engine.lab.ensembles.rules import RULES, Rule
from automl_engine.models.base import is_multi_label
from automl_engine.run.curve import alc

FALL = 0.01
"""Distance of the final NAUC from the best of the curve that counts as a fall."""
MORE = 1.5
"""Members with so many times the examples of all are weighed among themselves first."""


@dataclass(frozen=True)
class Outcome:
    """A curve of test NAUCs."""

    alc: float
    nauc: float
    fall: float


class Replay(ABC):
    """The members of a record as they change."""

    def __init__(self, record: Record) -> None:
        self.record, self.multi_label = record, is_multi_label(record.labels)
        self.oof: dict[str, np.ndarray] = {}
        self.test: dict[str, list[np.ndarray]] = {}
        """Of each member, the predictions of its present state and of bagged versions."""
        self.weights: dict[str, float] = {}

    def run(self) -> Outcome:
        times, scores = [], []
        for entry in self.record.entries:
            if entry.kind != WRITTEN and entry.t <= self.record.budget_s:
                self.change(self.record.names[entry.member], entry)
                times.append(entry.t)
                scores.append(validation_nauc(self.record.test_labels, self.predict()))
        return Outcome(alc(times, scores, self.record.budget_s), scores[-1], max(scores) - scores[-1])

    def change(self, name: str, entry: Entry) -> None:
        if entry.kind == FIRST:
            self.test[name], self.weights = [entry.test], {name: 1.0}
        elif entry.kind == CHECKED:
            self.oof[name] = entry.oof
        elif entry.kind == VERSION:
            self.test[name].append(entry.test)
        elif entry.kind == STATE:
            self.state(name, entry)

    def predict(self) -> np.ndarray:
        return mix({name: np.mean(self.test[name], 0) for name in self.weights}, self.weights)

    @abstractmethod
    def state(self, name: str, entry: Entry) -> None:
        """A member has learned more."""

    def seen(self, *oof: np.ndarray) -> np.ndarray:
        return np.logical_and.reduce([~np.isnan(predictions).any(1) for predictions in oof])


class Engine(Replay):
    """``Ensemble.consider``."""

    def state(self, name: str, entry: Entry) -> None:
        if name in self.weights and np.array_equal(self.test[name][0], entry.test):
            self.oof[name] = entry.oof
        known = {other: self.oof[other] for other in self.weights if other in self.oof}
        seen = self.seen(entry.oof, *known.values())
        if not seen.any():
            return
        labels, candidate = self.record.labels[seen], {name: entry.oof[seen]}
        known = {other: oof[seen] for other, oof in known.items()}
        weights = reweighed(labels, known, self.weights, candidate, self.multi_label)
        if weights:
            self.weights, self.oof[name], self.test[name] = weights, entry.oof, [entry.test]
        elif name in known and not entry.refits and holds_up(labels, known, self.weights, candidate, self.multi_label):
            self.test[name] = [entry.test]


class Anew(Replay):
    """All members are weighed anew by a rule."""

    def __init__(self, record: Record, rule: Rule) -> None:
        super().__init__(record)
        self.rule = rule

    def state(self, name: str, entry: Entry) -> None:
        self._keep(name, entry)
        seen = self.seen(*self.oof.values())
        if not seen.any():
            return
        more = [n for n in self.oof if self.seen(self.oof[n]).sum() > MORE * seen.sum()]
        inner = self._weigh({n: self.oof[n] for n in more}) if more else {}
        rest = {n: oof for n, oof in self.oof.items() if n not in more}
        outer = self._weigh(({"": mix({n: self.oof[n] for n in more}, inner)} if more else {}) | rest)
        weights = {n: outer.get("", 0.0) * w for n, w in inner.items()} | {n: outer[n] for n in rest}
        least = min(LEAST_WEIGHT, max(weights.values()))
        self.weights = {n: w for n, w in weights.items() if w >= least}

    def _keep(self, name: str, entry: Entry) -> None:
        """The best state of a network counts; a later one predicts unless it is clearly worse."""
        if entry.refits or name not in self.oof:
            self.oof[name], self.test[name] = entry.oof, [entry.test]
            return
        seen = self.seen(entry.oof, self.oof[name])
        labels, best = self.record.labels[seen], {name: self.oof[name][seen]}
        now = {name: entry.oof[seen]}
        if reweighed(labels, best, {name: 1.0}, now, self.multi_label):
            self.oof[name], self.test[name] = entry.oof, [entry.test]
        elif holds_up(labels, best, {name: 1.0}, now, self.multi_label):
            self.test[name] = [entry.test]

    def _weigh(self, oof: Mapping[str, np.ndarray]) -> dict[str, float]:
        seen = self.seen(*oof.values())
        predictions = np.stack([each[seen] for each in oof.values()])
        return dict(zip(oof, self.rule(self.record.labels[seen], predictions, self.multi_label).tolist(), strict=True))


@dataclass(frozen=True)
class Line:
    """One rule on one set."""

    set: str
    modality: str
    examples: int
    half: int
    """The first chooses, the second confirms."""
    rule: str
    alc: float
    nauc: float
    fall: float


def replay_all(folder: Path) -> list[Line]:
    """Every rule on every record; the sets in turn belong to the first and to the second half."""
    lines = []
    for number, path in enumerate(sorted(folder.glob("*.npz"))):
        record = Record.read(path)
        replays = {"engine": Engine(record)} | {name: Anew(record, rule) for name, rule in RULES.items()}
        for name, replay in replays.items():
            about = path.stem, record.modality, len(record.labels), number % 2 + 1, name
            lines.append(Line(*about, **asdict(replay.run())))
    return lines


def table(lines: Sequence[Line]) -> str:
    """The mean of each rule, and its difference from the engine's on both halves."""
    engine = {line.set: line for line in lines if line.rule == "engine"}
    rows = ["| rule | ALC | final NAUC | ALC, 1st half | ALC, 2nd half | falls > .01 |", "|---|---|---|---|---|---|"]
    for rule in ("engine", *RULES):
        mine = [line for line in lines if line.rule == rule]
        gains = [np.mean([x.alc - engine[x.set].alc for x in mine if x.half == half] or [0.0]) for half in (1, 2)]
        alcs, naucs = np.mean([line.alc for line in mine]), np.mean([line.nauc for line in mine])
        falls = sum(line.fall > FALL for line in mine)
        rows.append(
            f"| {rule} | {alcs:.4f} | {naucs:.4f} | {gains[0]:+.4f} | {gains[1]:+.4f} | {falls} of {len(mine)} |"
        )
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m automl_engine.lab.ensembles.replay", description=about)
    parser.add_argument("out", type=Path, metavar="OUT", help="holds the records")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="all results")
    options = parser.parse_args(arguments)
    lines = replay_all(options.out)
    if options.csv and lines:
        with atomic_write(options.csv) as part, open(part, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(asdict(lines[0])))
            writer.writeheader()
            writer.writerows(asdict(line) for line in lines)
    print(table(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
