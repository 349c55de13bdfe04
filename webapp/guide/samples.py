"""A small file in each layout, ready to upload; made when somebody asks for it."""

from __future__ import annotations

import csv
import io
import math
import random
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from PIL import Image

from webapp.guide.scripts import autodl_bundle

PER_CLASS = 20
SIDE_PX = 24
FRUIT = {"apple": (200, 40, 40), "pear": (120, 170, 40)}
OPINIONS = {
    "good": ("lovely", "warm", "funny", "clever", "gripping", "moving", "fresh"),
    "bad": ("dull", "cold", "slow", "silly", "empty", "noisy", "stale"),
}
PARTS = ("story", "music", "acting", "ending", "script", "first hour", "camera", "sound")


def class_folders() -> bytes:
    return _zip({f"fruit/{label}/{label}{i}.png": png for i, (label, png) in enumerate(_pictures())})


def labelled_files() -> bytes:
    files: dict[str, bytes] = {}
    rows: list[Sequence[object]] = [("file", "label")]
    for label, png in _pictures():
        name = f"picture{len(files):02}.png"
        files[f"fruit/images/{name}"] = png
        rows.append((name, label))
    return _zip({**files, "fruit/labels.csv": _csv(rows)})


def table() -> bytes:
    draw = random.Random(0)
    rows = [
        (round(draw.gauss(mean, 0.4), 2), round(draw.gauss(width, 0.2), 2), draw.choice(("north", "south")), label)
        for i in range(2 * PER_CLASS)
        for label, mean, width in ((("iris", 5.0, 1.4), ("lily", 6.2, 2.1))[i % 2],)
    ]
    return _csv([("length_cm", "width_cm", "place", "flower"), *rows])


def texts() -> bytes:
    draw = random.Random(0)
    rows = []
    for i in range(2 * PER_CLASS):
        opinion = ("good", "bad")[i % 2]
        said = zip(draw.sample(PARTS, 3), draw.sample(OPINIONS[opinion], 3), strict=True)
        rows.append((", ".join(f"the {part} is {word}" for part, word in said), opinion))
    return _csv([("text", "opinion"), *rows])


def series() -> bytes:
    draw = random.Random(0)
    rows = []
    for i in range(2 * PER_CLASS):
        label, period = (("slow", 24), ("fast", 8))[i % 2]
        start = draw.uniform(0, 6)
        rows.append(
            [*(round(math.sin(2 * math.pi * t / period + start) + draw.gauss(0, 0.1), 3) for t in range(48)), label]
        )
    return _csv([[*(f"t{t}" for t in range(48)), "state"], *rows])


def bundle() -> bytes:
    """The measurements of the table as an AutoDL data set."""
    rows = list(csv.reader(io.StringIO(table().decode())))
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "flowers.csv"
        source.write_bytes(_csv([[*row[:2], row[3]] for row in rows]))
        autodl_bundle.make(source, Path(work) / "out")
        out = Path(work) / "out"
        files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return _zip(files)


SAMPLES: dict[str, Callable[[], bytes]] = {
    "class-folders.zip": class_folders,
    "labelled-files.zip": labelled_files,
    "table.csv": table,
    "texts.csv": texts,
    "series.csv": series,
    "autodl-bundle.zip": bundle,
}


def _pictures() -> Iterable[tuple[str, bytes]]:
    """(class, PNG): noise around the colour of a fruit."""
    draw = random.Random(0)
    for label, colour in FRUIT.items():
        for _ in range(PER_CLASS):
            levels = (level + draw.randrange(-40, 40) for _ in range(SIDE_PX**2) for level in colour)
            image = Image.frombytes("RGB", (SIDE_PX, SIDE_PX), bytes(min(255, max(0, level)) for level in levels))
            file = io.BytesIO()
            image.save(file, "PNG")
            yield label, file.getvalue()


def _csv(rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()
