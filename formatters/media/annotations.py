"""What belongs to other tasks than classification: masks, and annotations of objects (COCO, YOLO, VOC)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from automl_engine.errors import DataError

MASK_WORDS = "masks?|segmentations?|segs?|ground_?truths?|gt|annotations?|labels?|mattes?"
MASK_NAME = re.compile(rf"(.+?)[\s._-]+(?:{MASK_WORDS})(?:[\s._-]*\d+)?", re.IGNORECASE)
MASK_FOLDER = re.compile(rf"(?:.*[\s._-])?(?:{MASK_WORDS})", re.IGNORECASE)
YOLO_LINES = re.compile(r"(?:\s*\d+(?:[ \t]+-?\d*\.?\d+(?:e-?\d+)?){4,}[ \t]*(?:\r?\n|$))+\s*")
MAX_LOOKED_AT = 20
MAX_JSON_BYTES = 50 * 2**20
INSTEAD = "to classify, cut the objects out and sort them into one folder per class, or add a labels.csv of classes."


def masks(files: Collection[str]) -> set[str]:
    """Files that stand for a region of another: x_mask.png beside x.png, or masks/x.png beside images/x.png."""
    stems = {path.rpartition(".")[0] for path in files}
    folders = _mask_folders({path.rpartition("/")[0] for path in files})
    in_folder = {path for path in files if path.rpartition("/")[0] in folders}
    pictured = {_name(path) for path in files if path not in in_folder}
    found = set()
    for path in files:
        folder, _, name = path.rpartition(".")[0].rpartition("/")
        named = MASK_NAME.fullmatch(name)
        base = named[1] if named else name
        beside = bool(named) and (f"{folder}/{base}" if folder else base) in stems
        if beside or (path in in_folder and (name in pictured or base in pictured)):
            found.add(path)
    return found


def _mask_folders(folders: Collection[str]) -> set[str]:
    """Those within one that is called "masks", say, beside others; "with_mask" and "mask_worn_wrongly" are classes."""
    around = {folder: [PurePosixPath(folder), *PurePosixPath(folder).parents][:-1] for folder in folders}
    beside: dict[PurePosixPath, set[str]] = {}
    for path in {path for paths in around.values() for path in paths}:
        beside.setdefault(path.parent, set()).add(path.name)

    def holds_masks(path: PurePosixPath) -> bool:
        others = beside[path.parent] - {path.name}
        are_classes = bool(others) and all(last_word(path.name) in other.lower() for other in others)
        return bool(MASK_FOLDER.fullmatch(path.name)) and not are_classes

    return {folder for folder, paths in around.items() if any(map(holds_masks, paths))}


def last_word(folder: str) -> str:
    """In lower case, singular: "mask" of "Cat_masks"."""
    return re.split(r"[\s._-]", folder)[-1].lower().removesuffix("s")


def _name(path: str) -> str:
    return Path(path).stem


def other_task(root: Path, every: Collection[str], files: Collection[str]) -> DataError | None:
    """The sentence that says which other task the annotations are for; None where there are none."""
    stems = {_name(path) for path in files}
    for path in _first(every, ".json"):
        if (root / path).stat().st_size < MAX_JSON_BYTES and _is_coco(root / path):
            return DataError(f"{path} is a COCO file of objects in images, not of a class for each image; {INSTEAD}")
    for path in _first(every, ".xml"):
        head = (root / path).read_bytes()[:4096]
        if b"<annotation" in head and b"<object" in head:
            return DataError(f"{path} holds boxes of objects (VOC), not a class for each image; {INSTEAD}")
    for path in _first(every, ".txt"):
        if _name(path) in stems and YOLO_LINES.fullmatch((root / path).read_text("utf-8", "replace")[:20_000]):
            return DataError(f"{path} holds boxes of objects (YOLO), not a class for each image; {INSTEAD}")
    found = min(masks(files), default=None)
    return DataError(f"{found} is a mask that marks a region, not a class for an image; {INSTEAD}") if found else None


def _first(every: Collection[str], suffix: str) -> list[str]:
    return [path for path in every if path.lower().endswith(suffix)][:MAX_LOOKED_AT]


def _is_coco(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()
