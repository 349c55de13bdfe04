"""Pictures as MNIST stores them, train-images-idx3-ubyte and train-labels-idx1-ubyte, as files in class folders."""

from __future__ import annotations

import filecmp
import re
import struct
from pathlib import Path, PurePosixPath

import numpy as np

from automl_engine.errors import DataError
from formatters.unpacking.limits import Tally

PICTURES = re.compile(r"(.*?)[-_.]?(images)[-_.]idx3[-_.]ubyte", re.IGNORECASE)
PARTS = {"t10k": "test", "": "train"}  # by what stands before "images"
MAX_SIDE = 4096


def expand(root: Path, tally: Tally) -> list[str]:
    """Replace such files by PNG files, test/7/00012.png, or test/00012.png without labels; what was done in words.

    Raises:
        DataError: a file is damaged, or there are several sets.
    """
    found: dict[str, Path] = {}
    why = []
    for path in sorted(path for path in root.rglob("*ubyte") if path.is_file()):
        named = PICTURES.fullmatch(path.name)
        if not named:
            continue
        part = PARTS.get(named[1].lower(), named[1])
        if part not in found:
            found[part] = path
        elif filecmp.cmp(path, found[part], shallow=False):  # as where both the file and its archive were packed
            _labels_of(path).unlink(missing_ok=True)
            path.unlink()
        else:
            raise DataError(f"the upload holds two different files {path.name}; upload those of one data set.")
    if sum(part.lower().endswith("train") for part in found) > 1:
        raise DataError(f"the upload holds several sets of pictures ({', '.join(found)}); upload those of one.")
    for part, path in found.items():
        _write(path, root / part, tally)
        beside = f", their labels those in {_labels_of(path).name}" if _labels_of(path).is_file() else ""
        why.append(f"the pictures of folder {part} are those in {path.name}{beside}")
        _labels_of(path).unlink(missing_ok=True)
        path.unlink()
    return why


def _labels_of(path: Path) -> Path:
    named = PICTURES.fullmatch(path.name)
    assert named
    ending = re.sub("idx3", "idx1", path.name[named.end(2) :], flags=re.IGNORECASE)
    return path.with_name(f"{path.name[: named.start(2)]}labels{ending}")


def _write(path: Path, folder: Path, tally: Tally) -> None:
    from PIL import Image  # not needed by exported models of other data

    pictures, labels = _array(path, 3), _labels_of(path)
    classes = [str(label) for label in _array(labels, 1)] if labels.is_file() else [""] * len(pictures)
    if len(pictures) != len(classes):
        raise DataError(f"{path.name} holds {len(pictures):,} pictures but {labels.name} {len(classes):,} labels.")
    for number, (pixels, label) in enumerate(zip(pictures, classes, strict=True)):
        file = folder / label / f"{number:05d}.png"
        tally.add_file(PurePosixPath(file))
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)


def _array(path: Path, dimensions: int) -> np.ndarray:
    """The bytes of a file: their number of dimensions and sizes stand before them.

    Raises:
        DataError: what stands there does not fit the file.
    """
    content = path.read_bytes()
    head = 4 + 4 * dimensions
    sizes = struct.unpack(f">{dimensions}I", content[4:head]) if len(content) >= head else (0,)
    expected = head + int(np.prod([*map(int, sizes)], dtype=object))
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) != expected or max(sizes[1:], default=0) > MAX_SIDE:
        raise DataError(f"{path.name} is damaged or no idx file of bytes; download it again.")
    return np.frombuffer(content, np.uint8, offset=head).reshape(sizes)
