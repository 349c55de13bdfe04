"""A tiny raw upload of each modality, as a user would pack it: ``TOYS[modality](folder) -> path of the upload``.

Learnable: the classes differ in an obvious way.  The same seed gives the same bytes.
"""

from __future__ import annotations

import wave
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from automl_engine.dataset.spec import Spec
from automl_engine.dataset.writer import write_solution, write_split
from formatters.base import Options
from formatters.convert import convert

Maker = Callable[[Path], Path]
RATE_HZ = 8000


def image_upload(folder: Path, per_class: int = 12, side_px: int = 16) -> Path:
    """Class folders with dark and bright grey PNGs."""
    rng = np.random.default_rng(0)
    for label, level in (("dark", 60), ("bright", 190)):
        for i in range(per_class):
            pixels = np.clip(rng.normal(level, 20, (side_px, side_px)), 0, 255).astype(np.uint8)
            path = folder / "toy_image" / label / f"{label}_{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return folder / "toy_image"


def video_upload(folder: Path, per_class: int = 6, frames: int = 6, side_px: int = 32) -> Path:
    """Class folders with AVIs of a bar that moves to the left or to the right."""
    for label in ("left", "right"):
        for i in range(per_class):
            path = folder / "toy_video" / label / f"{i}.avi"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, moving_bar(label, i, frames, side_px))
    return folder / "toy_video"


def moving_bar(label: str, start: int, frames: int, side_px: int) -> np.ndarray:
    """(frames, side, side, 3) uint8."""
    clip = np.zeros((frames, side_px, side_px, 3), np.uint8)
    for t in range(frames):
        column = (2 * start + (3 * t if label == "right" else -3 * t)) % side_px
        clip[t, :, column : column + 4] = 255
    return clip


def write_video(path: Path, frames: np.ndarray, codec: str = "mpeg4", rate: int = 10) -> None:
    """frames: (T, row, col, 3) uint8; the container follows the suffix."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def audio_upload(folder: Path, per_class: int = 10, duration_s: float = 0.25) -> Path:
    """WAVs of low and high tones with a labels.csv."""
    rng = np.random.default_rng(0)
    root = folder / "toy_audio"
    (root / "wav").mkdir(parents=True)
    lines = ["file,pitch"]
    for label, hz in (("low", 300), ("high", 1500)):
        for i in range(per_class):
            t = np.arange(int(RATE_HZ * duration_s)) / RATE_HZ
            tone = np.sin(2 * np.pi * hz * rng.uniform(0.9, 1.1) * t + rng.uniform(0, 6)) * 8000
            write_wav(root / "wav" / f"{label}{i}.wav", tone.astype(np.int16))
            lines.append(f"{label}{i}.wav,{label}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def write_wav(path: Path, amplitudes: np.ndarray, rate_hz: int = RATE_HZ, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(amplitudes.astype("<i2").tobytes())


def text_upload(folder: Path, rows: int = 60) -> Path:
    """A CSV of short praise and complaints."""
    rng = np.random.default_rng(0)
    words = {"good": ["lovely", "great", "kind", "clean"], "bad": ["dirty", "rude", "awful", "cold"]}
    lines = ["review,sentiment"]
    for i in range(rows):
        label = ("good", "bad")[i % 2]
        said = " ".join(rng.choice(words[label], 4))
        lines.append(f'"The room number {i} was {said}, and the staff said it was {rng.choice(words[label])}.",{label}')
    return _file(folder / "toy_text.csv", lines)


def tabular_upload(folder: Path, rows: int = 60) -> Path:
    """A CSV with a number that decides, a category that does not, and missing cells."""
    rng = np.random.default_rng(0)
    lines = ["height,colour,weight,class"]
    for i in range(rows):
        size = rng.normal(10 if i % 2 else 20, 2)
        weight = "" if i % 7 == 0 else f"{rng.normal(70, 9):.2f}"
        lines.append(f"{size:.2f},{rng.choice(['red', 'blue'])},{weight},{('tall', 'short')[i % 2]}")
    return _file(folder / "toy_tabular.csv", lines)


def timeseries_upload(folder: Path, cases: int = 40, length: int = 30) -> Path:
    """A .ts file of slow and fast waves."""
    rng = np.random.default_rng(0)
    lines = ["@problemName toy", "@timeStamps false", "@univariate true", "@classLabel true slow fast", "@data"]
    for i in range(cases):
        label = ("slow", "fast")[i % 2]
        wave_ = np.sin(np.arange(length) * (0.3 if label == "slow" else 1.2) + rng.uniform(0, 6)) + rng.normal(
            0, 0.1, length
        )
        lines.append(",".join(f"{value:.4f}" for value in wave_) + f":{label}")
    return _file(folder / "toy_timeseries.ts", lines)


def native_upload(folder: Path, rows: int = 24) -> Path:
    """An AutoDL data set: a dense table of two classes."""
    spec = Spec("toynative", 0, 2, col_count=3, label_to_index={"no": 0, "yes": 1})
    rng = np.random.default_rng(0)
    classes = [i % 2 for i in range(rows)]
    examples = [((rng.normal(size=(1, 1, 3, 1)) + label).astype(np.float32), [label]) for label in classes]
    root = folder / "toynative"
    n_test = rows // 4
    write_split(root / "toynative.data" / "test", spec, examples[:n_test], 0, hide_labels=True)
    write_split(root / "toynative.data" / "train", spec, examples[n_test:], n_test, hide_labels=False)
    write_solution(root / "toynative.solution", np.eye(2, dtype=int)[classes[:n_test]])
    return root


def _file(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def write_workbook(path: Path, sheets: dict[str, list[Sequence[object]]]) -> None:
    """The least that Excel opens: the text of each sheet in its cells."""

    def cell(value: object) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    numbered = list(enumerate(sheets.items(), start=1))
    named = "".join(f'<sheet name="{name}" sheetId="{at}" r:id="r{at}"/>' for at, (name, _) in numbered)
    parts = (f'<Override PartName="/xl/s{at}.xml" ContentType="{kinds}.worksheet+xml"/>' for at, _ in numbered)
    link = '<Relationship Id="r{}" Type="{}/{}" Target="{}"/>'
    wrapped = f'<Relationships xmlns="{package}/relationships">{{}}</Relationships>'
    links = "".join(link.format(at, office, "worksheet", f"s{at}.xml") for at, _ in numbered)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>{"".join(parts)}</Types>',
        )
        file.writestr("_rels/.rels", wrapped.format(link.format(1, office, "officeDocument", "xl/workbook.xml")))
        file.writestr("xl/_rels/workbook.xml.rels", wrapped.format(links))
        book = f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{named}</sheets></workbook>'
        file.writestr("xl/workbook.xml", book)
        for at, (_, rows) in numbered:
            data = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            file.writestr(f"xl/s{at}.xml", f'<worksheet xmlns="{main}"><sheetData>{data}</sheetData></worksheet>')


TOYS: dict[str, Maker] = {
    "native": native_upload,
    "timeseries": timeseries_upload,
    "video": video_upload,
    "audio": audio_upload,
    "image": image_upload,
    "text": text_upload,
    "tabular": tabular_upload,
}


def converted(modality: str, folder: Path) -> Path:
    """The toy of a modality as an AutoDL data set, in ``folder/out``."""
    convert(TOYS[modality](folder / "raw"), folder / "out", Options(), say=lambda line: None)
    return folder / "out"
