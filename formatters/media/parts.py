"""The parts of a data set by the names of folders and files: train, validation, test, and what has no labels."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from formatters.base import Side

Part = Literal["train", "validation", "test", "unlabelled", ""]
PART_WORDS: dict[str, Part] = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), "train"),
    **dict.fromkeys(("valid", "validation", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), "test"),
    **dict.fromkeys(("pred", "predict", "prediction", "predictions", "inference"), "unlabelled"),
    **dict.fromkeys(("unsup", "unsupervised", "unlabelled", "unlabeled"), "unlabelled"),
}


def part_of(name: str) -> Part:
    """The part that a folder such as "Test1", "seg_train" or "trainingSet" is named after; "" when it is none."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    words = [re.sub("(list|lists|set|data|images)$", "", word) for word in words]
    found = {PART_WORDS[word] for word in words if word in PART_WORDS}
    return found.pop() if len(found) == 1 else ""


def part_of_path(path: str) -> Part:
    """The part in the file's own name, else in the nearest folder that is named after one."""
    return next((part for name in reversed(path.split("/")) if (part := part_of(name))), "")


def sides_of_parts(parts: Collection[Part]) -> dict[Part, Side]:
    """Validation belongs to train, but is the test where there is no other."""
    held_out: Side = "test" if "train" in parts and "test" not in parts else "train"
    return {"train": "train", "validation": held_out, "test": "test"}


def split_depths(files: Collection[str]) -> list[int]:
    """The depths at which every folder is named after a part: a class may be called "train", beside others."""
    depths = []
    for depth in range(4):
        names = {file.split("/")[depth] for file in files if file.count("/") > depth}
        if names and all(map(part_of, names)):
            depths.append(depth)
    return depths


def copies(root: Path, files: Collection[str]) -> set[str]:
    """The files of folders that repeat, file by file, what stands in a folder around them (a set in itself)."""
    below: dict[str, list[str]] = {}
    every = set(files)
    for file in files:
        folders = file.split("/")[:-1]
        for depth in range(1, min(len(folders), 3) + 1):
            below.setdefault("/".join(folders[:depth]), []).append(file)
    found: set[str] = set()
    for folder, inside in below.items():
        around = [folder[:at] for at, letter in enumerate(folder) if letter == "/"]
        for start in ("", *(f"{outer}/" for outer in around)):
            twins = [(file, start + file[len(folder) + 1 :]) for file in inside]
            if all(twin in every and twin not in found for _, twin in twins) and _same(root, twins):
                found.update(inside)
    return found


def _same(root: Path, pairs: list[tuple[str, str]]) -> bool:
    return all(filecmp.cmp(root / one, root / other, shallow=False) for one, other in pairs)
