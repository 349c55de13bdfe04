"""``python -m automl_engine search``: a row's parameters optimised on known data sets, by BOHB (bohb.py).

A trial is an ordinary run of the row with other parameters on every data set; its value is their mean ALC, scored as a
user's run is.  The labels of these test splits are known and public (the paper does the same); nothing here ever sees
a user's data.  Workers share the study through its storage: processes of this machine, RQ workers anywhere, or the
same command with --join.  The same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_engine.errors import EXIT_STOPPED, DataError

if TYPE_CHECKING:
    import optuna

    from automl_engine.lab.search import report
    from automl_engine.lab.search.runs import Plan

OPTIONS = ("row", "budget", "t0", "seed", "device", "clock")
"""What all workers of a search must be told alike, beside the data."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    add = parser.add_argument
    add("--row", required=True, help="a configuration of the portfolio that has a search space")
    add("--data", type=Path, nargs="+", required=True, metavar="DIR", help="data sets to optimise on, as for run")
    add("--out", type=Path, required=True, metavar="OUT", help="output folder for search.json and row.yaml")
    add(
        "--trials", type=_count, default=30, metavar="N", help="number of trials, including those of earlier calls (30)"
    )
    add(
        "--budget",
        type=_seconds,
        default=90.0,
        metavar="S",
        help="training time of the longest runs; trials start with 1/9 of it (90)",
    )
    add("--t0", type=_seconds, default=60.0, metavar="S", help="time constant of the ALC in seconds (60)")
    add("--seed", type=int, default=0)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    add(
        "--clock",
        choices=("wall", "virtual"),
        default="wall",
        help="virtual: reproducible times from a table (meta costs)",
    )
    add("--portfolio", type=Path, metavar="FILE", help="configurations instead of the built-in ones")
    add("--storage", metavar="URL", help="postgresql://... to share with other machines (default: a file in OUT)")
    add("--name", help="name of the search in the storage (default: that of the configuration)")
    spread = parser.add_mutually_exclusive_group()
    spread.add_argument("--workers", type=_count, default=1, metavar="K", help="processes on this machine (1)")
    spread.add_argument("--queue", metavar="REDIS_URL", help="run the trials on RQ workers")
    spread.add_argument("--join", action="store_true", help="only add trials to a search that another call reports")


def main(options: argparse.Namespace) -> int:
    """0, or 130 where it was stopped.

    Raises:
        DataError: configuration, space, data, storage or queue are not usable.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what we started ends too
    try:
        return _search(options)
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return EXIT_STOPPED


def _search(options: argparse.Namespace) -> int:
    from automl_engine.lab.search import bohb, report
    from automl_engine.lab.search.jobs import objective, spread
    from automl_engine.portfolio import space

    plan = _plan(options)
    parameters = space.parse(plan.space, plan.row)
    options.out.mkdir(parents=True, exist_ok=True)
    storage = options.storage or f"sqlite:///{(options.out / 'search.db').resolve()}"
    name = options.name or plan.row
    begin = None if options.join else plan.params
    study = bohb.open_study(name, parameters, plan.budgets_s, storage, plan.seed, begin)
    _same_question(study, plan)
    progress = report.Progress(study, plan, options.trials)
    if options.queue:
        spread(options.queue, plan, storage, study, options.trials, progress.show)
    elif options.workers > 1:
        _work_together(options, lambda: progress.show(study))
    task = objective(plan, progress.warn)
    bohb.work(study, task, parameters, trials=options.trials, budgets=plan.budgets_s, after=progress.show)
    progress.bar.close()
    if not options.join:
        _finish(options.out, plan, study, progress)
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    from automl_engine.lab.search.runs import Plan
    from automl_engine.portfolio import load

    rows = load(options.portfolio)
    row = next((row for row in rows if row.name == options.row), None)
    if row is None:
        known = ", ".join(row.name for row in rows if row.space)
        raise DataError(f"--row must be a portfolio row, with a space have {known}; but got {options.row!r}.")
    same = {key: getattr(options, key) for key in ("seed", "device", "clock")}
    return Plan.of(row, options.data, budget_s=options.budget, t0_s=options.t0, **same)


def _same_question(study: optuna.Study, plan: Plan) -> None:
    """Trials that were measured in another way cannot be compared."""
    asked = study.user_attrs.get("question")
    if asked is None:
        study.set_user_attr("question", plan.question())
    elif asked != plan.question():
        differing = ", ".join(key for key, value in plan.question().items() if asked.get(key) != value)
        raise DataError(
            f"The search {study.study_name} was begun with other values of {differing}; repeat them, or give another "
            "--out (or --name)."
        )


def _work_together(options: argparse.Namespace, show: Callable[[], None]) -> None:
    """So many processes that make trials; they end when all are made, or with us."""
    values = {key: getattr(options, key) for key in (*OPTIONS, "out", "trials")}
    values |= {key: getattr(options, key) for key in ("portfolio", "storage", "name") if getattr(options, key)}
    given = [f"--{key}={value}" for key, value in values.items()]
    command = [sys.executable, "-m", "automl_engine", "search", *given, "--join", "--data", *map(str, options.data)]
    workers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(options.workers)]
    try:
        while any(worker.poll() is None for worker in workers):
            show()
            _wait(workers[0])
    finally:
        for worker in workers:
            worker.terminate()
            worker.wait()
    show()


def _wait(worker: subprocess.Popen[Any], time_s: float = 1.0) -> None:
    try:
        worker.wait(time_s)
    except subprocess.TimeoutExpired:
        return


def _finish(out: Path, plan: Plan, study: optuna.Study, progress: report.Progress) -> None:
    """The row as it is and the best trial's, measured once more with a seed that the search did not use: the best of
    many trials was lucky too."""
    from statistics import mean

    from automl_engine.lab.search import bohb, report
    from automl_engine.lab.search.runs import evaluate

    best, say = bohb.found(study), progress.say
    say("The row as it is and with the best parameters, once more with another seed ...")
    before = evaluate(plan, {}, plan.budget_s, plan.seed + 1, progress.warn)
    after = evaluate(plan, best.params, plan.budget_s, plan.seed + 1, progress.warn)
    row = report.write(out, plan, study, before, after)
    say(
        f"mean ALC {mean(before.values()):.4f} before, {mean(after.values()):.4f} after; in the search {best.value:.4f}"
    )
    say(f"{out / 'row.yaml'} can be imported into the portfolio: {row['params']}")


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more but got {text}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0 but got {text}")
    return value
