"""Where the AutoDL data sets of an upload are: at any depth, with the labels beside them or in a folder of their own.

Layouts: ``NAME.data`` and ``NAME.solution`` side by side; ``input_data/`` and ``reference_data/``, as a competition has
them; the deprecated TFRecord format, one folder with ``metadata.textproto`` and ``*.tfrecord`` (deprecated.py).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from automl_engine.errors import DataError
from formatters.base import Question
from formatters.media.order import natural

METADATA = "metadata.textproto"
MAX_LISTED = 20


@dataclass(frozen=True)
class Bundle:
    """An AutoDL data set within an upload; ``key`` is what ``--data-set`` calls it."""

    key: str
    name: str
    folder: Path  # with train/ and test/; of the deprecated format: with the records
    solutions: list[Path]  # the files that could hold the labels of its test split
    deprecated: bool = False

    @property
    def solution(self) -> Path:
        """The labels of the test split.

        Raises:
            DataError: there is no such file, or more than one.
        """
        if not self.solutions:
            raise DataError(
                f"{self.name}.solution is missing beside {self.folder.name}; add the labels of the test split."
            )
        if len(self.solutions) > 1:
            listed = ", ".join(path.name for path in self.solutions[:MAX_LISTED])
            raise DataError(
                f"Several files could hold the test labels of {self.folder.name} ({listed}); keep one of them."
            )
        return self.solutions[0]


def bundles(root: Path) -> list[Bundle]:
    """All data sets of an upload, in natural order."""
    folders, old, solutions = _walk(root)
    stems = Counter(_stem(folder) for folder in [*folders, *old])
    found = [_bundle(root, folder, _nearest(folder, solutions, folders), stems) for folder in folders]
    found += [replace(_bundle(root, folder, [], stems), deprecated=True) for folder in old]
    return sorted(found, key=lambda bundle: natural(bundle.key))


def chosen(root: Path, wanted: str | None) -> Bundle:
    """The one data set of an upload, or the one that the options name.

    Raises:
        Question: there are several.
        DataError: the upload has no data set of this name.
    """
    found = bundles(root)
    keys = [bundle.key for bundle in found]
    listed = ", ".join(keys[:MAX_LISTED])
    if wanted is None and len(found) > 1:
        raise Question(
            f"The upload holds {len(found)} AutoDL data sets; choose one with --data-set: {listed}.",
            {"data_sets": keys},
        )
    named = [bundle for bundle in found if wanted in (None, bundle.key)]
    if not named:
        raise DataError(f"The upload holds no AutoDL data set {wanted!r}; choose one of {listed}.")
    return named[0]


def _walk(root: Path) -> tuple[list[Path], list[Path], list[Path]]:
    """(folders with train and test, folders of the deprecated format, solutions)."""
    folders, old, solutions = [], [], []
    splits: set[Path] = set()
    for place, inner, files in os.walk(root):
        inner.sort(key=natural)
        folder = Path(place)
        solutions += [folder / file for file in sorted(files) if file.endswith(".solution")]
        sides = [folder / "train", folder / "test"]
        named = folder.suffix == ".data" and "train" in inner
        if named or all((side / METADATA).is_file() for side in sides):
            folders.append(folder)
            splits.update(sides)
        elif folder not in splits and METADATA in files and any(file.endswith(".tfrecord") for file in files):
            old.append(folder)
    return folders, old, solutions


def _bundle(root: Path, folder: Path, solutions: list[Path], stems: Counter[str]) -> Bundle:
    stem = _stem(folder)
    unnamed = folder.suffix != ".data" and len(solutions) == 1
    name = solutions[0].stem if unnamed else stem
    inside = folder.relative_to(root).as_posix().removesuffix(".data")
    return Bundle(inside if stems[stem] > 1 else name, name, folder, solutions)


def _stem(folder: Path) -> str:
    return folder.name.removesuffix(".data")


def _nearest(folder: Path, solutions: Sequence[Path], folders: Sequence[Path]) -> list[Path]:
    """The nearest files of the data set's name; else of any name, but that of another data set."""
    own = [path for path in solutions if path.stem == _stem(folder)]
    others = {_stem(other) for other in folders if other != folder}
    free = own or [path for path in solutions if path.stem not in others]
    shared = [len(os.path.commonpath([folder, path])) for path in free]
    return [path for path, length in zip(free, shared, strict=True) if length == max(shared)]
