"""Pictures as MNIST stores them, train-images-idx3-ubyte and train-labels-idx1-ubyte, as files in class folders."""

from __future__ import annotations

import filecmp
import re
import struct
from pathlib import Path, PurePosixPath

import numpy as np

from automl_engine.errors import DataError
from formatters.unpacking.limits import Tally

NAME = re.compile(r"(.*?)[-_.]?(images[-_.]idx3|labels[-_.]idx1)[-_.]ubyte", re.IGNORECASE)
PARTS = {"t10k": "test", "": "train"}  # by what stands before "images" and "labels"
MAX_SIDE = 4096


def expand(root: Path, tally: Tally) -> list[str]:
    """Replace such files by PNG files, test/7/00012.png, or test/00012.png without labels; what was done in words.

    Raises:
        DataError: a file is damaged, there are several sets, or other files stand where the pictures go.
    """
    pictures: dict[str, list[Path]] = {}
    labels: dict[str, list[Path]] = {}
    for path in sorted(path for path in root.rglob("*ubyte") if path.is_file()):
        if named := NAME.fullmatch(path.name):
            found = pictures if named[2][0] in "iI" else labels
            found.setdefault(PARTS.get(named[1].lower(), named[1]), []).append(path)
    if sum(part.lower().endswith("train") for part in pictures) > 1:
        raise DataError(f"the upload holds several sets of pictures ({', '.join(pictures)}); upload those of one.")
    why = []
    for part, copies in pictures.items():
        if not part.strip("."):
            raise DataError(f"{copies[0].name} has only dots before 'images'; call it train-images-idx3-ubyte.")
        source, beside = _only(copies), _only(labels.get(part, []))
        assert source
        _write(source, beside, root / part, tally)
        told = f", their labels those in {beside.name}" if beside else ""
        why.append(f"the pictures of folder {part} are those in {source.name}{told}")
        for read in [*copies, *labels.get(part, [])]:
            read.unlink()
    return why


def _only(copies: list[Path]) -> Path | None:
    """The first of these files, which must be equal, as where both a file and its archive were packed."""
    if any(not filecmp.cmp(copies[0], path, shallow=False) for path in copies[1:]):
        raise DataError(f"the upload holds two different files {copies[-1].name}; upload those of one data set.")
    return copies[0] if copies else None


def _write(path: Path, beside: Path | None, folder: Path, tally: Tally) -> None:
    from PIL import Image  # not needed by exported models of other data

    pictures, labels = _array(path, 3), _array(beside, 1) if beside else None
    if beside and labels is not None and len(pictures) != len(labels):
        raise DataError(f"{path.name} holds {len(pictures):,} pictures but {beside.name} {len(labels):,} labels.")
    for number, pixels in enumerate(pictures):
        file = folder / ("" if labels is None else str(labels[number])) / f"{number:05d}.png"
        tally.add_file(PurePosixPath(file))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(file, "xb") as stream:
                Image.fromarray(pixels).save(stream, "PNG")
        except (FileExistsError, NotADirectoryError) as error:
            what = f"the pictures of {path.name} go to the folder {folder.name}, where other files have their names"
            raise DataError(f"{what}; upload either of them.") from error


def _array(path: Path, dimensions: int) -> np.ndarray:
    """The bytes of a file: their number of dimensions and sizes stand before them.

    Raises:
        DataError: what stands there does not fit the file.
    """
    content = path.read_bytes()
    head = 4 + 4 * dimensions
    sizes = struct.unpack(f">{dimensions}I", content[4:head]) if len(content) >= head else (0,)
    expected = head + int(np.prod([*map(int, sizes)], dtype=object))
    fits = content[:4] == bytes([0, 0, 8, dimensions]) and len(content) == expected and min(sizes) > 0
    if not fits or max(sizes[1:], default=0) > MAX_SIDE:
        raise DataError(f"{path.name} is damaged or no idx file of bytes; download it again.")
    return np.frombuffer(content, np.uint8, offset=head).reshape(sizes)
