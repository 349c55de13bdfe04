"""Pictures as the engine stores them: a record of a data set, found without reading the others (docs/formats.md)."""

from __future__ import annotations

import os
from pathlib import Path

from automl_engine.dataset.records import FOOTER_BYTES, HEADER_BYTES, sole_image

LENGTH_BYTES = 8  # at the beginning of a header


def stored_picture(autodl_dir: Path, split: str, index: int) -> bytes | None:
    """The file of a picture; None where there is no such record, or it holds something else."""
    path = next(autodl_dir.glob(f"*.data/{split}/*.tfrecord"), None)
    if path is None:
        return None
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        for _ in range(index):
            size = int.from_bytes(file.read(LENGTH_BYTES), "little")
            file.seek(HEADER_BYTES - LENGTH_BYTES + size + FOOTER_BYTES, os.SEEK_CUR)
            if file.tell() >= end:
                return None
        size = int.from_bytes(file.read(HEADER_BYTES)[:LENGTH_BYTES], "little")
        return sole_image(file.read(size))
