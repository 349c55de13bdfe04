"""The only bridge to the engine: its command lines and its files (docs/formats.md).

Nothing here imports the engine's heavy half; the web process never loads torch or tensorflow.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import psutil
from django.conf import settings
from django.core import signing

from automl_engine import weights
from automl_engine.errors import DataError
from automl_engine.files import write_json
from automl_engine.models import configuration
from automl_engine.models.challenge import submission
from automl_engine.package import challenge_result
from automl_engine.run import child, confined, curve, events, isolation, warm

__all__ = [
    "DataError",
    "EngineError",
    "Process",
    "Question",
    "Stopped",
    "challenge_result",
    "compare_classes",
    "configuration",
    "confined",
    "convert",
    "curve",
    "end",
    "end_stray",
    "events",
    "explain",
    "export",
    "isolation",
    "log_tail",
    "model_names",
    "predict",
    "read_json",
    "start_run",
    "submission",
    "unpack",
    "waiting_bytes",
    "was_killed",
    "weights",
    "weights_card",
    "write_json",
]

Process = child.Process
EXIT_DATA_ERROR = 2
POLL_S = 1.0
KILL_PATIENCE_S = 5.0
LINE_MAX_BYTES = 2**24  # of what a child process prints
ERRORS_MAX_BYTES = 2**16  # of what it printed as errors, from the end
TOO_LONG = "it took too long, or its result is not wanted any more"
QUESTION_LINE = "Question: "  # begins the formatters' line of JSON for a page (docs/formats.md)


class EngineError(Exception):
    """The engine died for a reason that is not the user's; ``args[0]`` holds the end of its stderr."""


class Question(DataError):
    """A choice that only the user can make; ``asked`` says what a form needs to ask for it."""

    def __init__(self, sentence: str, asked: dict[str, Any]) -> None:
        super().__init__(sentence)
        self.asked = asked


class Stopped(Exception):
    """``should_stop`` said so: the child process and all that it started have been killed."""


def convert(
    source: Path, out: Path, options: dict[str, Any], on_line: Callable[[str], None], should_stop: Callable[[], bool]
) -> None:
    """Raw upload -> AutoDL data set in ``out``; each progress line goes to ``on_line``.

    Raises:
        Question: the user must choose.
        DataError: the data could not be read; the message is for the user.
        Stopped: by ``should_stop``, which is asked once a second, here and below.
    """
    arguments = [str(source), str(out)]
    for key in ("name", "target", "modality", "test_size", "seed", "label_cuts", "encoding", "date_order", "data_set"):
        if options.get(key) not in (None, ""):
            arguments.append(f"--{key.replace('_', '-')}={options[key]}")
    arguments += [f"--more={path}" for path in options.get("more", ())]
    asked: list[dict[str, Any]] = []

    def on_output(line: str) -> None:
        if line.startswith(QUESTION_LINE):
            asked.append(json.loads(line.removeprefix(QUESTION_LINE)))
        else:
            on_line(line)

    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as edits:  # may be long
        json.dump(options.get("edits", []), edits)
        edits.flush()
        try:
            read = [source, *map(Path, options.get("more", ())), Path(edits.name)]
            _call(["formatters", *arguments, f"--edits={edits.name}"], read, out.parent, should_stop, on_output)
        except DataError as error:
            if asked:
                raise Question(str(error), asked[-1]) from error
            raise


def start_run(
    data_dir: Path,
    run_dir: Path,
    *,
    budget_s: int,
    t0_s: int,
    model: str,
    seed: int,
    portfolio: Path | None,
) -> child.Process:
    """Start training: a fork of the engine that waits beside this worker, or else a process of its own.

    It ends by itself, or on SIGTERM keeping the best, and in any case with this process.
    """
    command = ["automl_engine", "run", str(data_dir), "--out", str(run_dir), "--budget", str(budget_s)]
    command += ["--t0", str(t0_s), "--model", model, "--seed", str(seed), "--no-export"]
    if portfolio:
        command += ["--portfolio", str(portfolio)]
    run_dir.mkdir(parents=True, exist_ok=True)
    with open(run_dir / "engine.log", "ab") as log:
        process: child.Process | None = warm.start(settings.WARM_ENGINE, command[1:], log)
        if process is None:
            process = child.launch(_python(command), child.Limits(), stdout=log, stderr=log, cwd=settings.BASE_DIR)
    remember(process.pid, run_dir)
    return process


