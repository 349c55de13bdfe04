"""Configurations from files: the result of a search, a submission to the AutoDL challenge, or pretrained weights.

The code of a submission is unpacked here and never run by the web process; a run of its row executes it with all
rights of the worker that trains, see SECURITY.md.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Max
from safetensors import SafetensorError, safe_open

from webapp import engine, store
from webapp.accounts.models import User
from webapp.engine import DataError
from webapp.filenames import safe_name
from webapp.portfolio import files, history, networks, rows
from webapp.portfolio.models import PortfolioRow

MAX_BYTES = 512 * 2**20
MAX_UNPACKED_BYTES, MAX_FILES = 2 * 2**30, 5000  # of a submission
MAX_HEADER_BYTES = 2**20  # of a safetensors file; that of a network with 1000 tensors has a tenth of it


def code(row: PortfolioRow, file: UploadedFile, by: User) -> PortfolioRow:
    """A configuration that runs the submission in this zip.

    Raises:
        DataError: it is none, or it is not safe to unpack.
    """
    with _workplace() as work:
        source = _received(file, work)
        root = engine.unpack(source, work / "code", most_bytes=MAX_UNPACKED_BYTES, most_files=MAX_FILES)
        code_folder = engine.submission.code_folder(root)
        row.model, row.params = "challenge", {"path": row.name}
        return _adopted(row, code_folder, row.name, by)


def weights(row: PortfolioRow, file: UploadedFile, by: User) -> PortfolioRow:
    """A configuration that starts from the weights in this safetensors file, which decide its modality and model.

    Raises:
        DataError: it is no such file, or of a network that the engine does not have.
    """
    with _workplace() as work:
        source = _received(file, work)
        if source.suffix != ".safetensors":
            raise DataError(f"{source.name} is not a safetensors file; save the weights as one.")
        place = f"{row.name}/{source.name}"
        row.modality, row.model, params = networks.learner_of(_shapes(source))
        row.params = params | {"weights": place}
        return _adopted(row, source, place, by)


@contextmanager
def _workplace() -> Iterator[Path]:
    """A temporary folder on the same file system as those of the configurations; it is always removed."""
    files.folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=files.folder()) as work:
        yield Path(work)


def _received(file: UploadedFile, work: Path) -> Path:
    path = work / safe_name(file.name or "")
    with open(path, "wb") as out:
        out.writelines(file.chunks())
    return path


def _adopted(row: PortfolioRow, thing: Path, place: str, by: User) -> PortfolioRow:
    """Save the configuration and move its file or folder below ``files.folder()``, both or neither."""
    row.enabled, row.position = False, _last(row.modality)
    with transaction.atomic():
        history.keep(row, by, "imported")
        shutil.rmtree(files.folder() / row.name, ignore_errors=True)  # of an import that was cut off
        target = files.folder() / place
        target.parent.mkdir(exist_ok=True)
        os.replace(thing, target)
        store.push(files.folder() / row.name)
    return row


def described(file: UploadedFile) -> dict[str, Any]:
    """The configuration in a YAML file of ``automl_engine search``, with the fields of the form.

    Raises:
        DataError: it describes no row, or several.
    """
    found = rows.parsed(file.read())
    row = found[0] if isinstance(found, list) and len(found) == 1 else found
    if not isinstance(row, dict) or not {"name", "modality", "model"} <= row.keys():
        raise DataError("The file must describe one configuration, with name, modality, model and params.")
    told = {key: str(row.get(key, "")) for key in ("name", "modality", "model", "origin")}
    return told | {"params": row.get("params") or {}, "position": _last(told["modality"])}


def _last(modality: str) -> int:
    """The position after all others."""
    last = PortfolioRow.objects.filter(modality=modality).aggregate(last=Max("position"))["last"]
    return 0 if last is None else last + 1


def _shapes(path: Path) -> networks.Shapes:
    """The tensors of a safetensors file.  Only the header is read; the library checks that it is sound.

    Raises:
        DataError: the file is damaged or hostile.
    """
    with open(path, "rb") as file:
        size_bytes = int.from_bytes(file.read(8), "little")  # of the header
    try:
        if size_bytes > MAX_HEADER_BYTES:
            raise SafetensorError(f"its header has {size_bytes} bytes")
        with safe_open(path, framework="numpy") as tensors:
            return {key: tuple(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DataError(f"This safetensors file is damaged ({error}); save the weights again.") from error
