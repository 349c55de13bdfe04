"""What a search leaves: the progress while it works, ``search.json`` and ``row.yaml`` at the end."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import mean
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from automl_engine.files import write_json
from automl_engine.lab.search import bohb
from automl_engine.lab.search.runs import Plan


class Progress:
    """A bar on stderr where that is a terminal, and a line on stdout for each finished trial, whoever made it."""

    def __init__(self, study: optuna.Study, plan: Plan, trials: int) -> None:
        self.plan = plan
        self.seen = {trial.number for trial in study.get_trials(deepcopy=False, states=bohb.FINISHED)}
        self.bar = tqdm(total=trials, initial=len(self.seen), unit="trial", disable=None, dynamic_ncols=True)
        self.trials = trials

    def show(self, study: optuna.Study) -> None:
        for trial in study.get_trials(deepcopy=False, states=bohb.FINISHED):
            if trial.number not in self.seen:
                self.seen.add(trial.number)
                self.bar.update()
                tqdm.write(f"{len(self.seen)} of {self.trials}, {told(trial, self.plan)}")

    def say(self, text: str) -> None:
        tqdm.write(text)

    def warn(self, text: str) -> None:
        """On stderr, where that of the worker processes goes too."""
        tqdm.write(text, file=sys.stderr)


def told(trial: FrozenTrial, plan: Plan) -> str:
    """One line."""
    step, value = max(trial.intermediate_values.items())
    reached = f"ALC {value:.4f} at {step * plan.budgets_s[0]:g} s"
    stopped = ", no better than others there" if trial.state == TrialState.PRUNED else ""
    return f"trial {trial.number}: {reached}{stopped} ({_listed(trial.user_attrs[bohb.PARAMS])})"


def _listed(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in params.items())


def _short(value: Any) -> Any:
    """Four digits are all that a search can tell."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def write(
    out: Path, plan: Plan, study: optuna.Study, before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, Any]:
    """``OUT/search.json`` and ``OUT/row.yaml``; returns the new row.

    Args:
        before, after: ALC by data set of the row as it is and of the best trial's parameters, measured again.
    """
    best = bohb.found(study)
    trials = study.get_trials(deepcopy=False)
    params = {name: _short(value) for name, value in best.params.items()}
    write_json(
        out / "search.json",
        {
            "version": 1,
            **plan.question(),
            "best": {"params": params, "alc": best.value},
            "again": {"seed": plan.seed + 1, "before": dict(before), "after": dict(after)},
            "trials": [_trial(trial, plan) for trial in trials],
        },
    )
    finished = bohb.finished(study)
    tried = f"{finished} trials of up to {plan.budget_s:g} s on {', '.join(sorted(plan.data))}"
    gain = f"ALC there {mean(after.values()):.4f}, {mean(before.values()):.4f} before, with another seed"
    row = {
        "name": f"{plan.row}_tuned",
        "modality": plan.modality,
        "model": plan.model,
        "params": {**plan.params, **params},
        "origin": f"{plan.row} after a search (BOHB, Falkner et al. 2018), {date.today()}: {tried}; {gain}",
        "enabled": False,
    }
    text = yaml.safe_dump([row], sort_keys=False, allow_unicode=True, width=1000)
    (out / "row.yaml").write_text(text, encoding="utf-8")
    return row


def _trial(trial: FrozenTrial, plan: Plan) -> dict[str, Any]:
    reached = {f"{step * plan.budgets_s[0]:g}": value for step, value in sorted(trial.intermediate_values.items())}
    return {
        "number": trial.number,
        "state": {"fail": "lost"}.get(trial.state.name.lower(), trial.state.name.lower()),
        "params": trial.user_attrs.get(bohb.PARAMS, {}),
        "alc": reached,
        "parts": trial.user_attrs.get(bohb.PARTS, {}),
        "begun": _time(trial.datetime_start),
        "ended": _time(trial.datetime_complete),
        "repeats": trial.user_attrs.get(bohb.AGAIN),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="seconds") if moment else None
