"""The supervisor of a run: starts the child, scores what it predicts, ends it at the budget, keeps what counts.

Imports neither torch nor tensorflow.  Only this side opens ``.solution``.  The child ends with us in any case, also
when somebody kills our process group, as RQ does with SIGKILL (child.py).
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil

from automl_engine import __version__
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from automl_engine.files import write_json
from automl_engine.models.challenge import interpreter
from automl_engine.run import confined, events, isolation
from automl_engine.run.child import EXIT_LIMIT, KILLED, Process, engine_limits, launch
from automl_engine.run.child import environment as child_environment
from automl_engine.run.scoreboard import Scoreboard, prediction_files, read_solution, read_start
from automl_engine.weights import places

CONSTRUCTION_LIMIT_S = 1200.0  # the challenge's allowance for imports and the constructor
GRACE_S = 1.0  # between SIGTERM and SIGKILL
LOG_MAX_BYTES = 10 * 2**20  # of what a model prints; beyond, the log begins anew
SCORING_LIMIT_S = 1.0  # between two looks at whether the run shall end
POLL_S = 0.05
PATIENCE = 100.0
"""Multiple of the budget, in real time, after which a run on the virtual clock has failed: its clock stands still."""
STEADY = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "PYTHONHASHSEED": "0",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
"""The environment in which the numbers of a virtual run come out the same: sums in one order, no random hashes."""
USED_UP = 0.95
"""Share of the budget after which a model that ends has had too little time for more."""
NO_TIME = "too little time was left for another step"
FOREIGN = "challenge"
"""The model whose code is not ours."""
CHILD = (sys.executable, "-m", "automl_engine.run.ingestion")
_EXIT_OK, _EXIT_DATA = 0, 2
_PACKAGES = ("numpy", "scipy", "scikit-learn", "lightgbm", "torch", "torchvision", "tensorflow-cpu", "tensorflow")


def find_dataset(folder: Path) -> tuple[Path, Path]:
    """(NAME.data, NAME.solution) of a data set's folder.

    Raises:
        DataError: there is not exactly one of each.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give the one that python -m formatters wrote.")
    found = []
    for suffix in (".data", ".solution"):
        paths = sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("."))
        if len(paths) != 1:
            raise DataError(f"{folder.name} must hold exactly one NAME{suffix} but has {len(paths)}.")
        found.append(paths[0])
    return found[0], found[1]


