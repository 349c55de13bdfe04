"""Ensemble: whose predictions are averaged, with which weights, decided on out-of-fold predictions."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from automl_engine import clock
from automl_engine.dataset.metrics import class_naucs, nauc, wins

if TYPE_CHECKING:
    from automl_engine.auto.member import Member
    from automl_engine.models.base import AnytimeModel

WEIGHTS = np.linspace(0, 1, 11)
CALIBRATION = 0.05
"""Weight of the log-likelihood beside the NAUC; it breaks ties and steadies the choice on few examples."""
FEW = 15.0
"""Number of examples on the rarer side of a class at which it counts half: the AUC of a few examples is chance."""
NOISE = 0.05
"""Fraction of the standard error of the NAUC that a new state or version of a member must gain."""
DOUBT = 0.25
"""Fraction of the standard error by which the objectives of two equally likely weights may differ."""
SURE = 1.0
"""Standard errors of the difference that another setting of a member must gain: of many tries, some gain by chance."""
LEAST_WEIGHT = 0.05
"""Weight below which a member is not worth the time of its prediction."""
TRUST = 0.5
"""Standard errors of the difference by which a later state of a network must be worse to be refused."""
CLEAR = 4.0
"""Standard errors by which a bagged version must be worse than the first to be left out; with two classes these are not
quite three, since the errors of both are correlated."""


class Ensemble:
    """The members that predict, and their weights."""

    def __init__(self, members: Mapping[str, Member]) -> None:
        self.members = members
        self.weights: dict[str, float] = {}
        self.labels, self.multi_label = np.empty((0, 0)), False
        self.validation = 0.0
        """NAUC of its out-of-fold predictions."""
        self.gained = 0.0
        """What that has gained since the last written prediction."""
        self.made_by, self.why = "", ""
        self.written: tuple[tuple[tuple[AnytimeModel, ...], float], ...] = ()
        """The state of the last written prediction."""

    def consider(self, member: Member, must_gain: bool = False) -> tuple[bool, float, str]:
        """Whether the weights change in favour of what the member has learned, what the NAUC of the out-of-fold
        predictions gains, and a report; an empty one if there is no example to compare on.  A member that ``must_gain``
        enters only if that gain is sure."""
        first_known = False
        if member.refits and member.ensemble_model is not None and member.ensemble_model is member.full_model:
            first_known = member.ensemble_oof is None
            member.ensemble_oof = member.oof.copy()  # the same model, with more folds known
        known = self.known()
        seen = known_to_all(member.oof, *known.values())
        if not seen.any():
            return False, 0.0, ""
        labels, candidate = self.labels[seen], {member.name: member.oof[seen]}
        known = {name: oof[seen] for name, oof in known.items()}
        nothing_before = first_known or not known
        before = 0.0 if nothing_before else validation_nauc(labels, mix(known, self.weights))
        weights = reweighed(labels, known, self.weights, candidate, self.multi_label, must_gain)
        if weights:
            self.weights = weights
            member.ensemble_model, member.ensemble_oof = member.current.frozen(), member.oof.copy()
            member.gained_s = clock.now_s()
        elif (
            member.name in known
            and not member.refits
            and holds_up(labels, known, self.weights, candidate, self.multi_label)
        ):
            member.ensemble_model = member.current.frozen()
        report = self._report(member, seen, bool(weights) or first_known)
        gain = self.validation - before
        self.gained += 0.0 if nothing_before else gain
        return bool(weights), gain, report

    def weigh_anew(self) -> int:
        """What was decided on one fold, while the others were left out, is decided again: by the members that have
        predicted all folds on all of them, then what each of the others adds to these, on the folds that it knows.
        Returns on how many examples the ensemble is validated; 0 if nothing has predicted all folds."""
        known = {name: member.oof for name, member in self.members.items() if not np.isnan(member.oof).any()}
        partly = {name: oof for name, oof in self.known().items() if np.isnan(oof).any()}
        if not known:
            return 0
        weights = weighed_anew(self.labels, known, self.multi_label)
        for name in weights:
            self.members[name].ensemble_oof = known[name].copy()
        for name, oof in partly.items():
            inside = {other: (known | partly)[other] for other in weights}
            if (seen := known_to_all(oof, *inside.values())).any():
                inside = {other: predictions[seen] for other, predictions in inside.items()}
                updated = reweighed(self.labels[seen], inside, weights, {name: oof[seen]}, self.multi_label)
                weights = updated or weights
        self.weights = weights
        known = self.known()
        seen = known_to_all(*known.values())
        mixed = mix({name: oof[seen] for name, oof in known.items()}, weights)
        self.validation = validation_nauc(self.labels[seen], mixed)
        return int(seen.sum())

    def gains(self, member: Member, oof: np.ndarray) -> bool:
        """Whether it is clearly better with other out-of-fold predictions of a member."""
        known = self.known()
        seen = known_to_all(*known.values())
        labels, now = self.labels[seen], mix(known, self.weights)[seen]
        then = mix({**known, member.name: oof}, self.weights)[seen]
        gain = objective(labels, then, self.multi_label) - objective(labels, now, self.multi_label)
        return gain > NOISE * standard_error(labels, now)

    def known(self) -> dict[str, np.ndarray]:
        """The out-of-fold predictions of the members; the first model may have none."""
        oof = {name: self.members[name].ensemble_oof for name in self.weights}
        return {name: predictions for name, predictions in oof.items() if predictions is not None}

    def _report(self, member: Member, seen: np.ndarray, is_better: bool) -> str:
        known = {name: oof[seen] for name, oof in self.known().items()}
        alone = validation_nauc(self.labels[seen], member.oof[seen])
        self.validation = validation_nauc(self.labels[seen], mix(known, self.weights) if known else member.oof[seen])
        if is_better:
            self.explain(f"validation NAUC {self.validation:.3f} on {seen.sum()} unseen training examples")
        text = f"validation {alone:.3f}"
        return text if len(self.weights) == 1 else f"{text}, ensemble {self.validation:.3f}"

    def explain(self, why: str) -> None:
        """Say who predicts, and why."""
        ordered = sorted(self.weights.items(), key=lambda item: -item[1])
        self.made_by = " + ".join(name for name, _ in ordered)
        self.why = why if len(ordered) == 1 else why + "; " + ", ".join(f"{name} {w:.0%}" for name, w in ordered)

    def state(self) -> tuple[tuple[tuple[AnytimeModel, ...], float], ...]:
        return tuple((self.members[name].versions, weight) for name, weight in self.weights.items())

    def note_written(self) -> None:
        """Its present state has predicted."""
        self.written, self.gained = self.state(), 0.0

    def has_news(self) -> bool:
        """Whether the next prediction would differ from the last one written."""
        return self.state() != self.written

    def versions(self) -> Iterator[tuple[str, AnytimeModel, float]]:
        """(name, model, weight) of all models that predict; versions of one member share its weight."""
        for name, weight in self.weights.items():
            versions = self.members[name].versions
            for number, model in enumerate(versions, 1):
                yield name if number == 1 else f"{name}.{number}", model, weight / len(versions)


def known_to_all(*predictions: np.ndarray) -> np.ndarray:
    """(N,) the examples of which none of the out-of-fold predictions (N, K) is unknown (NaN)."""
    return np.logical_and.reduce([~np.isnan(oof).any(1) for oof in predictions])


def validation_nauc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all classes constant: 0, and nothing to tell
        return nauc(labels, probabilities)


def objective(labels: np.ndarray, probabilities: np.ndarray, multi_label: bool) -> float:
    """What the ensemble maximises: the NAUC, sure classes counting more, and a little log-likelihood; arrays (n, K)."""
    clipped = probabilities.clip(1e-4, 1 - 1e-4)
    if multi_label:
        log_likelihood = (labels * np.log(clipped) + (1 - labels) * np.log(1 - clipped)).mean()
    else:
        log_likelihood = (labels * np.log(clipped)).sum(1).mean()
    return float(weighted_nauc(labels, probabilities) + CALIBRATION * log_likelihood)


def weighted_nauc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The mean over the classes that are there, sure ones counting more; 0 if there is none."""
    naucs = class_naucs(labels, probabilities)
    known = ~np.isnan(naucs)
    pairs = _effective_counts(labels)[known]
    return float(np.average(naucs[known], weights=pairs / (pairs + FEW))) if known.any() else 0.0


