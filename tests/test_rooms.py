"""The rooms of the design: who may import whom, and what must not be loaded to serve a page."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TREES = ("automl_engine", "formatters", "webapp")

BASE = {"automl_engine.child", "automl_engine.clock", "automl_engine.errors", "automl_engine.spec"}
"""What every room may use: the standard library, numpy and psutil only."""

ROOMS: dict[str, tuple[set[str], set[str]]] = {
    # room: (rooms of ours that it may import beside itself and BASE, packages that it never imports)
    "automl_engine.errors": (set(), {"torch", "tensorflow", "django", "numpy"}),
    "automl_engine.child": (set(), {"torch", "tensorflow", "django", "numpy"}),
    "automl_engine.clock": (set(), {"torch", "tensorflow", "django", "numpy"}),
    "automl_engine.events": (set(), {"torch", "tensorflow", "django"}),
    "automl_engine.isolation": (set(), {"torch", "tensorflow", "django", "numpy"}),
    "automl_engine.spec": (set(), {"torch", "tensorflow", "django"}),
    "automl_engine.curve": (set(), {"torch", "tensorflow", "django"}),
    "automl_engine.scoring": (set(), {"torch", "tensorflow", "django"}),
    "automl_engine.dataset": (set(), {"torch", "django"}),
    "automl_engine.features": ({"automl_engine.dataset"}, {"torch", "tensorflow", "django"}),
    "automl_engine.weights": (set(), {"torch", "tensorflow", "django", "numpy"}),
    "automl_engine.weights.__main__": ({"automl_engine.models", "automl_engine.weights"}, {"tensorflow", "django"}),
    "automl_engine.models": (
        {f"automl_engine.{room}" for room in ("dataset", "features", "weights")},
        {"django"},
    ),
    "automl_engine.models.tabular_ensemble": (  # drives other models, as auto does
        {f"automl_engine.{room}" for room in ("models", "dataset", "auto.ensemble", "splits")},
        {"django"},
    ),
    "automl_engine.portfolio": ({"automl_engine.dataset"}, {"torch", "tensorflow", "django"}),
    "automl_engine.metalearning": (
        {f"automl_engine.{room}" for room in ("dataset", "features", "portfolio", "splits")},
        {"django"},
    ),
    "automl_engine.metalearning.embeddings.resnet18": (
        {"automl_engine.dataset", "automl_engine.models"},
        {"tensorflow", "django"},
    ),
    "automl_engine.metalearning.evaluate": (  # searches parameters of selectors, if told to
        {f"automl_engine.{room}" for room in ("metalearning", "search")},
        {"torch", "tensorflow", "django"},
    ),
    "automl_engine.metalearning.start": (
        {f"automl_engine.{room}" for room in ("metalearning", "metalearning.evaluate", "portfolio")},
        {"torch", "tensorflow", "django"},
    ),
    "automl_engine.metalearning.costs": (  # runs rows in its own process, under a recording clock
        {
            f"automl_engine.{room}"
            for room in ("bench", "dataset", "ingestion", "metalearning", "modality", "models", "portfolio", "run")
        },
        {"django"},
    ),
    "automl_engine.auto": (
        {f"automl_engine.{room}" for room in ("models", "dataset", "portfolio", "metalearning", "events")}
        | {f"automl_engine.{room}" for room in ("auto.ensemble", "modality", "splits")},
        {"django"},
    ),
    "automl_engine.auto.ensemble": ({"automl_engine.scoring"}, {"torch", "tensorflow", "django"}),
    "automl_engine.modality": ({"automl_engine.dataset"}, {"torch", "tensorflow", "django"}),
    "automl_engine.splits": (set(), {"torch", "tensorflow", "django"}),
    "automl_engine.ingestion": (
        {"automl_engine.dataset", "automl_engine.models", "automl_engine.auto", "automl_engine.events"},
        {"django"},
    ),
    "automl_engine.scoreboard": ({"automl_engine.scoring", "automl_engine.curve"}, {"torch", "tensorflow", "django"}),
    "automl_engine.run": (
        {f"automl_engine.{room}" for room in ("events", "isolation", "scoring", "curve", "scoreboard")},
        {"torch", "tensorflow", "django"},
    ),
    "automl_engine.bench": (
        {f"automl_engine.{room}" for room in ("scoring", "curve", "scoreboard", "portfolio", "bench.baselines")},
        {"torch", "tensorflow", "django"},
    ),
    "automl_engine.bench.baselines": (  # read and run as models are
        {f"automl_engine.{room}" for room in ("dataset", "features", "modality", "models", "scoring", "ingestion")},
        {"torch", "tensorflow", "django"},
    ),
    "automl_engine.bench.ingestor": (  # compares with tf.data, in a function
        {"automl_engine.dataset", "automl_engine.bench.synthetic"},
        {"torch", "django"},
    ),
    "automl_engine.bench.synthetic": ({"automl_engine.dataset"}, {"torch", "tensorflow", "django"}),
    "automl_engine.search": (
        {f"automl_engine.{room}" for room in ("portfolio", "run", "scoreboard")},
        {"torch", "tensorflow", "django"},
    ),
    "automl_engine.pretrain": (
        {f"automl_engine.{room}" for room in ("dataset", "features", "metalearning", "modality", "models")}
        | {"automl_engine.scoring", "automl_engine.splits"},
        {"tensorflow", "django"},
    ),
    "automl_engine.predictor": (
        {"automl_engine.dataset", "automl_engine.features", "formatters"},
        {"torch", "tensorflow", "django"},
    ),
    "formatters": ({"automl_engine.dataset"}, {"torch", "tensorflow", "django"}),
    "webapp.engine": (
        {"automl_engine.events", "automl_engine.curve", "automl_engine.weights"},
        {"torch", "tensorflow"},
    ),
    "webapp": ({"webapp.engine"}, {"torch", "tensorflow", "automl_engine", "formatters"}),
}
EXCEPTIONS = {
    ("automl_engine/dataset/examples.py", "tensorflow"),  # as_tf_dataset(), when it is called
    ("webapp/engine.py", "automl_engine.metalearning.tables"),  # the format of its tables: stdlib and numpy
    ("webapp/engine.py", "automl_engine.models.MODELS"),  # the registry, a plain dict of names for a menu
}


def python_files() -> list[Path]:
    return sorted(path for tree in TREES for path in (ROOT / tree).rglob("*.py"))


def room_of(module: str) -> str | None:
    return next((room for room in sorted(ROOMS, key=len, reverse=True) if f"{module}.".startswith(f"{room}.")), None)


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
    relative = path.relative_to(ROOT)
    module = ".".join(relative.with_suffix("").parts)
    room = room_of(module)
    if room is None:
        return
    allowed, never = ROOMS[room]
    wrong = []
    for name in imports(path):
        top, target = name.split(".")[0], room_of(name)
        if (str(relative), name) in EXCEPTIONS or target in allowed | {room}:
            continue
        if top in never or (target is not None and target not in BASE):
            wrong.append(name)
    assert not wrong, f"{relative} (room {room}) must not import {wrong}"


def test_every_engine_room_is_in_the_table() -> None:
    """The command line, the package itself and export (which drives all of them) are the only ones beyond it."""
    free = {"automl_engine.__main__", "automl_engine.__init__", "automl_engine.export", "automl_engine.bundle"}
    names = {f"automl_engine.{path.stem}" for path in (ROOT / "automl_engine").iterdir() if path.stem != "__pycache__"}
    assert {name for name in names if name not in free and room_of(name) is None} == set()


LIGHT = [
    "automl_engine.run",
    "automl_engine.bench.sweep",
    "automl_engine.__main__",
    "automl_engine.predictor",
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
