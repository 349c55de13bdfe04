"""Pictures as a person sees them: upright, on white, 8 bits; the same for a data set and for new images.

Readers of the challenge know neither EXIF nor transparency nor more than 8 bits: what needs these is stored anew.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from formatters.media.unreadable import UnreadableError

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".heic", ".heif", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpf", ".jpx", ".dcm"),
)
HEIF_SUFFIXES = (".heic", ".heif")
DICOM_SUFFIX = ".dcm"
MAX_PIXELS = 100_000_000
GREY_MODES = {"1", "L", "LA", "I", "I;16", "I;16B", "F"}
KEPT_MODES = {  # what decode_image of the challenge reads, by format as Pillow calls it
    "JPEG": {"L", "RGB"},
    "MPO": {"L", "RGB"},
    "PNG": {"1", "L", "LA", "P", "RGB", "RGBA"},
    "BMP": {"RGB"},
}
TAILS_PERCENT = 0.1  # of the pixels at either end are no measure of the range: dead and hot ones
TURNS = {  # EXIF orientation -> how to put an array upright
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
Image.MAX_IMAGE_PIXELS = None  # we look at the size ourselves


@dataclass(frozen=True)
class Picture:
    """One decoded picture; ``deep`` holds its upright values where they have more than 8 bits, else None."""

    image: Image.Image  # upright and without transparency, unless deep
    deep: np.ndarray | None
    kept: bool  # readers of the challenge see the file's own bytes in the same way
    turned: bool
    transparent: bool
    animated: bool

    def value_range(self) -> tuple[float, float] | None:
        """The range of values with more than 8 bits."""
        if self.deep is None:
            return None
        low, high = np.percentile(self.deep, [TAILS_PERCENT, 100 - TAILS_PERCENT])
        return float(low), float(high)

    def eight_bit(self, value_range: tuple[float, float] | None) -> Image.Image:
        """As L or RGB; deep values are scaled by ``value_range`` (None: the picture's own)."""
        if self.deep is None:
            return self.image.convert("L" if self.image.mode in GREY_MODES else "RGB")
        low, high = value_range or self.value_range() or (0.0, 1.0)
        values = (self.deep - low) * (255 / max(high - low, 1e-12))
        return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def read_picture(path: Path) -> Picture:
    """The first picture of a file, wholly decoded.

    Raises:
        UnreadableError: damaged, cut off, too large or no image.
    """
    try:
        return _dicom(path) if path.suffix.lower() == DICOM_SUFFIX else _picture(path)
    except UnreadableError:
        raise
    except ModuleNotFoundError as error:  # a model brings only the decoders that its own data need
        raise UnreadableError(f"the package {error.name} is needed to read it; install that") from error
    except Image.UnidentifiedImageError as error:
        raise UnreadableError("not an image that can be decoded") from error
    except Exception as error:  # decoders raise anything for damaged files
        raise UnreadableError(f"damaged: {error}" if str(error) else "damaged") from error


def packages_for(paths: Iterable[Path]) -> list[str]:
    """What must be installed to read these files, beside Pillow and OpenCV."""
    suffixes = {path.suffix.lower() for path in paths}
    return ["pillow-heif"] * bool(suffixes & set(HEIF_SUFFIXES)) + ["pydicom"] * (DICOM_SUFFIX in suffixes)


def stored(path: Path, picture: Picture, value_range: tuple[float, float] | None) -> bytes:
    """The bytes of the file where the challenge's readers see the same in them, else a PNG."""
    return path.read_bytes() if picture.kept else png(picture.eight_bit(value_range))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _picture(path: Path) -> Picture:
    if path.suffix.lower() in HEIF_SUFFIXES:
        import pillow_heif

        pillow_heif.register_heif_opener()
    with Image.open(path) as image:
        _check_size(image.width, image.height)
        many_bits = any(";16" in str(tile[3]) for tile in image.tile if image.mode in ("RGB", "RGBA", "LA"))
        image.load()
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        turned = orientation in TURNS
        animated = bool(getattr(image, "is_animated", False)) and image.format != "MPO"
        if many_bits or image.mode in ("I", "F") or image.mode.startswith("I;16"):
            deep = _sixteen_bit_colours(path) if many_bits else np.nan_to_num(np.asarray(image, np.float32))
            deep = np.ascontiguousarray(TURNS[orientation](deep)) if turned else deep
            return Picture(image, deep, False, turned, False, animated)
        upright = (
            ImageOps.exif_transpose(image) if turned else image.copy() if animated else image
        )  # further pages close
        transparent = image.has_transparency_data and _has_holes(image)
        kept = not turned and not transparent and image.mode in KEPT_MODES.get(image.format or "", ())
        return Picture(_on_white(upright) if transparent else upright, None, kept, turned, transparent, animated)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadableError(f"{width}×{height} pixels are more than {MAX_PIXELS:,}, the limit here")


def _has_holes(image: Image.Image) -> bool:
    return int(np.asarray(image.convert("RGBA").getchannel("A")).min()) < 255


def _on_white(image: Image.Image) -> Image.Image:
    grey = image.mode in GREY_MODES
    image = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image).convert("L" if grey else "RGB")


def _sixteen_bit_colours(path: Path) -> np.ndarray:
    """(row, col, 3) float32; Pillow would keep the upper 8 bits alone."""
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None or image.ndim != 3:
        raise UnreadableError("damaged")
    colours = image[..., 2::-1].astype(np.float32)
    if image.shape[2] == 4:
        alpha = image[..., 3:].astype(np.float32) / 65535
        colours = np.asarray(colours * alpha + 65535 * (1 - alpha), np.float32)
    return colours


def _dicom(path: Path) -> Picture:
    import pydicom
    from pydicom.pixels import apply_rescale, convert_color_space

    data = pydicom.dcmread(path)
    _check_size(int(data.Columns), int(data.Rows))
    frames = int(data.get("NumberOfFrames") or 1)
    pixels = data.pixel_array[0] if frames > 1 else data.pixel_array
    kind = str(data.PhotometricInterpretation)
    if pixels.ndim == 3:
        pixels = convert_color_space(pixels, kind, "RGB") if kind.startswith("YBR") else pixels
        return Picture(Image.fromarray(pixels.astype(np.uint8)), None, False, False, False, frames > 1)
    values = apply_rescale(pixels, data).astype(np.float32)
    values = -values if kind == "MONOCHROME1" else values  # the least value is white
    return Picture(Image.new("L", (1, 1)), values, False, False, False, frames > 1)
