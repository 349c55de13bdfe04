"""The only bridge to the engine: its command lines and its files (docs/formats.md).

Nothing here imports the engine's heavy half; the web process never loads torch or tensorflow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings

from automl_engine import weights
from automl_engine.errors import DataError
from automl_engine.metalearning import tables
from automl_engine.run import child, curve, events

__all__ = [
    "DataError",
    "compare_classes",
    "convert",
    "curve",
    "end",
    "end_stray",
    "events",
    "export",
    "log_tail",
    "model_names",
    "predict",
    "read_json",
    "start_run",
    "unpack",
    "weights_card",
    "write_knowledge",
]

EXIT_DATA_ERROR = 2


class EngineError(Exception):
    """The engine died for a reason that is not the user's; ``args[0]`` holds the end of its stderr."""


def convert(source: Path, out: Path, options: dict[str, Any], on_line: Callable[[str], None]) -> None:
    """Raw upload -> AutoDL data set in ``out``; each progress line goes to ``on_line``.

    Raises:
        DataError: the data cannot be used; the message is for the user.
    """
    arguments = [str(source), str(out)]
    for key in ("name", "target", "modality", "test_size", "seed", "encoding", "date_order"):
        if options.get(key) not in (None, ""):
            arguments += [f"--{key.replace('_', '-')}", str(options[key])]
    _call(["formatters", *arguments], on_line)


def start_run(
    data_dir: Path,
    run_dir: Path,
    *,
    budget_s: int,
    t0_s: int,
    model: str,
    seed: int,
    portfolio: Path | None,
    knowledge: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start training in this process group; it ends by itself, or on SIGTERM keeping the best."""
    command = ["automl_engine", "run", str(data_dir), "--out", str(run_dir), "--budget", str(budget_s)]
    command += ["--t0", str(t0_s), "--model", model, "--seed", str(seed), "--no-export"]
    if portfolio:
        command += ["--portfolio", str(portfolio)]
    if knowledge:
        command += ["--knowledge", str(knowledge)]
    run_dir.mkdir(parents=True, exist_ok=True)
    with open(run_dir / "engine.log", "ab") as log:
        process = child.launch(_python(command), child.Limits(), stdout=log, stderr=log, cwd=settings.BASE_DIR)
    (run_dir / "engine.pid").write_text(str(process.pid))
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill the engine and the children it started; does nothing when it has ended."""
    if process.poll() is None:
        _kill_tree(process.pid)
    process.wait()


def end_stray(run_dir: Path) -> None:
    """Kill an engine that outlived its worker and still writes into ``run_dir`` on this machine."""
    try:
        pid = int((run_dir / "engine.pid").read_text())
        if str(run_dir) in psutil.Process(pid).cmdline():  # else the number belongs to somebody else by now
            psutil.wait_procs(_kill_tree(pid), timeout=5)
    except (FileNotFoundError, psutil.NoSuchProcess):
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


def _kill_tree(pid: int) -> list[psutil.Process]:
    """Kill a process and all below it, found before the first of them dies."""
    try:
        parent = psutil.Process(pid)
        family = [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return []
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    return family


def export(run_dir: Path) -> Path:
    """Make and prove ``model.zip``; raises EngineError or DataError."""
    _call(["automl_engine", "export", str(run_dir)], limits=child.engine_limits())
    return run_dir / "model.zip"


def compare_classes(data_dir: Path, modality: str, out_json: Path) -> None:
    """Which known class each of a data set's looks most like; raises DataError or EngineError."""
    command = ["automl_engine", "meta", "classes", str(data_dir), "--modality", modality, "--out", str(out_json)]
    _call(command, limits=child.engine_limits())


def predict(model_zip: Path, source: Path, out_csv: Path) -> None:
    """New raw data -> CSV of probabilities, and ``notes.json`` beside it: what could not be read, in sentences.

    Raises:
        DataError: for what the user must fix.
    """
    notes = out_csv.with_name("notes.json")
    _call(["automl_engine", "predict", str(model_zip), str(source), "-o", str(out_csv), "--notes", str(notes)])


def unpack(archive: Path, target: Path, *, most_bytes: int, most_files: int) -> Path:
    """Unpack safely into ``target`` (made here); returns where the content begins, wrapping folders left out.

    Raises:
        DataError: the archive is damaged, hostile or too large.
    """
    lines: list[str] = []
    limits = {"AUTODL_MAX_UNPACKED_BYTES": str(most_bytes), "AUTODL_MAX_FILES": str(most_files)}
    _call(["formatters.archive", str(archive), str(target)], lines.append, limits)
    return Path(lines[-1])


def model_names() -> list[str]:
    """The engine's learners by name; its registry is a plain dict, so nothing heavy is imported."""
    from automl_engine.models import MODELS

    return sorted(MODELS)


def weights_card(name: str) -> dict[str, Any]:
    """What is known of weights that ship with the engine; empty if none of them has this name."""
    return weights.card(weights.FOLDER / f"{name}.safetensors")


def read_json(path: Path) -> Any | None:
    """A JSON file of the engine (written atomically), or None when it is not there yet."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def write_knowledge(
    folder: Path, scores: Sequence[dict[str, Any]], features: dict[str, dict[str, dict[str, float]]]
) -> None:
    """The engine's tables with our lines behind its own; each file is replaced at once, readers never see half of one.

    What was written under another version of the engine and does not fit its tables is left out.

    Args:
        scores: lines of ``scores.csv``.
        features: modality -> name of a data set -> its meta-features.
    """
    fresh = folder.with_suffix(".part")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for table in tables.HERE.glob("*.csv"):
        shutil.copy(table, fresh)
    names = {field.name for field in dataclasses.fields(tables.Score)}
    fitting = [tables.Score(**{name: line[name] for name in names}) for line in scores if names <= line.keys()]
    tables.append_scores(fitting, fresh / tables.SCORES.name)
    for modality, lines in features.items():
        path = tables.features_path(modality, fresh)
        columns = set(tables.read_numbers(path)[1]) if path.exists() else set()
        told = {name: values for name, values in lines.items() if not columns or columns == values.keys()}
        tables.write_features(path, told, {name: name for name in told})
    folder.mkdir(exist_ok=True)
    for path in fresh.iterdir():
        path.replace(folder / path.name)
    fresh.rmdir()


def _python(command: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", *command]


def _call(
    command: Sequence[str],
    on_line: Callable[[str], None] | None = None,
    extra: dict[str, str] | None = None,
    limits: child.Limits | None = None,
) -> None:
    """Run to the end, with ``extra`` in the environment and by default the limits of a reader.

    stderr goes to a file object so that neither pipe can block the other.
    """
    with tempfile.TemporaryFile("w+") as errors:
        process = child.launch(
            _python(command),
            limits or child.reader_limits(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=settings.BASE_DIR,
            env=child.environment() | {"PYTHONUNBUFFERED": "1", **(extra or {})},
        )
        assert process.stdout is not None
        try:
            with process.stdout:
                for line in process.stdout:
                    if on_line:
                        on_line(line.strip())
            code = process.wait()
        finally:
            process.kill()  # when we were interrupted (a job's timeout); nothing to kill after wait()
        errors.seek(0)
        text = errors.read().strip()
    if code == EXIT_DATA_ERROR:
        raise DataError(text.splitlines()[-1] if text else "The data cannot be used.")
    if code:
        raise EngineError(f"{command[0]} ended with code {code}: {text[-2000:]}")
