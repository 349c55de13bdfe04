"""Samples of known data sets as points of a space (embeddings): what selectors of samples compare new ones with.

    python -m automl_engine meta samples --data DIR... --modality image [--tables FOLDER]

``samples_SPACE.safetensors`` holds ``NAME``: (n, E) float16 of random training examples of a data set, and, where they
tell classes apart (the space of the autoencoder), ``NAME/CLASS``: those of one class.  A space is named after its
modality or is one of the others of ``EMBEDDINGS``.  Public data sets alone belong in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from automl_engine.dataset.examples import Examples, stored_bytes
from automl_engine.errors import DataError
from automl_engine.files import atomic_write
from automl_engine.metalearning import TABLES
from automl_engine.metalearning.embeddings import embedding

COUNT, CLASS_COUNT = 64, 24
"""Samples kept of a data set, and of each of its classes."""
MOST_CLASSES = 100
LARGEST = 65504.0
"""Largest number in half precision."""
VISUAL = ("image", "video")
FEWEST = 4
"""Number of samples that are looked at in any case, however large they are."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="folders of public data sets with NAME.data"
    )
    parser.add_argument("--modality", required=True, help="modality of the data sets")
    parser.add_argument(
        "--tables", type=Path, default=TABLES, metavar="FOLDER", help="the tables to add to (the built-in)"
    )


def main(options: argparse.Namespace) -> int:
    """Adds the samples of each data set; what is there of others stays."""
    from automl_engine.dataset.reader import open_split

    for folder in options.data:
        data_dir = data_dir_of(folder)
        add(open_split(data_dir, "train"), data_dir.stem, options.modality, options.tables)
        print(data_dir.stem, flush=True)
    return 0


def data_dir_of(folder: Path) -> Path:
    """``NAME.data`` in a folder.

    Raises:
        DataError: there is none, or more than one.
    """
    found = sorted(folder.glob("*.data"))
    if len(found) != 1:
        raise DataError(f"{folder} must hold one NAME.data but holds {len(found)}; name the folder of a data set.")
    return found[0]


def add(split: Examples, name: str, modality: str, folder: Path = TABLES) -> None:
    """Samples of a public data set: in its modality's own space, and images and videos in the autoencoder's too."""
    write_samples(samples_path(modality, folder), {name: embed(split, modality, COUNT)})
    if modality in VISUAL:
        found = {name: embed(split, modality, COUNT, by="vae")}
        found |= {f"{name}/{label}": points for label, points in embed_classes(split, modality).items()}
        write_samples(samples_path("vae", folder), found)


def embed(split: Examples, modality: str, count: int, seed: int = 0, by: str | None = None) -> np.ndarray:
    """(count, E) float32: random samples of a split in a space of ``EMBEDDINGS``, by default the modality's own.

    Without repetition, until there are no more: a smaller split is gone through several times.
    """
    found = embedding(by or modality).embed(sample(split, modality, count, seed))
    return found[np.arange(count) % len(found)]


def sample(split: Examples, modality: str, count: int, seed: int, most_bytes: float = np.inf) -> Examples:
    """At most ``count`` random examples that take no more than ``most_bytes`` (or ``FEWEST``)."""
    order = np.random.default_rng(seed).permutation(len(split))[:count]
    row_bytes = 4 * abs(split.spec.row_count * split.spec.col_count) if modality == "tabular" else 0  # sparse or not
    taken, size_bytes = 0, 0
    while taken < len(order) and (taken < FEWEST or size_bytes < most_bytes):
        size_bytes += max(row_bytes, stored_bytes(split.steps(int(order[taken]))))
        taken += 1
    return split.subset(order[:taken])


def embed_classes(split: Examples, modality: str, seed: int = 0) -> dict[str, np.ndarray]:
    """At most ``CLASS_COUNT`` latent vectors of each class that has two examples, by its name."""
    found = {}
    for label, column in list(zip(split.spec.labels, split.labels.T > 0, strict=True))[:MOST_CLASSES]:
        if column.sum() > 1:
            some = split.subset(np.flatnonzero(column))
            found[label] = embed(some, modality, min(CLASS_COUNT, len(some)), seed, by="vae")
    return found


def samples_path(space: str, folder: Path = TABLES) -> Path:
    return folder / f"samples_{space}.safetensors"


def read_samples(path: Path) -> dict[str, np.ndarray]:
    """(n, E) float32 by name of data set or data set/class; none if there is no such file.

    Raises:
        DataError: the file holds no samples.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.exists():
        return {}
    try:
        return {name: points.astype(np.float32) for name, points in load_file(path).items()}
    except SafetensorError as error:
        raise DataError(f"{path.name} holds no samples ({error}); meta samples makes it.") from error


def write_samples(path: Path, samples: Mapping[str, np.ndarray]) -> None:
    """Adds to a file; what it held of the same data sets goes, what it holds of others stays."""
    from safetensors.numpy import save_file

    new = {name.partition("/")[0] for name in samples}
    kept = {name: points for name, points in read_samples(path).items() if name.partition("/")[0] not in new}
    half = {name: points.clip(-LARGEST, LARGEST).astype(np.float16) for name, points in (kept | dict(samples)).items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        save_file(half, part)


def batches(samples: Mapping[str, np.ndarray], datasets: Sequence[str]) -> np.ndarray:
    """(D, n, E) float32: what ``fit`` of a selector of samples takes.

    Raises:
        DataError: the file does not know a data set.
    """
    missing = [name for name in datasets if name not in samples]
    if missing:
        raise DataError(f"There are no samples of {', '.join(missing)}; add them by meta samples --data DIR.")
    return np.stack([samples[name] for name in datasets])
