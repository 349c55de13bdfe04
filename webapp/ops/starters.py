"""Starter data: one small data set a modality, made on this machine without a network.

``python -m webapp.ops.starters NAME OUT`` writes one of them.  Digits and wine come with scikit-learn (UCI Machine
Learning Repository, CC BY 4.0), the docstrings with Python (PSF licence), the life expectancies with plotly (Gapminder,
CC BY 4.0); sounds and clips are generated here.
It runs as a process of its own: the web server imports neither scikit-learn nor OpenCV.
"""

from __future__ import annotations

import csv
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

RATE_HZ = 8000


@dataclass(frozen=True)
class Starter:
    """Title, file name and description of a starter data set."""

    title: str
    modality: str
    file_name: str
    description: str


STARTERS = {
    "digits": Starter(
        "Hand-written digits",
        "image",
        "digits.zip",
        "1,797 scanned digits of 8×8 pixels, a folder of PNG files for each digit. Source: UCI optical recognition of "
        "hand-written digits, as shipped with scikit-learn (CC BY 4.0).",
    ),
    "wine": Starter(
        "Wine by chemistry",
        "tabular",
        "wine.csv",
        "178 wines from three growers, described by 13 chemical measurements. Source: UCI wine recognition, as shipped "
        "with scikit-learn (CC BY 4.0).",
    ),
    "docstrings": Starter(
        "Which library is it about?",
        "text",
        "docstrings.csv",
        "English sentences from the documentation of Python's standard library; the class is the package. Source: the "
        "Python of this server (PSF licence).",
    ),
    "tones": Starter(
        "Tones and chirps",
        "audio",
        "tones.zip",
        "240 generated sounds of one second with noise: steady tones, rising and falling chirps, and beats.",
    ),
    "moving-digits": Starter(
        "Moving digits",
        "video",
        "moving-digits.zip",
        "96 generated clips: a hand-written digit (from scikit-learn, CC BY 4.0) moves up, down, left or right.",
    ),
    "life-expectancy": Starter(
        "Life expectancy by country",
        "timeseries",
        "life-expectancy.csv",
        "The life expectancy of 140 countries, every five years from 1952 to 2007; the class is the continent. Source: "
        "Gapminder, as shipped with plotly (CC BY 4.0).",
    ),
}


def make_digits(out: Path) -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    with zipfile.ZipFile(out, "w") as archive:
        for i, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            png = BytesIO()
            Image.fromarray(np.uint8(pixels * 255 / 16)).save(png, "PNG")
            archive.writestr(f"digits/{label}/{i:04}.png", png.getvalue())


def make_wine(out: Path) -> None:
    from sklearn.datasets import load_wine

    wine = load_wine()
    rows = ([*values, f"grower {label + 1}"] for values, label in zip(wine.data, wine.target, strict=True))
    _write_csv(out, [*wine.feature_names, "grower"], rows)


def make_docstrings(out: Path) -> None:
    """Paragraphs of the docstrings in four packages, 40 to 400 characters each, without doubles."""
    import ast

    library = Path(ast.__file__).parent
    rows = []
    for package in ("asyncio", "email", "importlib", "unittest"):
        found: dict[str, None] = {}
        for path in sorted((library / package).rglob("*.py")):
            if "test" in path.relative_to(library / package).parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    paragraphs = (ast.get_docstring(node) or "").split("\n\n")
                    found |= dict.fromkeys(" ".join(part.split()) for part in paragraphs)
        rows += [[text, package] for text in found if 40 <= len(text) <= 400][:250]
    _write_csv(out, ["text", "package"], rows)


def make_tones(out: Path) -> None:
    from scipy.io import wavfile

    random = np.random.default_rng(0)
    time_s = np.arange(RATE_HZ) / RATE_HZ
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(240):
            low_hz, shape = random.uniform(200, 900), ("tone", "rising", "falling", "beats")[i % 4]
            high_hz = low_hz * random.uniform(1.5, 2.5)
            phase = {
                "tone": low_hz * time_s,
                "rising": low_hz * time_s + (high_hz - low_hz) * time_s**2 / 2,
                "falling": high_hz * time_s - (high_hz - low_hz) * time_s**2 / 2,
                "beats": low_hz * time_s,
            }[shape]
            volume = 0.5 + 0.5 * np.cos(2 * np.pi * random.uniform(4, 8) * time_s) if shape == "beats" else 1
            sound = volume * np.sin(2 * np.pi * phase) + random.uniform(0.1, 0.5) * random.standard_normal(RATE_HZ)
            wav = BytesIO()
            wavfile.write(wav, RATE_HZ, np.int16(sound / np.abs(sound).max() * 30000))
            archive.writestr(f"tones/{shape}/{i:03}.wav", wav.getvalue())


def make_moving_digits(out: Path) -> None:
    """Clips of 16 frames of 32×32 pixels; the label is the direction."""
    import tempfile

    import cv2
    from sklearn.datasets import load_digits

    digits, random = load_digits().images, np.random.default_rng(0)
    directions = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
    with zipfile.ZipFile(out, "w") as archive, tempfile.TemporaryDirectory() as folder:
        for i in range(96):
            name, step = list(directions.items())[i % 4]
            digit = cv2.resize(digits[random.integers(len(digits))] * 15, (14, 14), interpolation=cv2.INTER_CUBIC)
            path = Path(folder) / f"{i:02}.avi"
            video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 8, (32, 32))
            across = int(random.integers(0, 19))
            for t in range(16):
                frame = random.uniform(0, 40, (32, 32)).astype(np.uint8)
                along = t + 1 if sum(step) > 0 else 17 - t
                y, x = (along, across) if step[0] else (across, along)
                frame[y : y + 14, x : x + 14] = np.maximum(frame[y : y + 14, x : x + 14], np.clip(digit, 0, 255))
                video.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
            video.release()
            archive.write(path, f"moving-digits/{name}/{i:02}.avi")


def make_life_expectancy(out: Path) -> None:
    """A wide table: a country a row; without Oceania, of which there are two."""
    from plotly.data import gapminder

    found = gapminder()
    found = found[found["continent"] != "Oceania"]
    years = sorted(found["year"].unique())
    table = found.pivot(index=["country", "continent"], columns="year", values="lifeExp")
    rows = ([*np.round(table.loc[place], 3), place[1]] for place in table.index)
    _write_csv(out, [*map(str, years), "continent"], rows)


MAKERS: dict[str, Callable[[Path], None]] = {
    "digits": make_digits,
    "wine": make_wine,
    "docstrings": make_docstrings,
    "tones": make_tones,
    "moving-digits": make_moving_digits,
    "life-expectancy": make_life_expectancy,
}


def _write_csv(out: Path, header: list[str], rows: object) -> None:
    with open(out, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)  # type: ignore[arg-type]


if __name__ == "__main__":
    MAKERS[sys.argv[1]](Path(sys.argv[2]))
