"""The records of one data set, as a replay reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from automl_engine.lab.replay.record import Course, wanted
from automl_engine.metalearning.sources import source_of
from automl_engine.portfolio import Row

MOST = 2000
"""Number of training and of test examples that a replay looks at: more cost time and change little."""


@dataclass(frozen=True)
class Record:
    """The courses of one data set."""

    name: str
    """Ends with the seed."""
    modality: str
    budget_s: float
    labels: np.ndarray
    """(N, K)"""
    folds: np.ndarray
    test_labels: np.ndarray
    features: np.ndarray
    """(F,) meta-features."""
    courses: dict[str, Course]
    lacking: tuple[str, ...] = ()
    """Configurations that neither have a course nor failed."""
    oof: dict[tuple[str, int], np.ndarray] = field(default_factory=dict, repr=False)
    """What ``state`` has given."""

    @classmethod
    def read(cls, folder: Path, rows: Sequence[Row]) -> Record:
        """Of these configurations."""
        with np.load(folder / "labels.npz") as saved:
            about = {key: saved[key] for key in saved.files}
        names = [row.name for row in wanted(rows, str(about["modality"]), len(about["labels"]))]
        courses = {name: Course.read(path) for name in names if (path := folder / f"{name}.npz").exists()}
        tried = {*courses, *(path.stem for path in folder.glob("*.error"))}
        train, test = (_some(len(about[key])) for key in ("labels", "test_labels"))
        held_out = np.flatnonzero((about["folds"] == 0)[train])  # of fold 0, in the order of the courses
        place = np.cumsum(about["folds"] == 0) - 1
        return cls(
            folder.name,
            str(about["modality"]),
            float(about["budget_s"]),
            about["labels"][train],
            about["folds"][train],
            about["test_labels"][test],
            about["features"],
            {name: course.part(train, place[train[held_out]], test) for name, course in courses.items()},
            tuple(name for name in names if name not in tried),
        )

    @property
    def source(self) -> str:
        """The data set that this one was made from."""
        return source_of(self.name.rpartition("-")[0])

    @cached_property
    def tests(self) -> dict[str, list[np.ndarray]]:
        """(M, K) of each model of a configuration, always the same arrays: they tell models apart."""
        return {name: list(course.test) or [course.first_test] for name, course in self.courses.items()}

    def state(self, name: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
        """What a configuration predicts after so many steps: (N, K) out of fold, NaN where that is not known, and
        (M, K) of the test set."""
        course = self.courses[name]
        if (name, steps) not in self.oof:
            oof = np.full(self.labels.shape, np.nan, np.float32)
            known = self.folds < (steps if course.refits else 1)
            oof[known] = course.oof[known] if course.refits else course.oof[steps - 1]
            self.oof[name, steps] = oof
        return self.oof[name, steps], self.tests[name][0 if course.refits else steps - 1]


def _some(count: int) -> np.ndarray:
    """Numbers of at most ``MOST`` random examples, in order."""
    return np.sort(np.random.default_rng(0).permutation(count)[:MOST])


def finished(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Those that lack no configuration that others of their modality have, and what is told of the rest."""
    kept, told = list[Record](), list[str]()
    for record in records:
        known = {name for other in records if other.modality == record.modality for name in other.courses}
        lacking = [name for name in record.lacking if name in known]
        if lacking or not record.courses:
            told.append(f"{record.name} is left out: it has no record of {', '.join(lacking) or 'any configuration'}.")
        else:
            kept.append(record)
    return kept, told
