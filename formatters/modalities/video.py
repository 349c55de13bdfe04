"""Video: AVI, MP4, MOV, WebM, animated GIF and more through PyAV; stored as one JPEG per frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from automl_engine.dataset.decode import decode_image
from automl_engine.dataset.spec import VARIABLE, Spec
from formatters.base import Doubt, Evidence, Findings, NewData, Options, Table, spec_of
from formatters.media.samples import (
    Spool,
    UnreadableError,
    media_files,
    media_table,
    read_files,
    read_new_files,
    sniff_files,
    spread,
)
from formatters.modalities.audio import VIDEO_CONTAINERS, mostly_sound
from formatters.modalities.image import mostly_animated
from formatters.words import counted

SUFFIXES = (
    *(".avi", ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".mpg", ".mpeg", ".wmv", ".3gp", ".3g2", ".flv", ".f4v"),
    *(".ogv", ".mts", ".m2ts", ".vob", ".asf", ".divx", ".gif"),
)
MAX_FRAMES = 3000  # two minutes at 25 frames a second; what follows is left out, and told
MAX_SIDE_PX = 640  # larger frames are scaled down, and told
JPEG_QUALITY = 90
GREY_TOLERANCE = 6  # of 255: colour that only a codec's rounding made
PREVIEW_FRAMES = 24
PREVIEW_PX = 128


@dataclass(frozen=True)
class _Clip:
    """One decoded video; ``frames`` are (offset, length) of its JPEGs in the spool."""

    frames: list[tuple[int, int]]
    width: int
    height: int
    fps: float
    grey: bool
    cut: bool
    shrunk: bool


def sniff(root: Path, options: Options) -> Evidence | None:
    files = media_files(root, SUFFIXES)
    gifs = [path for path in files if path.suffix.lower() == ".gif"]
    if gifs and not mostly_animated(gifs):
        files = [path for path in files if path.suffix.lower() != ".gif"]
    containers = [path for path in files if path.suffix.lower() in VIDEO_CONTAINERS]
    if containers and mostly_sound(containers):
        files = [path for path in files if path not in set(containers)]
    return sniff_files(root, files, "videos")


def read(root: Path, options: Options) -> Table:
    spool = Spool(root.parent)
    labelled, found, unreadable = read_files(root, SUFFIXES, options, "videos", lambda path: decode(path, spool))
    return media_table(
        "video",
        labelled,
        _spec(found),
        Findings(
            doubts=_doubts(found),
            unreadable=unreadable,
            stats=[
                spread("frames", "", [len(clip.frames) for clip in found]),
                spread("duration", "s", [len(clip.frames) / clip.fps for clip in found]),
                spread("width", "px", [clip.width for clip in found]),
                spread("height", "px", [clip.height for clip in found]),
            ],
        ),
        steps=lambda i: [spool.get(place) for place in found[i].frames],
        preview=lambda i, path: _preview(found[i], spool, path),
        recipe={},
    )


def encode(recipe: dict[str, Any], source: Path) -> NewData:
    spec = spec_of(recipe)
    spool = Spool(source.parent)
    size = None if VARIABLE in (spec.row_count, spec.col_count) else (spec.col_count, spec.row_count)

    def frames(path: Path) -> list[bytes]:
        return [spool.get(place) for place in decode(path, spool, size).frames]

    return read_new_files(spec, source, SUFFIXES, "videos", frames)


def decode(path: Path, spool: Spool, size: tuple[int, int] | None = None) -> _Clip:
    """All frames as JPEGs in the spool; ``size``: (width, height) to bring them to.

    Raises:
        UnreadableError: damaged, cut off, or without pictures.
    """
    import av

    places: list[tuple[int, int]] = []
    grey, shrunk, cut = True, False, False
    image = np.empty((0, 0, 3), np.uint8)
    end_s = 0.0  # of all streams: sound may go on after the last picture
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UnreadableError("no pictures in it")
            stream = container.streams.video[0]
            stream.thread_type = "NONE"  # we thread over files; one thread decodes the same way each time
            promised, fps = stream.frames, float(stream.average_rate or 25)
            duration_s = (container.duration or 0) / 1e6
            for frame in _frames(container, stream):
                if isinstance(frame, float):
                    end_s = max(end_s, frame)
                    continue
                if len(places) == MAX_FRAMES:
                    cut = True
                    break
                image, smaller = _upright(frame, size)
                shrunk |= smaller
                colourless = int(np.ptp(image, axis=-1).max()) <= GREY_TOLERANCE
                grey &= colourless
                places.append(spool.add(_jpeg(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if colourless else image)))
    except (av.FFmpegError, ValueError) as error:
        raise UnreadableError(f"damaged or cut off: {getattr(error, 'strerror', None) or error}") from error
    if not places:
        raise UnreadableError("no pictures in it")
    short = promised > 2 and len(places) < 0.9 * promised
    if path.suffix.lower() == ".gif":  # its last frame may be shown for any time
        missing = short
    else:
        missing = (short or promised <= 2) and duration_s - end_s > 0.2 * duration_s + 2 / fps
    if missing and not cut:
        raise UnreadableError(f"cut off after {len(places)} frames")
    return _Clip(places, image.shape[1], image.shape[0], fps, grey, cut, shrunk)


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of the stream, and between them the times (float, s) up to which any stream has come."""
    for packet in container.demux():
        if packet.pts is not None and packet.time_base:
            yield float((packet.pts + (packet.duration or 0)) * packet.time_base)
        if packet.stream.index == stream.index:
            yield from packet.decode()


