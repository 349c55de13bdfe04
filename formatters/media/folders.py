"""Labels by folders: one a class, below the parts of a given split; else the class in the names of the files."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from automl_engine.errors import DataError
from formatters.base import Doubt, Side
from formatters.groups import who_names
from formatters.media.annotations import MASK_FOLDER, last_word
from formatters.media.names import classes_in_names
from formatters.media.order import examples, natural
from formatters.media.parts import split_depths
from formatters.split_words import Part, part_of, sides_of_parts

SORT_THEM = (
    "sort them into one folder per class, or add a labels.csv with a column of file names and a column of labels."
)
CAMERA_OR_DAY = re.compile(r"\d{3}[A-Z0-9_]{5}|(19|20)\d\d([-_. ]?\d\d){0,2}")


@dataclass
class FolderLabels:
    """What folders and names say: class and side by file, and the files that they leave without a class."""

    labels: dict[str, str]
    sides: dict[str, Side]
    unlabelled: dict[str, str]  # file -> why
    why: list[str]
    doubts: list[Doubt] = field(default_factory=list)


def from_folders(files: list[str], noun: str, read_names: bool = True) -> FolderLabels:
    """Class and side of each file.

    Args:
        read_names: take the class from the files' names where no folder tells it.

    Raises:
        DataError: there are no classes, or only one; or folders of a split stand among the classes.
    """
    parts, folders = _parts_and_folders(files)
    labels = {file: unicodedata.normalize("NFC", folders[file][0]) for file in files if folders[file]}
    why = [f"each class has its folder ({examples(labels.values())})"]
    doubts: list[Doubt] = []
    named = _from_names(files, parts) if read_names and len(set(labels.values())) < 2 else None
    if named:
        labels, why, doubts = named
    unlabelled = _unlabelled(files, parts, labels)
    labels = {file: label for file, label in labels.items() if file not in unlabelled}
    _check(labels, noun)
    _check_no_answers(labels, noun)
    sides: dict[str, Side] = {}
    if any(parts.values()):
        side_of = sides_of_parts({parts[file] for file in labels})
        sides = {file: side_of[parts[file]] for file in labels if parts[file] in side_of}
    if set(sides.values()) == {"train", "test"}:
        why.append("the split into train and test is given by the folders")
    doubts += _unlabelled_doubts(unlabelled, noun)
    who = "" if named else who_names(set(labels.values()))
    if who:
        what = f"the classes are the folders {examples(labels.values())}, each named after one {who}"
        fix = f"if a model shall not tell them apart, {SORT_THEM}"
        doubts.append(Doubt(what, fix))
    if not named and all(map(CAMERA_OR_DAY.fullmatch, labels.values())):
        what = f"the classes are the folders {examples(labels.values())}, which look like those of a camera, or dates"
        doubts.append(Doubt(what, f"if they are no classes, {SORT_THEM}"))
    if not named:
        doubts += _deeper_doubts([folders[file] for file in labels], noun)
    return FolderLabels(labels, sides, unlabelled, why, doubts)


def folder_sides(files: list[str]) -> dict[str, Side]:
    """The side of each file by its folder; {} where folders give no split."""
    parts, _ = _parts_and_folders(files)
    side_of = sides_of_parts(set(parts.values()))
    return {file: side_of[part] for file, part in parts.items() if part in side_of}


def _parts_and_folders(files: list[str]) -> tuple[dict[str, Part], dict[str, list[str]]]:
    """(the part of each file, the folders around it without those of parts and those that only wrap a part)."""
    depths = split_depths(files)
    parts: dict[str, Part] = {}
    folders: dict[str, list[str]] = {}
    for file in files:
        around = file.split("/")[:-1]
        named = [part for depth in depths if depth < len(around) and (part := part_of(around[depth]))]
        parts[file] = "unlabelled" if "unlabelled" in named else named[0] if named else ""
        folders[file] = [name for depth, name in enumerate(around) if depth not in depths]
    _strip_wrappers(files, folders, set())
    by_part: dict[Part, list[str]] = {}
    for file in files:
        by_part.setdefault(parts[file], []).append(file)
    for part, inside in by_part.items():
        others = {folders[file][0] for other in by_part if other != part for file in by_part[other] if folders[file]}
        _strip_wrappers(inside, folders, others)
    return parts, folders


def _strip_wrappers(inside: list[str], folders: dict[str, list[str]], others: set[str]) -> None:
    """Folders that hold all of a part are no classes, unless another part has the same."""
    inside = [file for file in inside if folders[file]]
    while inside and len({folders[file][0] for file in inside}) == 1 and folders[inside[0]][0] not in others:
        if not all(len(folders[file]) > 1 for file in inside):
            return
        for file in inside:
            folders[file] = folders[file][1:]


def _from_names(files: list[str], parts: dict[str, Part]) -> tuple[dict[str, str], list[str], list[Doubt]] | None:
    first: Part = next((part for part in ("train", "validation", "", "test") if part in parts.values()), "")
    named_files = [file for file in files if parts[file] == first]
    found = classes_in_names([file.rpartition("/")[2] for file in named_files])
    if not found:
        return None
    classes, others = found
    labels = dict(zip(named_files, classes, strict=True))
    rest = {part: [file for file in files if parts[file] == part] for part in set(parts.values()) - {first}}
    for same in rest.values():
        more = classes_in_names([file.rpartition("/")[2] for file in same])
        if more and set(more[0]) & set(classes):
            labels |= dict(zip(same, more[0], strict=True))
    what = f"the classes are taken from the names of the files ({examples(classes)})"
    fix = "sort the files into one folder per class if that is wrong"
    runner_up = f"; the words like {', '.join(others[:3])} could be it too" if others else ""
    return labels, [what], [Doubt(what + runner_up, fix, named_files[0])]


def _unlabelled(files: list[str], parts: dict[str, Part], labels: dict[str, str]) -> dict[str, str]:
    """Files outside the class folders, and whole parts that share no class with the part to learn from."""
    found = {file: "stands outside the class folders" for file in files if file not in labels}
    classes: dict[Part, set[str]] = {}
    for file, label in labels.items():
        classes.setdefault(parts[file], set()).add(label)
    names_of_all = set(labels.values())
    bare_names = {name for name in names_of_all if part_of(name) == "unlabelled"}
    if len(names_of_all - bare_names) > 1:
        found |= {file: "belongs to a part without labels" for file, label in labels.items() if label in bare_names}
    learnt = classes.get("train") or classes.get("validation") or set()
    for part, names in classes.items():
        if part == "unlabelled" or (learnt and part != "train" and len(names) == 1 and not names & learnt):
            found |= dict.fromkeys((file for file in labels if parts[file] == part), "")
    bare = {part for part in set(parts.values()) - {""} if all(f in found for f in files if parts[f] == part)}
    whys = {file: f"belongs to a part without labels ({parts[file]})" for file in found if parts[file] in bare}
    return found | whys


def _check(labels: dict[str, str], noun: str) -> None:
    names = sorted(set(labels.values()), key=natural)
    if not names:
        raise DataError(f"No labels found: all {noun} stand in one folder; {SORT_THEM}")
    if len(names) == 1:
        raise DataError(f"There is only one class: all {noun} stand in the folder {names[0]!r}; {SORT_THEM}")
    split = [name for name in names if part_of(name)]
    if len(split) > 1:
        beside = f" beside {examples([name for name in names if name not in split])}" if len(split) < len(names) else ""
        raise DataError(
            f"The folders {split[0]!r} and {split[1]!r}{beside} look like the parts of a split and not like classes; "
            f"put one folder per class into each of them, and nothing else beside them."
        )


def _check_no_answers(labels: dict[str, str], noun: str) -> None:
    """Raises DataError: a folder is called "labels", say, and has the same names of files as another one."""
    names: dict[str, set[str]] = {}
    for file, label in labels.items():
        names.setdefault(label, set()).add(file.rpartition("/")[2])
    answers = next((label for label in names if MASK_FOLDER.fullmatch(label)), "")
    if sum(last_word(answers) in label.lower() for label in names) > 1:  # classes, such as "mask" and "no_mask"
        return
    other = next((label for label in names if label != answers and names[label] == names.get(answers)), "")
    if other:
        raise DataError(
            f"The folder {answers!r} has the same names of files as {other!r}, as if it held their labels; sort the "
            f"{noun} into one folder per class, or add a labels.csv with a column of file names and one of labels."
        )


def _unlabelled_doubts(unlabelled: dict[str, str], noun: str) -> list[Doubt]:
    doubts = []
    apart = [file for file, why in unlabelled.items() if why.startswith("belongs")]
    outside = [file for file in unlabelled if file not in set(apart)]
    if apart:
        where = examples({file.rpartition("/")[0] for file in apart})
        what = f"{len(apart):,} of the {noun} ({where}) have no label and are left out"
        doubts.append(Doubt(what, "add their labels if you have them", apart[0], "info"))
    if outside:
        stand = "stands outside the class folders and is" if len(outside) == 1 else ""
        what = f"{len(outside):,} of the {noun} {stand or 'stand outside the class folders and are'} left out"
        doubts.append(Doubt(what, "move each into the folder of its class", outside[0]))
    return doubts


def _deeper_doubts(folders: list[list[str]], noun: str) -> list[Doubt]:
    """``folders``: those around each file, the class first."""
    inner: dict[str, set[str]] = {}
    for around in folders:
        inner.setdefault(around[0], set()).add(around[1] if len(around) > 1 else "")
    deeper = set().union(*inner.values()) - {""}
    if not deeper:
        return []
    what = f"class folders hold folders ({examples(deeper)}); all {noun} in them belong to the upper folder"
    same = len(deeper) > 1 and all(names == deeper for names in inner.values())  # perhaps several data sets
    fix = "move these folders up if they are the classes" + ", or upload each upper folder by itself" * same
    return [Doubt(what, fix, level="warning" if same or _may_be_classes(inner) else "info")]


def _may_be_classes(inner: dict[str, set[str]]) -> bool:
    """Do words name the folders below, another one in each class, and several in most of them?"""
    names = [name for below in inner.values() for name in below]
    several = sum(len(below) > 1 for below in inner.values())
    words = all(name and not any(map(str.isdigit, name)) for name in names)
    return words and len(set(names)) == len(names) and 2 * several >= len(inner)
