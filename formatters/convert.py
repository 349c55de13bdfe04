"""The pipeline: unpack -> detect -> read -> split -> write -> previews, recipe, report.

Everything is made in a folder beside OUT, which takes the name OUT at the very end; a failure leaves nothing behind.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.dataset.examples import Steps
from automl_engine.dataset.writer import write_solution, write_split
from automl_engine.errors import DataError
from formatters import recipe
from formatters.base import Doubt, Findings, Options, Table
from formatters.detect import detect, formatter
from formatters.edits.sides import edited_split, edited_table
from formatters.encodings import Decision, deciding
from formatters.media.ahead import in_order
from formatters.previews import write_previews
from formatters.progress import Say, never_silent
from formatters.report import NOUNS, make_report
from formatters.split import Split, check_labels, split
from formatters.tables.files import path_of_only_table
from formatters.unpacking.archive import Upload, unpack
from formatters.unpacking.joined import join

SAY_EVERY_S = 0.5
MAX_NAME_CHARS = 60
MAX_SAMPLE = 32


def convert(source: Path, out: Path, options: Options, say: Say) -> dict[str, Any]:
    """Format ``source`` into the new folder ``out`` and return the report; ``say`` gets a line for each step.

    Raises:
        DataError: the data could not be read; ``out`` is not made.
    """
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out.name} exists already and is not empty; give a new folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        with deciding(options.encoding) as decision, never_silent(say) as tell:
            report = _convert_in(work, source, options, tell, decision)
        (work / "out").chmod(0o755)
        os.replace(work / "out", out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return report


def _convert_in(work: Path, source: Path, options: Options, say: Say, decision: Decision) -> dict[str, Any]:
    upload, options = _unpacked(work, source, options, say)
    say("Looking at what it is")
    detection = detect(upload.root, options, source.name)
    say(f"Reading {NOUNS.get(detection.formatter, 'the data set')}: {detection.evidence.reasons[0]}")
    table = formatter(detection.formatter).read(upload.root, options)
    found = table.findings
    _tell_encoding(found, decision)
    found.ignored = upload.ignored + found.ignored
    found.why = list(dict.fromkeys([*detection.evidence.reasons, *upload.why, *found.why]))
    found.why += [edit.told() for edit in options.edits]
    if table.copy:
        if options.edits or options.more:
            raise DataError("An AutoDL data set is taken as it is and cannot be changed; upload the raw files instead.")
        parts = _copied(table, work / "out", options)
        return _finish(table, parts, detection.candidates, options, work / "out", say)
    table = edited_table(table, options.edits)
    check_labels(table.samples, table.label_names, table.multi_label)
    parts = split(table.samples, table.label_names, options.test_size, options.seed)
    parts = edited_split(table, parts, options.edits)
    table.spec = replace(table.spec, name=data_set_name(options.name or _stem(source)))
    _write(table, parts, work / "out", say)
    return _finish(table, parts, detection.candidates, options, work / "out", say)


def _unpacked(work: Path, source: Path, options: Options, say: Say) -> tuple[Upload, Options]:
    """The upload with what was added to it, and the options with edits that name its rows as they are named now."""
    say(f"Unpacking {source.name}")
    upload = unpack(source, work / "upload")
    only_table = path_of_only_table(upload.root) if options.more and options.edits else None
    for number, path in enumerate(options.more):
        say(f"Unpacking {path.name}")
        top = work / f"more-{number}"
        upload = join(upload, unpack(path, top), top, path.name)
    if only_table and path_of_only_table(upload.root) != only_table:
        options = replace(options, edits=tuple(edit.of_table(only_table) for edit in options.edits))
    return upload, options


def _finish(table: Table, parts: Split, candidates: list[str], options: Options, out: Path, say: Say) -> dict[str, Any]:
    """Previews, sample, recipe and report beside the data."""
    say("Making previews and the report")
    write_previews(table, parts, out / "previews")
    _write_sample(table, parts, out / "sample")
    made = recipe.make(table.modality, table.label_names, table.multi_label, table.spec, table.recipe)
    report = make_report(table, parts, options, candidates, out)
    _write_json(out / "recipe.json", made)
    _write_json(out / "report.json", report)
    return report


def _tell_encoding(found: Findings, decision: Decision) -> None:
    """What is not UTF-8 was guessed: the page shows how each encoding would read it."""
    readings = decision.readings()
    if not readings:
        return
    found.choices |= {"encoding": decision.encoding, "encoding_candidates": readings}
    if not decision.chosen:
        what = f"what is not UTF-8 was read as {readings[0]['title']}: {readings[0]['sample']}"
        fix = "choose another encoding (--encoding on the command line) if these letters are wrong"
        found.doubts.append(Doubt(what, fix, level="info"))


def _write_sample(table: Table, parts: Split, folder: Path) -> None:
    """Some test samples as new raw data: the proof of an export, and something to try it with."""
    picks = np.linspace(0, len(parts.test) - 1, min(MAX_SAMPLE, len(parts.test))).round().astype(int).tolist()
    (folder / "input").mkdir(parents=True)
    table.write_raw([parts.test[i] for i in picks], folder / "input")
    _write_json(folder / "index.json", picks)


def data_set_name(wish: str) -> str:
    """Letters, digits, - and _; never "train", which challenge code replaces in paths by "test"."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", wish)
    name = re.sub("train", "trn", name, flags=re.IGNORECASE).strip("_-")
    return name[:MAX_NAME_CHARS] or "data"


def _stem(source: Path) -> str:
    name = source.absolute().name
    return name if source.is_dir() else re.sub(r"(\.tar)?\.\w+$", "", name)


def _copied(table: Table, out: Path, options: Options) -> Split:
    """A data set that is one already: copied byte for byte."""
    assert table.copy
    if options.name:
        table.spec = replace(table.spec, name=data_set_name(options.name))
    out.mkdir()
    table.copy(out, table.spec.name)
    sides = [sample.split for sample in table.samples]
    train, test = ([i for i, own in enumerate(sides) if own == side] for side in ("train", "test"))
    return Split(train, test, "given")


def _write(table: Table, parts: Split, out: Path, say: Say) -> None:
    """NAME.data and NAME.solution; test ids come first, as in the challenge."""
    spec = table.spec
    matrix = np.zeros((len(table.samples), spec.output_dim), np.int64)
    index = {label: column for column, label in enumerate(table.label_names)}
    classes = [sorted({index[label] for label in sample.labels}) for sample in table.samples]
    for row, positives in enumerate(classes):
        matrix[row, positives] = 1
    for side, picks, first_id in (("test", parts.test, 0), ("train", parts.train, len(parts.test))):
        noun = f"{side} {NOUNS[table.modality]}"
        contents = _told(in_order(table, table.steps, picks), len(picks), noun, say)
        examples = ((steps, classes[i]) for i, steps in zip(picks, contents, strict=True))
        write_split(out / f"{spec.name}.data" / side, spec, examples, first_id, hide_labels=side == "test")
    write_solution(out / f"{spec.name}.solution", matrix[parts.test])


def _told(contents: Iterator[Steps], count: int, noun: str, say: Say) -> Iterator[Steps]:
    say(f"Writing {count:,} {noun}")
    told_s = time.monotonic()
    for done, content in enumerate(contents):
        if time.monotonic() - told_s > SAY_EVERY_S:
            say(f"Writing {count:,} {noun}: {done:,} done")
            told_s = time.monotonic()
        yield content


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
