"""What images, video and audio share: finding files, checking all of them in threads, a spool for decoded content."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from formatters.base import Evidence, Findings, NewData, Options, Table
from formatters.edits.labels import edited_files
from formatters.media.beside import NO_TABLE
from formatters.media.labels import Labelled, labelled_files, without
from formatters.media.order import files_below
from formatters.media.table_files import TABLE_SUFFIXES
from formatters.media.unreadable import UnreadableError

THREADS = min(8, os.cpu_count() or 1)
CERTAIN = 0.95
Info = TypeVar("Info")


def media_files(root: Path, suffixes: Collection[str]) -> list[Path]:
    return [root / path for path in files_below(root) if path.lower().endswith(tuple(suffixes))]


def read_files(
    root: Path, suffixes: Collection[str], options: Options, noun: str, probe: Callable[[Path], Info]
) -> tuple[Labelled, list[Info], list[dict[str, str]]]:
    """(the labelled files that can be read, what ``probe`` found in each, the unreadable ones)."""
    labelled = labelled_files(root, suffixes, options, noun)
    found, unreadable = probe_files(root, labelled.paths, probe)
    labelled = edited_files(without(labelled, unreadable, noun), options)
    return labelled, [found[sample.source] for sample in labelled.samples], unreadable


def media_table(modality: str, labelled: Labelled, spec: Spec, findings: Findings, **rest: Any) -> Table:
    """The Table of files with labels; ``findings``, and ``rest`` of its fields: those that depend on the modality."""
    paths, found = labelled.paths, labelled.findings
    return Table(
        modality=modality,
        samples=labelled.samples,
        label_names=labelled.label_names,
        multi_label=labelled.multi_label,
        spec=replace(
            spec,
            sample_count=len(labelled.samples),
            output_dim=len(labelled.label_names),
            label_to_index={name: index for index, name in enumerate(labelled.label_names)},
        ),
        write_raw=lambda picks, folder: copy_files(paths, picks, folder),
        digest=lambda i: file_digest(paths[i]),
        groups={
            name: [value_of.get(sample.source, "") for sample in labelled.samples]
            for name, value_of in labelled.comes_from.items()
        },
        findings=replace(
            found, doubts=found.doubts + findings.doubts, stats=findings.stats, unreadable=findings.unreadable
        ),
        **rest,
    )


def sniff_files(root: Path, files: Sequence[Path], noun: str) -> Evidence | None:
    """Evidence from the share of these files among all that are neither tables nor papers."""
    if not files:
        return None
    tables = {path for path in files_below(root) if Path(path).suffix.lower() in TABLE_SUFFIXES}
    others = [path for path in files_below(root) if path not in tables and not _is_paper(path)]
    share = len(files) / max(len(others), len(files))
    kinds = sorted({path.suffix.lower()[1:] for path in files})
    how_many = f"all {len(files):,}" if len(files) >= len(others) else f"{len(files):,} of {len(others):,}"
    lonely = len(files) < 3 and bool(tables)  # a table with a picture or two beside it
    return Evidence((0.1 if lonely else CERTAIN) * share, [f"{how_many} files are {noun} ({', '.join(kinds)})"])


def _is_paper(path: str) -> bool:
    return Path(path).stem.lower().startswith(NO_TABLE) or path.lower().endswith((".md", ".pdf", ".info", ".name"))


def probe_files(
    root: Path, paths: Sequence[Path], probe: Callable[[Path], Info]
) -> tuple[dict[str, Info], list[dict[str, str]]]:
    """(what ``probe`` found, by relative path; the files where it raised UnreadableError, with the reason)."""

    def one(path: Path) -> Info | UnreadableError:
        try:
            if not path.stat().st_size:
                raise UnreadableError("empty file (0 bytes)")
            return probe(path)
        except UnreadableError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(one, paths))
    names = [path.relative_to(root).as_posix() for path in paths]
    good = {n: r for n, r in zip(names, results, strict=True) if not isinstance(r, UnreadableError)}
    bad = [{"path": n, "why": str(r)} for n, r in zip(names, results, strict=True) if isinstance(r, UnreadableError)]
    return good, bad


def read_new_files(
    spec: Spec, source: Path, suffixes: Collection[str], noun: str, convert: Callable[[Path], Any]
) -> NewData:
    """``convert`` of a file, or of all files of a folder, in threads.

    Raises:
        DataError: there are none of this kind.
    """
    folder = source if source.is_dir() else source.parent
    names = files_below(source) if source.is_dir() else [source.name]
    fitting = tuple(suffixes)
    kinds = ", ".join(sorted(suffix[1:] for suffix in suffixes))
    if not any(name.lower().endswith(fitting) for name in names):
        raise DataError(f"{source.name} holds no {noun}; this model takes {kinds}.")

    def one(name: str) -> tuple[Any, str]:
        if not name.lower().endswith(fitting):
            return None, f"{name} is no file of {noun}; this model takes {kinds}."
        try:
            return convert(folder / name), ""
        except UnreadableError as error:
            return None, f"{name} cannot be read ({error}); replace it or leave it out."

    new = NewData(spec)
    with ThreadPoolExecutor(THREADS) as pool:
        for name, (content, problem) in zip(names, pool.map(one, names), strict=True):
            new.add(name, content, problem)
    return new


def copy_files(paths: Sequence[Path], picks: Sequence[int], folder: Path) -> None:
    """``write_raw`` of what comes in files; numbered, so that they are read in this order."""
    for number, pick in enumerate(picks):
        shutil.copyfile(paths[pick], folder / f"{number:03d}-{paths[pick].name}")


def file_digest(path: Path) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def spread(name: str, unit: str, values: Sequence[float]) -> dict[str, Any]:
    """One line of ``report["stats"]``."""
    array = np.asarray(values, float)
    low, middle, high = (float(f"{value:.4g}") for value in (array.min(), np.median(array), array.max()))
    return {"name": name, "unit": unit, "min": low, "median": middle, "max": high}


class Spool:
    """Blocks of bytes in an unnamed temporary file, so that decoded content needs no memory; safe to share."""

    def __init__(self, near: Path) -> None:
        folder = near if os.access(near, os.W_OK) else None
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - lives as long as the spool
        self._lock = threading.Lock()
        self._end = 0

    def add(self, block: bytes) -> tuple[int, int]:
        """Keep a block and return its (offset, length)."""
        with self._lock:
            offset = self._end
            self._end += len(block)
        os.pwrite(self._file.fileno(), block, offset)
        return offset, len(block)

    def get(self, place: tuple[int, int]) -> bytes:
        return os.pread(self._file.fileno(), place[1], place[0])
