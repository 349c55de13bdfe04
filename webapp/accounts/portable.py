"""All that is a user's as one zip of open formats, and the way of its data sets to another site (docs/formats.md)."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils import timezone

from webapp import store
from webapp.accounts.models import User
from webapp.datasets import jobs
from webapp.datasets.models import Dataset
from webapp.datasets.report import download_members
from webapp.datasets.storage import Refused, refusal, remove
from webapp.filenames import safe_name
from webapp.runs.models import Run

ABOUT, VERSION = "account.json", 1
ABOUT_MAX_BYTES = 2**24
DATASET_FIELDS = (
    *("id", "name", "description", "family", "version", "change", "state", "options", "raw_name", "source_url"),
    *("modality", "title", "sample_count", "class_count", "created"),
)
RUN_FIELDS = (
    *("id", "dataset_id", "number", "state", "model", "budget_s", "t0_s", "seed", "alc", "nauc", "accuracy"),
    *("first_prediction_s", "reason", "error", "created", "started", "ended"),
)
RUN_FILES = ("*.json", "*.jsonl", "*.predict_*", "model.zip")
BROKEN = (zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError, EOFError, FileExistsError, RuntimeError)
"""What zipfile and a strange ``account.json`` raise; NotImplementedError is a RuntimeError."""
NOT_OURS = "This is not an export of this program: choose the zip from “Download everything” on the account page."


def members(user: User) -> Iterator[tuple[Path | bytes, str]]:
    """What ``stream_zip`` sends; the rows are read now, and files are fetched one after the other."""
    datasets, runs = list(Dataset.objects.filter(owner=user)), list(Run.objects.filter(owner=user))
    about = {
        "version": VERSION,
        "email": user.email,
        "made": timezone.now(),
        "datasets": [{name: getattr(dataset, name) for name in DATASET_FIELDS} for dataset in datasets],
        "runs": [{name: getattr(run, name) for name in RUN_FIELDS} for run in runs],
    }
    return _members(json.dumps(about, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1).encode(), datasets, runs)


def _members(about: bytes, datasets: list[Dataset], runs: list[Run]) -> Iterator[tuple[Path | bytes, str]]:
    yield about, ABOUT
    for dataset in datasets:
        raw = dataset.raw_path.parent
        for path in sorted(path for path in raw.rglob("*") if path.is_file()):
            yield path, f"datasets/{dataset.pk}/raw/{path.relative_to(raw).as_posix()}"
        for path, name in download_members(dataset):
            yield path, f"datasets/{dataset.pk}/autodl/{name}"
    for run in runs:
        folder = run.files(*RUN_FILES)
        for path in sorted(path for pattern in RUN_FILES for path in folder.glob(pattern)):
            yield path, f"runs/{run.pk}/{path.name}"


def take(user: User, file: IO[bytes]) -> int:
    """The newest version of each data set in an export, to be converted here: all of them, or none; returns how many.

    Raises:
        Refused: it is no export, it is damaged, or the user has no room.
    """
    made: list[Dataset] = []
    try:
        with zipfile.ZipFile(file) as archive:
            found = [(entry, _raw_members(archive, entry["id"])) for entry in _newest(_about(archive))]
            size_bytes = sum(member.file_size for _, raw in found for member in raw)
            if found and (refused := refusal(user, size_bytes)):
                raise refused
            for entry, raw in found:
                made.append(_dataset(user, entry, sum(member.file_size for member in raw)))
                _unpack(archive, raw, made[-1])
        with transaction.atomic():
            for dataset in made:
                dataset.save(force_insert=True)
                jobs.enqueue(dataset)
    except BaseException as error:
        for dataset in made:
            remove(dataset.dir)
        if isinstance(error, BROKEN):
            raise Refused(422, NOT_OURS) from error
        raise
    return len(made)


def _about(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(ABOUT).file_size > ABOUT_MAX_BYTES:
        raise ValueError(ABOUT)
    about = json.loads(archive.read(ABOUT))
    if about["version"] != VERSION:
        raise Refused(422, "Another version of this program made this export: update the older site, and try again.")
    return about


def _newest(about: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each family the last version."""
    last: dict[str, dict[str, Any]] = {}
    for entry in about["datasets"]:
        family = str(entry["family"] or entry["id"])
        if int(entry["version"]) > int(last.get(family, {"version": 0})["version"]):
            last[family] = entry
    return list(last.values())


def _raw_members(archive: zipfile.ZipFile, id: str) -> list[zipfile.ZipInfo]:
    place = f"datasets/{id}/raw/"
    return [info for info in archive.infolist() if info.filename.startswith(place) and not info.is_dir()]


def _dataset(user: User, entry: dict[str, Any], size_bytes: int) -> Dataset:
    return Dataset(
        owner=user,
        name=str(entry["name"])[:100] or "data",
        description=str(entry["description"]),
        raw_name=safe_name(str(entry["raw_name"])),
        options=dict(entry["options"]),
        size_bytes=size_bytes,
    )


def _unpack(archive: zipfile.ZipFile, raw: list[zipfile.ZipInfo], dataset: Dataset) -> None:
    """The upload, and files that were added to it.  zipfile ends a file at its announced size, and checks its sum."""
    folder = dataset.dir / "raw"
    for info in raw:
        *more, name = PurePosixPath(info.filename).parts[3:]
        if more and not (len(more) == 1 and re.fullmatch(r"more-[0-9]{3}", more[0])):
            raise ValueError(info.filename)
        path = folder.joinpath(*more, safe_name(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, open(path, "xb") as target:
            shutil.copyfileobj(source, target)
    if not (folder / dataset.raw_name).is_file():
        raise ValueError(dataset.raw_name)
    store.push(folder)
