"""Images: JPEG, PNG and BMP keep their bytes; GIF, WebP, TIFF and what else the challenge cannot read become PNG."""

from __future__ import annotations

import io
import threading
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from automl_engine.dataset.examples import Examples, MemoryExamples
from automl_engine.errors import DataError
from automl_engine.spec import VARIABLE, Spec
from formatters.base import Doubt, Evidence, Options, Table, spec_of
from formatters.media.samples import (
    UnreadableError,
    formatted,
    media_files,
    media_table,
    new_files,
    read_files,
    sniff_files,
    spread,
)
from formatters.words import counted

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
THUMBNAIL_PX = 128
MAX_PIXELS = 100_000_000
LARGE_PIXELS = 16_000_000  # such images are decoded one at a time
MAX_TOTAL_PIXELS, MAX_PIXELS_PER_BYTE = 500_000_000, 1000  # of all files: more than both is a bomb
STRIP_ROWS = 256  # searched for colour at once
GREY_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "F"}
KEPT_MODES = {  # what decode_image of the challenge reads, by format as Pillow calls it
    "JPEG": {"L", "RGB"},
    "MPO": {"L", "RGB"},
    "PNG": {"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"},
    "BMP": {"RGB"},
}
Image.MAX_IMAGE_PIXELS = None  # we look at the size ourselves


@dataclass(frozen=True)
class _Info:
    width: int
    height: int
    grey: bool
    animated: bool
    transparent: bool
    turned: bool  # to be shown otherwise than it is stored; the challenge's readers ignore that


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
    return media_table(
        "image",
        labelled,
        _spec(found),
        _doubts(found),
        steps=lambda i: [encoded(paths[i])],
        preview=lambda i, path: thumbnail(paths[i], path),
        recipe={},
        stats=[
            spread("width", "px", [info.width for info in found]),
            spread("height", "px", [info.height for info in found]),
            spread("file size", "kB", [path.stat().st_size / 1000 for path in paths]),
        ],
        unreadable=unreadable,
    )


def encode(recipe: dict[str, Any], source: Path) -> tuple[list[str], Examples]:
    spec = spec_of(recipe)
    files = new_files(source, SUFFIXES, "images")
    steps = formatted(files, lambda path: [_fitted(path, spec)])
    return [name for name, _ in files], MemoryExamples(spec.with_count(len(files)), steps)


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
        with _opened(path) as image:
            grey = image.mode in GREY_MODES or (not self._colour_seen and _has_no_colour(image))
            self._colour_seen |= not grey
            transparent = image.mode in ("LA", "RGBA", "PA") and int(np.asarray(image.getchannel("A")).min()) < 255
            animated = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) not in (0, 1)
            return _Info(image.width, image.height, grey, animated, transparent, turned)


def _pixels(path: Path) -> int:
    """By the header; 0 for what is no image, which is told when it is decoded."""
    try:
        with Image.open(path) as image:
            return min(MAX_PIXELS, image.width * image.height)
    except Exception:  # Pillow's plug-ins raise anything for damaged files
        return 0


def _opened(path: Path) -> Image.Image:
    """The image, wholly decoded (the first frame).

    Raises:
        UnreadableError: damaged, cut off, too large or no image.
    """
    try:
        image = Image.open(path)
        if image.width * image.height > MAX_PIXELS:
            raise UnreadableError(f"{image.width}×{image.height} pixels are more than {MAX_PIXELS:,}, the limit here")
        image.load()
    except UnreadableError:
        raise
    except Image.UnidentifiedImageError as error:
        raise UnreadableError("not an image that can be decoded") from error
    except Exception as error:  # Pillow's plug-ins raise anything for damaged files
        raise UnreadableError(f"damaged: {error}" if str(error) else "damaged") from error
    return image


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
        doubts.append(Doubt(what, "choose the modality video if the movement matters", level="info"))
    transparent = sum(info.transparent for info in infos)
    if transparent:
        what = counted(transparent, "image has", "images have")
        what += " transparent parts; the colours behind them are used"
        doubts.append(Doubt(what, "flatten the images onto a background if that is wrong", level="info"))
    turned = sum(info.turned for info in infos)
    if turned:
        what = counted(turned, "photo is", "photos are") + " stored lying on the side (EXIF) and used as stored"
        doubts.append(Doubt(what, "save the photos upright if they look wrong in the previews", level="info"))
    return doubts


def encoded(path: Path) -> bytes:
    """The bytes of the file where the challenge's decoder reads them, else a PNG of the same pixels."""
    with Image.open(path) as image:
        if image.mode in KEPT_MODES.get(image.format or "", ()):
            return path.read_bytes()
        image.load()
        return _png(image)


def _fitted(path: Path, spec: Spec) -> bytes:
    """As ``encoded``, but checked, and brought to the size of the data set where that is fixed."""
    _opened(path).close()
    data = encoded(path)
    if VARIABLE in (spec.row_count, spec.col_count):
        return data
    with Image.open(io.BytesIO(data)) as image:
        if image.size == (spec.col_count, spec.row_count):
            return data
        return _png(_eight_bit(image).resize((spec.col_count, spec.row_count), Image.Resampling.BILINEAR))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    _eight_bit(image).save(buffer, "PNG")
    return buffer.getvalue()


def _eight_bit(image: Image.Image) -> Image.Image:
    """As L or RGB; 16-bit values keep their upper 8 bits, floats and 32-bit integers are stretched over 0..255."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image, np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        values = np.nan_to_num(np.asarray(image, np.float64))
        if image.mode == "I" and image.format == "PNG":  # 16 bits, as Pillow reads some of them
            return Image.fromarray((values / 257).astype(np.uint8))
        low, high = values.min(), values.max()
        return Image.fromarray(((values - low) * (255 / max(high - low, 1e-12))).astype(np.uint8))
    return image.convert("L" if image.mode in GREY_MODES else "RGB")


def thumbnail(path: Path, out: Path) -> dict[str, Any]:
    """Write a thumbnail beside ``out`` (a path without suffix): PNG for small images, JPEG for photographs."""
    with _opened(path) as image:
        small = _eight_bit(image)
        if max(small.size) <= THUMBNAIL_PX:
            file = out.with_name(out.name + ".png")
            small.save(file)
        else:
            small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
            file = out.with_name(out.name + ".jpg")
            small.save(file, quality=85)
    return {"kind": "image", "file": file.name}
