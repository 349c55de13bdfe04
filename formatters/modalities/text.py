"""Texts: a column (or several, joined) of a CSV or TSV, a folder of .txt files, or the challenge's AutoNLP layout.

How texts are cut into tokens stands in ``tokens.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from automl_engine.dataset.spec import VARIABLE, Spec
from automl_engine.errors import DataError
from formatters.base import Doubt, Evidence, Findings, NewData, Options, Sample, Table, spec_of
from formatters.edits import fixes
from formatters.edits.columns import left_out, load
from formatters.edits.labels import edit_samples, edited_files, edited_rows, without_columns
from formatters.encodings import UTF_8, decode_text
from formatters.labels.row_labels import read_labels
from formatters.labels.target import choose
from formatters.leaks import alike_texts
from formatters.media.labels import labelled_files, without
from formatters.media.order import files_below
from formatters.modalities.tokens import index_texts, language_of
from formatters.tables.columns import Column, describe, holds_lists, profile
from formatters.tables.files import OTHER_DATA, Side, TableUpload, groups_of
from formatters.tables.kind import judge, text_columns
from formatters.tables.new_rows import ROW_SUFFIXES, for_each_file, layout, read_new_rows, row_names, write_new_rows
from formatters.tables.reader import fasttext_row, read_with_findings
from formatters.words import counted

SUFFIXES = (".txt", ".text")
PREVIEW_CHARS = 500
LOOKED_AT = 20  # files without an extension


@dataclass
class Corpus:
    """Texts and their labels, from wherever they came."""

    texts: list[str]
    samples: list[Sample]
    label_names: list[str]
    multi_label: bool
    findings: Findings
    recipe: dict[str, Any] = field(default_factory=dict)
    write_raw: Callable[[Sequence[int], Path], None] | None = None  # default: .txt files
    groups: dict[str, list[str]] = field(default_factory=dict)
    cells: Callable[[str], list[str]] | None = None  # as in Table


def sniff(root: Path, options: Options) -> Evidence | None:
    if _autonlp_folder(root):
        return Evidence(1.0, ["train.data, meta.json and .solution: the AutoNLP layout"])
    files = files_below(root)
    documents = [path for path in files if path.lower().endswith(SUFFIXES)] or _bare(root, files)
    others = any(OTHER_DATA.fullmatch(path) for path in files)
    if len(documents) > 2 and not others and load(root) is None:
        return Evidence(0.9, [f"{len(documents):,} of {counted(len(files), 'file')} are plain text"])
    return judge(root, options).get("text")


def read(root: Path, options: Options) -> Table:
    files = files_below(root)
    documents = [path for path in files if path.lower().endswith(SUFFIXES)]
    bare = [] if documents else _bare(root, files)
    autonlp = _autonlp_folder(root)
    if autonlp:
        corpus = _edited(_read_autonlp(autonlp), options)
    elif upload := load(root, options.edits):
        corpus = _read_columns(upload, options)
    elif documents or bare:
        corpus = _read_files(root, options, SUFFIXES if documents else ("",))
    else:
        raise DataError("the upload holds no texts; give a CSV or TSV with a column of text, or folders of .txt files.")
    return _table(corpus, options)


def _bare(root: Path, files: list[str]) -> list[str]:
    """Texts without an extension in folders, as those of newsgroups; [] where there are files of another kind."""
    if not files or any(_has_suffix(Path(path)) for path in files) or not any("/" in path for path in files):
        return []
    try:
        for path in files[:: 1 + len(files) // LOOKED_AT]:
            decode_text(root / path)
    except DataError:
        return []
    return files


def _has_suffix(path: Path) -> bool:
    return not path.suffix[1:].isdecimal() and path.suffix != ""


def _table(corpus: Corpus, options: Options) -> Table:
    language = language_of(corpus.texts)
    vocabulary: dict[str, int] = {}
    tokens = index_texts(corpus.texts, language, vocabulary)
    lengths = [len(indices) for indices in tokens]
    how = "texts without blanks between words: every character is a token" if language == "characters" else ""
    how = how or "split into words at blanks, upper and lower case kept"
    stats = {"name": "length", "unit": "characters" if language == "characters" else "words", "min": min(lengths)}
    found = corpus.findings
    return Table(
        modality="text",
        samples=corpus.samples,
        label_names=corpus.label_names,
        multi_label=corpus.multi_label,
        spec=Spec(
            name=options.name or "text",
            sample_count=len(tokens),
            output_dim=len(corpus.label_names),
            sequence_size=VARIABLE,
            is_sequence=True,
            label_to_index={name: index for index, name in enumerate(corpus.label_names)},
            channel_to_index=vocabulary,
        ),
        steps=lambda i: tokens[i].astype(np.float32).reshape(-1, 1, 1, 1),
        preview=lambda i, path: {"kind": "text", "text": corpus.texts[i][:PREVIEW_CHARS]},
        write_raw=corpus.write_raw or (lambda picks, folder: _write_texts([corpus.texts[i] for i in picks], folder)),
        alike=lambda train, test: alike_texts(corpus.texts, train, test),
        recipe={"language": language, **corpus.recipe},
        groups=corpus.groups,
        cells=corpus.cells,
        findings=replace(
            found,
            why=[*found.why, f"{how}; {len(vocabulary):,} different ones"],
            doubts=[*found.doubts, *_empty_texts(corpus)],
            stats=[stats | {"median": float(np.median(lengths)), "max": max(lengths)}],
        ),
    )


def _write_texts(texts: list[str], folder: Path) -> None:
    for number, text in enumerate(texts):
        (folder / f"{number:03d}.txt").write_text(text, "utf-8")


def _empty_texts(corpus: Corpus) -> list[Doubt]:
    empty = [sample.source for sample, text in zip(corpus.samples, corpus.texts, strict=True) if not text.strip()]
    if not empty:
        return []
    what = counted(len(empty), "text is empty and is kept as such", "texts are empty and are kept as such")
    return [Doubt(what, "remove the row if it is a mistake", empty[0], "info", fixes.exclude(empty))]


def _read_columns(upload: TableUpload, options: Options) -> Corpus:
    target = choose(upload.table, upload.columns, options.target)
    labels = read_labels(upload.table, upload.columns, target, options.label_cuts)
    labels, samples = edited_rows(labels, upload.sources, upload.sides, options)
    others = {*target.columns, *left_out(options.edits)}
    features = [column for column in upload.columns if column.name not in others]
    used = text_columns(features) or [
        c for c in features if not c.numbers and c.distinct > 1 and not holds_lists(c.counts)
    ]
    if not used:
        raise DataError(f"{upload.table.file_name} has no column with text beside the label; add one.")
    kept = [i for i, row in enumerate(labels.rows) if row is not None]
    names = [column.name for column in used]
    joined = _join([upload.table.column(name) for name in names])
    unused = [c.name for c in features if c.name not in names and not c.why_ignored]
    doubts = [*upload.doubts_for(target.columns), *target.doubts, *labels.doubts]
    if unused:
        what = f"only the text is learnt from; the other columns are not used: {', '.join(unused)}"
        fix = "choose the modality tabular to use them instead of the text"
        doubts.append(Doubt(what, fix, unused[0], fixes=fixes.read_as("tabular", "a table")))
    return Corpus(
        texts=[joined[i] for i in kept],
        samples=samples,
        label_names=labels.names,
        multi_label=labels.multi_label,
        findings=Findings(
            why=[
                target.why,
                f"the text is column{'s' * (len(names) > 1)} {' and '.join(map(repr, names))}",
                *upload.why,
            ],
            doubts=doubts,
            ignored=upload.ignored,
            columns=[_describe(column, names, target.columns) for column in upload.columns],
            target=",".join(target.columns),
            target_candidates=target.candidates,
        ),
        recipe={
            "text_columns": names,
            "table": layout(upload.table, target.columns),
            "packages": upload.packages,
            **_lines_of(upload),
        },
        write_raw=lambda picks, folder: write_new_rows(upload.table, target.columns, [kept[i] for i in picks], folder),
        groups=groups_of(upload, target.columns, kept),
        cells=lambda name: [upload.table.column(name)[i] for i in kept],
    )


def _join(columns: Sequence[list[str]]) -> list[str]:
    """Several columns make one text, a line each."""
    return ["\n".join(filter(None, cells)) for cells in zip(*columns, strict=True)]


def _describe(column: Column, texts: list[str], target: tuple[str, ...]) -> dict[str, Any]:
    if column.name in texts:
        return describe(replace(column, type="text"), "feature", "the text")
    if column.name in target:
        return describe(column, "target")
    return describe(column, "ignored", column.why_ignored or "only the text is used")


def _read_files(root: Path, options: Options, suffixes: tuple[str, ...]) -> Corpus:
    labelled = labelled_files(root, suffixes, options, "texts")
    texts, unreadable = {}, []
    encodings: Counter[str] = Counter()
    for path, sample in zip(labelled.paths, labelled.samples, strict=True):
        try:
            text, encoding = decode_text(path)
            texts[sample.source] = text.strip()
            encodings[encoding] += encoding not in UTF_8
        except DataError as error:
            unreadable.append({"path": sample.source, "why": str(error)})
    labelled = edited_files(without(labelled, unreadable, "texts"), options)
    told = [f"{counted(n, 'text is', 'texts are')} not UTF-8; read as {e}" for e, n in encodings.items() if n]
    return Corpus(
        texts=[texts[sample.source] for sample in labelled.samples],
        samples=labelled.samples,
        label_names=labelled.label_names,
        multi_label=labelled.multi_label,
        findings=replace(labelled.findings, why=labelled.findings.why + told, unreadable=unreadable),
    )


def _autonlp_folder(root: Path) -> Path | None:
    """The NAME.data folder with train.data, train.solution, test.data beside NAME.solution."""
    for path in sorted(root.rglob("train.data")):
        folder = path.parent
        if (folder / "train.solution").is_file() and (folder / "test.data").is_file() and _solution_of(folder):
            return folder
    return None


def _solution_of(folder: Path) -> Path | None:
    inside = folder / "test.solution"
    found = [inside] if inside.is_file() else sorted(folder.parent.glob("*.solution"))
    return found[0] if len(found) == 1 else None


def _read_autonlp(folder: Path) -> Corpus:
    texts: list[str] = []
    rows: list[list[str]] = []
    places: list[tuple[str, Side]] = []
    solutions: dict[Side, Path] = {"train": folder / "train.solution", "test": _solution_of(folder) or folder}
    for side, solution in solutions.items():
        lines = decode_text(folder / f"{side}.data")[0].splitlines()
        flags = [line.split() for line in decode_text(solution)[0].splitlines()]
        if len(lines) != len(flags):
            raise DataError(
                f"{side}.data has {len(lines):,} lines but {solution.name} has {len(flags):,}; "
                "each text needs one line of labels."
            )
        texts += [line.strip() for line in lines]
        rows += flags
        places += [(f"{side}.data, line {number}", side) for number in range(1, len(lines) + 1)]
    names = [str(i) for i in range(len(rows[0]))] if rows else []
    labels = [tuple(name for name, flag in zip(names, row, strict=False) if float(flag) > 0) for row in rows]
    samples = [Sample(source, own, side) for (source, side), own in zip(places, labels, strict=True)]
    found = Findings(["train.data and test.data hold a text a line, their solutions its labels"])
    return Corpus(texts, samples, names, any(len(own) != 1 for own in labels), found)


def _edited(corpus: Corpus, options: Options) -> Corpus:
    without_columns(options.edits, "the texts are lines of a file")
    done = edit_samples(options, corpus.samples, corpus.label_names, corpus.multi_label)
    texts = [corpus.texts[i] for i in done.kept]
    return replace(corpus, texts=texts, samples=done.samples, label_names=done.names)


def _lines_of(upload: TableUpload) -> dict[str, str]:
    """For the recipe, where a .txt file held a text a line: what separated its cells ("": the lines of fastText)."""
    suffix = Path(upload.table.file_name).suffix.lower()
    return {"lines": upload.table.delimiter} if suffix in (*SUFFIXES, "") else {}


def encode(recipe: dict[str, Any], source: Path) -> NewData:
    """New texts: .txt files, or rows of tables; a single .txt file holds a text a line where those learned from did.

    Tokens that training never saw are appended to the vocabulary of the returned spec.
    """
    new = NewData(spec_of(recipe))

    def read(path: Path, name: str) -> None:
        bare = not _has_suffix(path) and ("lines" in recipe or "table" not in recipe)
        document = bare or path.suffix.lower() in SUFFIXES
        lines = recipe.get("lines") if document and not name else None
        if "table" in recipe and (not document or (lines and _has_cells(path, recipe))):
            rows = read_new_rows(path, name, recipe["table"], recipe["text_columns"])
            _add_texts(new, name, _join(rows.cells), rows.unread)
            new.notes += rows.notes
        elif lines in ("", "\t"):
            content = decode_text(path)[0].splitlines()
            _add_texts(new, name, [fasttext_row(line)[1] for line in content if line.strip()])
        elif document:
            new.add(name or path.name, decode_text(path)[0].strip())
        else:
            _add_texts(new, name or path.name, *_texts_of_table(path))

    for_each_file(new, source, read)
    vocabulary = dict(new.spec.channel_to_index)
    there = [at for at, text in enumerate(new.contents) if text is not None]
    tokens = index_texts([new.contents[at] for at in there], recipe["language"], vocabulary)
    for at, indices in zip(there, tokens, strict=True):
        new.contents[at] = indices.astype(np.float32).reshape(-1, 1, 1, 1)
    new.spec = replace(new.spec, channel_to_index=vocabulary)
    return new


def _add_texts(new: NewData, name: str, texts: list[str], unread: Mapping[int, str] = MappingProxyType({})) -> None:
    for at, (row, text) in enumerate(zip(row_names(name, len(texts)), texts, strict=True)):
        new.add(row, None if at in unread else text, unread.get(at, ""))


def _has_cells(path: Path, recipe: dict[str, Any]) -> bool:
    """Is this .txt file a table as the one learned from?  Commas may be those of a text, unless a header tells."""
    first = decode_text(path)[0].lstrip().partition("\n")[0]
    named = all(name in first for name in recipe["text_columns"])
    return recipe["lines"] in first and (recipe["lines"] == "\t" or named)


def _texts_of_table(path: Path) -> tuple[list[str], dict[int, str]]:
    """(the text columns of any table, the rows that could not be read)."""
    if path.suffix.lower() not in ROW_SUFFIXES:
        raise DataError(f"{path.name} holds no text; give a .txt file, a folder of them, or a CSV with a text column.")
    table, findings = read_with_findings(path, keep_empty=True)
    columns = [profile(name, table.column(name), table.delimiter) for name in table.columns]
    texts = _join([table.column(column.name) for column in text_columns(columns) or columns[:1]])
    return texts, findings.unread
