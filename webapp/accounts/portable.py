"""All that is a user's as one zip of open formats, and its way to another site (docs/formats.md)."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils import timezone
from pydantic import BaseModel, Field

from webapp import store
from webapp.access import USE, may
from webapp.accounts import portable_runs
from webapp.accounts.models import User
from webapp.challenges import portable as challenges
from webapp.datasets import jobs, versions
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
    datasets = list(Dataset.objects.filter(owner=user))
    runs = list(Run.objects.filter(owner=user).select_related("dataset"))
    about = {
        "version": VERSION,
        "email": user.email,
        "made": timezone.now(),
        "datasets": [{name: getattr(dataset, name) for name in DATASET_FIELDS} for dataset in datasets],
        "runs": [_of_run(run) for run in runs],
        **challenges.about(user),
    }
    return _members(json.dumps(about, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1).encode(), datasets, runs)


def _of_run(run: Run) -> dict[str, Any]:
    labels = run.imported or run.dataset.test_labels() or "?"
    return {name: getattr(run, name) for name in RUN_FIELDS} | {"test_labels": labels}


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


class Entry(BaseModel):
    """A data set in ``account.json``."""

    id: str = Field(pattern="^[0-9a-z]{1,16}$")
    name: str = Field(max_length=100)
    description: str
    family: str
    version: int
    change: str = ""
    raw_name: str
    options: dict[str, Any]


@dataclass
class Taken:
    """What an import made."""

    datasets: dict[str, Dataset] = field(default_factory=dict)
    """By their ids in the export."""
    runs: list[tuple[Run, portable_runs.Entry]] = field(default_factory=list)
    moved: challenges.Moved = field(default_factory=challenges.Moved)
    left_out: int = 0
    """Runs whose data set is neither in the export nor here, or that had not ended."""

    def remove_files(self) -> None:
        for path in (*(dataset.dir for dataset in self.datasets.values()), *(run.folder for run, _ in self.runs)):
            remove(path)


def take(user: User, file: IO[bytes]) -> Taken:
    """Data sets of an export, to be converted here, and runs on them: all of them, or none.

    Of each data set the newest version is taken, and those that runs and challenges need.

    Raises:
        Refused: it is no export, it is damaged, or the user has no room.
    """
    taken = Taken()
    try:
        with zipfile.ZipFile(file) as archive:
            _take(user, archive, taken)
        with transaction.atomic():
            for dataset in taken.datasets.values():
                versions.save(dataset)
                jobs.enqueue(dataset)
            for run, entry in taken.runs:
                portable_runs.save(run, entry)
            challenges.save(user, taken.moved, taken.datasets)
    except BaseException as error:
        taken.remove_files()
        if isinstance(error, BROKEN):
            raise Refused(422, NOT_OURS) from error
        raise
    return taken


def _take(user: User, archive: zipfile.ZipFile, taken: Taken) -> None:
    """Write the files; rows come later."""
    about, members = _about(archive), _grouped(archive)
    runs = [portable_runs.Entry.model_validate(entry) for entry in about.get("runs", [])]
    ended = [run for run in runs if run.state not in Run.OPEN]
    taken.moved = challenges.Moved.model_validate(about)
    needed = {run.dataset_id for run in ended} | {one.dataset_id for one in taken.moved.challenges}
    entries = _wanted([Entry.model_validate(entry) for entry in about["datasets"]], needed)
    raws = {entry.id: _raw(members[f"datasets/{entry.id}"]) for entry in entries}
    others = Dataset.objects.filter(pk__in={run.dataset_id for run in ended} - raws.keys())
    here = {dataset.pk: dataset for dataset in others if may(user, dataset, USE)}
    wanted = [run for run in ended if run.dataset_id in raws or run.dataset_id in here]
    taken.left_out = len(runs) - len(wanted)
    sizes_bytes = {entry.id: sum(member.file_size for member in raws[entry.id]) for entry in entries}
    size_bytes = sum(portable_runs.size_bytes(members[f"runs/{run.id}"]) for run in wanted) + sum(sizes_bytes.values())
    if size_bytes and (refused := refusal(user, size_bytes)):
        raise refused
    last: dict[str, Dataset] = {}
    for entry in entries:
        family = entry.family or entry.id
        last[family] = taken.datasets[entry.id] = _dataset(user, entry, sizes_bytes[entry.id], last.get(family))
        _unpack(archive, raws[entry.id], last[family])
    for run in sorted(wanted, key=lambda run: run.number):
        made = portable_runs.make(user, taken.datasets.get(run.dataset_id) or here[run.dataset_id], run)
        taken.runs.append((made, run))
        try:
            portable_runs.unpack(archive, members[f"runs/{run.id}"], made)
        except BROKEN as error:
            what = f"Run {run.number} of “{made.dataset.name}” in this export is damaged"
            raise Refused(422, f"{what}, so nothing was imported: download the export once more.") from error


def _grouped(archive: zipfile.ZipFile) -> dict[str, list[zipfile.ZipInfo]]:
    """Files by the folder of their data set or run, ``runs/ID``."""
    found: dict[str, list[zipfile.ZipInfo]] = defaultdict(list)
    for info in archive.infolist():
        if not info.is_dir():
            found["/".join(info.filename.split("/", 2)[:2])].append(info)
    return found


def _about(archive: zipfile.ZipFile) -> dict[str, Any]:
    if archive.getinfo(ABOUT).file_size > ABOUT_MAX_BYTES:
        raise ValueError(ABOUT)
    about = json.loads(portable_runs.checked(archive.read(ABOUT)), parse_constant=_not_finite)
    if about["version"] != VERSION:
        raise Refused(422, "Another version of this program made this export: update the older site, and try again.")
    return about


def _not_finite(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _wanted(entries: list[Entry], needed: set[str]) -> list[Entry]:
    """Of each family the last version and those with runs or challenges, in their order."""
    if len({entry.id for entry in entries}) < len(entries):
        raise ValueError("two data sets have one id")
    entries = sorted(entries, key=lambda entry: entry.version)
    last = {entry.family or entry.id: entry.id for entry in entries}
    return [entry for entry in entries if entry.id in needed or last[entry.family or entry.id] == entry.id]


def _raw(members: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    return [info for info in members if info.filename.split("/")[2:3] == ["raw"]]


def _dataset(user: User, entry: Entry, size_bytes: int, before: Dataset | None) -> Dataset:
    return Dataset(
        owner=user,
        name=entry.name or "data",
        description=entry.description,
        raw_name=safe_name(entry.raw_name),
        options=entry.options,
        size_bytes=size_bytes,
        parent=before,
        family=before.first_id if before else "",
        change=entry.change[: versions.MAX_CHANGE_CHARS] if before else "",
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
