"""How much each selector loses: leave-one-source-out regret, beside the references.

    python -m automl_engine meta evaluate --scores P.csv --features F.csv [--modality image] [--selectors a,b]

A data set is hidden with all variations of the same source, and with the columns that bear their names (in foreign
tables: the configuration optimised on it).  The selector learns from the rest and picks a column; its regret is the
best ALC that remains in the hidden line minus that of the pick.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.errors import DataError
from automl_engine.lab.meta.selectors import SELECTORS, selector_class
from automl_engine.lab.meta.selectors.base import Selector
from automl_engine.lab.meta.selectors.vectors import Scale
from automl_engine.lab.meta.tables import SCORES, Table, features_path, read_numbers, read_table

DRAWS = 10_000
"""Number of resamples in the bootstrap over sources."""
MANY = 10
"""A column of whole numbers that grows by this factor holds counts, which are compared by their logarithms."""
BESIDE = "average_rank"
"""What the others are compared with, pairwise."""


@dataclass(frozen=True)
class Evidence:
    """A score table, and what a selector sees of its data sets."""

    table: Table
    features: np.ndarray
    """(D, F), or (D, n, E) samples."""

    def part(self, lines: Sequence[int], columns: Sequence[int]) -> Evidence:
        table = self.table.select(lines)
        rows = [table.rows[j] for j in columns]
        return Evidence(
            Table(table.datasets, table.sources, rows, table.alc[:, list(columns)]), self.features[list(lines)]
        )


@dataclass(frozen=True)
class Outcome:
    """What a selector or reference reached."""

    regret: np.ndarray
    """(seeds, D)."""
    fit_s: float
    """Median time to learn from the known data sets; NaN for references."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument(
        "--scores", type=Path, default=SCORES, metavar="P.csv", help="table of runs, or of data sets × configurations"
    )
    parser.add_argument("--features", type=Path, metavar="F.csv", help="meta-features of the data sets (built-in)")
    parser.add_argument(
        "--samples", type=Path, metavar="FOLDER", help="samples from meta samples, for selectors that compare samples"
    )
    parser.add_argument("--modality", default="image", help="modality to select in a table of runs (image)")
    parser.add_argument("--selectors", metavar="A,B", help="only these selectors")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds 0 to N - 1 (3)")
    parser.add_argument(
        "--tune", type=int, default=0, metavar="N", help="BOHB trials for each hidden set, judged inside the rest"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="output folder for regret.csv, with a line for each choice"
    )


def main(options: argparse.Namespace) -> int:
    """Prints the table of regrets."""
    table = read_table(options.scores, options.modality)
    evidence, told = with_features(table, options.features or features_path(options.modality))
    names = options.selectors.split(",") if options.selectors else list(SELECTORS)
    unknown = [name for name in names if name not in SELECTORS]
    if unknown:
        raise DataError(f"There is no selector {', '.join(unknown)}; there are {', '.join(SELECTORS)}.")
    for line in told:
        print(line)
    print(f"{len(evidence.table.datasets)} data sets of {len(set(evidence.table.sources))} sources,", end=" ")
    print(f"{len(evidence.table.rows)} rows.\n", flush=True)
    outcomes = references(evidence)
    for name in names:
        kind = selector_class(name)
        if kind.of_samples and not options.samples:
            print(f"Left out: {name} needs --samples.", flush=True)
            continue
        seen = with_samples(evidence.table, kind, options) if kind.of_samples else evidence
        outcomes[name] = judge(seen, kind, range(options.seeds), options.tune)
    print(*report(outcomes, evidence.table), sep="\n")
    if options.out:
        write(outcomes, evidence.table, options.out / "regret.csv")
    return 0


