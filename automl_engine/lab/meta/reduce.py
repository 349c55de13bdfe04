"""The few rows that are nearly as good as all: greedy portfolios (Freiburg, section 6 and Fig. 7).

    python -m automl_engine meta reduce --scores P.csv --size 5 [--modality image] [--out DIR]

A portfolio is worth the mean over the data sets of the best ALC that one of its rows reaches there.  The greedy choice
is at least 63 % of the best possible one of its size (Nemhauser et al., 1978), and in practice next to it.
"""

from __future__ import annotations

import argparse
import csv
from html import escape
from pathlib import Path

import numpy as np

from automl_engine.errors import DataError
from automl_engine.lab.meta.tables import SCORES, Table, read_table

LEFT, TOP, WIDTH, HEIGHT = 64, 40, 560, 260  # px


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument(
        "--scores", type=Path, default=SCORES, metavar="P.csv", help="table of runs, or of data sets × configurations"
    )
    parser.add_argument("--modality", default="image", help="modality to select in a table of runs (image)")
    parser.add_argument("--size", type=int, default=5, metavar="N", help="number of configurations to keep (5)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder for reduce.csv and reduce.svg")


def main(options: argparse.Namespace) -> int:
    """Prints what each size is worth, and the rows of the one that was asked for."""
    table = read_table(options.scores, options.modality)
    if not 1 <= options.size <= len(table.rows):
        raise DataError(f"--size must be 1 to {len(table.rows)}, the rows of the table, but is {options.size}.")
    order, worth = greedy(table.alc)
    rows = [table.rows[j] for j in order]
    print("| size | row added | mean best ALC | share of the full portfolio |\n|---|---|---|---|")
    for size, (row, value) in enumerate(zip(rows, worth, strict=True), 1):
        print(f"| {size} | {row} | {value:.4f} | {value / worth[-1]:.2%} |")
    kept = worth[options.size - 1] / worth[-1]
    print(f"\n{options.size} of {len(rows)} rows keep {kept:.2%}: {', '.join(rows[: options.size])}.")
    if options.out:
        write(table, rows, worth, options.out)
    return 0


def greedy(alc: np.ndarray) -> tuple[list[int], np.ndarray]:
    """(order of the columns, (C,) mean best ALC of the first 1 to C of them).

    Args:
        alc: (D, C); a row that is not known of a data set (NaN) is worth nothing there.
    """
    values = np.nan_to_num(alc, nan=0.0)
    best = np.zeros(len(values))
    order: list[int] = []
    worth = []
    left = list(range(values.shape[1]))
    while left:
        gains = [np.maximum(best, values[:, j]).mean() for j in left]
        # once nothing more can be gained, the row that is best on average comes next
        at = max(range(len(left)), key=lambda n: (round(gains[n], 9), values[:, left[n]].mean()))
        best = np.maximum(best, values[:, left[at]])
        order.append(left.pop(at))
        worth.append(best.mean())
    return order, np.array(worth)


def write(table: Table, rows: list[str], worth: np.ndarray, folder: Path) -> None:
    """reduce.csv (size, row, mean best ALC) and reduce.svg (Fig. 7)."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "reduce.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["size", "row", "mean_best_alc"])
        writer.writerows((n, row, f"{value:.6f}") for n, (row, value) in enumerate(zip(rows, worth, strict=True), 1))
    title = f"Mean best ALC on {len(table.datasets)} data sets by number of rows"
    (folder / "reduce.svg").write_text(plot(title, rows, worth), encoding="utf-8")


def plot(title: str, rows: list[str], worth: np.ndarray) -> str:
    """A step for each row, as SVG that shows in light and dark."""
    low, high = float(worth[0]), float(worth[-1])
    room = (high - low) or 1.0
    xs = [LEFT + WIDTH * (n + 0.5) / len(worth) for n in range(len(worth))]
    ys = [TOP + HEIGHT * (1 - (value - low) / room) for value in worth]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    parts = [f'<text x="{LEFT}" y="22" class="title">{escape(title)}</text>', f'<polyline points="{line}"/>']
    for n, (x, y) in enumerate(zip(xs, ys, strict=True), 1):
        told = f"{n}: {rows[n - 1]} ({worth[n - 1]:.4f})"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(told)}</title></circle>')
        parts.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 20}" text-anchor="middle">{n}</text>')
    for value, y in ((low, TOP + HEIGHT), (high, TOP)):
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{value:.3f}</text>')
        parts.append(f'<path d="M{LEFT} {y}h{WIDTH}"/>')
    width, height = LEFT + WIDTH + 20, TOP + HEIGHT + 36
    style = (
        "text{font:13px system-ui,sans-serif;fill:#545d6b}.title{font-size:15px}path{stroke:#9aa3b0;stroke-width:.5}"
        "polyline{fill:none;stroke:#2454d6;stroke-width:2}circle{fill:#2454d6}"
        "@media(prefers-color-scheme:dark){text{fill:#a4adbb}polyline{stroke:#8fb0ff}circle{fill:#8fb0ff}}"
    )
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    label = f'role="img" aria-label="{escape(title)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}><style>{style}</style>{"".join(parts)}</svg>\n'
