"""The data sets of a benchmark: found below a folder, converted once by ``python -m formatters``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO

from automl_engine.errors import DataError

ROOT = Path(__file__).parents[3]
_OK, _EXIT_DATA = 0, 2


def find_sets(folder: Path, out: Path, wanted: Collection[str] = ()) -> dict[str, Path]:
    """Raw source by name: each zip below ``folder``, and each folder with NAME.data and NAME.solution; not in ``out``.

    Raises:
        DataError: there is none, two have the same name, or a wanted one is missing.
    """
    zips = [(path.stem, path) for path in folder.rglob("*.zip")]
    bundles = [(path.parents[1].stem, path.parents[2]) for path in folder.rglob("*.data/train/metadata.textproto")]
    found: dict[str, Path] = {}
    for name, source in sorted(zips + [(name, at) for name, at in bundles if (at / f"{name}.solution").is_file()]):
        if out.resolve() in source.resolve().parents:
            continue
        if name in found:
            raise DataError(f"Two data sets are called {name} ({found[name]} and {source}); rename one of them.")
        found[name] = source
    missing = sorted(set(wanted) - set(found))
    if missing or not found:
        held = ", ".join(found) or "no zip and no folder with NAME.data and NAME.solution"
        raise DataError(f"{folder} holds {held}{f', but not {missing[0]}' if missing else ''}.")
    return {name: source for name, source in found.items() if not wanted or name in wanted}


def convert(source: Path, folder: Path) -> str:
    """Format ``source`` into ``folder`` unless that is done already; returns the modality.

    Raises:
        DataError: the data could not be read.
    """
    if not (folder / "report.json").exists():  # written by an atomic rename: there means whole
        folder.parent.mkdir(parents=True, exist_ok=True)
        log = folder.with_name(f"{folder.name}.log")
        with open(log, "wb") as file:
            code = call(["formatters", str(source.resolve()), str(folder.resolve()), "--name", folder.name], file)
        if code != _OK:
            last = (log.read_text("utf-8", "replace").strip().splitlines() or ["no word of why"])[-1]
            raise DataError(last if code == _EXIT_DATA else f"The conversion ended with code {code}: {last}")
    return json.loads((folder / "report.json").read_text("utf-8"))["modality"]


def call(module: Sequence[str], log: IO[bytes], checkout: Path = ROOT) -> int:
    """``python -m MODULE ...`` of a checkout to its end; it is told to stop when we are."""
    process = subprocess.Popen(
        [sys.executable, "-m", *module], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=checkout
    )
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
