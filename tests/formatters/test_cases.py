"""The small inputs of ../shared/cases with the right answer beside each, run by their own check.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
CASES = Path(os.environ.get("AUTODL_TEST_CASES", ROOT.parent / "shared" / "cases"))
NAMES = sorted(path.parent.name for path in CASES.glob("*/expected.json"))
SHORT = 8  # every so many cases in a usual run

pytestmark = pytest.mark.skipif(not NAMES, reason=f"no cases at {CASES}; set AUTODL_TEST_CASES to their folder")


def checked(names: list[str]) -> str:
    """What check.py says; "" when all are right."""
    command = [sys.executable, str(CASES / "check.py"), str(CASES), *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def test_some_cases_of_each_kind() -> None:
    """Without those that learn."""
    quick = [name for name in NAMES if "predict" not in json.loads((CASES / name / "expected.json").read_text("utf-8"))]
    assert checked(quick[::SHORT]) == ""


@pytest.mark.long
def test_all_cases() -> None:
    """Each starts a process, and some learn for ten seconds."""
    assert checked([]) == ""
