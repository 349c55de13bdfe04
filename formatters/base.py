"""What a formatter is, and what passes between its three verbs.

    sniff(root: Path, options: Options) -> Evidence | None      is this upload of my modality, and why?
    read(root: Path, options: Options) -> Table                 labelled samples, loaded lazily
    encode(recipe: dict, source: Path) -> NewData               new raw data, formatted the same way

``root`` is the unpacked upload (wrapper folders stripped, junk removed).  ``source`` is a file or an unpacked folder;
encode() reads it whole, so it may vanish afterwards.  Formatters raise DataError for what a user must fix.  They
import neither torch nor Django.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from automl_engine.dataset.examples import Examples, MemoryExamples, Steps
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from formatters.edits.listed import Edit
from formatters.leaks import Alike

Side = Literal["train", "test"]


class Question(DataError):
    """A choice that only the user can make; ``asked`` is what a page needs to ask for it."""

    def __init__(self, sentence: str, asked: dict[str, Any]) -> None:
        super().__init__(sentence)
        self.asked = asked


@dataclass(frozen=True)
class Options:
    """What a user may say instead of letting us guess."""

    name: str | None = None
    target: str | None = None  # a column (several: comma-separated)
    test_size: float = 0.25
    seed: int = 0
    modality: str | None = None
    label_cuts: str | None = None  # of a label column of many numbers: median, quantiles, limits (10,20) or each
    encoding: str | None = None  # of files and names that are not UTF-8
    date_order: Literal["day", "month"] | None = None  # what comes first where a date does not tell
    data_set: str | None = None  # of several AutoDL data sets in one upload
    edits: tuple[Edit, ...] = ()
    more: tuple[Path, ...] = ()  # further uploads of the same data set


@dataclass(frozen=True)
class Evidence:
    """How sure a formatter is that the upload is its own: 0 (no) to 1, with reasons fit for the report."""

    score: float
    reasons: list[str]


@dataclass(frozen=True)
class Sample:
    """One labelled sample; ``source`` is the file's path in the upload or "row 17"."""

    source: str
    labels: tuple[str, ...]
    split: Side | None = None
    group: str | None = None  # samples of one group stay on one side
    kept_side: Side | None = None  # where a split was drawn before samples were edited


@dataclass(frozen=True)
class Fix:
    """A button beside a doubt: ``edits`` and ``options`` of a further conversion that settles it."""

    title: str
    changes: str  # one sentence
    edits: list[dict[str, Any]] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Doubt:
    """Something a user should look at before training: what, where, how to fix it."""

    what: str
    fix: str
    where: str = ""
    level: Literal["warning", "info"] = "warning"
    fixes: list[Fix] = field(default_factory=list)


@dataclass
class Findings:
    """What was noticed in an upload, and what a user may choose instead: for the report alone."""

    why: list[str] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    ignored: list[dict[str, str]] = field(default_factory=list)  # {"path", "why"}: what the upload holds beside samples
    unreadable: list[dict[str, str]] = field(default_factory=list)
    stats: list[dict[str, Any]] = field(default_factory=list)
    columns: list[dict[str, Any]] = field(default_factory=list)
    target: str | None = None  # the label column(s) that were used, comma-separated
    target_candidates: list[str] = field(default_factory=list)  # columns that could be the target instead
    choices: dict[str, Any] = field(default_factory=dict)  # further ``options`` of the report, where there is a choice


@dataclass
class Table:
    """All samples of an upload in the order found, unsplit, with the way to load each."""

    modality: str
    samples: list[Sample]
    label_names: list[str]  # in index order
    multi_label: bool
    spec: Spec  # sample_count is set by the writer
    steps: Callable[[int], Steps]  # sample -> content in the challenge's format
    preview: Callable[[int, Path], dict[str, Any]]  # sample, path without suffix -> preview (docs/formats.md)
    write_raw: Callable[[Sequence[int], Path], None]  # these samples, unlabelled, as new raw data in this folder
    recipe: dict[str, Any]  # JSON; what encode() needs beside version, modality, labels, multi_label and spec
    digest: Callable[[int], bytes] | None = None  # content hash for duplicates (default: of the steps)
    alike: Callable[[Sequence[int], Sequence[int]], Alike] | None = None  # near-copies: of train and test samples
    groups: dict[str, list[str]] = field(default_factory=dict)  # column of speakers or the like -> one a sample
    cells: Callable[[str], list[str]] | None = None  # what the samples hold in one of ``columns``, as written
    copy: Callable[[Path, str], None] | None = None  # of what is an AutoDL data set already: (output folder, name)
    findings: Findings = field(default_factory=Findings)


@dataclass
class NewData:
    """New raw data, formatted as the training data was: an entry for each file or row of the input, in its order."""

    spec: Spec
    names: list[str] = field(default_factory=list)
    contents: list[Any] = field(default_factory=list)  # Steps; None: it could not be read
    problems: dict[int, str] = field(default_factory=dict)  # by place: what could not be read, wholly or in part
    notes: list[str] = field(default_factory=list)  # on all of the input

    def add(self, name: str, content: Any, problem: str = "") -> None:
        if problem:
            self.problems[len(self.names)] = problem
        self.names.append(name)
        self.contents.append(content)

    @property
    def examples(self) -> Examples:
        """Those that could be read."""
        contents = [content for content in self.contents if content is not None]
        return MemoryExamples(self.spec.with_count(len(contents)), contents)


def spec_of(recipe: dict[str, Any]) -> Spec:
    """The Spec that convert.py keeps in every recipe (vocabulary and column names included)."""
    return Spec(**recipe["spec"])
