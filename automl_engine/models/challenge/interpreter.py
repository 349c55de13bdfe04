"""Which Python runs a submission: ours, or for code of 2019 and 2020 the one that ``CHALLENGE_PYTHON`` names.

That one should have what the challenge's platform had: Python 3.6 or 3.7 with TensorFlow 1.13.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from automl_engine.errors import DataError
from automl_engine.models.challenge import hooks, submission

VARIABLE = "CHALLENGE_PYTHON"
PROGRAM = Path(__file__).with_name("old_python.py")
NEEDED = ("numpy", "tensorflow", "google.protobuf")
PROBE = f"""
import json, sys
from importlib.util import find_spec
missing = [name for name in {NEEDED!r} if find_spec(name.partition(".")[0]) is None]
print(json.dumps([missing, sys.executable, [path for path in [sys.prefix, sys.base_prefix, *sys.path] if path]]))
"""
PROBE_LIMIT_S = 60


@dataclass(frozen=True)
class Interpreter:
    command: list[str]
    paths: list[Path]  # that an isolated process must be able to read


def chosen(folder: Path) -> Interpreter | None:
    """None: our own.

    Raises:
        DataError: the code needs another one, and there is none.
    """
    text = submission.source(folder)
    gone = submission.GONE.search(text)
    python = os.environ.get(VARIABLE, "")
    if python and (gone or submission.has_sessions(text)):
        return _probed(python)
    if gone:
        raise DataError(
            f"This code uses {gone[0]}, which TensorFlow 2 no longer has; set {VARIABLE} to a Python 3.6 or 3.7 with "
            "TensorFlow 1.13 (make challenge-env builds one)."
        )
    return None


def _probed(python: str) -> Interpreter:
    """What starts it, and where it and its packages are.

    Raises:
        DataError: it cannot be started, or lacks a package.
    """
    try:
        done = subprocess.run([python, "-E", "-s", "-c", PROBE], capture_output=True, timeout=PROBE_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise DataError(f"{VARIABLE} names {python}, which cannot be started ({error}); correct it.") from error
    missing, executable, paths = json.loads(done.stdout)
    if missing:
        raise DataError(f"{VARIABLE} names {python}, which lacks {', '.join(missing)}; install what is missing there.")
    weights = os.environ.get(hooks.FOLDER, "")
    readable = [Path(path) for path in [*paths, weights] if path]
    return Interpreter([executable, "-E", "-s", str(PROGRAM)], readable)
