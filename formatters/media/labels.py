"""Which label each file has: class folders, or a labels table; train/ and test/ folders are respected.

labelled_files(root, suffixes, options, noun) -> Labelled
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from automl_engine.errors import DataError
from formatters.base import Doubt, Findings, Options, Sample
from formatters.labels.cuts import LabelQuestion, cut
from formatters.media.annotations import masks, other_task
from formatters.media.beside import Beside, look_beside, names_of_indices
from formatters.media.folders import folder_sides, from_folders
from formatters.media.label_table import FileLabels
from formatters.media.order import examples, files_below, natural
from formatters.media.parts import copies
from formatters.tables.columns import parse_number
from formatters.words import counted

UNREAD = {  # kinds that stand for samples as the others do, but that we do not read
    "images": (
        *(".svg", ".svgz", ".psd", ".ai", ".eps", ".cr2", ".nef", ".arw", ".jxl", ".exr", ".xcf", ".nii", ".pdf"),
        *(".mp4", ".mov", ".avi", ".mkv", ".webm"),  # of a camera that takes both
    ),
    "videos": (".yuv", ".h264", ".h265", ".rm", ".swf", ".mxf"),
    "sounds": (".mid", ".midi", ".ra", ".sph", ".gsm"),
    "texts": (".doc", ".docx", ".odt", ".rtf", ".pdf", ".htm", ".html", ".md", ".eml", ".epub"),
}


@dataclass
class Labelled:
    """Files with their labels; ``paths[i]`` belongs to ``samples[i]``."""

    paths: list[Path]
    samples: list[Sample]
    label_names: list[str]  # in index order
    multi_label: bool
    findings: Findings
    comes_from: dict[str, dict[str, str]] = field(default_factory=dict)  # column of speakers or the like: of each file


def labelled_files(root: Path, suffixes: Collection[str], options: Options, noun: str) -> Labelled:
    """All files with these suffixes and their labels, in natural order of their paths.

    Args:
        noun: what the files are, in the plural, for messages ("images").

    Raises:
        DataError: no labels can be found, or the table does not fit the files.
    """
    every = files_below(root)
    files = [path for path in every if path.rpartition("/")[2].lower().endswith(tuple(suffixes))]
    if not files:
        raise DataError(f"The upload holds no {noun}; add them, or choose another modality.")
    repeated = copies(root, files)
    files = [path for path in files if path not in repeated]
    regions = masks(files) if noun == "images" else set()
    files = [path for path in files if path not in regions]
    beside = look_beside(root, every, files, suffixes, options)
    if beside.tables:
        result = _from_tables(root, every, files, beside, options)
    else:
        if options.target:
            raise DataError(f"there is no labels table with the column {options.target!r}; leave the target out.")
        if options.label_cuts:
            raise DataError("there is no labels table with a column of numbers to cut; leave the label cuts out.")
        result = _from_folders(root, every, files, regions, noun, beside)
    found = result.findings
    for left_out, why in ((repeated, "a copy of the same file further up"), (regions, "a mask of another image")):
        found.ignored += [{"path": path, "why": why} for path in sorted(left_out)]
        if left_out:
            what = counted(len(left_out), "file is", "files are") + f" left out, each {why}"
            found.doubts.append(Doubt(what, "nothing needs to be done if that is right", min(left_out), "info"))
    if beside.codes:
        what = f"{beside.codes[0]} numbers the files, as if for a split into train and test; it is not used"
        what += f" (and {counted(len(beside.codes) - 1, 'more such file')})" * (len(beside.codes) > 1)
        fix = "write train and test instead of the numbers if they tell the split"
        found.doubts.append(Doubt(what, fix, beside.codes[0]))
    if beside.of_folders and not beside.tables:
        what = (
            f"{beside.of_folders[0]} gives labels to folders, as if a folder were one sample, such as the frames of a "
        )
        what += "a video; here each folder is a class"
        fix = "make a file of each folder, or give a row for each file"
        found.doubts.append(Doubt(what, fix, beside.of_folders[0]))
    found.doubts += _unread_doubts(every, [sample.source for sample in result.samples], noun)
    used = (
        {sample.source for sample in result.samples}
        | set(beside.tables)
        | set(beside.lists)
        | set(beside.joined)
        | set(beside.told)
        | {entry["path"] for entry in found.ignored}
    )
    why_not = {path: str(error) for path, error in beside.errors.items()}
    found.ignored += [{"path": p, "why": why_not.get(p, f"not one of the {noun}")} for p in every if p not in used]
    return result


def _unread_doubts(every: list[str], samples: list[str], noun: str) -> list[Doubt]:
    """Files in folders beside or like those of the samples that are of a kind that we do not read."""
    depths = {path.count("/") for path in samples} - {0}
    lost = [path for path in every if path.lower().endswith(UNREAD.get(noun, ())) and path.count("/") in depths]
    if not lost:
        return []
    alone = sorted({path.rpartition("/")[0] for path in lost} - {path.rpartition("/")[0] for path in samples})
    kinds = examples(Path(path).suffix.lower() for path in lost)
    what = f"{counted(len(lost), 'file is', 'files are')} of a kind that is not read as {noun} ({kinds}) and left out"
    what += f"; the folder {examples(alone)} holds nothing else" * bool(alone)
    return [Doubt(what, f"export them as usual {noun}, or remove them", lost[0])]


def _from_tables(root: Path, every: list[str], files: list[str], beside: Beside, options: Options) -> Labelled:
    _cut_numbers(beside, options)
    tables, disputed = _agreeing(beside.tables)
    labels: dict[str, tuple[str, ...]] = {}
    for table in tables.values():
        labels |= table.labels
    multi_label = any(table.multi_label for table in tables.values())
    labels = _same_numbers({file: tuple(map(_composed, names)) for file, names in labels.items()})
    fix = "keep one of the two tables, or join them into one"
    doubts = [Doubt(f"{path} is not used: {why}", fix, path) for path, why in disputed.items()]
    doubts += [doubt for table in tables.values() for doubt in table.doubts]
    if not multi_label:
        labels, told = _with_folders(labels, files)
        doubts += told
    renamed = names_of_indices(labels, root, [path for path in every if path not in tables])
    if renamed:
        labels = {file: tuple(renamed[label] for label in names) for file, names in labels.items()}
    kept = [file for file in files if file in labels and (labels[file] or multi_label)]
    used = {label for file in kept for label in labels[file]}
    first = next(iter(tables.values()))
    order = [name for name in first.label_order or sorted(used, key=natural) if name in used]
    sides = {file: side for table in tables.values() for file, side in table.sides.items()}
    sides = sides or beside.sides() or folder_sides(kept)
    groups = {file: group for table in tables.values() for file, group in table.groups.items()}
    names = " and ".join(tables)
    left_out = [file for file in files if file not in set(kept)]
    ignored = [{"path": path, "why": why} for path, why in disputed.items()]
    ignored += [{"path": file, "why": f"has no label in {names}"} for file in left_out]
    if left_out:
        have = "has no label" if len(left_out) == 1 else "have no label"
        what = f"{len(left_out):,} of {len(files):,} files {have} in {names}; left out"
        doubts.append(Doubt(what, "add a row for each of them, or remove the files", left_out[0]))
    return Labelled(
        [root / file for file in kept],
        [Sample(file, labels[file], sides.get(file), groups.get(file)) for file in kept],
        order,
        multi_label,
        Findings(
            [f"{names} names the files and holds their labels ({first.target})"],
            doubts,
            ignored,
            target=first.target,
            target_candidates=first.candidates,
        ),
        first.comes_from,
    )


def _agreeing(tables: dict[str, FileLabels]) -> tuple[dict[str, FileLabels], dict[str, str]]:
    """(the tables that do not contradict an earlier one, why by the path of each other one)."""
    kept: dict[str, FileLabels] = {}
    disputed = {}
    for path, table in tables.items():
        own = {file: _plain(names) for file, names in table.labels.items()}
        for first, other in kept.items():
            differ = sum(_plain(other.labels[file]) != own[file] for file in own if file in other.labels)
            if differ:
                disputed[path] = f"it labels {counted(differ, 'file')} in another way than {first}"
        if path not in disputed:
            kept[path] = table
    return kept, disputed


def _plain(names: tuple[str, ...]) -> tuple[str, ...]:
    """Spelt alike: "1.0" is "1"."""
    return tuple(re.sub(r"\.0+$", "", _composed(name)) for name in names)


def _cut_numbers(beside: Beside, options: Options) -> None:
    """Numbers become ranges, the same in all tables; few numbers in one of them are no classes beside many in another.

    Raises:
        LabelQuestion: one table holds many numbers in the column that labels the others.
    """
    tables = list(beside.tables.values())
    for error in beside.errors.values():
        if isinstance(error, LabelQuestion) and error.asked["column"] == tables[0].target:
            raise error
    if not any(table.numbers for table in tables):
        return
    for table in tables:
        table.numbers = table.numbers or {file: parse_number(names[0]) for file, names in table.labels.items() if names}
    ranges, names = cut([value for table in tables for value in table.numbers.values()], options.label_cuts or "")
    cells = iter(ranges)
    for table in tables:
        table.labels = {file: (cell,) if cell else () for file, cell in zip(table.numbers, cells, strict=False)}
        table.label_order = names


def _composed(label: str) -> str:
    return unicodedata.normalize("NFC", label)


def _same_numbers(labels: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """0 and 0.0 are one class where all labels are whole numbers and some are written both ways."""
    used = {label for names in labels.values() for label in names}
    short = {label: re.sub(r"\.0+$", "", label) for label in used}
    if not all(re.fullmatch(r"-?\d+", name) for name in short.values()) or len(set(short.values())) == len(used):
        return labels
    return {file: tuple(dict.fromkeys(short[label] for label in names)) for file, names in labels.items()}


def _with_folders(
    labels: dict[str, tuple[str, ...]], files: list[str]
) -> tuple[dict[str, tuple[str, ...]], list[Doubt]]:
    """Files without a row take the class of their folder, where folders and tables speak of the same classes."""
    missing = [file for file in files if not labels.get(file)]
    if not missing:
        return labels, []
    try:
        by_folder = from_folders(files, "files", read_names=False).labels
    except DataError:  # the folders are no classes
        return labels, []
    known: dict[str, tuple[str, ...]] = {}
    pairs = {(labels[file][0], by_folder[file]) for file in by_folder if labels.get(file)}
    renamed = dict(pairs)
    used = {names[0] for names in labels.values() if names}
    if pairs and len(pairs) == len(renamed) == len(set(renamed.values())):
        known = {file: (renamed.get(names[0], names[0]),) for file, names in labels.items() if names}
    elif not pairs and used <= set(by_folder.values()):
        known = {file: names for file, names in labels.items() if names}
    else:
        return labels, []
    added = [file for file in missing if file in by_folder]
    if not added:
        return labels, []
    what = f"{len(added):,} files without a row take their class from their folder"
    told = Doubt(what, "add rows for them if that is wrong", added[0], "info")
    return known | {file: (by_folder[file],) for file in added}, [told]


def _from_folders(
    root: Path, every: list[str], files: list[str], regions: set[str], noun: str, beside: Beside
) -> Labelled:
    try:
        found = from_folders(files, noun, read_names=not beside.errors)
    except DataError as error:
        known = other_task(root, every, [*files, *regions]) if noun == "images" else None
        raise known or (next(iter(beside.errors.values())) if beside.errors else error) from None
    sides = found.sides or beside.sides()
    kept = [file for file in files if file in found.labels]
    return Labelled(
        [root / file for file in kept],
        [Sample(file, (found.labels[file],), sides.get(file)) for file in kept],
        sorted(set(found.labels.values()), key=natural),
        False,
        Findings(found.why, found.doubts, [{"path": file, "why": why} for file, why in found.unlabelled.items()]),
    )


def without(labelled: Labelled, unreadable: list[dict[str, str]], noun: str) -> Labelled:
    """The files but for the unreadable ones.

    Raises:
        DataError: none, or none of a class, is left.
    """
    bad = {entry["path"] for entry in unreadable}
    if not bad:
        return labelled
    first = unreadable[0]
    kept = [i for i, sample in enumerate(labelled.samples) if sample.source not in bad]
    if not kept:
        raise DataError(
            f"None of the {len(bad):,} {noun} can be read (the first, {first['path']}: {first['why']}); "
            "export them again in a usual format."
        )
    left = {label for i in kept for label in labelled.samples[i].labels}
    lost = next((name for name in labelled.label_names if name not in left), None)
    if lost is not None:
        files = [sample.source for sample in labelled.samples if lost in sample.labels]
        why = next(entry["why"] for entry in unreadable if entry["path"] == files[0])
        raise DataError(
            f"Class {lost!r} has no readable file: {files[0]} and all others of it are damaged ({why}); "
            "replace them or remove the class."
        )
    return replace(labelled, paths=[labelled.paths[i] for i in kept], samples=[labelled.samples[i] for i in kept])
