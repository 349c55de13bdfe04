"""Reading never takes more memory than is allowed, however it was started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from automl_engine.run.child import reader_limits
from webapp import engine

ROOT = Path(__file__).parents[2]
HUNGRY = """
import sys
import formatters.__main__ as command
command.convert = lambda *_, **__: bytearray(2_000_000_000)
sys.exit(command.main(sys.argv[1:]))
"""


def test_the_command_line_holds_itself_to_its_memory(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,label\n1,x\n2,y\n")
    command = [sys.executable, "-c", HUNGRY, str(tmp_path / "table.csv"), str(tmp_path / "out")]
    environment = os.environ | {"AUTODL_MAX_MEMORY_BYTES": str(2**30)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 2
    assert done.stderr == (
        "Processing this data needs more than 1 GB of memory, the limit here; split it or give less of it.\n"
    )


def test_the_site_says_so_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that takes its memory where no MemoryError reaches it."""
    monkeypatch.setenv("AUTODL_MAX_MEMORY_BYTES", str(150 * 2**20))
    assert reader_limits().resident_bytes == 150 * 2**20
    hog = (
        "import mmap, time; m = mmap.mmap(-1, 300_000_000); [m.write(bytes(2**20)) for _ in range(280)]; time.sleep(9)"
    )
    monkeypatch.setattr(engine, "_python", lambda command: [sys.executable, "-c", hog])
    with pytest.raises(engine.DataError, match=r"more than 0\.146 GB of memory"):
        engine.predict(tmp_path, tmp_path, tmp_path, lambda: False)


def test_a_line_without_an_end_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "LINE_MAX_BYTES", 2**20)
    endless = "import sys\nwhile True: sys.stdout.write('x' * 2**16)"
    monkeypatch.setattr(engine, "_python", lambda command: [sys.executable, "-c", endless])
    with pytest.raises(engine.EngineError, match="printed a line of more than"):
        engine.predict(tmp_path, tmp_path, tmp_path, lambda: False)
