"""Where the AutoDL data sets of an upload are: at any depth, with the labels beside them or in a folder of their own.

Layouts: ``NAME.data`` and ``NAME.solution`` side by side; ``input_data/`` and ``reference_data/``, as a competition has
them; the deprecated TFRecord format, one folder with ``metadata.textproto`` and ``*.tfrecord`` (deprecated.py).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
    deprecated: bool = False
    solutions: list[Path] = field(default_factory=list)  # the files that could hold the labels of its test split

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
    """All data sets of an upload, in natural order, without their solutions."""
    return _bundles(root, *_walk(root)[:2])


def chosen(root: Path, wanted: str | None) -> Bundle:
    """The one data set of an upload, or the one that the options name.

    Raises:
        Question: there are several.
        DataError: the upload has no data set of this name.
    """
    folders, old, solutions = _walk(root)
    found = _bundles(root, folders, old)
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
    return _with_solutions(named[0], solutions, {_stem(folder) for folder in folders})


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


def _bundles(root: Path, folders: list[Path], old: list[Path]) -> list[Bundle]:
    stems = Counter(_stem(folder) for folder in [*folders, *old])
    found = [Bundle(_key(root, folder, stems), _stem(folder), folder) for folder in folders]
    found += [Bundle(_key(root, folder, stems), _stem(folder), folder, deprecated=True) for folder in old]
    return sorted(found, key=lambda bundle: natural(bundle.key))


def _key(root: Path, folder: Path, stems: Counter[str]) -> str:
    inside = folder.relative_to(root).as_posix().removesuffix(".data")
    return inside if stems[_stem(folder)] > 1 else _stem(folder)


def _stem(folder: Path) -> str:
    return folder.name.removesuffix(".data")


def _with_solutions(bundle: Bundle, solutions: Sequence[Path], stems: set[str]) -> Bundle:
    """The nearest files of the data set's name; else of any name, but that of another data set.

    A folder that is not called NAME.data has the name of its solution.
    """
    own = [path for path in solutions if path.stem == bundle.name]
    free = own or [path for path in solutions if path.stem not in stems]
    shared = [len(os.path.commonpath([bundle.folder, path])) for path in free]
    most = max(shared, default=0)
    nearest = [path for path, length in zip(free, shared, strict=True) if length == most]
    is_unnamed = bundle.folder.suffix != ".data" and len(nearest) == 1 and not bundle.deprecated
    return replace(bundle, solutions=nearest, name=nearest[0].stem if is_unnamed else bundle.name)
