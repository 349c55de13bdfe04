"""The parts of a data set by the names of folders and files: train, validation, test, and what has no labels."""

from __future__ import annotations

import filecmp
from collections.abc import Collection
from pathlib import Path

from formatters.split_words import part_of


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