def _upright(frame: Any, size: tuple[int, int] | None) -> tuple[np.ndarray, bool]:
    """((row, col, 3) uint8 in BGR as a player shows it, was it made smaller?)."""
    scale = min(1.0, MAX_SIDE_PX / max(frame.width, frame.height))
    if scale < 1:
        frame = frame.reformat(width=round(frame.width * scale), height=round(frame.height * scale))
    image = frame.to_ndarray(format="bgr24")
    quarter_turns = round(getattr(frame, "rotation", 0) / 90) % 4
    image = np.ascontiguousarray(np.rot90(image, quarter_turns)) if quarter_turns else image
    if size and (image.shape[1], image.shape[0]) != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image, scale < 1


def _jpeg(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise UnreadableError("a frame cannot be stored")
    return data.tobytes()


def _spec(clips: list[_Clip]) -> Spec:
    lengths = {len(clip.frames) for clip in clips}
    sizes = {(clip.height, clip.width) for clip in clips}
    height, width = sizes.pop() if len(sizes) == 1 and sizes != {(1, 1)} else (VARIABLE, VARIABLE)
    return Spec(
        name="",
        sample_count=0,
        output_dim=0,
        # A length of 1 would make other readers take the set for images.
        sequence_size=lengths.pop() if len(lengths) == 1 and lengths != {1} else VARIABLE,
        row_count=height,
        col_count=width,
        num_channels=1 if all(clip.grey for clip in clips) else 3,
        format="COMPRESSED",
        is_sequence=True,
    )


def _doubts(clips: list[_Clip]) -> list[Doubt]:
    doubts = []
    cut = sum(clip.cut for clip in clips)
    if cut:
        what = counted(cut, "video is", "videos are")
        what += f" longer than {MAX_FRAMES:,} frames; only the first {MAX_FRAMES:,} are used"
        doubts.append(Doubt(what, "cut long videos into clips"))
    shrunk = sum(clip.shrunk for clip in clips)
    if shrunk:
        what = f"the frames of {counted(shrunk, 'video')} were scaled down to at most {MAX_SIDE_PX} px"
        doubts.append(Doubt(what, "nothing needs to be done", level="info"))
    return doubts


def _preview(clip: _Clip, spool: Spool, out: Path) -> dict[str, Any]:
    count = min(PREVIEW_FRAMES, len(clip.frames))
    picks = np.linspace(0, len(clip.frames) - 1, count).round().astype(int)
    frames = [Image.fromarray(decode_image(spool.get(clip.frames[pick]), 3)) for pick in picks]
    return animation(frames, len(clip.frames) / clip.fps, out)


def animation(frames: list[Image.Image], duration_s: float, out: Path) -> dict[str, Any]:
    """An animated WebP beside ``out`` (a path without suffix)."""
    for frame in frames:
        frame.thumbnail((PREVIEW_PX, PREVIEW_PX))
    file = out.with_name(out.name + ".webp")
    step_ms = max(40, min(500, round(1000 * duration_s / len(frames))))
    frames[0].save(file, save_all=True, append_images=frames[1:], duration=step_ms, loop=0, quality=60, method=2)
    return {"kind": "video", "file": file.name}
