"""Meta-features: a data set as a few numbers, quickly, from some of its samples.

Trivial ones (what the Freiburg team's tables hold, and class statistics) and moments of a batch of embedded samples
(Freiburg, section 5.1).  They are the same on every machine for the same data and seed, so that what was measured
elsewhere can be compared: nothing here depends on weights.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from automl_engine.dataset.decode import decode_image
from automl_engine.dataset.examples import Examples, Steps, stored_bytes
from automl_engine.dataset.spec import Spec
from automl_engine.metalearning.embeddings import embedding
from automl_engine.metalearning.samples import sample

COUNTS = {"image": 64, "video": 24, "audio": 48, "text": 128, "tabular": 512, "timeseries": 64}
"""Samples that ``meta_features`` looks at, for each modality."""
MOST_BYTES = 4 << 20
"""Stored bytes of all samples that ``meta_features`` looks at: of large samples it looks at fewer, but ``FEWEST``."""
FARTHEST = 3.0

MOMENTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda batch: batch.mean(0),
    "median": lambda batch: np.median(batch, axis=0),
    "std": lambda batch: batch.std(0),
    "variance": lambda batch: batch.var(0),
    "skewness": lambda batch: (_standard(batch) ** 3).mean(0),
    "kurtosis": lambda batch: (_standard(batch) ** 4).mean(0) - 3,
}
"""(n, E) -> (E,); beside them ``q00`` to ``q40`` are the quantiles 0 to 0.40."""


def meta_features(split: Examples, modality: str, seed: int = 0) -> dict[str, float]:
    """Finite numbers by name, always the same names in the same order for a modality.

    ``trivial_*`` describe the whole split; ``MODALITY_*_mean`` and ``_std`` are moments over embedded samples;
    ``landmark_class_distance`` tells how far samples that share a class are apart, by how far all are.
    """
    some = sample(split, modality, COUNTS[modality], seed, MOST_BYTES)
    space = embedding(modality)
    batch = space.embed(some)
    values = {f"trivial_{name}": value for name, value in trivial(split, some).items()}
    both = zip(space.NAMES, moments(batch, ("mean",)), moments(batch, ("std",)), strict=True)
    for name, mean, deviation in both:
        values |= {f"{modality}_{name}_mean": float(mean), f"{modality}_{name}_std": float(deviation)}
    if modality != "tabular":  # its samples are columns
        values["landmark_class_distance"] = class_distance(batch, some.labels)
    return values


def trivial(split: Examples, some: Examples) -> dict[str, float]:
    """What needs no embedding: of the whole ``split`` by its labels, of ``some`` by their sizes; logarithms to 2."""
    spec, labels = split.spec, split.labels > 0
    steps = [some.steps(i) for i in range(len(some))]
    heights, widths = np.array([_sides(one, spec) for one in steps]).T
    lengths = np.log2([max(1, len(one)) for one in steps])
    shares = labels.sum(0) / max(1, labels.sum())
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    values = {
        "log_samples": np.log2(len(split)),
        "log_classes": np.log2(spec.output_dim),
        "log_per_class": np.log2(len(split) / spec.output_dim),
        "channels": np.clip(spec.num_channels, 1, 16),
        "log_height": np.log2(np.median(heights)),
        "log_width": np.log2(np.median(widths)),
        "variable_size": min(spec.row_count, spec.col_count) < 0,
        "log_length": np.median(lengths),
        "length_spread": np.std(lengths),
        "log_vocabulary": np.log2(1 + len(spec.channel_to_index)),
        "log_bytes": np.log2(1 + np.mean([stored_bytes(one) for one in steps])),
        "multi_label": (labels.sum(1) > 1).any(),
        "label_density": labels.mean(),
        "balance": entropy / np.log(max(2, spec.output_dim)),
        "rarest_class": shares.min() * spec.output_dim,
    }
    return {name: float(value) for name, value in values.items()}


def _sides(steps: Steps, spec: Spec) -> tuple[int, int]:
    """Height and width of an example, from the header of its (first) picture where they vary."""
    if spec.row_count > 0 and spec.col_count > 0:
        return spec.row_count, spec.col_count
    if isinstance(steps, np.ndarray):
        return steps.shape[1], steps.shape[2]
    try:
        with Image.open(io.BytesIO(steps[0])) as picture:
            return picture.height, picture.width
    except (OSError, Image.DecompressionBombError):  # the decoders are more lenient
        return decode_image(steps[0], spec.num_channels).shape[:2]


def moments(batch: np.ndarray, names: Sequence[str] = ("mean", "std")) -> np.ndarray:
    """(n, E) -> (len(names) * E,) float32, one of ``MOMENTS`` or ``q00`` to ``q40`` after the other."""
    batch = batch.astype(np.float64)
    found = [
        np.quantile(batch, int(name[1:]) / 100, axis=0) if name[1:].isdigit() else MOMENTS[name](batch)
        for name in names
    ]
    return np.concatenate(found).astype(np.float32)


def _standard(batch: np.ndarray) -> np.ndarray:
    return (batch - batch.mean(0)) / (batch.std(0) + 1e-9)


def class_distance(batch: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of pairs that share a label by that of pairs that do not; 1 if there are no such pairs."""
    points = _standard(batch.astype(np.float64))
    squares = (points**2).sum(1)
    apart = squares[:, None] + squares - 2 * points @ points.T
    shared = (labels > 0).astype(np.float32) @ (labels > 0).T > 0
    pairs = ~np.eye(len(batch), dtype=bool)
    same, other = apart[pairs & shared], apart[pairs & ~shared]
    return float(same.mean() / other.mean()) if len(same) and len(other) and other.any() else 1.0


def distances(known: np.ndarray, new: np.ndarray) -> np.ndarray:
    """(D, F) features of known data sets and (F,) of a new one -> (D,) how far each is.

    Root mean square over the features of differences in units of the known sets' spread (1.35 of it between the
    quartiles, or the deviation where the quartiles meet), each no more than ``FARTHEST``: one odd feature does not
    decide.  Features that never vary, or are not known of all, count for nothing.
    """
    usable = np.isfinite(known).all(0) & np.isfinite(new) & (np.ptp(known, axis=0) > 0)
    known, new = known[:, usable], new[usable]
    if not usable.any():
        return np.zeros(len(known))
    low, high = np.quantile(known, [0.25, 0.75], axis=0)
    spread = np.where(high > low, (high - low) / 1.35, known.std(0))
    apart = np.minimum(np.abs(known - new) / spread, FARTHEST)
    return np.sqrt((apart**2).mean(1))
