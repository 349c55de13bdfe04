"""The engine's command lines.

    python -m automl_engine run DIR --out RUN [--budget 1200] [--model auto|ROW|FOLDER]
    python -m automl_engine score RUN SOLUTION
    python -m automl_engine export RUN
    python -m automl_engine predict model.zip INPUT -o out.csv
    python -m automl_engine why model.zip INPUT -o why.json
    python -m automl_engine bench --data DIR --out OUT [--models auto,ROW,FOLDER] [--budget 120] [--seeds 3]
    python -m automl_engine meta scores|costs|evaluate|reduce ...
    python -m automl_engine search --row ROW --data DIR --out OUT [--trials 30]
    python -m automl_engine pretrain --arch ARCH --source SOURCE --hours H --out FOLDER

Exit codes: 0 done; 1 nothing was predicted; 2 the data (or an argument) is wrong, one sentence on stderr says how to
fix it; 3 the run is fine but its model could not be exported; 4 the machine failed (disk full, no permission).
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from automl_engine import clock
from automl_engine.errors import EXIT_STOPPED, DataError, exit_code
from automl_engine.lab.bench import BASELINE, BASELINE_CHILD
from automl_engine.lab.meta import VERBS
from automl_engine.run import child

MANY_SEEDS = 100
EXIT_NOTHING, EXIT_EXPORT = 1, 3  # the others: errors.py
STUDIES = {
    "pretrain": ("automl_engine.lab.pretrain", "pretrain networks on synthetic data"),
    "search": ("automl_engine.lab.search", "optimise the parameters of a configuration on data sets"),
}


def main(arguments: list[str] | None = None, *, is_preloaded: bool = False) -> int:
    """Args:
    is_preloaded: this process has imported all that a run needs, so that the child may be forked.
    """
    words = sys.argv[1:] if arguments is None else arguments
    options = _parser(words).parse_args(words)
    options.is_preloaded = is_preloaded
    return exit_code(lambda: options.verb(options))


def run(options: argparse.Namespace) -> int:
    from automl_engine.models.configuration import missing_package
    from automl_engine.run.supervisor import CHILD, find_dataset
    from automl_engine.run.supervisor import run as run_engine

    data_dir = find_dataset(options.dir)[0]
    asked = _unpacked(Path(options.model), options.out)
    model, params = resolve(asked, data_dir, options.portfolio)
    if lacks := missing_package(model):
        raise DataError(f"{options.model} needs {lacks}")
    if options.clock == "virtual" and model in ("challenge", BASELINE):
        raise DataError(f"{options.model} reads the real time, and so it only runs with --clock wall.")
    if options.clock == "virtual":
        clock.Costs.read(options.costs)  # a wrong table is told here, in a sentence
    started_s = clock.now_s()
    scores = run_engine(
        options.dir,
        options.out,
        budget_s=options.budget,
        t0_s=options.t0,
        name=options.model,
        model=model,
        params=params,
        seed=options.seed,
        device=options.device,
        costs=options.costs if options.clock == "virtual" else None,
        on_line=lambda line: print(line, flush=True),
        child=BASELINE_CHILD if model == BASELINE else None if options.is_preloaded else CHILD,
    )
    print_scores(scores)
    if options.clock == "virtual":
        print(f"All this took {clock.now_s() - started_s:.0f} s of real time.")
    if options.export and scores["predictions"] and model != "challenge":  # whose code leaves no model
        return _export_after_run(options.dir, options.out)
    return 0 if scores["predictions"] else EXIT_NOTHING


def _unpacked(model: Path, run_dir: Path) -> str:
    """What ``--model`` names, but the folder of a submission that is given by its model.py or as an archive, which is
    unpacked into the run's folder.

    Raises:
        DataError: the archive is damaged, hostile or too large.
    """
    if model.name == "model.py":
        return str(model.parent)
    if model.suffix != ".zip" and not (model.suffix and model.is_file()):
        return str(model)
    from formatters.unpacking.archive import unpack  # not before: it takes long to import

    place = run_dir / "submission" / model.stem
    shutil.rmtree(place.parent, ignore_errors=True)
    return str(unpack(model, place, is_code=True).root)


def resolve(name: str, data_dir: Path, portfolio: Path | None) -> tuple[str, dict[str, Any]]:
    """(key of MODELS, parameters) behind ``--model``: auto, auto with or without a row, a row, a model, a baseline, or
    a folder with challenge code.

    Raises:
        DataError: there is no such model.
    """
    from automl_engine.models import MODELS

    if (Path(name) / "model.py").is_file():
        return _challenge(Path(name), data_dir)
    if name == "constant":
        return name, {}
    if name.startswith(BASELINE):
        from automl_engine.lab.bench.baselines import BASELINES

        if name in BASELINES:
            return BASELINE, {"program": name}
    from automl_engine.portfolio import changed_row, configurations, load

    rows = load(portfolio)
    found = next((row for row in rows if row.name == name), None)
    if name == "auto" or (changed_row(name, rows) and not found):
        return "auto", {"rows": [{**asdict(row), "enabled": True} for row in configurations(name, rows)]}
    if found:
        needed = {"data_dir": str(data_dir.resolve())} if found.model == "challenge" else {}
        return found.model, {**found.params, **needed}
    if name in MODELS and name != "challenge":
        return name, {}
    if Path(name).is_dir():
        return _challenge(Path(name), data_dir)
    known = ", ".join(row.name for row in rows)
    known = f"auto, auto-ROW, auto+ROW, constant, a folder or zip with model.py, or one of {known}"
    raise DataError(f"--model must be {known}; but got {name!r}.")


def _challenge(folder: Path, data_dir: Path) -> tuple[str, dict[str, Any]]:
    from automl_engine.models.challenge import submission

    return "challenge", {"path": str(submission.code_folder(folder.resolve())), "data_dir": str(data_dir.resolve())}


def print_scores(scores: dict[str, Any]) -> None:
    right = "" if scores["accuracy"] is None else f", accuracy {scores['accuracy']:.4f}"
    count = len(scores["predictions"])
    print(
        f"ALC {scores['alc']:.4f}, NAUC {scores['nauc']:.4f}{right} after {count} predictions; {scores['reason']}.",
        flush=True,
    )


def _export_after_run(folder: Path, run_dir: Path) -> int:
    """In a process of its own, since it needs torch; the scores stand whatever happens to it."""
    if not (run_dir / "model" / "model.json").exists():
        print("No model.zip: this model cannot be saved.")
        return 0
    if not (folder / "recipe.json").exists():
        print("No model.zip: the data set has no recipe.json (python -m formatters writes it).")
        return 0
    command = [sys.executable, "-m", "automl_engine", "export", str(run_dir), "--data", str(folder)]
    return EXIT_EXPORT if child.launch(command, child.engine_limits()).wait() else 0


def score(options: argparse.Namespace) -> int:
    from automl_engine.run.scoreboard import rescore

    print_scores(rescore(options.run, options.solution))
    return 0


def export(options: argparse.Namespace) -> int:
    from automl_engine.package.export import ParityError
    from automl_engine.package.export import export as export_run

    try:
        print(export_run(options.run, options.data))
    except ParityError as error:
        print(error, file=sys.stderr)
        return EXIT_EXPORT
    return 0


def predict(options: argparse.Namespace) -> int:
    import json

    from automl_engine.package.predictor import predict_zip

    with child.held_memory():
        predicted = predict_zip(options.model_zip, options.input, options.out)
    for note in predicted.notes:
        print(note, file=sys.stderr)
    if options.notes:
        options.notes.write_text(json.dumps(predicted.notes, ensure_ascii=False), encoding="utf-8")
    return 0


def why(options: argparse.Namespace) -> int:
    from automl_engine.package.why import explain_zip

    with child.held_memory():
        explain_zip(options.model_zip, options.input, options.out, options.test)
    return 0


def bench(options: argparse.Namespace) -> int:
    from automl_engine.lab.bench.sweep import Plan
    from automl_engine.lab.bench.sweep import bench as run_bench

    plan = Plan(
        data=options.data,
        out=options.out,
        models=options.models,
        budgets_s=options.budget,
        t0_s=options.t0,
        seeds=options.seeds,
        device=options.device,
        sets=options.sets,
        references=options.references,
        clock=options.clock,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what we started ends too
    try:
        faults = run_bench(plan, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return EXIT_STOPPED
    for fault in faults:
        print(f"Failed: {fault}", file=sys.stderr)
    print(f"The table is in {options.out / 'table.md'}.")
    return EXIT_NOTHING if faults else 0


def _parser(words: list[str]) -> argparse.ArgumentParser:
    """Studies state their arguments themselves: only those among the ``words`` are imported, since that takes long."""
    parser = argparse.ArgumentParser(prog="python -m automl_engine", description="Anytime AutoML under a time budget.")
    verbs = parser.add_subparsers(required=True, metavar="run|score|export|predict|why|bench|search|meta|pretrain")

    verb = verbs.add_parser("run", help="train on a data set until the budget ends")
    verb.set_defaults(verb=run)
    verb.add_argument("dir", type=Path, metavar="DIR", help="folder with NAME.data and NAME.solution")
    verb.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder for predictions, scores, model")
    verb.add_argument("--budget", type=_positive, default=1200.0, metavar="S", help="training time in seconds (1200)")
    verb.add_argument(
        "--t0", type=_positive, default=60.0, metavar="S", help="time constant of the ALC in seconds (60)"
    )
    verb.add_argument(
        "--model",
        default="auto",
        help="auto, auto-NAME (without that configuration), auto+NAME (with one that is off), the name of a "
        "configuration, or challenge code",
    )
    verb.add_argument("--seed", type=int, default=0, help="random seed (0)")
    verb.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    verb.add_argument(
        "--clock", choices=clock.MODES, default="wall", help="virtual: reproducible times from a table (meta costs)"
    )
    verb.add_argument("--portfolio", type=Path, metavar="FILE", help="configurations instead of the built-in ones")
    costs_help = "table of the virtual clock, by meta costs (built-in)"
    verb.add_argument("--costs", type=Path, default=clock.COSTS, metavar="FILE", help=costs_help)
    verb.add_argument("--no-export", dest="export", action="store_false", help="do not write model.zip")

    verb = verbs.add_parser("score", help="score the predictions of a run again")
    verb.set_defaults(verb=score)
    verb.add_argument("run", type=Path, metavar="RUN")
    verb.add_argument("solution", type=Path, metavar="SOLUTION")

    verb = verbs.add_parser("export", help="make model.zip from a run and verify it")
    verb.set_defaults(verb=export)
    verb.add_argument("run", type=Path, metavar="RUN")
    verb.add_argument("--data", type=Path, metavar="DIR", help="folder of the data set, if it was moved since the run")

    verb = verbs.add_parser("predict", help="predict raw data with a model.zip")
    verb.set_defaults(verb=predict)
    verb.add_argument("model_zip", type=Path, metavar="model.zip")
    verb.add_argument("input", type=Path, metavar="INPUT", help="a file, folder, zip or table without labels")
    verb.add_argument("-o", "--out", type=Path, required=True, metavar="out.csv")
    verb.add_argument("--notes", type=Path, metavar="notes.json", help="what could not be read, as a list of sentences")
    _add_why(verbs.add_parser("why", help="tell which parts of an input a model.zip's answer depends on"))
    _add_bench(
        verbs.add_parser("bench", help="compare models over data sets and seeds: table, plots and CSV; resumable")
    )
    for name, (module, help_text) in STUDIES.items():
        _add_study(verbs.add_parser(name, help=help_text), module if name in words else "")
    meta = verbs.add_parser("meta", help="meta-learning from past runs: score tables, costs, selectors")
    metas = meta.add_subparsers(required=True, metavar="|".join(VERBS))
    for name, (module, help_text) in VERBS.items():
        _add_study(metas.add_parser(name, help=help_text), module if name in words else "")
    return parser


def _add_study(verb: argparse.ArgumentParser, module: str) -> None:
    """A verb that another module implements."""
    if module:
        study = import_module(module)
        study.arguments(verb)
        verb.set_defaults(verb=study.main)


def _add_why(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(verb=why)
    verb.add_argument("model_zip", type=Path, metavar="model.zip")
    verb.add_argument("input", type=Path, metavar="INPUT", help="new data, or the folder of a data set with --test")
    verb.add_argument("-o", "--out", type=Path, required=True, metavar="why.json")
    verb.add_argument("--test", type=int, metavar="INDEX", help="explain this item of the data set's test split")


def _add_bench(verb: argparse.ArgumentParser) -> None:
    verb.set_defaults(verb=bench)
    verb.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of zips and AutoDL data sets")
    verb.add_argument("--out", type=Path, required=True, metavar="OUT", help="output folder; results in it are kept")
    verb.add_argument(
        "--models",
        type=_names,
        default=["auto"],
        metavar="A,B",
        help="as --model of run, linear (the linear model of each modality), baselines (plain scikit-learn)",
    )
    verb.add_argument(
        "--budget",
        type=_budgets,
        default={"": 120.0},
        metavar="S",
        help="training time in seconds, such as 120 or 120,tabular=60",
    )
    verb.add_argument(
        "--t0", type=_positive, default=60.0, metavar="S", help="time constant of the ALC in seconds (60)"
    )
    verb.add_argument(
        "--seeds", type=_seeds, default={"": 3}, metavar="N", help="seeds 0 to N - 1 (3), such as 3 or 1,auto=3"
    )
    verb.add_argument("--sets", type=_names, default=[], metavar="A,B", help="only these data sets")
    verb.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    verb.add_argument("--clock", choices=clock.MODES, default="wall", help="as in run")
    verb.add_argument("--references", type=Path, metavar="CSV", help="published results to compare with")


def _names(text: str) -> list[str]:
    return list(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))


def _budgets(text: str) -> dict[str, float]:
    """``120,tabular=60``: seconds by modality; that of "" holds for the others."""
    from automl_engine.portfolio import MODALITIES

    found = _by_name(text, "MODALITY")
    if wrong := found.keys() - {"", *MODALITIES}:
        raise argparse.ArgumentTypeError(f"knows {', '.join(MODALITIES)}, but got {', '.join(sorted(wrong))}")
    return {name: _positive(seconds) for name, seconds in found.items()}


def _seeds(text: str) -> dict[str, int]:
    """``1,auto=3``: how many by model; that of "" holds for the others."""
    found = _by_name(text, "MODEL")
    if wrong := [number for number in found.values() if not (number.isdecimal() and 0 < int(number) < MANY_SEEDS)]:
        raise argparse.ArgumentTypeError(f"must be whole numbers from 1 to {MANY_SEEDS - 1}, but got {wrong[0]}")
    return {name: int(number) for name, number in found.items()}


def _by_name(text: str, what: str) -> dict[str, str]:
    parts = [part.rpartition("=") for part in text.split(",")]
    if sum(not name for name, _, _ in parts) != 1:
        raise argparse.ArgumentTypeError(f"must be one number, and {what}=number after commas, but got {text}")
    return {name: value for name, _, value in parts}


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0 but got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
