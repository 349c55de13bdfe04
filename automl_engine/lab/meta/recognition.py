"""How often selectors of samples know where a batch comes from, by its size: ``meta recognise`` (Freiburg, Fig. 6).

A batch is drawn from the test split of a data set.  That set itself is hidden; the answer is right if it names another
variation of the same source (a class subset, fewer samples, smaller images), of which the training samples are known.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from automl_engine.metalearning import TABLES
from automl_engine.metalearning.samples import batches, data_dir_of, embed, read_samples, samples_path
from automl_engine.metalearning.sources import source_of

if TYPE_CHECKING:
    from automl_engine.lab.meta.selectors.voting import SampleSelector

SIZES = tuple(2**power for power in range(11))
"""1 to 1024, as in the paper; a test split with fewer examples is left out of the larger sizes."""
BY_SAMPLES = ("nearest_centroid", "mlp_samples", "vae")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR", help="data sets of one modality")
    parser.add_argument("--modality", required=True)
    parser.add_argument(
        "--tables", type=Path, default=TABLES, metavar="FOLDER", help="tables with samples of known data sets"
    )
    parser.add_argument("--selectors", nargs="+", default=list(BY_SAMPLES), choices=BY_SAMPLES, metavar="S")
    parser.add_argument("--repeats", type=int, default=20, help="number of batches of each size and data set (20)")
    parser.add_argument("--seed", type=int, default=0)


def main(options: argparse.Namespace) -> int:
    """Prints one line a selector: the share of right answers at each size, and the time of a choice."""
    from automl_engine.lab.meta.selectors import selector_class
    from automl_engine.lab.meta.selectors.voting import SampleSelector

    print("| selector | " + " | ".join(map(str, SIZES)) + " | ms a choice |", flush=True)
    for name in options.selectors:
        kind = selector_class(name)
        if not issubclass(kind, SampleSelector):
            raise TypeError(f"{name} is no selector of samples")
        space = kind.space or options.modality
        queries = {folder.name: _test_points(folder, options.modality, space, options.seed) for folder in options.data}
        known = read_samples(samples_path(space, options.tables))
        make = partial(kind, options.seed)
        shares, choice_s = recognised(make, known, queries, options.repeats, options.seed)
        cells = [f"{share:.2f}" if count else "" for share, count in shares]
        print(f"| {name} | " + " | ".join(cells) + f" | {1000 * choice_s:.1f} |", flush=True)
    return 0


def _test_points(folder: Path, modality: str, space: str, seed: int) -> np.ndarray:
    """(n, E): up to the largest size of different test examples."""
    from automl_engine.dataset.reader import open_split

    split = open_split(data_dir_of(folder), "test")
    return embed(split, modality, min(len(split), SIZES[-1]), seed, by=space)


def recognised(
    make: Callable[[], SampleSelector],
    known: Mapping[str, np.ndarray],
    queries: Mapping[str, np.ndarray],
    repeats: int,
    seed: int = 0,
) -> tuple[list[tuple[float, int]], float]:
    """How often the most voted data set is of the right source.

    Args:
        make: a selector, not fitted.
        known: (n, E) samples by data set.
        queries: (N, E) by data set; those whose source is known by no other data set are left out.

    Returns:
        (mean share of right answers over the data sets, number of data sets) by size of ``SIZES``, and the median
        time of a choice between the known data sets in seconds, without embedding.
    """
    generator = np.random.default_rng(seed)
    sets = [name for name in known if "/" not in name]
    shares: list[list[float]] = [[] for _ in SIZES]
    times_s: list[float] = []
    for query, points in queries.items():
        others = [name for name in sets if name != query]
        if source_of(query) not in map(source_of, others):
            continue
        selector = make().fit(batches(known, others), np.zeros((len(others), 1)))
        for at, size in enumerate(SIZES):
            if size <= len(points):
                drawn = [points[generator.permutation(len(points))[:size]] for _ in range(repeats)]
                shares[at].append(_share_right(selector, drawn, others, source_of(query), times_s))
    means = [(float(np.mean(found)) if found else float("nan"), len(found)) for found in shares]
    return means, float(np.median(times_s)) if times_s else float("nan")


def _share_right(
    selector: SampleSelector, drawn: Sequence[np.ndarray], others: Sequence[str], source: str, times_s: list[float]
) -> float:
    right = 0
    for batch in drawn:
        start = time.perf_counter()
        named = others[int(selector.votes(batch).argmax())]
        times_s.append(time.perf_counter() - start)
        right += source_of(named) == source
    return right / len(drawn)