def remember(pid: int, run_dir: Path) -> None:
    """For ``end_stray``; signed, since the run's code may write into its folder, and could have any process killed."""
    with contextlib.suppress(psutil.NoSuchProcess):  # it has ended already
        about = f"{pid} {socket.gethostname()} {psutil.Process(pid).create_time()}"
        (run_dir / "engine.pid").write_text(signing.Signer(salt=run_dir.name, sep=" ").sign(about))


def waiting_bytes(place: Path, name: str) -> list[int]:
    """Memory of each process of this name that waits, by the files that it left in the folder of its socket."""
    found = []
    for path in sorted(place.glob(f"{name}*.pid")):
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ValueError):
            found.append(psutil.Process(int(path.read_text())).memory_info().rss)
    return found


def end(process: child.Process) -> None:
    """Kill the engine and the children it started; does nothing when it has ended."""
    if process.poll() is None:
        _kill_tree(process.pid)
    process.wait()


def end_stray(run_dir: Path) -> None:
    """Kill an engine that outlived its worker and still writes into ``run_dir`` on this machine."""
    try:
        signed = (run_dir / "engine.pid").read_text()
        pid, host, created = signing.Signer(salt=run_dir.name, sep=" ").unsign(signed).split()
        if host != socket.gethostname():
            return
        if abs(psutil.Process(int(pid)).create_time() - float(created)) < 1:  # else another process has the number now
            _kill_tree(int(pid))
    except (FileNotFoundError, psutil.NoSuchProcess, signing.BadSignature):
        return