def with_features(table: Table, path: Path) -> tuple[Evidence, list[str]]:
    """The data sets of a table that can be judged, and what is told of the others.

    Raises:
        DataError: fewer than three remain.
    """
    names, _, numbers = read_numbers(path)
    numbers = counts_as_logarithms(numbers)
    lacking = [name for name in table.datasets if name not in names]
    few = np.isfinite(table.alc).sum(1) < 2
    unscored = [name for name, too_few in zip(table.datasets, few, strict=True) if too_few and name in names]
    keep = [i for i, name in enumerate(table.datasets) if name not in {*lacking, *unscored}]
    told = [f"Left out, no features: {', '.join(lacking)}."] if lacking else []
    told += [f"Left out, fewer than two scores: {', '.join(unscored)}."] if unscored else []
    kept = table.select(keep)
    if len(set(kept.sources)) < 3:
        raise DataError(f"{path.name} and the scores share fewer than three sources; add runs or features of more.")
    return Evidence(kept, numbers[[names.index(name) for name in kept.datasets]]), told


def with_samples(table: Table, kind: Any, options: argparse.Namespace) -> Evidence:
    """The same data sets as batches of samples, in the space of the selector."""
    from automl_engine.metalearning.samples import batches, read_samples, samples_path

    path = samples_path(kind.space or options.modality, options.samples)
    return Evidence(table, batches(read_samples(path), table.datasets))


def counts_as_logarithms(numbers: np.ndarray) -> np.ndarray:
    """(D, F): columns of counts on a log scale where -1 (variable) stays below all counts; others as they are."""
    finite = np.nan_to_num(numbers)
    magnitude = np.abs(finite)
    least = np.where(magnitude > 0, magnitude, np.inf).min(0)
    counts = (finite == np.round(finite)).all(0) & (magnitude.max(0) >= MANY * least)
    return np.where(counts, np.sign(numbers) * np.log1p(np.abs(numbers)), numbers)


def folds(evidence: Evidence) -> Iterator[tuple[Evidence, Evidence]]:
    """(known, hidden) for each source; columns that bear a hidden name are in neither."""
    table = evidence.table
    for source in dict.fromkeys(table.sources):
        hidden = [i for i, own in enumerate(table.sources) if own == source]
        known = [i for i, own in enumerate(table.sources) if own != source]
        names = {source, *(table.datasets[i] for i in hidden)}
        columns = [j for j, row in enumerate(table.rows) if row not in names]
        yield evidence.part(known, columns), evidence.part(hidden, columns)


def regret(selector: Selector, known: Evidence, hidden: Evidence) -> np.ndarray:
    """(H,) of the first row that a selector, fitted here, names for each hidden data set."""
    return regret_of_picks(selector.fit(known.features, known.table.alc), hidden)


def regret_of_picks(selector: Selector, hidden: Evidence) -> np.ndarray:
    """(H,) of a fitted selector."""
    orders = [selector.rank(features) for features in hidden.features]
    return np.array([regret_of(order, alc) for order, alc in zip(orders, hidden.table.alc, strict=True)])


def regret_of(order: np.ndarray, alc: np.ndarray) -> float:
    """Of the first row in the order whose ALC there is known."""
    first = next(j for j in order if not np.isnan(alc[j]))
    return float(np.nanmax(alc) - alc[first])


def judge(evidence: Evidence, kind: Callable[..., Selector], seeds: Sequence[int], trials: int = 0) -> Outcome:
    """Over all folds.  With ``trials``, parameters are searched anew for each, and nothing hidden is seen in that."""
    found, times_s = [], []
    for seed in seeds:
        parts = []
        for known, hidden in folds(evidence):
            params = tuned(kind, known, trials, seed) if trials else {}
            selector, start = kind(seed, **params), time.perf_counter()
            selector.fit(known.features, known.table.alc)
            times_s.append(time.perf_counter() - start)
            parts.append(regret_of_picks(selector, hidden))
        found.append(_in_order(evidence.table, parts))
    return Outcome(np.array(found), float(np.median(times_s)))


def tuned(kind: Any, known: Evidence, trials: int, seed: int) -> dict[str, Any]:
    """The parameters of the least leave-one-source-out regret among the known data sets."""
    from automl_engine.lab.search.bohb import optimise
    from automl_engine.portfolio.space import parse

    if not kind.SPACE:
        return {}

    def objective(params: dict[str, Any], _: float) -> float:
        return -float(np.mean(np.concatenate([regret(kind(seed, **params), *fold) for fold in folds(known)])))

    return optimise(objective, parse(kind.SPACE, kind.__name__), trials=trials, seed=seed).params


