"""Hostile and damaged uploads: each is a data set or one sentence, soon and in little memory."""

from __future__ import annotations

import bz2
import io
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from automl_engine.dataset import records
from automl_engine.dataset.reader import open_split
from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from formatters.base import Options
from formatters.convert import convert
from formatters.series.ts_file import read_ts
from formatters.tables.kind import _numbered
from formatters.tables.reader import read_table
from formatters.tables.records import MAX_COLUMNS
from formatters.unpacking import limits
from formatters.unpacking.archive import unpack
from tests.formatters.toys import write_workbook

TABLE = "a,b,label\n" + "".join(f"{i % 7},{i * i % 11},{'xy'[i % 2]}\n" for i in range(40))


def zip_of(files: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def tar_of(files: dict[str, bytes | str], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:  # type: ignore[call-overload]
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def header(kind: bytes, size: int) -> bytes:
    """The header of a member that promises more than follows."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"
PLAIN_ZIP = zip_of({"t.csv": TABLE}, zipfile.ZIP_STORED)
BZIP2_ZIP = zip_of({"t.csv": TABLE}, zipfile.ZIP_BZIP2)
ZEROS = bytes(200_000)
DAMAGED = {
    "a bad checksum": (replaced(PLAIN_ZIP, b"0,0,x", b"0,0,y"), "damaged"),
    "a broken bzip2 stream": (flipped(BZIP2_ZIP, 60), "damaged"),
    "a broken gzip stream": (flipped(tar_of({"t.csv": TABLE}, "w:gz"), 60), "cannot be opened|damaged"),
    "a name that is no UTF-8": (replaced(zip_of({"ä.csv": TABLE}), "ä".encode(), b"\xff\xff"), "not UTF-8"),
    "an unknown version": (replaced(PLAIN_ZIP, CENTRAL + b"\x14\x03\x14", CENTRAL + b"\x14\x03\xff"), "version"),
    "an unknown method": (replaced(PLAIN_ZIP, b"\x14\x00\x00\x00\x00\x00", b"\x14\x00\x00\x00\x63\x00"), "method"),
    "an offset that lies": (PLAIN_ZIP[:-6] + b"\xff\xff\xff\x7f" + PLAIN_ZIP[-2:], "damaged|cannot"),
    "a deep path": (zip_of({"a/" * 3000 + "t.csv": TABLE}), "too long or too deep"),
    "a long name of 2 GiB": (header(tarfile.GNUTYPE_LONGNAME, 2**31), "header of 2,147,483,648 bytes"),
    "a pax header of 2 GiB": (header(tarfile.XHDTYPE, 2**31), "header of 2,147,483,648 bytes"),
    "a broken header inside": (flipped(tar_of({"a.csv": TABLE, "b.csv": TABLE}), 512 * 2 + 5), "damaged"),
    "junk that unpacks": (bz2.compress(tar_of({".junk": ZEROS, "t.csv": TABLE})), "archive bombs"),
    "files that unpack": (zip_of({"t.csv": ZEROS}), "archive bombs"),
    "many names": (zip_of({f".{i}": "" for i in range(60)}), "more than 50 files"),
    "many folders": (tar_of({"/".join(f"{i}{k}" for k in range(9)): "" for i in range(9)}), "more than 50 files"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(limits, "RATIO_FROM_BYTES", 100_000)
    monkeypatch.setattr(limits, "MAX_FILES", 50)
    content, said = DAMAGED[name]
    (tmp_path / "upload.bin").write_bytes(content)
    suffix = {b"PK": ".zip"}.get(content[:2], ".tar")
    source = (tmp_path / "upload.bin").rename(tmp_path / f"upload{suffix}")
    with pytest.raises(DataError, match=said) as told:
        unpack(source, tmp_path / "out")
    assert source.name in str(told.value)


def test_entries_that_share_one_block(tmp_path: Path) -> None:
    data = zip_of({"a.csv": TABLE * 50, "b.csv": TABLE * 50})
    at, end = data.index(CENTRAL), data.index(b"PK\x05\x06")
    entry = data[at : data.index(CENTRAL, at + 4)]
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, 9 * len(entry), at, 0)
    assert end > at
    (tmp_path / "a.zip").write_bytes(data[:at] + 9 * entry + tail)
    with pytest.raises(DataError, match=r"a\.zip holds files that share their bytes"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",".join(["a"] * 40_000) + "\n" + (",".join(["1"] * 40_000) + "\n") * 2)
    assert read_table(path).columns[-1] == "a_40000"
    path.write_text(",".join(f"c{i}" for i in range(MAX_COLUMNS + 1)) + "\n" + ",".join(["1"] * (MAX_COLUMNS + 1)))
    with pytest.raises(DataError, match=rf"t\.csv has {MAX_COLUMNS + 1:,} columns"):
        read_table(path)
    path.write_text("x" * 2**25 + "\n1")
    with pytest.raises(DataError, match=r"t\.csv has a line of more than"):
        read_table(path)
    path.write_text("".join(f"{'9' * 50_000}x {i}\n" for i in range(4)))  # slow for a pattern that tries again
    read_table(path)
    assert _numbered("_" * 10**6 + "x") == ("", None)
    assert _numbered("1" * 10**6) == ("", None)


def test_cells_of_a_workbook_far_apart(tmp_path: Path) -> None:
    """The library makes room for all cells between, 400 GB, and ends its process."""
    write_workbook(tmp_path / "a.xlsx", {"a": [["x", "label"], ["1", "y"]]})
    with zipfile.ZipFile(tmp_path / "a.xlsx") as book:
        parts = {name: book.read(name) for name in book.namelist()}
    sheet = next(name for name, content in parts.items() if b"</sheetData>" in content)
    far = b'<row r="1048576"><c r="XFD1048576"><v>2</v></c></row></sheetData>'
    parts[sheet] = replaced(parts[sheet], b"</sheetData>", far)
    (tmp_path / "a.xlsx").write_bytes(zip_of(parts))
    command = [sys.executable, "-m", "formatters", str(tmp_path / "a.xlsx"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # whose memory is limited
    assert done.returncode == 2, done.stderr
    assert "a.xlsx cannot be read (it is damaged, or its cells lie" in done.stderr


def test_superscripts_are_no_digits_to_count_with(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,label\n" + "".join(f"¹,²,³{'¹' * (i % 3)},{'xy'[i % 2]}\n" for i in range(40)))
    assert convert(path, tmp_path / "out", Options(), say=lambda line: None)["counts"]["samples"] == 40


@pytest.mark.parametrize("text", ["[" * 200_000, '[{"a": ' + "9" * 5000 + "}]", '{"a": "b'])
def test_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(DataError, match=r"t\.json is not valid JSON"):
        read_table(tmp_path / "t.json")


def test_half_a_character_in_json(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text(r'[{"\ud800": "\udfff", "b": 1}]')
    assert read_table(tmp_path / "t.json").rows == [["?", "1"]]


def test_colons_of_series(tmp_path: Path) -> None:
    path = tmp_path / "t.ts"
    path.write_text("@classLabel true a b\n@data\n(2020-01-01 12:00,1),(2020-01-01 13:00,2):3,4:a\n")
    assert read_ts(path).cases[0].T.tolist() == [[1, 2], [3, 4]]
    path.write_text("@classLabel true a b\n@data\n" + ":" * 50_000 + "a\n")
    assert read_ts(path).cases[0].shape == (1, 50_000)
    path.write_text("@classLabel true a b\n@data\n" + "1," * 50_000 + ":" * 50_000 + "a\n")
    with pytest.raises(DataError, match=r"line 3 of t\.ts"):
        read_ts(path)


def test_images_have_a_total_of_pixels(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (9900, 9900)).save(buffer, "PNG")
    for i in range(8):
        path = tmp_path / "in" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match=r"png unpack to .* pixels"):
        convert(tmp_path / "in", tmp_path / "out", Options(), say=lambda line: None)


def test_sounds_without_a_rate_are_told(tmp_path: Path) -> None:
    for i in range(4):
        path = tmp_path / "in" / "ab"[i % 2] / f"{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        form = struct.pack("<4sL2H2L2H", b"fmt ", 16, 1, 1, 0, 0, 2, 16)
        path.write_bytes(
            b"RIFF" + struct.pack("<L", 1036) + b"WAVE" + form + b"data" + struct.pack("<L", 1000) + bytes(1000)
        )
    with pytest.raises(DataError, match=r"0\.wav: .*"):
        convert(tmp_path / "in", tmp_path / "out", Options(), say=lambda line: None)


SPEC = Spec(name="x", sample_count=1, output_dim=2, col_count=3, format="DENSE")
ROW = {"0_dense_input": np.ones((1, 3), np.float32)}
GOOD = records.encode_example({"id": np.array([0]), "label_index": np.array([1])}, ROW)
BAD_RECORDS = {
    "a label out of range": records.encode_example({"label_index": np.array([2**40])}, ROW),
    "a context longer than the record": b"\n\x7f" + GOOD[2:40],
    "a context cut off": GOOD[:7],
    "one byte": b"\n",
    "a number for bytes": b"\n\x06\n\x04\x08\xff\xff\x7f",
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_records(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "x.data" / "train"
    folder.mkdir(parents=True)
    (folder / "metadata.textproto").write_text(SPEC.with_count(2).to_textproto())
    (folder / "sample-x.tfrecord").write_bytes(records.frame(BAD_RECORDS[name]) + records.frame(GOOD))
    with pytest.raises(DataError, match=r"record 0 of sample-x\.tfrecord"):
        _ = open_split(tmp_path / "x.data", "train").labels


@pytest.mark.parametrize(
    "old_and_new",
    [
        ("row_count: 1", "row_count: 1000000000"),
        ("output_dim: 2", "output_dim: 2000000000"),
        ("output_dim: 2", "output_dim: 900000"),
        ("output_dim: 2", "output_dim: ²"),
        ("col_count: 3", "col_count: -7"),
        ("format: DENSE", "format: ²"),
        ("format: DENSE", "format: 7"),
        ("sample_count: 1", "sample_count: " + "9" * 5000),
        ("is_sequence: false", "is_sequence: false\nlabel_to_index_map { key: 'a' value: 2 }"),
    ],
)
def test_metadata(tmp_path: Path, old_and_new: tuple[str, str]) -> None:
    folder = tmp_path / "x.data" / "train"
    folder.mkdir(parents=True)
    count = 20 if "900000" in old_and_new[1] else 1
    text = SPEC.with_count(count).to_textproto()
    assert old_and_new[0] in text
    (folder / "metadata.textproto").write_text(text.replace(*old_and_new))
    (folder / "sample-x.tfrecord").write_bytes(records.frame(GOOD) * count)
    with pytest.raises(DataError, match=r"metadata\.textproto"):
        open_split(tmp_path / "x.data", "train")
