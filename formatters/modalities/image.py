"""Images: JPEG, PNG and BMP keep their bytes; GIF, WebP, TIFF and what else the challenge cannot read become PNG."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from automl_engine.dataset.spec import VARIABLE, Spec
from automl_engine.errors import DataError
from formatters.base import Doubt, Evidence, Findings, NewData, Options, Sample, Table, spec_of
from formatters.edits import fixes
from formatters.leaks import alike_pictures
from formatters.media.pixels import GREY_MODES, MAX_PIXELS, SUFFIXES, Picture, packages_for, png, read_picture, stored
from formatters.media.samples import (
    media_files,
    media_table,
    read_files,
    read_new_files,
    sniff_files,
    spread,
)
from formatters.words import counted

THUMBNAIL_PX = 128
STRIP_ROWS = 256  # searched for colour at once
LARGE_PIXELS = 16_000_000  # such images are decoded one at a time
MAX_TOTAL_PIXELS, MAX_PIXELS_PER_BYTE = 500_000_000, 1000  # of all files: more than both is a bomb
LOOK_PX = 16  # a side of the small grey copy by which pictures are compared
EMPTY_LEVELS = 6  # of 255 between the darkest and the brightest part of a picture with nothing in it


@dataclass(frozen=True)
class _Info:
    width: int
    height: int
    grey: bool
    kept: bool
    animated: bool
    transparent: bool
    turned: bool
    value_range: tuple[float, float] | None  # of values with more than 8 bits
    look: bytes  # LOOK_PX × LOOK_PX grey, coarse


def sniff(root: Path, options: Options) -> Evidence | None:
    files = media_files(root, SUFFIXES)
    gifs = [path for path in files if path.suffix.lower() == ".gif"]
    if gifs and mostly_animated(gifs):
        files = [path for path in files if path.suffix.lower() != ".gif"]
    return sniff_files(root, files, "images")


def mostly_animated(gifs: list[Path]) -> bool:
    """Do most of these GIFs (the first 20 are looked at) have several frames?"""

    def animated(path: Path) -> bool:
        try:
            with Image.open(path) as image:
                return getattr(image, "is_animated", False)
        except (OSError, ValueError):
            return False

    looked_at = gifs[:20]
    return sum(map(animated, looked_at)) > len(looked_at) / 2


def read(root: Path, options: Options) -> Table:
    labelled, found, unreadable = read_files(root, SUFFIXES, options, "images", _Prober())
    paths = labelled.paths
    value_range = _common_range(found)

    def content(i: int) -> bytes:
        return paths[i].read_bytes() if found[i].kept else stored(paths[i], read_picture(paths[i]), value_range)

    return media_table(
        "image",
        labelled,
        _spec(found),
        Findings(
            doubts=_doubts(found) + _look_doubts(found, labelled.samples),
            unreadable=unreadable,
            stats=[
                spread("width", "px", [info.width for info in found]),
                spread("height", "px", [info.height for info in found]),
                spread("file size", "bytes", [path.stat().st_size for path in paths]),
            ],
        ),
        steps=lambda i: [content(i)],
        preview=lambda i, path: thumbnail(read_picture(paths[i]).eight_bit(value_range), path),
        alike=lambda train, test: alike_pictures([info.look for info in found], train, test),
        recipe={"value_range": value_range, "packages": packages_for(paths)},
    )


def encode(recipe: dict[str, Any], source: Path) -> NewData:
    spec = spec_of(recipe)
    value_range = recipe.get("value_range")
    return read_new_files(spec, source, SUFFIXES, "images", lambda path: [_fitted(path, spec, value_range)])


class _Prober:
    """Decodes a file wholly and says what it is; pixels are searched for colour only until one image has some."""

    def __init__(self) -> None:
        self._colour_seen = False
        self._pixels = self._bytes = 0
        self._counting, self._large = threading.Lock(), threading.Lock()

    def __call__(self, path: Path) -> _Info:
        pixels = _pixels(path)
        with self._counting:
            self._pixels, self._bytes = self._pixels + pixels, self._bytes + path.stat().st_size
            if self._pixels > MAX_TOTAL_PIXELS + MAX_PIXELS_PER_BYTE * self._bytes:
                raise DataError(
                    f"The images up to {path.name} unpack to {self._pixels:,} pixels, far too many for files so small."
                )
        with self._large if pixels > LARGE_PIXELS else nullcontext():
            return self._probe(path)

    def _probe(self, path: Path) -> _Info:
        picture = read_picture(path)
        image = picture.eight_bit(None) if picture.deep is not None else picture.image
        grey = image.mode in GREY_MODES or (not self._colour_seen and _has_no_colour(image))
        self._colour_seen |= not grey
        return _Info(
            image.width,
            image.height,
            grey,
            picture.kept,
            picture.animated,
            picture.transparent,
            picture.turned,
            picture.value_range(),
            _look(image),
        )


def _pixels(path: Path) -> int:
    """By the header; 0 for what is no image, which is told when it is decoded."""
    try:
        with Image.open(path) as image:
            return min(MAX_PIXELS, image.width * image.height)
    except Exception:  # Pillow's plug-ins raise anything for damaged files
        return 0


def _look(image: Image.Image) -> bytes:
    """A tiny grey copy: pictures that look the same have the same."""
    return image.convert("L").resize((LOOK_PX, LOOK_PX), Image.Resampling.BILINEAR).tobytes()


def _common_range(infos: list[_Info]) -> tuple[float, float] | None:
    """The range over all pictures of more than 8 bits, so that brightness stays comparable."""
    ranges = [info.value_range for info in infos if info.value_range]
    return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None


def _has_no_colour(image: Image.Image) -> bool:
    for top in range(0, image.height, STRIP_ROWS):
        strip = image.crop((0, top, image.width, min(top + STRIP_ROWS, image.height)))
        pixels = np.asarray(strip.convert("RGB"))
        if (pixels != pixels[..., :1]).any():
            return False
    return True


def _spec(infos: list[_Info]) -> Spec:
    sizes = {(info.height, info.width) for info in infos}
    # A side of 1 would make other readers take the set for a table, so such sets count as of varying size.
    height, width = sizes.pop() if len(sizes) == 1 and 1 not in next(iter(sizes)) else (VARIABLE, VARIABLE)
    return Spec(
        name="",
        sample_count=0,
        output_dim=0,
        row_count=height,
        col_count=width,
        num_channels=1 if all(info.grey for info in infos) else 3,
        format="COMPRESSED",
    )


def _doubts(infos: list[_Info]) -> list[Doubt]:
    doubts = []
    animated = sum(info.animated for info in infos)
    if animated:
        what = counted(animated, "image moves or has several pages", "images move or have several pages")
        what += "; only the first picture is used"
        most = animated > len(infos) / 2
        video = fixes.read_as("video", "video clips") if most else []
        level: Literal["info", "warning"] = "warning" if most else "info"
        doubts.append(Doubt(what, "choose the modality video if the movement matters", level=level, fixes=video))
    changed = [
        (
            sum(info.transparent for info in infos),
            "has transparent parts, shown",
            "have transparent parts, shown",
            "on white",
        ),
        (sum(info.turned for info in infos), "is turned", "are turned", "upright, by the EXIF note"),
        (
            sum(info.value_range is not None for info in infos),
            "has",
            "have",
            "more than 8 bits, scaled by the range of all",
        ),
    ]
    for count, one, many, how in changed:
        if count:
            what = f"{counted(count, 'image ' + one, 'images ' + many)} {how}"
            doubts.append(Doubt(what, "look at the previews; nothing needs to be done if they are right", level="info"))
    return doubts


def _look_doubts(infos: list[_Info], samples: Sequence[Sample]) -> list[Doubt]:
    """Nearly empty pictures, and one picture under several classes (perhaps "image not found")."""
    doubts = []
    alike: dict[bytes, list[Sample]] = {}
    empty = []
    for info, sample in zip(infos, samples, strict=True):
        if max(info.look) - min(info.look) <= EMPTY_LEVELS:
            empty.append(sample.source)
        else:
            alike.setdefault(info.look, []).append(sample)
    if empty and len(empty) < len(samples) / 2:
        what = counted(len(empty), "image is nearly empty", "images are nearly empty") + " (one colour throughout)"
        fix = "remove them if nothing can be seen in them"
        doubts.append(Doubt(what, fix, empty[0], fixes=fixes.exclude(empty)))
    mixed = [group for group in alike.values() if len({sample.labels for sample in group}) > 1]
    if mixed:
        most = max(mixed, key=len)
        classes = len({label for sample in most for label in sample.labels})
        what = f"{counted(len(mixed), 'picture stands', 'pictures stand')} under several classes; the most frequent "
        what += f"{len(most):,} times under {classes} (perhaps a placeholder, such as 'image not found')"
        where = ", ".join(sample.source for sample in most[:3])
        same = fixes.exclude([sample.source for sample in most], "Exclude the most frequent")
        doubts.append(Doubt(what, "remove placeholders; decide for one class of the others", where, fixes=same))
    return doubts


def _fitted(path: Path, spec: Spec, value_range: tuple[float, float] | None) -> bytes:
    """As a data set stores it, but brought to the size of the data set where that is fixed."""
    picture = read_picture(path)
    if VARIABLE in (spec.row_count, spec.col_count) or _size(picture) == (spec.col_count, spec.row_count):
        return stored(path, picture, value_range)
    image = picture.eight_bit(value_range)
    return png(image.resize((spec.col_count, spec.row_count), Image.Resampling.BILINEAR))


def _size(picture: Picture) -> tuple[int, int]:
    return picture.image.size if picture.deep is None else (picture.deep.shape[1], picture.deep.shape[0])


def thumbnail(small: Image.Image, out: Path) -> dict[str, Any]:
    """Write a thumbnail beside ``out`` (a path without suffix): PNG for small images, JPEG for photographs."""
    if max(small.size) <= THUMBNAIL_PX:
        file = out.with_name(out.name + ".png")
        small.save(file)
    else:
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        file = out.with_name(out.name + ".jpg")
        small.save(file, quality=85)
    return {"kind": "image", "file": file.name}
