"""Which modality an upload is: every formatter is asked, the best evidence wins, the others are told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from automl_engine.errors import DataError
from formatters import FORMATTERS
from formatters.base import Evidence, Options
from formatters.media.order import files_below

DOUBTFUL = 0.1  # below this a formatter would only guess
READ = (
    "images (JPEG, PNG, BMP, GIF, WebP, TIFF, HEIC, AVIF), video (AVI, MP4, MOV, WebM), audio (WAV, FLAC, OGG, MP3), "
    "tables and texts (CSV, TSV, Excel, ODS, Parquet, JSON, ARFF, SQLite), folders of .txt, "
    "time series (.ts, CSV) and AutoDL data sets"
)
HOW_TO = (  # what to do with frequent kinds that we do not read
    (
        (
            *(".sav", ".dta", ".sas7bdat", ".mat", ".npy", ".npz", ".rds", ".rda", ".pkl", ".h5", ".hdf5", ".numbers"),
            *(".mdb", ".accdb", ".duckdb", ".xpt", ".por", ".dbf", ".orc", ".avro"),
        ),
        "save the table as CSV.",
    ),
    (
        (".pdf", ".docx", ".doc", ".html", ".htm", ".md", ".rtf", ".epub", ".xml"),
        "save the texts as .txt in one folder per class, or as a CSV with a column of texts and one of labels.",
    ),
    (
        (".txt",),
        "sort the texts into one folder per class (one file each), or make a CSV with a text and a label a row; "
        "save a table as CSV.",
    ),
    ((".libsvm", ".svm", ".svmlight"), "save the sparse rows as CSV, a column for each feature and one for the label."),
    (
        (".svg", ".psd", ".raw", ".cr2", ".nef", ".dng", ".jxl", ".exr"),
        "export the images as JPEG or PNG.",
    ),
    (
        (".tfrecord",),
        "an AutoDL data set is NAME.data/train and NAME.data/test, each with metadata.textproto, and NAME.solution.",
    ),
    ((".ts",), "a .ts file of series has @problemName, @classLabel and @data lines, as in the UCR/UEA archive."),
    ((".ipynb", ".py", ".r", ".m"), "upload the data that the program reads, not the program."),
)


@dataclass(frozen=True)
class Detection:
    """The formatter's key, the evidence for it, and all that recognised something, best first."""

    formatter: str
    evidence: Evidence
    candidates: list[str]


def formatter(name: str) -> ModuleType:
    return import_module(FORMATTERS[name])


def detect(root: Path, options: Options, source: str) -> Detection:
    """The formatter for this upload, or the one that the options name.

    Raises:
        DataError: no formatter recognises the files, or the chosen modality does not exist.
    """
    if options.modality is not None and options.modality not in FORMATTERS:
        known = ", ".join(name for name in FORMATTERS if name != "native")
        raise DataError(f"modality must be one of {known} but got {options.modality!r}.")
    found: dict[str, Evidence] = {}
    errors: list[DataError] = []
    for name in FORMATTERS:
        try:
            evidence = formatter(name).sniff(root, options)
        except DataError as error:  # it is of this kind, yet broken: told if nothing else fits
            errors.append(error)
            continue
        if evidence and evidence.score > 0:
            found[name] = evidence
    candidates = sorted(found, key=lambda name: -found[name].score)
    if options.modality:
        reasons = found[options.modality].reasons if options.modality in found else ["as chosen"]
        return Detection(options.modality, Evidence(1.0, reasons), candidates)
    if candidates and found[candidates[0]].score >= DOUBTFUL:
        return Detection(candidates[0], found[candidates[0]], candidates)
    raise errors[0] if errors else DataError(_nothing_usable(root, source))


def _nothing_usable(root: Path, source: str) -> str:
    files = files_below(root)
    kinds = Counter(Path(path).suffix.lower() or "no extension" for path in files)
    held = ", ".join(f"{count:,} with {kind}" for kind, count in kinds.most_common(3))
    how = next((how for kind, _ in kinds.most_common() for suffixes, how in HOW_TO if kind in suffixes), "")
    return f"Nothing in {source} is of a kind that we read ({held}); " + (how or f"we read {READ}.")