def standard_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Of ``weighted_nauc``; 0 if no class is known.

    The variance of an AUC is about A (1 - A) (1 / n1 + 1 / n0) / 3 (after Hanley & McNeil, Radiology 1982).  A is
    taken as if half an example more stood on the wrong side: a perfect ranking of few examples proves little.
    """
    naucs = class_naucs(labels, probabilities)
    known = ~np.isnan(naucs)
    if not known.any():
        return 0.0
    pairs = _effective_counts(labels)[known]
    areas = (pairs * (naucs[known] + 1) / 2 + 0.5) / (pairs + 1)
    weights = pairs / (pairs + FEW)
    variances = 4 * areas * (1 - areas) / (3 * pairs)
    return float(np.sqrt((weights**2 * variances).sum()) / weights.sum())


def clearly_worse(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether the first of two (labels, probabilities), of different examples, is below the second by ``CLEAR``
    standard errors of the difference."""
    error = np.hypot(standard_error(*one), standard_error(*other))
    return weighted_nauc(*one) < weighted_nauc(*other) - CLEAR * float(error)


def difference_error(labels: np.ndarray, one: np.ndarray, other: np.ndarray, few: float = FEW) -> float:
    """Standard error of the difference in NAUC of two predictions (n, K); the classes are weighed as ``objective``
    does, or equally with ``few`` = 0.

    The predictions are compared example by example (DeLong et al., Biometrics 1988), so two states of one network,
    which err alike, can be told apart on far fewer examples than two different models.
    """
    influence, total = np.zeros(len(labels)), 0.0
    for truth, a, b, pairs in zip(labels.T == 1, one.T, other.T, _effective_counts(labels), strict=True):
        if pairs:
            weight, change = pairs / (pairs + few), _placements(truth, a) - _placements(truth, b)
            for side in (truth, ~truth):
                influence[side] += 2 * weight * (change[side] - change[side].mean()) / side.sum()
            total += weight
    return float(np.sqrt((influence**2).sum()) / total) if total else 0.0


