"""Uploads as people really make them: each gives the right data set, or one sentence that says what to do."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from automl_engine.dataset.reader import open_split
from automl_engine.errors import DataError
from formatters.base import Options
from formatters.convert import convert

ROWS = range(40)
PLAIN = "a,b,label\n" + "".join(f"{i % 7}.5,{i * i % 11},{'xy'[i % 2]}\n" for i in ROWS)


@pytest.fixture
def convert_files(tmp_path: Path) -> Callable[[dict[str, str | bytes]], dict[str, Any]]:
    """Convert files by path; a single one is uploaded itself, several as a folder."""

    def convert_files(files: dict[str, str | bytes]) -> dict[str, Any]:
        root = tmp_path / "upload"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        source = root / next(iter(files)) if len(files) == 1 else root
        return convert(source, tmp_path / "made" / "out", Options(name="ugly"), say=lambda line: None)

    return convert_files


def png(level: int = 0) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    Image.fromarray(np.full((8, 8), level, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def rows(header: str, row: Callable[[int], str]) -> str:
    return header + "\n" + "".join(row(i) + "\n" for i in ROWS)


TABLES = {
    "a title above": ("Sales of the year\n\n" + PLAIN, 2, "1 line above the table skipped"),
    "comments above": ("# by me, for you\n# v2\n" + PLAIN, 2, "2 lines above the table skipped"),
    "a header that begins with #": (PLAIN.replace("a,", "#a,", 1), 2, ""),
    "apostrophes": (rows("pay;b;label", lambda i: f"{1 + i % 9}'{i % 10}00.5;{i % 3};{'xy'[i % 2]}"), 2, ""),
    "narrow blanks": (rows("pay;b;label", lambda i: f"{1 + i % 9}\u202f{i % 10}00;{i % 3};{'xy'[i % 2]}"), 2, ""),
    "beyond float32": (rows("a,b,label", lambda i: f"{i % 5}e300,{i % 3},{'xy'[i % 2]}"), 2, ""),
    "a year last": (rows("a,kind,year", lambda i: f"{i % 7},{'pq'[i % 2]},{2010 + i % 5}"), 2, ""),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(convert_files, tmp_path: Path, name: str) -> None:
    text, features, told = TABLES[name]
    report = convert_files({"t.csv": text})
    assert report["counts"] | {"train": 0, "test": 0} == {"samples": 40, "train": 0, "test": 0, "classes": 2}
    assert [column["role"] for column in report["columns"]].count("feature") == features
    assert told in " ".join(report["why"])
    examples = open_split(tmp_path / "made" / "out" / "ugly.data", "train")
    assert np.isfinite(np.stack([tensor for tensor, _ in examples])).all()


def test_cells_with_line_breaks_are_no_stray_quotes(convert_files) -> None:
    """Each half of such a cell looks like a row by chance."""
    report = convert_files(
        {"t.csv": rows("label,text", lambda i: f'{"xy"[i % 2]},"<p a=""{i}"">Hello you\nand others, too {i}</p>"')}
    )
    assert (report["modality"], report["counts"]["samples"], report["counts"]["classes"]) == ("text", 40, 2)


def test_ten_thousand_columns_are_fast(convert_files) -> None:
    """Seconds, not minutes; 20 s leave room for slow machines (a quadratic step took 70 s)."""
    import time

    began_s = time.process_time()
    header = ",".join(f"gene_{chr(97 + i % 26)}{i}" for i in range(10_000)) + ",label"
    rng = np.random.default_rng(0)
    lines = [",".join(f"{v:.2f}" for v in rng.normal(size=10_000)) + f",{'xy'[i % 2]}" for i in range(12)]
    assert convert_files({"t.csv": "\n".join([header, *lines])})["title"] == "12 rows in 2 classes, 10,000 features"
    assert time.process_time() - began_s < 20


def test_free_text_beside_many_columns_is_told(convert_files) -> None:
    row = '{},{},u{},{},"a review of some length, number {} of many, as people write"'
    report = convert_files(
        {"t.csv": rows("stars,n,user,where,review", lambda i: row.format(i % 2, i % 9, i % 7, "abc"[i % 3], i))}
    )
    assert report["modality"] == "tabular"
    assert any("free text ('review')" in d["what"] and "modality text" in d["fix"] for d in report["doubts"])


@pytest.mark.parametrize(
    ("folders", "how", "why"),
    [
        (("train", "val"), "given", "given by the folders"),
        (("train", "valid", "test"), "given", "given by the folders"),
        (("train",), "stratified", ""),
    ],
)
def test_given_splits(convert_files, folders: tuple[str, ...], how: str, why: str) -> None:
    files = {f"{side}/{c}/{i}.png": png(i) for side in folders for c in "ab" for i in range(6)}
    report = convert_files(files | {"train/a/9.png": png(9)})
    assert report["split"]["how"] == how
    assert why in report["why"][-1]
    if how == "given":
        assert report["counts"]["test"] == 12


def test_an_unlabelled_test_folder_is_no_given_split(convert_files) -> None:
    files = {f"train/{c}/{i}.png": png(i) for c in "ab" for i in range(6)} | {f"test/{i}.png": png(i) for i in range(5)}
    report = convert_files(files)
    assert report["split"]["how"] == "stratified"
    assert not any("given" in why for why in report["why"])
    assert any("5 of the images (test) have no label" in doubt["what"] for doubt in report["doubts"])


def test_classes_that_differ_by_spelling(convert_files) -> None:
    report = convert_files({"t.csv": rows("a,label", lambda i: f"{i % 9},{['Cat', 'cat', 'dog'][i % 3]}")})
    assert report["counts"]["classes"] == 3
    assert any("'Cat' and 'cat' differ only in spelling" in doubt["what"] for doubt in report["doubts"])


def test_two_image_sets_in_one_upload(convert_files) -> None:
    files = {f"{d}/{c}/{i}.png": png(i) for d in ("cars", "pets") for c in ("good", "bad") for i in range(4)}
    doubts = convert_files(files)["doubts"]
    assert any(d["level"] == "warning" and "upload each upper folder by itself" in d["fix"] for d in doubts)


def test_time_stamps_with_colons(convert_files) -> None:
    head = "@problemName x\n@timeStamps true\n@univariate true\n@classLabel true u d\n@data\n"
    cases = [",".join(f"(2020-01-01 00:00:{t:02d},{t * i})" for t in range(9)) + f":{'ud'[i % 2]}" for i in range(12)]
    assert convert_files({"x.ts": head + "\n".join(cases)})["title"] == "12 series in 2 classes, length 9, 1 channel"


def office() -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
    return buffer.getvalue()


def two_of(name: str, content: str | bytes = "x") -> dict[str, str | bytes]:
    return {f"{c}/{i}{name}": content for c in "ab" for i in range(3)}


REFUSED: dict[str, tuple[dict[str, str | bytes], str]] = {
    "a workbook named csv": ({"t.csv": office()}, "t.csv is an Office document"),
    "7z": ({"x.7z": b"7z\xbc\xaf\x27\x1c" + bytes(64)}, "packed by 7-Zip"),
    "a RAR named zip": ({"x.zip": b"Rar!\x1a\x07\x01\x00" + bytes(64)}, "packed by RAR"),
    "a web page": ({"t.csv": "\n<!DOCTYPE html>\n<p>404, not found</p>"}, "t.csv is a web page"),
    "json": ({"t.json": '[{"a": 1, "label": 2}]'}, "only one class"),
    "a notebook": ({"t.ipynb": "{}"}, "upload the data that the program reads"),
    "raw photos": (two_of(".cr2"), "export the images as JPEG"),
    "web pages": (two_of(".html"), "save the texts as .txt"),
    "boxes in a file each": (
        {f"images/{i}.png": png(i) for i in range(4)} | {f"labels/{i}.txt": "0 .5 .5 .1 .1\n" for i in range(4)},
        "labels/0.txt holds boxes of objects (YOLO), not a class for each image; to classify, cut the objects out",
    ),
    "records alone": ({"a.tfrecord": "x", "metadata.textproto": "x"}, "metadata.textproto of upload cannot be read"),
    "a text file a class": ({"pos.txt": "good\nfine\n", "neg.txt": "bad\npoor\n"}, "one folder per class"),
    "no @data": ({"x.ts": "1,2,3:a\n1,2,4:b\n"}, "@problemName, @classLabel and @data"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_one_sentence(convert_files, tmp_path: Path, name: str) -> None:
    files, sentence = REFUSED[name]
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        convert_files(files)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "made").iterdir()) == []


def test_a_photo_that_is_turned_is_told(convert_files, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (20, 12)).save(path, exif=exif)
    report = convert_files({f"{c}/{i}.jpg": path.read_bytes() + struct.pack("B", i) for c in "ab" for i in range(4)})
    assert any("8 images are turned upright, by the EXIF note" in doubt["what"] for doubt in report["doubts"])
