"""Schedule: what to do next, when a prediction is due, and how much time is reserved for it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_engine import clock
from automl_engine.auto.ensemble import Ensemble
from automl_engine.dataset.examples import Examples
from automl_engine.models.configuration import refits

if TYPE_CHECKING:
    from automl_engine.auto.member import Member

FIRST_SAMPLE = {"image": 1000, "video": 60, "audio": 400, "text": 1500, "tabular": 4000, "timeseries": 400}
"""Number of examples behind the first prediction, at most."""
MANY_CLASSES, FIRST_OF_CLASS = 100, {"tabular": 20}
"""Number of classes above which the first sample holds so many examples of each on average: rows cost little."""
FIRST_BYTES = {"image": 40e6, "video": 40e6, "audio": 40e6, "text": 4e6, "tabular": 32e6, "timeseries": 40e6}
"""Size of the first sample, at most: large photographs take long to decode, long texts to count, wide tables to fit."""
FIRST_S = 1.0
"""When the first prediction should be there, whatever there are of classes and columns."""
HURRIED = 0.1
"""Fraction of its time from which the first model may have stopped before it had learned all it could."""
FEWEST, FEWEST_PRETRAINED = 100, 30
"""Number of examples below which a network, or a pretrained one, is not run: too few remain to validate it."""
FOLDS, MOST_FOLDS = 5, 50
FOLD_EXAMPLES = 100, 2000
"""Bounds of the size of a fold in a large data set; between them a fold takes four times as long to read as the first
sample."""
PERFECT = 0.9999
"""Validation NAUC from which a quarter of the patience is enough."""
SPACING = 0.08
"""Fraction of the time since the start that lies between two predictions, at least."""
PATIENCE_S = 60.0
"""Time without a gain after which a network stops, if half of the time since the start has passed without one too."""
SETTLED_S, SETTLED_FRACTION = 20.0, 0.33
"""Time, and fraction of the time since the start, without a gain after which a network of the ensemble leaves the rest
to bagged versions: together they have seen all examples, and their mean is better than any of them (Breiman, "Bagging
predictors", 1996)."""
LEAST_VERSION_S = 30.0
"""Training time of a bagged version, at least; otherwise it learns as long as the first took to its best state.  A
network that comes to the end of its training needs no more."""


class Schedule:
    """The queue of configurations and the time budget."""

    def __init__(self, members: Mapping[str, Member], ensemble: Ensemble) -> None:
        self.members, self.ensemble = members, ensemble
        self.queue: list[Mapping[str, Any]] = []
        self.start_s: float | None = None
        self.end_s, self.budget_s, self.written_s = 0.0, 0.0, 0.0
        self.written_count, self.test_count = 0, 0

    def start(self, budget_s: float) -> None:
        self.start_s, self.budget_s = clock.now_s(), budget_s

    def written(self) -> None:
        """Note that a prediction is written."""
        self.written_count += 1
        self.written_s = clock.now_s()

    def drop(self, name: str) -> None:
        self.queue = [configuration for configuration in self.queue if configuration["name"] != name]

    def elapsed_s(self) -> float:
        return 0.0 if self.start_s is None else clock.now_s() - self.start_s

    def fraction(self) -> float:
        """Of the budget that is used."""
        return round(min(1.0, self.elapsed_s() / self.budget_s), 3)

    def first_fit_s(self) -> float:
        """Time that the first model believes to have: it takes up to about a quarter, and reading comes on top."""
        return min(2 * max(0.1, FIRST_S - self.elapsed_s()), max(1.0, self.remaining_s()))

    def remaining_s(self) -> float:
        """Until training must end, so that the last prediction is written in time."""
        # A network may change until the end; what was refit predicts once.
        tests_s = sum(m.next_test_s if m.refits else max(m.test_s, m.next_test_s) for m in self.members.values())
        reserve_s = 0.5 + 0.01 * self.budget_s + 1.5 * tests_s
        return self.end_s - clock.now_s() - reserve_s

    def folds_limit_s(self) -> float:
        """Time for the further folds of a configuration that was checked on one."""
        return max(1.0, min(0.25 * self.elapsed_s(), 0.05 * self.remaining_s()))

    def is_late(self) -> bool:
        """Whether too little time is left for another step."""
        return self.remaining_s() < 0.02 * self.budget_s

    def without_end(self) -> Schedule:
        """The same with time for everything: what it allows more tells what the lack of time prevents."""
        endless = copy(self)
        endless.end_s = inf
        return endless

    def prediction_is_due(self) -> bool:
        """Whether a better prediction is to be written now, also because only long steps follow."""
        cost_s = sum(self.members[name].next_test_s for name in self.ensemble.weights)
        pause_s = max(SPACING * self.elapsed_s(), 2 * cost_s)
        gained_more_than_is_left = self.ensemble.gained > 1 - self.ensemble.validation
        is_time = clock.now_s() - self.written_s >= pause_s or gained_more_than_is_left or not self.queue
        return is_time and self.ensemble.has_news()

    def unfinished(self) -> list[Member]:
        """Members that can use the time after the queue: those without some folds, then networks to bag, then those to
        vary, the cheapest for its weight first."""
        in_ensemble = [self.members[name] for name in self.ensemble.weights]
        begun = [member for member in self.members.values() if not np.isnan(member.oof).all()]
        lacking = [member for member in begun if member.next_step == "folds"]
        if known := [member for member in lacking if 2 * member.folds_left_s < self.remaining_s()]:
            return known
        networks = [member for member in in_ensemble if not member.refits]
        to_bag = [member for member in networks if self.can_bag(member)]
        if to_bag or any(len(member.unchecked_folds) for member in networks):
            return to_bag  # until versions left out each fold, nobody knows what a change of the others gains
        weights = self.ensemble.weights
        more = [member for member in in_ensemble if self.can_vary(member)]
        return sorted(more, key=lambda member: member.fit_s / weights[member.name])

    def can_bag(self, member: Member) -> bool:
        is_checked = bool(member.spare_folds) and not member.is_settled and member.ensemble_oof is not None
        return is_checked and 0.7 * _learning_s(member) < self.remaining_s() - 2 * member.test_s

    def can_vary(self, member: Member) -> bool:
        oof = member.ensemble_oof
        if member.is_settled or member.full_model is None or oof is None or np.isnan(oof).any():
            return False
        fits = 2 + int(member.folds.max(initial=0))
        return 1.5 * fits * member.fit_s < self.remaining_s() - 2 * member.test_s

    def can_search(self, member: Member) -> bool:
        """Whether another setting of a member that predicts can be learned in time, and compared on all folds."""
        if self.ensemble.validation >= PERFECT or member.full_model is None:
            return False
        in_ensemble = [self.members[name] for name in self.ensemble.weights]
        are_known = not any(np.isnan(other.oof).any() for other in in_ensemble)
        return are_known and 1.5 * (2 + int(member.folds.max(initial=0))) * member.fit_s < self.remaining_s()

    def bagging_s(self, member: Member) -> float:
        """Training time of the next bagged version."""
        return min(_learning_s(member), self.remaining_s() - 2 * member.test_s)

    def has_stalled(self, member: Member) -> bool:
        """Whether there was no gain for long; for less long where the ranking of validation examples is perfect, or
        where there is something better to do with the time."""
        idle_s, elapsed_s = clock.now_s() - member.gained_s, self.elapsed_s()
        patience_s = PATIENCE_S if self.ensemble.validation < PERFECT else PATIENCE_S / 4
        settled = member.name in self.ensemble.weights and idle_s > max(SETTLED_S, SETTLED_FRACTION * elapsed_s)
        return idle_s > max(patience_s, 0.5 * elapsed_s) or (settled and self.can_bag(member))

    def require_test_time(self, member: Member) -> None:
        """Raise if a member outside the ensemble is too slow to predict the test set."""
        limit_s = max(0.1 * self.budget_s, self.end_s - clock.now_s())
        if member.name not in self.ensemble.weights and member.test_s > limit_s:
            raise TimeoutError(f"to predict the test set would take {member.test_s:.0f} s, more than there is left")


def _learning_s(member: Member) -> float:
    """How long the network took to its best state; one that came to the end of its training takes as long again."""
    to_best_s = max(LEAST_VERSION_S, member.gained_s - member.opened_s)
    return min(to_best_s, 1.5 * member.fit_s) if member.current.done_training else to_best_s


def has_enough_examples(configuration: Mapping[str, Any], count: int) -> bool:
    """Whether the configuration is worth running on so many examples."""
    if refits(configuration["model"]):
        return True
    return count >= (FEWEST_PRETRAINED if "weights" in configuration.get("params", {}) else FEWEST)


def fold_count(example_count: int, affordable: int) -> int:
    """Number of folds; ``affordable`` examples are read for the first model."""
    return int(np.clip(-(-example_count // np.clip(4 * affordable, *FOLD_EXAMPLES)), FOLDS, MOST_FOLDS))


def first_count(split: Examples, modality: str) -> int:
    """Number of examples behind the first prediction."""
    classes, count = split.spec.output_dim, FIRST_SAMPLE[modality]
    if classes > MANY_CLASSES:
        count = max(count, FIRST_OF_CLASS.get(modality, 0) * classes)
    return min(count, affordable_count(split, modality))


def affordable_count(split: Examples, modality: str) -> int:
    """How many examples hold FIRST_BYTES, estimated from a few of them; at least two."""
    return max(2, int(FIRST_BYTES[modality] / max(1.0, split.stored_bytes())))
