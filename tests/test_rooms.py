"""The rooms of the design (docs/design.md): who may import whom, and what must not be loaded to serve a page."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TREES = ("automl_engine", "formatters", "webapp")

ROOMS: dict[str, set[str]] = {  # room: rooms that it may import, beside itself and clock, errors, files
    "dataset": set(),
    "features": {"dataset"},
    "weights": set(),
    "portfolio": {"dataset", "models"},
    "models": {"dataset", "features", "weights"},
    "metalearning": {"dataset", "features", "models", "weights"},
    "auto": {"dataset", "models", "portfolio"},
    "run": {"dataset", "models", "portfolio", "weights"},
    "package": {"dataset", "features", "formatters", "models", "run", "weights"},
    "lab": {"auto", "dataset", "features", "metalearning", "models", "portfolio", "run", "weights"},
    "formatters": {"dataset", "run"},
    "webapp.engine": {"dataset", "models", "package", "run", "weights"},
    "webapp": {"webapp.engine"},
}
EXCEPTIONS = {("automl_engine/models/tabular/ensemble.py", "auto")}  # drives other models, as auto does

HEAVY = {"django": {"webapp", "webapp.engine"}, "torch": {"auto", "lab", "metalearning", "models"}, "tensorflow": set()}
"""Packages, and the rooms that may import them."""
HEAVY_FILES = {
    ("automl_engine/dataset/examples.py", "tensorflow"),  # as_tf_dataset(), when it is called
    ("automl_engine/lab/bench/ingestor.py", "tensorflow"),  # compares with tf.data, in a function
    ("automl_engine/run/ingestion.py", "torch"),  # seeds it, before the clock starts
    ("automl_engine/models/challenge/wrapper.py", "tensorflow"),  # the challenge's code is given tf.data
    ("automl_engine/models/challenge/old_python.py", "tensorflow"),  # a program for another interpreter
    ("automl_engine/models/challenge/compat.py", "tensorflow"),  # in a function, and with its old names
}
LARGEST_FOLDER = 15
"""Python files in a folder, without ``__init__.py`` and migrations."""


def python_files() -> list[Path]:
    return sorted(path for tree in TREES for path in (ROOT / tree).rglob("*.py"))


def room_of(module: str) -> str | None:
    """None: not ours, or what every room may use."""
    top, *inner = module.split(".")
    if top == "automl_engine":
        return inner[0] if inner and inner[0] in ROOMS else None
    return "webapp.engine" if module.startswith("webapp.engine") else top if top in ROOMS else None


def imports(path: Path) -> Iterator[str]:
    """Absolute names of all modules that a file imports, but for type checking only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_import_table(path: Path) -> None:
    relative = str(path.relative_to(ROOT))
    room = room_of(".".join(Path(relative).with_suffix("").parts))
    if room is None or path.name == "__main__.py":  # a command line starts whatever it is asked for
        return
    wrong = []
    for name in imports(path):
        package, target = name.split(".")[0], room_of(name)
        if room not in HEAVY.get(package, {room}) and (relative, package) not in HEAVY_FILES:
            wrong.append(name)
        if target not in (None, room, *ROOMS[room]) and (relative, target) not in EXCEPTIONS:
            wrong.append(name)
    assert not wrong, f"{relative} (room {room}) must not import {wrong}"


def test_the_table_is_that_of_the_docs() -> None:
    lines = [line.strip(" |").split("|") for line in (ROOT / "docs" / "design.md").read_text("utf-8").splitlines()]
    cells = [[cell.strip() for cell in line] for line in lines if len(line) == 3]
    told = {room: set(may.split(", ")) - {"–"} for room, may, _ in cells[2:]}  # after the head
    assert told == ROOMS


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_import_circle_between_files() -> None:
    """Neither at the top of files nor in functions, where a circle only comes later."""
    modules = {module_of(path): path for path in python_files()}
    graph = {
        module: {name if name in modules else name.rpartition(".")[0] for name in imports(path)} & modules.keys()
        for module, path in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("imports go in a circle: " + " <- ".join(error.args[1]))


def test_every_engine_folder_is_a_room() -> None:
    folders = {path.name for path in (ROOT / "automl_engine").iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders <= set(ROOMS)


def test_no_folder_is_large() -> None:
    files = [path for path in python_files() if path.name != "__init__.py" and path.parent.name != "migrations"]
    counts = Counter(str(path.parent.relative_to(ROOT)) for path in files)
    assert not {folder: count for folder, count in counts.items() if count > LARGEST_FOLDER}


LIGHT = [
    "automl_engine.run.supervisor",
    "automl_engine.lab.bench.sweep",
    "automl_engine.__main__",
    "automl_engine.package.predictor",
    "webapp",
    "webapp.engine",
]


@pytest.mark.parametrize("module", [*LIGHT, "automl_engine.dataset.reader", "automl_engine.dataset.writer"])
def test_light_imports(module: str) -> None:
    """What the web process, the supervisor and an exported model load has neither torch nor tensorflow in it.

    Nor OpenCV and the checksum library, which the bundle of a table doesn't ask for.
    """
    setup = "import os; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'webapp.settings')\n"
    heavy = {"torch", "tensorflow", "cv2", "google_crc32c"}
    code = f"{setup}import sys, {module}\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("[]")


def test_the_web_pages_load_no_engine() -> None:
    """Every URL of the site is imported: still neither torch nor tensorflow."""
    code = (
        "import os, sys; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'webapp.settings')\n"
        "import django; django.setup()\n"
        "from django.urls import get_resolver; get_resolver().url_patterns\n"
        "print(sorted({'torch', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("[]")
