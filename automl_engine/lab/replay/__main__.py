"""What other orders of configurations and other rules for the weights would have reached on recorded sets.

    python -m automl_engine.lab.replay OUT [--orders CSV] [--rules CSV]

OUT holds what lab/replay/record.py wrote.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from automl_engine.files import atomic_write
from automl_engine.lab.meta.evaluate import interval
from automl_engine.lab.replay.board import Board
from automl_engine.lab.replay.orders import compare
from automl_engine.lab.replay.records import Record, finished
from automl_engine.lab.replay.rules import RULES
from automl_engine.lab.replay.run import Outcome, replayed
from automl_engine.portfolio import load

FALL, MARGIN = 0.01, 0.01
"""Distance of the final NAUC from the best of the curve that counts as a fall; of ``auto`` from the best
configuration that counts as below it."""
ALONE = "alone "


@dataclass(frozen=True)
class Line:
    """One way on one set."""

    modality: str
    source: str
    set: str
    way: str
    order: str
    alc: float
    nauc: float
    fall: float
    first_s: float
    fall_error: float = 0.0


def line(record: Record, way: str, order: Iterable[str], outcome: Outcome) -> Line:
    alc, nauc, fall = (round(float(value), 5) for value in (outcome.alc, outcome.nauc, outcome.fall))
    first_s = round(next(iter(outcome.times_s), record.budget_s), 3)
    error = round(outcome.fall_error, 5)
    return Line(record.modality, record.source, record.name, way, " ".join(order), alc, nauc, fall, first_s, error)


def orders(records: Sequence[Record]) -> list[Line]:
    """Every strategy, and the best by the test labels of all that was tried, on each set of one modality."""
    board, known = Board(records), {record.name: record for record in records}
    lines = [line(known[name], way, order, outcome) for name, way, order, outcome in compare(board)]
    tried = [line(records[i], "oracle", order, outcome) for (i, order), outcome in board.known.items()]
    for name in known:
        best = max((one for one in [*lines, *tried] if one.set == name), key=lambda one: one.alc)
        lines.append(replace(best, way="oracle"))
    return lines


def rules(records: Sequence[Record]) -> list[Line]:
    """The engine, other rules for the weights, and each configuration alone."""
    lines = []
    for record in records:
        order = [row.name for row in load() if row.name in record.courses and row.enabled]
        lines.append(line(record, "engine", order, replayed(record, order)))
        lines += [line(record, name, order, replayed(record, order, rule)) for name, rule in RULES.items()]
        lines += [line(record, ALONE + name, [name], replayed(record, [name])) for name in order]
    return lines


def table(lines: Sequence[Line], base: str) -> str:
    """The mean of each way, its difference from ``base`` with a 95 % bootstrap interval over the sources, and what it
    loses to the best way of each set."""
    rows = [
        f"| way | ALC | final NAUC | ALC minus {base} | regret | falls, by > 2 errors | first three differ |",
        "|---|---|---|---|---|---|---|",
    ]
    reference = {one.set: one for one in lines if one.way == base}
    best = {name: max(one.alc for one in lines if one.set == name) for name in reference}
    for way in dict.fromkeys(one.way for one in lines if not one.way.startswith(ALONE)):
        mine = [one for one in lines if one.way == way]
        by_set = {name: float(np.mean([one.alc for one in mine if one.set == name])) for name in reference}
        gains = np.array([by_set[name] - reference[name].alc for name in reference])
        low, high = interval(gains, [one.source for one in reference.values()])
        falls = np.mean([one.fall > FALL for one in mine])
        clear = np.mean([one.fall > max(FALL, 2 * one.fall_error) for one in mine])
        differ = np.mean([one.order.split()[:3] != reference[one.set].order.split()[:3] for one in mine])
        alc, nauc = np.mean([one.alc for one in mine]), np.mean([one.nauc for one in mine])
        regret = np.mean([best[name] - by_set[name] for name in reference])
        gain = f"{np.mean(gains):+.4f} ({low:+.4f} to {high:+.4f})"
        rows.append(
            f"| {way} | {alc:.4f} | {nauc:.4f} | {gain} | {regret:.4f} | {falls:.0%}, {clear:.0%} | {differ:.0%} |"
        )
    return "\n".join(rows)


def parts(lines: Sequence[Line]) -> str:
    """``auto`` against its parts: the best fixed configuration of each modality, and the best of each set."""
    rows = ["| modality | sets | auto | best fixed | auto - fixed | within .01 of the set's best: ALC, NAUC |"]
    rows.append("|---|---|---|---|---|---|")
    for modality in dict.fromkeys(one.modality for one in lines):
        here = [one for one in lines if one.modality == modality]
        auto = {one.set: one for one in here if one.way == "engine"}
        alone = [one for one in here if one.way.startswith(ALONE)]
        best = {way: [one for one in alone if one.way == way] for way in {one.way for one in alone}}
        best = {way: found for way, found in best.items() if len(found) == len(auto)}
        way = max(best, key=lambda name: np.mean([one.alc for one in best[name]]))
        gains = np.array([auto[one.set].alc - one.alc for one in best[way]])
        low, high = interval(gains, [one.source for one in best[way]])
        near = [
            np.mean([getattr(auto[s], key) >= max(getattr(x, key) for x in alone if x.set == s) - MARGIN for s in auto])
            for key in ("alc", "nauc")
        ]
        alc, fixed = np.mean([one.alc for one in auto.values()]), np.mean([one.alc for one in best[way]])
        rows.append(
            f"| {modality} | {len(auto)} | {alc:.4f} | {fixed:.4f} {way.removeprefix(ALONE)} | {gains.mean():+.4f} "
            f"({low:+.4f} to {high:+.4f}) | {near[0]:.0%}, {near[1]:.0%} |"
        )
    return "\n".join(rows)


def write(path: Path, lines: Sequence[Line]) -> None:
    with atomic_write(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(lines[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(one) for one in lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m automl_engine.lab.replay", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="holds the records")
    parser.add_argument("--orders", type=Path, metavar="CSV", help="compare orders of the configurations")
    parser.add_argument("--rules", type=Path, metavar="CSV", help="compare rules for the weights")
    parser.add_argument("--rows", type=lambda text: text.split(","), default=[], metavar="A,B", help="add these")
    options = parser.parse_args(arguments)
    rows = [row for row in load() if row.enabled or row.name in options.rows]
    records, told = finished([Record.read(path.parent, rows) for path in sorted(options.out.glob("*/labels.npz"))])
    for text in told:
        print(text)
    kinds = dict.fromkeys(record.modality for record in records)
    for compared, path, base in ((orders, options.orders, "portfolio"), (rules, options.rules, "engine")):
        if path:
            lines = [one for kind in kinds for one in compared([r for r in records if r.modality == kind])]
            write(path, lines)
            for kind in kinds:
                print(f"\n{kind}\n{table([one for one in lines if one.modality == kind], base)}")
            print(f"\nall\n{table(lines, base)}")
            if compared is rules:
                print(f"\n{parts(lines)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
