#!/usr/bin/env python3
"""Make and check an AutoDL data set, with the standard library of Python 3.9 or later alone.

python autodl_bundle.py make flowers.csv OUT     a table of numbers; its last column is the class
python autodl_bundle.py make photos OUT          a folder of JPEG or PNG files for each class
python autodl_bundle.py check OUT                OUT holds NAME.data and NAME.solution
"""

from __future__ import annotations

import csv
import random
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path

Load = Callable[[], tuple[str, bytes]]
"""Gives the key of a feature list, and its content."""
Sample = tuple[Load, str]
Shape = tuple[int, int, int, str]
TEST_SHARE = 0.25
LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1}
IMAGES = (".jpg", ".jpeg", ".png")
_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    _TABLE.append(_byte)


class Problem(Exception):
    """What is wrong, where, and how to fix it."""


# Records: uint64 length, checksum of it, data, checksum of it; the data is a tensorflow.SequenceExample.


def checksum(data: bytes) -> bytes:
    """CRC-32C, masked as in TensorFlow."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + checksum(length) + data + checksum(data)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def entry(key: str, value: bytes) -> bytes:
    return message(1, message(1, key.encode()) + message(2, value))


def integers(*values: int) -> bytes:
    return message(3, message(1, b"".join(varint(value) for value in values)) if values else b"")


def floats(*values: float) -> bytes:
    return message(2, message(1, struct.pack(f"<{len(values)}f", *values)) if values else b"")


def example(number: int, label: int | None, key: str, feature: bytes) -> bytes:
    """One sample; ``label`` is None in the test split."""
    labels = [] if label is None else [label]
    context = entry("id", integers(number)) + entry("label_index", integers(*labels))
    context += entry("label_score", floats(*(1.0 for _ in labels)))
    return message(1, context) + message(2, entry(key, message(1, feature)))


# Make


def make(source: Path, out: Path) -> str:
    read = read_images if source.is_dir() else read_table
    samples, shape = read(source)
    classes = sorted({label for _, label in samples})
    if len(classes) < 2:
        raise Problem(f"{source.name} has {len(classes)} class; give at least two.")
    random.Random(0).shuffle(samples)
    cut = max(1, int(len(samples) * TEST_SHARE))
    name = re.sub("train", "trn", re.sub(r"\W+", "_", source.stem), flags=re.IGNORECASE)
    for side, part, first in (("test", samples[:cut], 0), ("train", samples[cut:], cut)):
        folder = out / f"{name}.data" / side
        folder.mkdir(parents=True)
        (folder / "metadata.textproto").write_text(metadata(len(part), classes, shape), "utf-8")
        with open(folder / f"sample-{name}-{side}.tfrecord", "wb") as file:
            for number, (load, label) in enumerate(part, first):
                key, feature = load()
                file.write(record(example(number, None if side == "test" else classes.index(label), key, feature)))
    rows = [" ".join(str(int(own == label)) for own in classes) for _, label in samples[:cut]]
    (out / f"{name}.solution").write_text("\n".join(rows) + "\n")
    return f"{len(samples)} samples in {len(classes)} classes: {out / name}.data and .solution"


def read_table(source: Path) -> tuple[list[Sample], Shape]:
    """(samples, shape): a number a feature, in dense records."""
    with open(source, newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))

    def loader(row: list[str]) -> Load:
        try:
            values = [float(cell) if cell else float("nan") for cell in row[:-1]]
        except ValueError as error:
            raise Problem(f"{source.name}: {error}; replace words by numbers, or upload the table itself.") from error
        return lambda: ("0_dense_input", floats(*values))

    return [(loader(row), row[-1]) for row in rows], (1, len(header) - 1, 1, "DENSE")


def read_images(source: Path) -> tuple[list[Sample], Shape]:
    """(samples, shape): the files as they are, in compressed records."""
    files = sorted(path for path in source.glob("*/*") if path.suffix.lower() in IMAGES)

    def loader(path: Path) -> Load:
        return lambda: ("0_compressed", message(1, message(1, path.read_bytes())))

    return [(loader(path), path.parent.name) for path in files], (-1, -1, 3, "COMPRESSED")


def metadata(count: int, classes: list[str], shape: Shape) -> str:
    rows, columns, channels, kind = shape
    lines = ["is_sequence: false", f"sample_count: {count}", "sequence_size: 1", f"output_dim: {len(classes)}"]
    lines += ["matrix_spec {", f"  row_count: {rows}", f"  col_count: {columns}", f"  num_channels: {channels}"]
    lines += [f"  format: {kind}", "}"]
    for index, name in enumerate(classes):
        key = name.replace("\\", "\\\\").replace("'", "\\'")
        lines += ["label_to_index_map {", f"  key: '{key}'", f"  value: {index}", "}"]
    return "\n".join(lines) + "\n"


# Check


def check(folder: Path) -> str:
    data, solution = only(folder, "data"), only(folder, "solution")
    counts = {}
    for side in ("train", "test"):
        text = (data / side / "metadata.textproto").read_text("utf-8")
        said, counts[side] = number_of(text, "sample_count"), 0
        shards = sorted((data / side).glob("sample*"))
        if side == "test" and len(shards) != 1:
            raise Problem(f"{data.name}/test has {len(shards)} files sample*; it must have one, whose order counts.")
        counts[side] = sum(count_records(path) for path in shards)
        if said != counts[side]:
            raise Problem(f"{data.name}/{side}: metadata.textproto says {said} samples but there are {counts[side]}.")
        classes = number_of(text, "output_dim")
    rows = [line.split() for line in solution.read_text().splitlines() if line.strip()]
    if len(rows) != counts["test"] or {len(row) for row in rows} != {classes}:
        raise Problem(f"{solution.name} must have {counts['test']} lines of {classes} numbers, 0 or 1.")
    check_labels(rows, solution.name)
    found = f"{counts['train']} training and {counts['test']} test samples in {classes} classes"
    return f"{data.stem}: {found}; no faults."


def check_labels(rows: list[list[str]], name: str) -> None:
    """Each is 0 or 1, and some class tells samples apart: the score leaves out those that all have, or none."""
    for number, row in enumerate(rows, 1):
        for value in row:
            if value not in LABELS:
                raise Problem(f"line {number} of {name} has {value}; write 0 or 1.")
    if all(len({LABELS[value] for value in column}) == 1 for column in zip(*rows)):  # noqa: B905 (strict: Python 3.10)
        raise Problem(f"No class of {name} has test samples with it and without it; there is nothing to score.")


def only(folder: Path, suffix: str) -> Path:
    found = sorted(folder.glob(f"*.{suffix}"))
    if len(found) != 1:
        raise Problem(f"{folder} must hold one NAME.{suffix} but has {len(found)}.")
    return found[0]


def number_of(text: str, key: str) -> int:
    found = re.search(rf"^\s*{key}:\s*(\d+)", text, re.MULTILINE)
    if not found:
        raise Problem(f"metadata.textproto has no line {key}; add it.")
    return int(found[1])


def count_records(path: Path) -> int:
    count = 0
    with open(path, "rb") as file:
        while head := file.read(12):
            data = file.read(struct.unpack("<Q", head[:8])[0]) if checksum(head[:8]) == head[8:] else b""
            if not data or checksum(data) != file.read(4):
                raise Problem(f"record {count} of {path.name} is damaged; write the file again.")
            count += 1
    return count


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3) or arguments[0] != ("make" if len(arguments) == 3 else "check"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print((make if arguments[0] == "make" else check)(*map(Path, arguments[1:])))
    except (Problem, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
