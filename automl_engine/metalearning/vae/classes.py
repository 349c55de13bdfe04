"""Which class of which known data set each of yours is most like (Freiburg, section 5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.metalearning.samples import embed_classes, read_samples, samples_path
from automl_engine.metalearning.tables import HERE
from automl_engine.metalearning.vae import welch


@dataclass(frozen=True)
class Alike:
    """A class of the new data set and the nearest known one."""

    label: str
    dataset: str
    known_label: str
    distance: float
    """As of ``welch.distances``."""

    def in_words(self) -> str:
        return f"your class {self.label} is most like {self.known_label} of {self.dataset}"


def classes_alike(split: Examples, modality: str, folder: Path = HERE) -> list[Alike]:
    """For each class with two or more examples of an image or video split, the nearest first; none if none is known."""
    known = {name: batch for name, batch in read_samples(samples_path("vae", folder)).items() if "/" in name}
    return nearest_classes(embed_classes(split, modality), known) if known else []


def nearest_classes(new: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray]) -> list[Alike]:
    """Of (n, L) latent vectors by class, and by data set/class of the known ones."""
    names = list(known)
    stored = [welch.moments(batch) for batch in known.values()]
    found = []
    for label, batch in new.items():
        apart = welch.distances(welch.moments(batch), stored)
        dataset, _, known_label = names[int(apart.argmin())].partition("/")
        found.append(Alike(label, dataset, known_label, float(apart.min())))
    return sorted(found, key=lambda alike: alike.distance)
