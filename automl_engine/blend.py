"""How much a newcomer may say in a blend, decided on examples that neither side has trained on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from automl_engine.scoring import class_naucs, nauc

SHARES = np.linspace(0, 1, 11)
CALIBRATION = 0.05
"""Weight of the log-likelihood beside the NAUC: it breaks ties and steadies the choice on few examples."""
FEW = 15.0
"""A class with so many examples on its rarer side counts half: the AUC of a few examples is chance."""
NOISE = 0.05
"""A gain below this share of the standard error of the NAUC is not worth a change of a network's state."""
DOUBT = 0.25
"""Shares whose qualities differ by less than this part of the standard error are about as likely to be the best."""
LEAST_SHARE = 0.05
"""Who gets less is not worth the time of the prediction."""
TRUST = 0.5
"""A network that has learned on is believed unless it is worse by so many standard errors of the difference."""
CLEAR = 4.0
"""A version is left out if it is worse than the first by so many; of two classes these are not quite three, for they
err together."""


def validation_nauc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all classes constant: 0, and nothing to tell
        return nauc(labels, probabilities)


def quality(labels: np.ndarray, probabilities: np.ndarray, multi_label: bool) -> float:
    """What the blend maximises: the NAUC, sure classes counting more, and a little log-likelihood; arrays (n, K)."""
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


def difference_error(labels: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Standard error of the difference in NAUC (as ``quality`` weighs the classes) of two predictions (n, K).

    The predictions are compared example by example (DeLong et al., Biometrics 1988), so two states of one network,
    which err alike, can be told apart on far fewer examples than two strangers.
    """
    influence, total = np.zeros(len(labels)), 0.0
    for truth, a, b, pairs in zip(labels.T == 1, one.T, other.T, _effective_counts(labels), strict=True):
        if pairs:
            weight, change = pairs / (pairs + FEW), _placements(truth, a) - _placements(truth, b)
            for side in (truth, ~truth):
                influence[side] += 2 * weight * (change[side] - change[side].mean()) / side.sum()
            total += weight
    return float(np.sqrt((influence**2).sum()) / total) if total else 0.0


def _placements(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(n,) the share of the other side that each example stands on the right side of; ties count half."""
    placements = np.empty(len(truth))
    for side, sign in ((truth, 1), (~truth, -1)):
        others = np.sort(sign * scores[~side])
        below, upto = (np.searchsorted(others, sign * scores[side], end) for end in ("left", "right"))
        placements[side] = (below + upto) / (2 * len(others))
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
    newcomer: Mapping[str, np.ndarray],
    multi_label: bool,
) -> dict[str, float] | None:
    """The blend's weights with the newcomer (one, by its name: a stranger, or a new state of a member), or None.

    A stranger comes in unless it harms by ``DOUBT`` standard errors, for a mean of two is mostly better than either; a
    new state must gain.  Members whose share becomes less than ``LEAST_SHARE`` leave.
    ``labels`` (n, K); predictions (n, K) of examples that neither side has seen; no known ones: the newcomer is all.
    """
    ((name, prediction),) = newcomer.items()
    others = {other: p for other, p in known.items() if other != name}
    share, found = best_share(labels, mix(others, weights) if others else None, prediction, multi_label)
    if known:
        mixed = mix(known, weights)
        margin = (NOISE if name in known else -DOUBT) * standard_error(labels, mixed)
        if share < LEAST_SHARE or found <= quality(labels, mixed, multi_label) + margin:
            return None
    total = sum(weights[other] for other in others)
    shares = {other: (1 - share) * weights[other] / total for other in others} | {name: share}
    kept = {who: part for who, part in shares.items() if part >= min(LEAST_SHARE, max(shares.values()))}
    return {who: part / sum(kept.values()) for who, part in kept.items()}


def holds_up(
    labels: np.ndarray,
    known: Mapping[str, np.ndarray],
    weights: Mapping[str, float],
    newcomer: Mapping[str, np.ndarray],
    multi_label: bool,
) -> bool:
    """Whether the blend with what a network is now is not clearly worse than with its best state; see ``reweighed``.

    More training helps more often than not, and what few unseen examples say of one more slice is mostly chance.
    """
    best, now = mix(known, weights), mix({**known, **newcomer}, weights)
    loss = quality(labels, best, multi_label) - quality(labels, now, multi_label)
    return loss < TRUST * difference_error(labels, now, best)


def best_share(
    labels: np.ndarray, others: np.ndarray | None, newcomer: np.ndarray, multi_label: bool
) -> tuple[float, float]:
    """(share of the newcomer, quality of that blend): the mean of all shares, each as likely as it is near the best.

    Where much evidence tells them apart that is the best one; where little does, half of the most that so few examples
    allow: nobody's luck may decide, nor give anyone the whole say.  Without others the share is 1.
    """
    if others is None:
        return 1.0, quality(labels, newcomer, multi_label)
    pairs = _effective_counts(labels).sum()
    shares = SHARES[: 1 + round((len(SHARES) - 1) * pairs / (pairs + FEW))]
    blends = [(1 - share) * others + share * newcomer for share in shares]
    qualities = np.array([quality(labels, blend, multi_label) for blend in blends])
    best = int(np.argmax(qualities))
    doubt = max(DOUBT * standard_error(labels, blends[best]), 1e-9)
    likelihoods = np.exp((qualities - qualities[best]) / doubt)
    share = float(likelihoods @ shares / likelihoods.sum())
    return share, quality(labels, (1 - share) * others + share * newcomer, multi_label)
