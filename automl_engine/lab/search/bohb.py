"""BOHB on any objective: good parameters found on small budgets, the best of them tried on larger ones.

Falkner, Klein & Hutter, "BOHB: robust and efficient hyperparameter optimization at scale", ICML 2018, as the Freiburg
team used it (section 5.4): Optuna's Hyperband decides which trials get three times the budget, its TPE (one density
over all parameters) what to try.  As in BOHB's algorithm 2 a third of the trials is drawn at random, and the densities
learn from the trials of all brackets.  Workers on any number of machines share a study through its storage.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from automl_engine.errors import DataError
from automl_engine.portfolio.space import Space, stored, suggest

ETA = 3
RANDOM_SHARE = 1 / 3
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
HEARTBEAT_S, SILENT_S = 5, 30
"""A worker gives a sign of life so often; after so long without one its trial counts as lost."""
POLL_S = 1.0
PARTS, PARAMS, AGAIN = "parts", "params", "again"
"""Attributes of a trial: the parts of its value by budget, its exact parameters, and the trial that it repeats."""

Objective = Callable[[dict[str, Any], float], float | Mapping[str, float]]
"""(parameters, budget) -> the value, higher is better; or its parts by name, whose mean is the value."""

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats: the version is pinned


@dataclass(frozen=True)
class Found:
    """The best trial at the largest budget."""

    params: dict[str, Any]
    value: float
    study: optuna.Study


class Sampler(BaseSampler):
    """TPE over the whole study, or chance.  What it draws depends on the seed and the number of the trial only: no two
    workers draw the same, and a search that was interrupted goes on as if it had not been."""

    def __init__(self, study: optuna.Study, seed: int, startup: int) -> None:
        self.study, self.seed, self.startup = study, seed, startup
        self.inner: BaseSampler = RandomSampler(seed=seed)
        """That of the present trial."""

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        randoms = np.random.default_rng([self.seed, trial.number])
        seed, is_random = int(randoms.integers(2**31)), randoms.random() < RANDOM_SHARE
        tpe = TPESampler(n_startup_trials=self.startup, multivariate=True, seed=seed)
        self.inner = RandomSampler(seed=seed) if is_random else tpe

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.inner.infer_relative_search_space(self.study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self.inner.sample_relative(self.study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self.inner.sample_independent(self.study, trial, param_name, param_distribution)


def optimise(
    objective: Objective,
    space: Space,
    *,
    trials: int,
    budgets: Sequence[float] = (1.0,),
    storage: str | None = None,
    seed: int = 0,
    name: str = "search",
    begin: Mapping[str, Any] | None = None,
) -> Found:
    """The best of so many trials, those counted that an earlier call left in the storage.

    Args:
        objective: one evaluation; what it raises ends the search.
        budgets: rising, each ``ETA`` times the one before; a trial that survives is evaluated again on the next.
        storage: URL of a database (``sqlite:///FILE``, ``postgresql://...``); memory by default.
        begin: parameters of the first trial, as far as they are known.

    Raises:
        DataError: the storage is not usable.
    """
    study = open_study(name, space, budgets, storage, seed, begin)
    work(study, objective, space, trials=trials, budgets=budgets)
    return found(study)


def open_study(
    name: str,
    space: Space,
    budgets: Sequence[float],
    storage: str | None = None,
    seed: int = 0,
    begin: Mapping[str, Any] | None = None,
) -> optuna.Study:
    """The study of this name, made if need be.

    Raises:
        DataError: the storage is not usable.
    """
    pruner = optuna.pruners.HyperbandPruner(1, ETA ** (len(budgets) - 1), ETA)
    try:
        study = optuna.create_study(
            storage=database(storage) if storage else None,
            study_name=name,
            direction="maximize",
            pruner=pruner,
            load_if_exists=True,
        )
    except (SQLAlchemyError, ImportError, ValueError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise DataError(f"The storage {shown(storage or '')} is not usable: {reason}.") from error
    study.sampler = Sampler(study, seed, startup=len(space) + 1)
    if begin and not study.trials:
        study.enqueue_trial(stored(space, begin))
    return study


def database(url: str) -> optuna.storages.RDBStorage:
    """With signs of life: the trial of a worker that was killed is made once more."""
    url = url.replace("postgres://", "postgresql://", 1).replace("postgresql://", "postgresql+psycopg://", 1)
    return optuna.storages.RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True},
        heartbeat_interval=HEARTBEAT_S,
        grace_period=SILENT_S,
        heartbeat_stale_trial_callback=_again,
    )


def shown(url: str) -> str:
    """Without the password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return "(no URL)"


def _again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Once: it may be the trial that kills its worker."""
    if AGAIN not in trial.user_attrs:
        study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})


def finished(study: optuna.Study) -> int:
    """How many trials are finished."""
    return len(study.get_trials(deepcopy=False, states=FINISHED))


def left(study: optuna.Study, trials: int) -> int:
    """How many of so many trials nobody has finished or is making."""
    return trials - len(study.get_trials(deepcopy=False, states=(*FINISHED, TrialState.RUNNING)))


def work(
    study: optuna.Study,
    objective: Objective,
    space: Space,
    *,
    trials: int,
    budgets: Sequence[float],
    after: Callable[[optuna.Study], None] | None = None,
) -> None:
    """Make trials until so many are finished, beside whoever else does.

    The last ones of others are waited for: should their worker die, we make them.
    """
    while finished(study) < trials:
        if left(study, trials) > 0:
            make_one(study, objective, space, budgets)
        else:
            time.sleep(POLL_S)
            optuna.storages.fail_stale_trials(study)
        if after:
            after(study)


def make_one(study: optuna.Study, objective: Objective, space: Space, budgets: Sequence[float]) -> None:
    """One trial."""
    study.optimize(lambda trial: climb(trial, objective, suggest(space, trial), budgets), n_trials=1)


def climb(trial: Trial, objective: Objective, params: dict[str, Any], budgets: Sequence[float]) -> float:
    """The value at the largest budget, unless Hyperband stops the trial at a smaller one."""
    trial.set_user_attr(PARAMS, params)
    trial.should_prune()  # nothing is reported yet: this makes the brackets
    pruner = trial.study.pruner
    assert isinstance(pruner, optuna.pruners.HyperbandPruner)
    first = pruner._get_bracket_id(trial.study, trial)  # type: ignore[arg-type]  # no public name
    parts, value = {}, float("nan")
    for step in range(first, len(budgets)):
        outcome = objective(params, budgets[step])
        value = mean(outcome.values()) if isinstance(outcome, Mapping) else outcome
        if value != value:
            raise ValueError(f"the objective must return a number, but for {params} it was NaN")
        parts[f"{budgets[step]:g}"] = dict(outcome) if isinstance(outcome, Mapping) else {}
        trial.set_user_attr(PARTS, parts)
        trial.report(value, ETA**step)
        if step < len(budgets) - 1 and trial.should_prune():
            raise optuna.TrialPruned
    return value


def found(study: optuna.Study) -> Found:
    """The best trial that reached the largest budget.

    Raises:
        DataError: none did.
    """
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        raise DataError("No trial has reached the largest budget yet; ask for more trials.")
    return Found(study.best_trial.user_attrs[PARAMS], study.best_value, study)
