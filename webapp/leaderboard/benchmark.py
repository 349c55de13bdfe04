"""The benchmark on the site: a copy of what ``bench`` wrote (docs/formats.md), the same for everybody.

A new site shows the one that ships (docs/results/benchmark) until an administrator publishes another.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from automl_engine.files import replace_folder
from webapp.engine import read_json

FILES = ("results.csv", "table.md", "summary.json")
SHIPPED = Path(settings.BASE_DIR) / "docs" / "results" / "benchmark"
STYLES = ("site.css", "leaderboard.css")
FEW = 6
"""Models that all get a column of their own in the table of the sets."""


def published() -> Path:
    return Path(settings.MEDIA_ROOT) / "benchmark"


def folder() -> Path:
    """What the site shows."""
    return published() if (published() / "summary.json").is_file() else SHIPPED


def publish(out: Path) -> None:
    """Replace the published benchmark by that of ``out``.

    Raises:
        FileNotFoundError: a file is missing; what was published stays.
    """
    new = published().with_name("benchmark.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(out / "plots", new, ignore=lambda _, names: [name for name in names if not name.endswith(".svg")])
    for name in FILES:
        shutil.copyfile(out / name, new / name)
    replace_folder(new, published())


def export(out: Path) -> None:
    """The page as ``index.html`` with its files, for any web server.

    Raises:
        FileExistsError: the folder is there already.
        FileNotFoundError: there is no benchmark.
    """
    shutil.copytree(folder(), out)
    css = Path(settings.BASE_DIR) / "static" / "css"
    for name in STYLES:
        shutil.copyfile(css / name, out / name)
    page = render_to_string("leaderboard/benchmark_static.html", {"found": summary(), "styles": STYLES})
    (out / "index.html").write_text(page, encoding="utf-8")


def summary() -> dict[str, Any] | None:
    """``summary.json`` for the page: of each set the cells of the models for several kinds of data in their order, None
    where one was not run, and those of the models for this kind alone.
    """
    found = read_json(folder() / "summary.json")
    if found is None:
        return None
    modalities = list(dict.fromkeys(row["modality"] for row in found["sets"]))
    for row in found["models"]:
        row["means"] = [row["by_modality"].get(modality) for modality in modalities]
    names = [row["model"] for row in found["models"]]
    general = [row["model"] for row in found["models"] if len(row["by_modality"]) > 1 or len(names) <= FEW]
    special = [name for name in names if name not in general]
    for row in found["sets"]:
        row["in_order"] = [row["cells"].get(name) for name in general]
        row["special"] = [(name, row["cells"][name]) for name in special if name in row["cells"]]
        row["details"] = [{"model": model, **cell} for model, cell in row["cells"].items()]
    has_references = any(row["reference"] for row in found["sets"])
    plots = [[plot for plot in found["plots"] if plot["file"].startswith("curves_") == one] for one in (False, True)]
    for row in found.get("times", []):
        first, last = (
            {**row[key]["by_modality"], "": row[key]["overall"]} for key in ("first_prediction_s", "duration_s")
        )
        row["pairs"] = [(first.get(name), last.get(name)) for name in (*modalities, "")]
    shown = {"names": sorted(names), "general": general, "special": special, "overviews": plots[0], "curves": plots[1]}
    about = {"budgets": _budgets(found["sets"]), "modalities": modalities, "has_references": has_references}
    return found | about | shown


def _budgets(sets: list[dict[str, Any]]) -> str:
    """As ``bench --budget`` takes them: ``120,image=20``, the usual one first."""
    by_modality = {row["modality"]: row["budget_s"] for row in sets}
    usual = Counter(by_modality.values()).most_common(1)[0][0] if sets else 120
    others = (f",{modality}={budget_s:g}" for modality, budget_s in by_modality.items() if budget_s != usual)
    return f"{usual:g}" + "".join(others)


def file(name: str) -> Path | None:
    """A published file by its name; None if there is none of it."""
    path = folder() / name
    is_ours = path.parent == folder() and (name in FILES or path.suffix == ".svg")
    return path if is_ours and path.is_file() else None