def references(evidence: Evidence) -> dict[str, Outcome]:
    """Reference selectors: without any table, with the true scores, and the paper's choice if columns are data sets."""
    makers: dict[str, Callable[[Evidence, Evidence], np.ndarray]] = {
        "oracle": lambda known, hidden: np.zeros(len(hidden.table.alc)),
        "random (expected)": lambda known, hidden: np.nanmax(hidden.table.alc, 1) - np.nanmean(hidden.table.alc, 1),
    }
    if "default" in evidence.table.rows:
        makers["default"] = _default
    if set(evidence.table.rows) & set(evidence.table.sources):
        makers["nearest set's own"] = _incumbent
    return {
        name: Outcome(_in_order(evidence.table, [maker(*fold) for fold in folds(evidence)])[None], float("nan"))
        for name, maker in makers.items()
    }


def _default(known: Evidence, hidden: Evidence) -> np.ndarray:
    first = [hidden.table.rows.index("default"), *range(len(hidden.table.rows))]
    return np.array([regret_of(np.array(first), alc) for alc in hidden.table.alc])


def _incumbent(known: Evidence, hidden: Evidence) -> np.ndarray:
    """The configuration optimised on the nearest known data set that has one (Freiburg, equation 3)."""
    scale, rows = Scale(known.features), known.table.rows
    found = []
    for features, alc in zip(hidden.features, hidden.table.alc, strict=True):
        apart = ((scale(known.features) - scale(features)) ** 2).sum(1)
        near = [known.table.sources[i] for i in np.argsort(apart, kind="stable")]
        found.append(regret_of(np.array([rows.index(name) for name in near if name in rows]), alc))
    return np.array(found)


def _in_order(table: Table, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Values by fold -> (D,) in the order of the table."""
    sources = list(dict.fromkeys(table.sources))
    lines = [i for source in sources for i, own in enumerate(table.sources) if own == source]
    values = np.empty(len(lines))
    values[lines] = np.concatenate(parts)
    return values


def interval(values: np.ndarray, sources: Sequence[str]) -> tuple[float, float]:
    """95 % of the mean of (D,) values: percentile bootstrap over sources, since variations of one are alike."""
    names = list(dict.fromkeys(sources))
    members = np.array([[own == name for own in sources] for name in names])
    sums, counts = members @ values, members.sum(1)
    drawn = np.random.default_rng(0).integers(len(names), size=(DRAWS, len(names)))
    low, high = np.quantile(sums[drawn].sum(1) / counts[drawn].sum(1), [0.025, 0.975])
    return float(low), float(high)


def report(outcomes: dict[str, Outcome], table: Table) -> list[str]:
    """Markdown: the least mean regret first."""
    lines = [
        f"| selector | mean regret | 95 % interval | seeds | median | worst | against {BESIDE} | fit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    beside = outcomes[BESIDE].regret.mean(0) if BESIDE in outcomes else None
    for name, outcome in sorted(outcomes.items(), key=lambda item: item[1].regret.mean()):
        mean, by_seed = outcome.regret.mean(0), outcome.regret.mean(1)
        low, high = interval(mean, table.sources)
        cells = [name, f"{mean.mean():.4f}", f"{low:.4f} to {high:.4f}"]
        cells.append(f"{by_seed.min():.4f} to {by_seed.max():.4f}" if np.ptp(by_seed) > 0 else "same")
        cells += [f"{np.median(mean):.4f}", f"{mean.max():.4f}"]
        if beside is None or name == BESIDE:
            cells.append("")
        else:
            less, more = interval(mean - beside, table.sources)
            cells.append(f"{mean.mean() - beside.mean():+.4f} ({less:+.4f} to {more:+.4f})")
        cells.append("" if np.isnan(outcome.fit_s) else f"{1000 * outcome.fit_s:.1f} ms")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def write(outcomes: dict[str, Outcome], table: Table, path: Path) -> None:
    """dataset, source, selector, seed, regret."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["dataset", "source", "selector", "seed", "regret"])
        for name, outcome in outcomes.items():
            for seed, values in enumerate(outcome.regret):
                for line in zip(table.datasets, table.sources, values, strict=True):
                    writer.writerow([*line[:2], name, seed, f"{line[2]:.6f}"])