def log_tail(run_dir: Path, size_bytes: int = 20_000) -> str:
    """The end of what the engine printed; empty when it printed nothing."""
    try:
        with open(run_dir / "engine.log", "rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - size_bytes))
            return log.read().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""


def was_killed(run_dir: Path, code: int) -> bool:
    """Whether somebody else killed the engine or its training process; the kernel does where memory runs out."""
    scores = read_json(run_dir / "scores.json") or {}
    return code == -signal.SIGKILL or scores.get("reason") == child.KILLED


def _kill_tree(pid: int) -> None:
    """Kill a process and all below it, found before the first of them dies, and wait until they are dead."""
    try:
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return
    for member in reversed(family):  # groups first, the deepest before its watcher: in it may be what forks without end
        with contextlib.suppress(ProcessLookupError):  # it leads none
            os.killpg(member.pid, signal.SIGKILL)
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    deadline = time.monotonic() + KILL_PATIENCE_S
    while any(child.lives(member) for member in family) and time.monotonic() < deadline:
        time.sleep(0.02)


def export(run_dir: Path, data_dir: Path, should_stop: Callable[[], bool]) -> Path:
    """Make and prove ``model.zip``; raises EngineError, DataError or Stopped."""
    command = ["automl_engine", "export", str(run_dir), "--data", str(data_dir)]
    read = [data_dir, settings.BASE_DIR / "LICENSE", *weights.places()]
    _call(command, read, run_dir, should_stop, limits=child.engine_limits())
    return run_dir / "model.zip"


def compare_classes(data_dir: Path, modality: str, out_json: Path, should_stop: Callable[[], bool]) -> None:
    """Which known class each of a data set's looks most like; raises DataError, EngineError or Stopped."""
    command = ["automl_engine", "meta", "classes", str(data_dir), "--modality", modality, "--out", str(out_json)]
    _call(command, [data_dir, *weights.places()], out_json.parent, should_stop, limits=child.engine_limits())


def predict(model_zip: Path, source: Path, out_csv: Path, should_stop: Callable[[], bool]) -> None:
    """New raw data -> CSV of probabilities, and ``notes.json`` beside it: what could not be read, in sentences.

    Raises:
        DataError: for what the user must fix.
        EngineError, Stopped: no CSV came.
    """
    command = ["automl_engine", "predict", str(model_zip), str(source), "-o", str(out_csv)]
    command += ["--notes", str(out_csv.with_name("notes.json"))]
    _ask_predictor(command, [model_zip, source], out_csv.parent, should_stop)


def explain(
    model_zip: Path, source: Path, out_json: Path, should_stop: Callable[[], bool], test_index: int | None = None
) -> None:
    """Which parts of an input the answer depends on; raises as ``predict``.

    Args:
        source: one input, or, with ``test_index``, the folder of a data set.
    """
    command = ["automl_engine", "why", str(model_zip), str(source), "-o", str(out_json)]
    if test_index is None:
        _ask_predictor(command, [model_zip, source], out_json.parent, should_stop)
    else:  # the process that keeps models loaded may not read data sets
        _call([*command, "--test", str(test_index)], [model_zip, source], out_json.parent, should_stop)


def _ask_predictor(command: list[str], read: Sequence[Path], folder: Path, should_stop: Callable[[], bool]) -> None:
    """Let the process that keeps models loaded do it, or else one of its own, as ``_call``."""
    with tempfile.TemporaryFile() as errors:
        resident = warm.start(settings.WARM_PREDICTOR, command[1:], errors)
        code = _wait(resident, should_stop) if resident else -1
        if code >= 0:
            _check(command, code, errors)
        else:  # nobody waits, or it died: this tells why
            _call(command, read, folder, should_stop)


def unpack(archive: Path, target: Path, *, most_bytes: int, most_files: int) -> Path:
    """Unpack safely into ``target`` (made here); returns where the content begins, wrapping folders left out.

    Raises:
        DataError: the archive is damaged, hostile or too large.
    """
    lines: list[str] = []
    limits = {"AUTODL_MAX_UNPACKED_BYTES": str(most_bytes), "AUTODL_MAX_FILES": str(most_files)}
    command = ["formatters.unpacking.archive", str(archive), str(target)]
    _call(command, [archive], target.parent, lambda: False, lines.append, limits)
    return Path(lines[-1])


def model_names() -> list[str]:
    """The engine's learners by name; its registry is a plain dict, so nothing heavy is imported."""
    from automl_engine.models import MODELS

    return sorted(MODELS)


def weights_card(name: str) -> dict[str, Any]:
    """What is known of weights that ship with the engine, or with a package; empty if none of them has this name."""
    return weights.card(weights.FOLDER / f"{name}.safetensors")


def read_json(path: Path) -> Any | None:
    """A JSON file of the engine (written atomically), or None when it is not there yet."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def _python(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", *command]


def _call(
    command: Sequence[str],
    read: Sequence[Path],
    folder: Path,
    should_stop: Callable[[], bool],
    on_line: Callable[[str], None] | None = None,
    extra: dict[str, str] | None = None,
    limits: child.Limits | None = None,
) -> None:
    """Run to the end, with ``extra`` in the environment and by default the limits of a reader.

    It reads what ``read`` names, and reads and writes in ``folder``.
    stderr goes to a file object so that neither pipe can block the other.
    """
    with tempfile.TemporaryFile() as errors:
        process = child.launch(
            confined.wrap(_python(command), read, [folder]),
            limits or child.reader_limits(),
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=settings.BASE_DIR,
            env=child.environment() | {"PYTHONUNBUFFERED": "1", **(extra or {})},
        )
        try:
            for line in _lines(process, should_stop):
                if on_line:
                    on_line(line)
            code = process.wait()
        finally:
            end(process)  # when it was stopped or we were interrupted; nothing to kill after wait()
        _check(command, code, errors)


def _wait(process: child.Process, should_stop: Callable[[], bool]) -> int:
    """Until it ends; raises Stopped when it is not wanted any more."""
    try:
        while True:
            try:
                return process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                if should_stop():
                    raise Stopped(TOO_LONG) from None
    finally:
        end(process)


def _check(command: Sequence[str], code: int, errors: IO[bytes]) -> None:
    """Raises DataError or EngineError for the exit code of a command, with what it printed."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - ERRORS_MAX_BYTES))
    text = errors.read().decode("utf-8", "replace").strip()
    if code == EXIT_DATA_ERROR:
        raise DataError(text.splitlines()[-1] if text else "The data could not be read.")
    if code:
        raise EngineError(f"{command[0]} ended with code {code}: {text[-2000:]}")


def _lines(process: subprocess.Popen[bytes], should_stop: Callable[[], bool]) -> Iterator[str]:
    """What the child prints, whole line by whole line, until it ends.

    Raises:
        Stopped: it is not wanted any more; the caller kills it.
        EngineError: a line has no end; likewise.
    """
    assert process.stdout is not None
    rest, ask_at = b"", 0.0
    with process.stdout, selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if time.monotonic() >= ask_at:
                if should_stop():
                    raise Stopped(TOO_LONG)
                ask_at = time.monotonic() + POLL_S
            if not selector.select(POLL_S):
                continue
            block = os.read(process.stdout.fileno(), 2**16)
            if not block:
                return
            *lines, rest = (rest + block).split(b"\n")
            if len(rest) > LINE_MAX_BYTES:
                raise EngineError(f"a child process printed a line of more than {LINE_MAX_BYTES:,} bytes")
            yield from (line.decode("utf-8", "replace").strip() for line in lines)
