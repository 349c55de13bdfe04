"""Search: other settings of the configurations in the ensemble, once each configuration has had its turn.

The settings of ``tabular_forest`` are called ``tabular_forest~1``, ``tabular_forest~2`` and so on.

Optuna's TPE (Bergstra et al., "Algorithms for hyper-parameter optimization", 2011) proposes them from the ``space`` of
the configuration; it begins with the configuration's own parameters and their out-of-fold score.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from automl_engine.portfolio import space

if TYPE_CHECKING:
    from optuna import Study, Trial

    from automl_engine.auto.schedule import Schedule

STARTUP = 4
"""Number of random settings of a configuration before TPE has learned anything."""
PATIENCE = 10
"""Number of settings of a configuration in a row that gain nothing before it is left alone."""


class Search:
    """The studies, one a configuration."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._studies: dict[str, Study] = {}
        self._in_vain: defaultdict[str, int] = defaultdict(int)
        """Number of settings since the last that gained."""

    def chosen(self, rows: Sequence[Mapping[str, Any]], schedule: Schedule) -> Mapping[str, Any] | None:
        """The configuration in the ensemble of which another setting is tried next: the one with the fewest tries in
        vain, then the fastest; None if there is no more to try, or no time."""
        members = {name: schedule.members[name] for name in schedule.ensemble.weights}
        known = [row for row in rows if row["name"] in members and row.get("space")]
        left = [row for row in known if self._in_vain[row["name"]] < PATIENCE]
        left = [row for row in left if schedule.can_search(members[row["name"]])]
        return min(left, key=lambda row: (self._in_vain[row["name"]], members[row["name"]].fit_s), default=None)

    def propose(self, row: Mapping[str, Any], score: float) -> tuple[dict[str, Any], Trial]:
        """A configuration with other parameters, and the trial to ``note``; ``score`` is that of the row itself."""
        parameters = space.parse(row["space"], row["name"])
        study = self._studies.get(row["name"]) or self._begin(row, parameters, score)
        trial = study.ask()
        tried = space.suggest(parameters, trial)
        words = [f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in tried.items()]
        setting = {
            "name": f"{row['name']}~{trial.number}",
            "params": {**row.get("params", {}), **tried},
            "origin": f"another setting of {row['name']}: {', '.join(words)}",
            "space": {},
        }
        return {**row, **setting}, trial

    def note(self, row: Mapping[str, Any], trial: Trial, score: float | None, gained: bool) -> None:
        """What the setting scored out of fold (None: it failed), and whether it entered the ensemble."""
        name = row["name"]
        if score is None:
            from optuna.trial import TrialState

            self._studies[name].tell(trial, state=TrialState.FAIL)
        else:
            self._studies[name].tell(trial, score)
        self._in_vain[name] = 0 if gained else self._in_vain[name] + 1

    def _begin(self, row: Mapping[str, Any], parameters: space.Space, score: float) -> Study:
        import optuna  # takes half a second, which only a run with time left spends

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, multivariate=False, seed=self._seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        own = space.stored(parameters, row.get("params", {}))
        study.enqueue_trial(own)
        trial = study.ask()
        space.suggest({name: parameters[name] for name in own}, trial)
        study.tell(trial, score)
        self._studies[row["name"]] = study
        return study
