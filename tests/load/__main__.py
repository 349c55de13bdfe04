"""The site under load, without training: its figures as CSV.

    python -m tests.load [viewers] [uploads] [cuts] [queue] [--write]

viewers: 300 people follow 20 runs live while pages are asked for.  uploads: 50 files of 20 MB come at once.  cuts: one
of 3 GB whose connection is cut five times.  queue: 1,000 runs of 20 users wait, two workers with a stub for the engine
do them, and all of it is killed in between.
Ends with 1 when a limit is missed.  ``--write`` leaves the figures in docs/results/load.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import date

import psutil

from tests.load.cuts import cuts
from tests.load.queue import queue
from tests.load.site import ROOT, Site, new_site
from tests.load.uploads import uploads
from tests.load.viewers import viewers

RESULTS = ROOT / "docs" / "results" / "load.csv"
COLUMNS = ("part", "figure", "value", "limit", "unit", "command", "machine", "load average", "date")
PARTS: dict[str, Callable[[Site], None]] = {"viewers": viewers, "uploads": uploads, "cuts": cuts, "queue": queue}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}; default: each, one after the other"
    )
    parser.add_argument("--write", action="store_true", help=f"leave the figures in {RESULTS.relative_to(ROOT)}")
    options = parser.parse_args()
    if len(options.parts) != 1:  # each needs a site, and so a process, of its own
        flags = ["--write"] if options.write else []
        return max(
            subprocess.run([sys.executable, "-m", "tests.load", part, *flags], cwd=ROOT).returncode
            for part in options.parts or PARTS
        )
    part, load = options.parts[0], round(os.getloadavg()[0], 1)
    with new_site() as site:
        PARTS[part](site)
    if options.write:
        write(part, site.figures, load)
    missed = [figure for figure, value, limit, _ in site.figures if limit is not None and value > limit]
    print("\n".join(f"Missed: {figure}" for figure in missed))
    return 1 if missed else 0


def write(part: str, figures: list[tuple[str, float, float | None, str]], load: float) -> None:
    """The rows of this part; those of the others stay."""
    kept = []
    if RESULTS.exists():
        with open(RESULTS, newline="", encoding="utf-8") as file:
            kept = [row for row in csv.DictReader(file) if row["part"] != part]
    gigabytes = round(psutil.virtual_memory().total / 2**30)
    machine = f"{platform.machine()}, {psutil.cpu_count()} cores, {gigabytes} GB"
    about = {"command": f"python -m tests.load {part}", "machine": machine, "load average": load, "date": date.today()}
    with open(RESULTS, "w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        rows.writeheader()
        rows.writerows(kept)
        for figure, value, limit, unit in figures:
            limits = {"limit": "" if limit is None else limit}
            rows.writerow({"part": part, "figure": figure, "value": value, "unit": unit, **limits, **about})


if __name__ == "__main__":
    sys.exit(main())
