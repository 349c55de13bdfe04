"""Volumes of one set: archives side by side, told apart by a number, each with a part of the same folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from formatters.split_words import part_of

NUMBERED = re.compile(r"(.*?)[\s_.-]*(?:part|vol|volume)?[\s_.-]*\(?\d+\)?", re.IGNORECASE)


def groups_of_volumes(places: dict[Path, Path], contents: dict[Path, Path]) -> Iterator[tuple[str, list[Path]]]:
    """(the name of the set, its archives): photos-001.zip and photos-002.zip, as cloud storage cuts a folder up.

    Args:
        places: archive -> the folder it would get by its own name.
        contents: archive -> its content.
    """
    numbered: dict[tuple[Path, str], list[Path]] = {}
    for path, place in places.items():
        match = NUMBERED.fullmatch(place.name)
        if match and match[1]:
            numbered.setdefault((path.parent, match[1]), []).append(path)
    for (_, stem), paths in numbered.items():
        named = [contents[path] / places[path].name for path in paths]
        if len(paths) > 1 and not any(map(Path.exists, named)) and _fit([contents[path] for path in paths]):
            yield stem, paths


def _fit(contents: list[Path]) -> bool:
    """Do they hold folders alone, several when laid over each other, and no file twice?

    Otherwise the archives may be classes (class1.zip, class2.zip), or parts of a split each.
    """
    files = [path.relative_to(content) for content in contents for path in content.rglob("*") if path.is_file()]
    if len(set(files)) < len(files) or any(len(file.parts) < 2 for file in files):
        return False
    names: set[str] = set()
    for depth in range(min(len(file.parts) for file in files) - 1):
        names = {file.parts[depth] for file in files}
        if len(names) > 1:
            break
    return len(names) > 1 and not all(map(part_of, names))
