"""Random inputs: valid small uploads mutated, and random bytes and structures, always the same ones.

Every end is a data set or one clear sentence, in 5 s and 1 GB.  A usual run tries a few of them; ``make test-long``
tries more; ``AUTODL_TEST_RANDOM=hours make test-long`` tries many (about twenty minutes).
"""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from automl_engine.errors import DataError
from formatters.base import Options
from formatters.convert import convert
from tests.formatters.toys import TOYS, moving_bar, write_video

MAX_CPU_S, MAX_GROWTH_BYTES = 5, 2**30
EXAMPLES = {"ci": 20, "long": 90, "hours": 1000}  # of each reader
Files = dict[str, bytes]

for name, count in EXAMPLES.items():
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    settings.register_profile(
        name, max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=quiet
    )

# Random bytes and structures

SCRAPS = (
    *(b"", b"\0" * 8, b"\xff" * 4, b"9" * 40, b"-1", b"1e999", b"\r\n", b'"', b"'", b",;\t|"),
    *(b"\xed\xa0\x80", b"PK"),
)
ODD_CELLS = (
    *("", "1", "-2", "1.5", "1,5", "1e999", "NaN", "inf", "²", "٣", "１２", "a", "b", "cat", "a,b", "[1, 2]"),
    *("01/02/03", "2024-13-45", "12:61", '"', '""', "'", "\\", "a\nb", "\t", ";", "=1+1", "<3", "12 kg", "1 248,5"),
    *("x" * 300, "9" * 400, "True", "no", "None", "label", "train", "0x1", "1_000", "\x1f", "😀", "é", "e\u0301"),
    *("\u202e", "\ufeff"),
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1251", "shift_jis")
TABLE_NAMES = (
    "t.csv",
    "t.tsv",
    "t.data",
    "t.txt",
    "t.json",
    "t.jsonl",
    "t.arff",
    "t.xlsx",
    "t.parquet",
    "t.db",
    "t.ods",
)
SERIES_NAMES = ("t.ts", "t_TRAIN.ts", "t.csv", "t.txt", "X_train.txt", "a/1.csv")
FOLDERS = ("", "a/", "b/", "train/a/", "test/b/", "é/", "e\u0301/", "a.b/", " /", "train/", "1/")
NUMBERS = st.sampled_from(["0", "1", "-1.5", "2.25", "nan", "?", "1e999", "", "x", "1,5", "٣"])


@st.composite
def mutated(draw: st.DrawFn, seed: bytes) -> bytes:
    """Bytes of a valid file with some of them changed, lost, repeated or put in."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from((0, 1, 2, 4, 16, 1000))))
        how = draw(st.sampled_from(("put", "put", "lose", "repeat", "cut", "zero")))
        if how == "put":
            data[start:end] = draw(st.one_of(st.sampled_from(SCRAPS), st.binary(max_size=8)))
        elif how == "lose":
            del data[start:end]
        elif how == "repeat":
            data[start:start] = data[start:end] * draw(st.sampled_from((1, 50)))
        elif how == "zero":
            data[start:end] = bytes(end - start)
        elif start > len(data) / 2:
            del data[start:]
    return bytes(data)


@st.composite
def grids(draw: st.DrawFn) -> bytes:
    """Cells of all kinds between delimiters, perhaps ragged."""
    delimiter, line_end = draw(st.sampled_from(",;\t| ")), draw(st.sampled_from(("\n", "\r\n", "\r")))
    width = draw(st.integers(1, 6))
    cells = st.one_of(st.sampled_from(ODD_CELLS), st.sampled_from(("1", "2", "a", "b")), st.text(max_size=4))
    rows = draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=12))
    text = line_end.join(delimiter.join(row) for row in rows * draw(st.sampled_from((1, 1, 5, 40))))
    return text.encode(draw(st.sampled_from(ENCODINGS)), "replace")


@st.composite
def json_texts(draw: st.DrawFn) -> bytes:
    leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(ODD_CELLS))
    deeper = st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner)
    )
    rows = st.lists(st.dictionaries(st.sampled_from("abc"), deeper, min_size=1), min_size=1, max_size=5)
    return json.dumps(draw(st.one_of(deeper, rows.map(lambda some: some * 8)))).encode()


@st.composite
def ts_texts(draw: st.DrawFn) -> bytes:
    """Lines as those of .ts files."""
    tags = [
        "@problemName x",
        "@classLabel true a b",
        "@timeStamps true",
        "@univariate false",
        "@equalLength false",
        "#",
    ]
    head = draw(st.lists(st.sampled_from([*tags, "@data", "@classLabel false", "@"]), max_size=5))
    channel = st.lists(st.one_of(NUMBERS, st.just("(1,2)"), st.just("(a,1)")), max_size=9).map(",".join)
    line = st.tuples(st.lists(channel, min_size=1, max_size=3), st.sampled_from(("a", "b", "c", "", "?"))).map(
        lambda parts: ":".join([*parts[0], parts[1]])
    )
    lines = draw(st.lists(line, min_size=1, max_size=8)) * 3
    return "\n".join([*head, "@data", *lines]).encode()


# Valid uploads, and what is made of them


@cache
def toy(modality: str) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        source = TOYS[modality](Path(folder))
        paths = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
        root = source.parent if source.is_file() else source
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


@cache
def pictures() -> Files:
    """A small picture in each format."""
    pixels = (np.arange(24 * 24 * 3) % 251).astype(np.uint8).reshape(24, 24, 3)
    found = {}
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm", "avif"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        found[f"x.{kind}"] = buffer.getvalue()
    return found


@cache
def sounds() -> Files:
    import soundfile

    wave = np.sin(np.arange(4000) / 9) * 0.5
    found = {}
    for kind, subtype in (("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("aiff", "PCM_16"), ("mp3", None)):
        buffer = io.BytesIO()
        soundfile.write(buffer, wave, 8000, format=kind.upper(), subtype=subtype)
        found[f"x.{kind}"] = buffer.getvalue()
    return found


@cache
def clips() -> Files:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, codec in (("avi", "mpeg4"), ("mp4", "mpeg4"), ("mkv", "mpeg4"), ("webm", "libvpx")):
            write_video(Path(folder, f"x.{kind}"), moving_bar("left", 1, 5, 32), codec)
            found[f"x.{kind}"] = Path(folder, f"x.{kind}").read_bytes()
    return found


@cache
def tables() -> Files:
    """A small table in formats that are no plain text."""
    import pyarrow
    from pyarrow import feather, parquet

    table = pyarrow.table({"a": [1.5, 2.0, None, 4.0] * 8, "b": ["x", "y", None, "z"] * 8, "label": ["u", "v"] * 16})
    found = dict(toy("tabular"))
    with tempfile.TemporaryDirectory() as folder:
        parquet.write_table(table, f"{folder}/t.parquet")
        feather.write_feather(table, f"{folder}/t.feather")
        found |= {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    rows = "".join(f"{i % 7},{'xy'[i % 2]}\n" for i in range(20))
    found["t.arff"] = f"@relation t\n@attribute a numeric\n@attribute b {{x, y}}\n@data\n{rows}".encode()
    return found


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def archives() -> st.SearchStrategy[Files]:
    table = toy("tabular")
    inner = {"a.zip": zipped(table), "b/t.csv.gz": gzip.compress(next(iter(table.values())))}
    seeds = {
        "x.zip": zipped(table, zipfile.ZIP_STORED),
        "y.zip": zipped(inner, zipfile.ZIP_BZIP2),
        "z.zip": zipped({"a.zip": zipped(toy("image"))}, zipfile.ZIP_LZMA),
        "x.tar": tarred(inner),
        "x.tar.gz": gzip.compress(tarred(table)),
        "x.csv.gz": gzip.compress(next(iter(table.values()))),
    }
    one = st.sampled_from(sorted(seeds)).flatmap(lambda name: mutated(seeds[name]).map(lambda data: {name: data}))
    named = st.sampled_from(("x.zip", "x.tar", "x.gz", "x.bz2", "x.zst", "x.xz", "x.7z", "x"))
    return st.one_of(one, one, st.dictionaries(named, st.binary(max_size=300), min_size=1, max_size=3))


def plain_tables() -> st.SearchStrategy[Files]:
    content = st.one_of(grids(), grids(), json_texts(), st.binary(max_size=400))
    named = st.sampled_from(TABLE_NAMES)
    free = st.dictionaries(st.tuples(st.sampled_from(FOLDERS), named).map("".join), content, min_size=1, max_size=3)
    names = st.sampled_from(sorted(tables()))
    seeds = names.flatmap(lambda name: mutated(tables()[name]).map(lambda data: {name: data}))
    return st.one_of(free, seeds)


def series() -> st.SearchStrategy[Files]:
    seed = next(iter(toy("timeseries").values()))
    named = st.sampled_from(SERIES_NAMES)
    content = st.one_of(ts_texts(), grids(), st.binary(max_size=200))
    rows = st.lists(st.lists(NUMBERS, min_size=2, max_size=2).map(",".join), min_size=4, max_size=12).map("\n".join)
    recording = st.builds(lambda text: f"time,x\n{text}".encode(), rows)
    names = [f"{label}/{i}.csv" for label in "ab" for i in range(4)]
    return st.one_of(
        mutated(seed).map(lambda data: {"t.ts": data}),
        st.dictionaries(named, content, min_size=1, max_size=3),
        st.fixed_dictionaries(dict.fromkeys(names, recording)),
    )


def media(seeds: Files) -> Callable[[], st.SearchStrategy[Files]]:
    """Class folders with valid files and mutated ones, perhaps under odd names and with a random table beside."""

    @st.composite
    def uploads(draw: st.DrawFn) -> Files:
        names = sorted(seeds)
        valid = draw(st.sampled_from(names))
        suffix = valid.partition(".")[2]
        found = {f"{label}/{i}.{suffix}": seeds[valid] for label in "ab" for i in range(2)}
        for i in range(draw(st.integers(1, 4))):
            seed = draw(st.sampled_from(names))
            content = draw(st.one_of(mutated(seeds[seed]), mutated(seeds[seed]), st.binary(max_size=200)))
            found[f"{draw(st.sampled_from(FOLDERS))}m{i}.{draw(st.sampled_from(names)).partition('.')[2]}"] = content
        if draw(st.booleans()):
            found["labels.csv"] = draw(grids())
        return found if draw(st.booleans()) else {name: data for name, data in found.items() if name[0] != "b"}

    return uploads


READERS: dict[str, Callable[[], st.SearchStrategy[Files]]] = {
    "archive": archives,
    "table": plain_tables,
    "series": series,
    "image": lambda: media(pictures())(),
    "audio": lambda: media(sounds())(),
    "video": lambda: media(clips())(),
}


def ends_well(files: Files) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "in")
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        source = root / next(iter(files)) if len(files) == 1 else root
        start_s = time.process_time()
        said, report = "", {}
        try:
            report = convert(source, Path(folder, "out"), Options(), say=lambda line: None)
        except DataError as error:
            said = str(error)
        if said:  # the command line joins and shortens its lines
            assert said.rstrip().endswith("."), said
            assert os.listdir(folder) == ["in"]  # nothing half-written
        else:
            assert report["counts"]["samples"] > 1
            assert json.loads(Path(folder, "out", "report.json").read_text())["title"] == report["title"]
        assert time.process_time() - start_s < MAX_CPU_S


def check(reader: str, profile: str) -> None:
    before_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    settings.get_profile(profile)(given(READERS[reader]())(ends_well))()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before_bytes < MAX_GROWTH_BYTES


@pytest.mark.parametrize("reader", READERS)
def test_random_inputs(reader: str) -> None:
    check(reader, "ci")


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS)
def test_more_random_inputs(reader: str) -> None:
    check(reader, os.environ.get("AUTODL_TEST_RANDOM", "long"))
