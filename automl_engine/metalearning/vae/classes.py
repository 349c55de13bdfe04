"""Which class of which known data set each of yours looks most like (Freiburg, section 5.3): ``meta classes``.

    python -m automl_engine meta classes DIR --modality image [--out alike.json]

A guess by looks: what is far from all that is known is not named at all (``NEAR``), and where the very data set is
known a quarter to nine tenths of the classes are named rightly (docs/results/similar_classes.csv).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.files import atomic_write
from automl_engine.metalearning import TABLES
from automl_engine.metalearning.samples import data_dir_of, embed_classes, read_samples, samples_path
from automl_engine.metalearning.sources import source_of
from automl_engine.metalearning.vae import welch

FEWEST = 8
"""Different examples of a class, on either side; fewer are near to anything."""
NEAR = 4 * (2 / np.pi) ** 0.5
"""Twice what two batches of one class are apart by chance: each of two statistics of ``welch.distances`` is then about
normal, so that its absolute value has the mean √(2/π)."""


@dataclass(frozen=True)
class Alike:
    """A class of the new data set and the nearest known one."""

    label: str
    dataset: str
    """Its source, where a variation of it is nearest."""
    known_label: str
    distance: float
    """As of ``welch.distances``."""

    def in_words(self) -> str:
        return f"your class {self.label} looks most like {self.known_label} of {self.dataset} ({self.distance:.1f})"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder with NAME.data")
    parser.add_argument("--modality", required=True, choices=("image", "video"))
    parser.add_argument("--out", type=Path, metavar="FILE", help="output file of the result as JSON")
    parser.add_argument(
        "--tables", type=Path, default=TABLES, metavar="FOLDER", help="tables of known data sets (built-in)"
    )


def main(options: argparse.Namespace) -> int:
    """Prints a line for each class that looks like a known one."""
    from automl_engine.dataset.reader import open_split

    found = classes_alike(open_split(data_dir_of(options.dir), "train"), options.modality, options.tables)
    for alike in found:
        print(alike.in_words())
    if options.out:
        with atomic_write(options.out) as part:
            part.write_text(json.dumps({"alike": [asdict(alike) for alike in found]}, ensure_ascii=False), "utf-8")
    return 0


def classes_alike(split: Examples, modality: str, folder: Path = TABLES) -> list[Alike]:
    """What ``nearest_classes`` says of an image or video split."""
    known = {name: batch for name, batch in read_samples(samples_path("vae", folder)).items() if "/" in name}
    return nearest_classes(embed_classes(split, modality, seed=1), known)  # other examples than those stored


def nearest_classes(new: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray]) -> list[Alike]:
    """Each class that is ``NEAR`` to a known one, the nearest first; of (n, L) latent vectors by class, and by data
    set/class of the known ones."""
    stored = {name: found for name, batch in known.items() if (found := welch.moments(batch)).count >= FEWEST}
    asked = {label: found for label, batch in new.items() if (found := welch.moments(batch)).count >= FEWEST}
    names, near = list(stored), []
    for label, batch in asked.items() if stored else ():
        apart = welch.distances(batch, list(stored.values()))
        dataset, _, known_label = names[int(apart.argmin())].partition("/")
        if apart.min() <= NEAR:
            near.append(Alike(label, source_of(dataset), known_label, round(float(apart.min()), 3)))
    return sorted(near, key=lambda alike: alike.distance)