def run(
    folder: Path,
    run_dir: Path,
    *,
    budget_s: float = 1200.0,
    t0_s: float = 60.0,
    name: str = "auto",
    model: str = "auto",
    params: dict[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    costs: Path | None = None,
    on_line: Callable[[str], None] = lambda line: None,
    child: Sequence[str] | None = CHILD,
) -> dict[str, Any]:
    """Train on a data set under a budget; returns (and leaves in ``RUN/scores.json``) the scores.

    Args:
        folder: holds ``NAME.data`` and ``NAME.solution``.
        run_dir: made if need be; what an earlier run left there is removed.
        name: what the user asked for: auto, a portfolio row, a folder with challenge code.
        model, params: what that means: a key of MODELS, and its parameters (JSON).
        costs: a table of costs, for a virtual clock (and the processor, unless a device is named); None: the wall.
        on_line: gets the progress in plain words.
        child: the command that runs ingestion.py; None: a fork of this process, which has imported all that it needs.

    Raises:
        DataError: the data set could not be read, or the interpreter that the code needs is missing.
    """
    data_dir, solution_path = find_dataset(folder)
    code = Path((params or {})["path"]) if model == FOREIGN else None
    other = interpreter.chosen(code) if code else None
    spec = Spec.read(data_dir / "test" / "metadata.textproto")
    solution = _solution_of(data_dir, spec, solution_path)
    _clear(run_dir)
    device = "cpu" if costs and device == "auto" else device
    order = {"budget_s": budget_s, "t0_s": t0_s, "model": model, "params": params or {}, "seed": seed, "device": device}
    order |= {"clock": "wall"} if costs is None else {"clock": "virtual", "costs": str(costs)}
    write_json(run_dir / "run.json", {"data_dir": str(folder.resolve()), "name": name, **order})
    about = {"budget_s": budget_s, "t0_s": t0_s, "model": name, "device": device, "versions": versions()}
    about["clock"] = order["clock"]
    board = Scoreboard(run_dir, solution, spec.labels, about)
    board.write()
    supervisor, arguments = Supervisor(board, on_line), [str(data_dir), str(run_dir)]
    if code is None:
        readable = [data_dir, *places(), *named_paths(order), *([costs] if costs else [])]
        if child is None and not costs:
            return supervisor.supervise(partial(_fork, arguments, readable, run_dir))
        command = confined.wrap([*(child or CHILD), *arguments], readable, [run_dir])
        return supervisor.supervise(partial(_launch, command, STEADY if costs else {}))
    command = [*(other.command if other else child or CHILD), *arguments]
    readable = [data_dir, code, *(other.paths if other else [])]
    variables = {"PATH": isolation.NO_TOOLS, "HOME": str(run_dir.absolute())}
    return supervisor.supervise(partial(_launch, _isolated(command, readable, run_dir, supervisor.note), variables))


def _isolated(command: Sequence[str], read: Sequence[Path], run_dir: Path, note: Callable[[str], None]) -> list[str]:
    """Foreign code in namespaces, or where the kernel makes none confined as our own code is.

    Raises:
        DataError: it would reach this machine's files or network.
    """
    if refusal := confined.refusal():
        raise DataError(refusal)
    if not (obstacle := isolation.obstacle()):
        return isolation.wrap(command, read, [run_dir])
    if missing := confined.obstacle():
        note(f"This code is not isolated from this machine's files and network: {obstacle}; {missing}.")
    return confined.wrap(command, read, [run_dir])


def named_paths(value: Any) -> list[Path]:
    """All paths in an order's parameters, such as tables and weights."""
    if isinstance(value, dict | list):
        return [path for part in (value.values() if isinstance(value, dict) else value) for path in named_paths(part)]
    return [Path(value)] if isinstance(value, str) and os.sep in value else []


def _launch(command: Sequence[str], variables: Mapping[str, str], log: IO[bytes]) -> Process:
    return launch(
        command,
        engine_limits(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=child_environment() | dict(variables),
    )


def _fork(arguments: list[str], read: Sequence[Path], run_dir: Path, log: IO[bytes]) -> Process:
    from automl_engine.run import forked, ingestion

    return forked.fork(lambda: ingestion.main(arguments), engine_limits(), log, read, [run_dir])


def _solution_of(data_dir: Path, spec: Spec, path: Path) -> np.ndarray:
    """(N, K) of 0 and 1.

    Raises:
        DataError: it does not belong to the test split, or nothing can be scored.
    """
    if not spec.sample_count:
        raise DataError(f"{data_dir.name}/test holds no examples, so nothing can be scored; add test examples.")
    solution = read_solution(path)
    if solution.shape != (spec.sample_count, spec.output_dim):
        raise DataError(
            f"{path.name} has {solution.shape[0]} rows of {solution.shape[1]} but the test split has "
            f"{spec.sample_count} examples of {spec.output_dim} classes."
        )
    return solution


class Supervisor:
    """Watches one child until it ends or is ended."""

    def __init__(self, board: Scoreboard, on_line: Callable[[str], None]) -> None:
        self.board, self.on_line = board, on_line
        self.run_dir = board.run_dir
        self.journal = board.run_dir / "events.jsonl"
        self._offset = 0
        self._by: dict[int, str] = {}
        self._failure: str | None = None  # the child's own words, as is the next
        self._why_done = ""

    def supervise(self, start: Callable[[IO[bytes]], Process]) -> dict[str, Any]:
        """``start``: starts the child, which prints to the given file."""
        launched = time.time()
        with _stop_signals() as stop, open(self.run_dir / "ingestion.log", "ab") as log:
            process = start(log)
            try:
                ended_for = self._watch(process, stop, launched, log)
            finally:
                _end(process)
        self._read_events()
        self._score_ready(final=True)
        stopped, reason = self._outcome(process.returncode, ended_for)
        restore_model(self.run_dir)
        for part in self.run_dir.glob(".*.part"):  # a file that the end cut short
            part.unlink()
        return self._finish(stopped, reason, process.returncode)

    def _watch(self, process: Process, stop: list[int], launched: float, log: IO[bytes]) -> str | None:
        """Score until the child ends by itself (None), or say why we end it: user, budget or construction."""
        while process.poll() is None:
            self._read_events()
            self._score_ready(final=False)
            if stop:
                return "user"
            try:
                start, budget_s, _ = read_start(self.run_dir)
            except FileNotFoundError:
                if time.time() - launched > CONSTRUCTION_LIMIT_S:
                    return "construction"
            else:
                limit_s = budget_s if self.board.about["clock"] != "virtual" else PATIENCE * budget_s
                if time.time() >= start + limit_s:
                    return "budget"
            if os.fstat(log.fileno()).st_size > LOG_MAX_BYTES:  # else a model that prints for ever fills the disk
                log.truncate(0)
            time.sleep(POLL_S)
        return "user" if stop else None  # a signal to the whole group reaches the child first

    def _read_events(self) -> None:
        new, self._offset = events.read(self.journal, self._offset)
        for event in new:
            match event["event"]:
                case "started":
                    self.board.about["device"] = event["device"]
                case "prediction":
                    self._by[event["k"]] = event["by"]
                case "failed":
                    self._failure = event["error"] if event["fatal"] else self._failure
                case "stopped":
                    self._why_done = event["reason"]
            line = describe(event)
            if line:
                self.on_line(line)

    def _score_ready(self, final: bool) -> None:
        """Score what is there; while the child lives a prediction's event, which names its maker, may lag a moment.

        A child that predicts faster than we score must not keep us from its end: then some wait for the next call.
        """
        deadline = time.monotonic() + SCORING_LIMIT_S
        for k in self.board.unscored():
            if not final and time.monotonic() > deadline:
                return
            if k not in self._by and not final:
                continue
            point = self.board.score(k, self._by.get(k, ""))
            if point is None:
                self._emit("failed", what="scoring", error=self.board.rejected[k], traceback="", fatal=False)
            else:
                self._emit("score", **point, alc=self.board.alc())

    def _outcome(self, code: int, ended_for: str | None) -> tuple[str, str]:
        """``stopped`` and ``reason`` of scores.json."""
        budget_s = self.board.about["budget_s"]
        if ended_for == "user":
            kept = "the best so far is kept" if self.board.points else "there was no prediction yet"
            return "user", f"stopped by the user; {kept}"
        if ended_for == "budget" or (code == _EXIT_OK and _elapsed_s(self.run_dir) >= budget_s):
            return "budget", f"the budget of {budget_s:g} s is used up"
        if ended_for == "construction":
            return "failed", f"the model was not ready after {CONSTRUCTION_LIMIT_S:g} s"
        if code == _EXIT_OK:
            near_end = _elapsed_s(self.run_dir) > USED_UP * budget_s
            return "done", self._why_done or (NO_TIME if near_end else "the model has nothing more to learn")
        if self._failure:
            return "failed", self._failure
        if code == EXIT_LIMIT:
            return "failed", _log_end(self.run_dir).splitlines()[-1]
        if code == -signal.SIGKILL:
            return "failed", KILLED
        died = f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
        return "failed", f"the training process died with {died}"

    def _finish(self, stopped: str, reason: str, code: int) -> dict[str, Any]:
        if stopped == "failed" and not self._failure:  # the child could not tell it
            self._emit("failed", what="process", error=reason, traceback=_log_end(self.run_dir), fatal=True)
        if stopped in ("user", "budget"):
            self._emit("stopped", reason=stopped)
        scores = self.board.write(stopped, reason)
        told = {key: scores[key] for key in ("alc", "nauc", "accuracy", "reason")}
        self._emit("finished", **told, predictions=len(self.board.points))
        if code == _EXIT_DATA and not self.board.points:
            raise DataError(reason)
        return scores

    def note(self, text: str) -> None:
        self._emit("note", t=0.0, text=text)

    def _emit(self, kind: str, **fields: Any) -> None:
        events.append(self.journal, kind, **fields)
        self._read_events()


def restore_model(run_dir: Path) -> None:
    """Recover if the child was killed while it replaced the model: ``model/`` is the newest whole model."""
    place = run_dir / "model"
    for name in ("model.new", "model.old"):
        if not place.exists() and (run_dir / name / "model.json").exists():
            (run_dir / name).rename(place)
        shutil.rmtree(run_dir / name, ignore_errors=True)


def describe(event: dict[str, Any]) -> str | None:
    """One plain line for people, or None for what is not worth one."""
    at = f"{event.get('t', 0):8.2f} s  "
    match event["event"]:
        case "started":
            modality = f" ({event['modality']})" if event["modality"] else ""  # unknown to a program that stands alone
            return f"{at}clock started: {event['dataset']}{modality}, {event['model']} on {event['device']}"
        case "order":
            tried = ", ".join(told["row"] for told in event["rows"])
            left_out = "".join(f"; without {told['row']}: {told['reason']}" for told in event["left_out"])
            return f"{at}order: {tried}{left_out}"
        case "chosen":
            return f"{at}chose {event['row']}: {event['reason']}"
        case "progress":
            told = event["text"].startswith(f"{event['by']}:")
            return f"{at}{event['text']}" if told else f"{at}{event['by']}: {event['text']}"
        case "note":
            return f"{at}{event['text']}"
        case "score":
            right = "" if event["accuracy"] is None else f"  accuracy {event['accuracy']:.4f}"
            made = f"{at}prediction {event['k']} by {event['by'] or 'unknown'}: NAUC {event['nauc']:.4f}"
            return f"{made}{right}  ALC if it ended now {event['alc']:.4f}"
        case "failed":
            return f"{at}failed ({event['what']}): {event['error']}"
    return None


def versions() -> dict[str, str]:
    """Of everything that can change a score, without importing it."""
    found = {"autodl-self-service": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """SIGTERM and Ctrl-C mean: stop now, keep the best.  The list holds what was received."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {n: signal.signal(n, lambda number, _: received.append(number)) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: Process) -> None:
    """SIGTERM, a moment of grace, SIGKILL; the same for whatever the child started."""
    if process.poll() is not None:
        return
    family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for member in family:
        if member.is_running():
            member.kill()


def _clear(run_dir: Path) -> None:
    """Make the folder; remove what an earlier run left there, and nothing else."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise DataError(f"{run_dir} cannot be made ({error.strerror}); give another folder for the run.") from None
    names = ["start.txt", "end.txt", "events.jsonl", "scores.json", "results.json", "ingestion.log", "model.zip"]
    for path in [*prediction_files(run_dir).values(), *(run_dir / name for name in names)]:
        path.unlink(missing_ok=True)
    for name in ("model", "model.new", "model.old"):
        shutil.rmtree(run_dir / name, ignore_errors=True)


def _elapsed_s(run_dir: Path) -> float:
    """How long the child's clock ran, by its own ``end.txt``."""
    lines = (run_dir / "end.txt").read_text().splitlines()
    return float(dict(line.split(": ", 1) for line in lines)["ingestion_duration"])


def _log_end(run_dir: Path, size_bytes: int = 4000) -> str:
    return (run_dir / "ingestion.log").read_bytes()[-size_bytes:].decode("utf-8", "replace")