def _placements(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(n,) the fraction of the other side that each example stands on the right side of; ties count half."""
    placements = np.empty(len(truth))
    for side, sign in ((truth, 1), (~truth, -1)):
        placements[side] = wins(sign * scores[side], sign * scores[~side]) / (~side).sum()
    return placements


def _effective_counts(labels: np.ndarray) -> np.ndarray:
    """(K,) n1 n0 / (n1 + n0): about the number of examples on the rarer side of each class."""
    positive = (labels == 1).sum(0)
    return positive * (len(labels) - positive) / len(labels)


def mix(predictions: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted mean (N, K) of predictions by name; their weights need not sum to one."""
    total = sum(weights[name] for name in predictions)
    return sum(p * (weights[name] / total) for name, p in predictions.items())  # type: ignore[return-value]


def reweighed(
    labels: np.ndarray,
    known: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    candidate: Mapping[str, np.ndarray],
    multi_label: bool,
    must_gain: bool = False,
) -> dict[str, float] | None:
    """The weights with the candidate (one, by its name: a new member, or a new state of one), or None if it is refused.

    A new member enters unless it harms by ``DOUBT`` standard errors, since a mean of two is mostly better than either;
    a new state must gain, and another setting of a member (``must_gain``) by ``SURE`` standard errors.  Members whose
    weight falls below ``LEAST_WEIGHT`` leave.
    ``labels`` (n, K); out-of-fold predictions (n, K) of the same examples; with no known ones the candidate is all.
    """
    ((name, prediction),) = candidate.items()
    others = {other: p for other, p in known.items() if other != name}
    weight, found = best_weight(labels, mix(others, weights) if others else None, prediction, multi_label)
    if known:
        mixed = mix(known, weights)
        margin = (NOISE if name in known else -DOUBT) * standard_error(labels, mixed)
        if must_gain:
            margin = SURE * difference_error(labels, (1 - weight) * mixed + weight * prediction, mixed)
        if weight < LEAST_WEIGHT or found <= objective(labels, mixed, multi_label) + margin:
            return None
    total = sum(weights[other] for other in others)
    updated = {other: (1 - weight) * weights[other] / total for other in others} | {name: weight}
    kept = {who: part for who, part in updated.items() if part >= min(LEAST_WEIGHT, max(updated.values()))}
    return {who: part / sum(kept.values()) for who, part in kept.items()}


def weighed_anew(labels: np.ndarray, known: Mapping[str, np.ndarray], multi_label: bool) -> dict[str, float]:
    """The weights of all members at once.  The worst enters first: later ones take more, so the best weigh most.

    ``labels`` (N, K); out-of-fold predictions (N, K) by member, at least one.
    """
    objectives = {name: objective(labels, oof, multi_label) for name, oof in known.items()}
    first, *others = sorted(known, key=lambda name: objectives[name])
    weights = {first: 1.0}
    for name in others:
        inside = {other: known[other] for other in weights}
        weights = reweighed(labels, inside, weights, {name: known[name]}, multi_label) or weights
    return weights


def holds_up(
    labels: np.ndarray,
    known: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    candidate: Mapping[str, np.ndarray],
    multi_label: bool,
) -> bool:
    """Whether the ensemble with the present state of a network is not clearly worse than with its best state.

    More training mostly helps, and few validation examples say little about one more slice.
    """
    best, now = mix(known, weights), mix({**known, **candidate}, weights)
    loss = objective(labels, best, multi_label) - objective(labels, now, multi_label)
    return loss < TRUST * difference_error(labels, now, best)


def best_weight(
    labels: np.ndarray, others: np.ndarray | None, candidate: np.ndarray, multi_label: bool
) -> tuple[float, float]:
    """(weight of the candidate, objective of that ensemble): the mean of all weights by their likelihood.

    With much evidence that is the best weight.  With few examples the largest weight is limited, so that chance cannot
    give one member all the weight.  Without others the weight is 1.
    """
    if others is None:
        return 1.0, objective(labels, candidate, multi_label)
    pairs = _effective_counts(labels).sum()
    weights = WEIGHTS[: 1 + round((len(WEIGHTS) - 1) * pairs / (pairs + FEW))]
    blends = [(1 - weight) * others + weight * candidate for weight in weights]
    objectives = np.array([objective(labels, blend, multi_label) for blend in blends])
    best = int(np.argmax(objectives))
    doubt = max(DOUBT * standard_error(labels, blends[best]), 1e-9)
    likelihoods = np.exp((objectives - objectives[best]) / doubt)
    weight = float(likelihoods @ weights / likelihoods.sum())
    return weight, objective(labels, (1 - weight) * others + weight * candidate, multi_label)
