"""Runs of an export.  All of it may be forged: each file is checked, and what the pages show is written anew.

The model stays in the zip: it brings code, and nothing here may run it.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from webapp import engine, store
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.datasets.storage import measure_run
from webapp.runs import journal
from webapp.runs.models import Run
from webapp.runs.start import MAX_SEED

JSON_MAX_BYTES, JOURNAL_MAX_BYTES, LINE_MAX_BYTES = 2**24, 2**26, 2**20
NUMBER_MAX_BYTES = 32
PREDICTION = re.compile(r"[^/]+\.predict_[0-9]+")
TAKEN = ("state", "model", "budget_s", "t0_s", "seed", "reason", "error")
SCORES = ("alc", "nauc", "accuracy", "first_prediction_s", "started", "ended")

Number = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Text = Annotated[str, Field(max_length=100_000)]
Name = Annotated[str, Field(max_length=100)]
Time = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))]


class Entry(BaseModel):
    """A run in ``account.json``."""

    id: str = Field(pattern="^[0-9a-z]{1,16}$")
    dataset_id: str = Field(max_length=16)
    number: Count
    state: Literal["queued", "running", "stopping", "finished", "cancelled", "failed"]
    model: Name
    budget_s: int = Field(ge=1, le=10**7)
    t0_s: int = Field(ge=1, le=10**7)
    seed: int = Field(ge=0, le=MAX_SEED)
    alc: Score | None
    nauc: Score | None
    accuracy: Score | None
    first_prediction_s: Seconds | None
    reason: Text
    error: Text
    created: Time
    started: Time | None
    ended: Time | None
    test_labels: str = Field(default="?", pattern="^([0-9a-f]{64}|\\?)$")


class Known(BaseModel):
    dataset: Text
    source: Text = ""
    distance: Number
    alc: Score | None = None


class Placed(BaseModel):
    row: Name
    place: Name


class LeftOut(BaseModel):
    row: Name
    reason: Text


NEEDED = {
    "score": {"k", "t", "nauc", "alc", "by"},
    "prediction": {"k"},
    "order": {"rows", "left_out", "known_sets", "all_known_sets"},
    "chosen": {"row"},
}
"""Fields of an event that the pages take for granted."""


class Event(BaseModel):
    """A line of ``events.jsonl``; fields that no page shows are left out."""

    event: Literal[engine.events.KINDS]  # type: ignore[valid-type]
    time: Annotated[float, Field(ge=0, le=2**33, allow_inf_nan=False)]
    t: Seconds = 0
    k: Count = 0
    by: Text = ""
    nauc: Score = 0
    accuracy: Score | None = None
    soft_accuracy: Number | None = None
    alc: Score = 0
    text: Text = ""
    reason: Text = ""
    fraction: Score | None = None
    row: Name = ""
    rows: list[Placed] = Field(default=[], max_length=1000)
    left_out: list[LeftOut] = Field(default=[], max_length=1000)
    known_sets: Count = 0
    all_known_sets: Count = 0
    resembles: list[Known] = Field(default=[], max_length=100)
    device: Text = ""
    what: Text = ""
    error: Text = ""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        needed = NEEDED.get(self.event, set())
        if (needed | ({"row"} if self.resembles else set())) - self.model_fields_set:
            raise ValueError("a field is missing")
        return self


class Accuracy(BaseModel):
    right: Count
    n: Count
    share: Score
    low: Score
    high: Score


class OfClass(BaseModel):
    label: Text
    n: Count
    nauc: Score | None
    precision: Score | None
    recall: Score | None
    recalls: list[Score | None] = Field([], max_length=1000)


class Mistake(BaseModel):
    index: Count
    true: list[Text]
    predicted: list[Text]
    confidence: Score


class Sample(BaseModel):
    index: Count
    true: list[Text]
    right: bool = False  # earlier versions do not tell it
    top: list[tuple[Text, Score]]


class Results(BaseModel):
    """``results.json``."""

    k: Count
    task: Literal["single_label", "multi_label"]
    n_test: int = Field(ge=1, lt=2**31)
    labels: list[Text] = Field(min_length=1)
    nauc: Score
    soft_accuracy: Number
    accuracy: Accuracy | None
    confusion: list[list[Count]] | None
    classes: list[OfClass]
    mistakes: list[Mistake] = Field(max_length=1000)
    samples: list[Sample] = Field(max_length=1000)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        sizes = {len(self.classes), *(len(row) for row in self.confusion or []), len(self.confusion or self.labels)}
        listed: list[Mistake | Sample] = [*self.mistakes, *self.samples]
        named = {name for one in listed for name in one.true}
        named |= {name for mistake in self.mistakes for name in mistake.predicted}
        named |= {name for sample in self.samples for name, _ in sample.top}
        if sizes != {len(self.labels)} or not named <= set(self.labels):
            raise ValueError("it does not fit its labels")
        if any(found.n and found.recall is None for found in self.classes):
            raise ValueError("a recall is missing")
        if any(one.index >= self.n_test for one in listed):
            raise ValueError("a sample is beyond the test set")
        return self


def size_bytes(members: list[zipfile.ZipInfo]) -> int:
    """What a run will take here, about."""
    sizes = {name: info.file_size for name, info in _named(members).items()}
    predictions = [size for name, size in sizes.items() if PREDICTION.fullmatch(name)]
    return sizes.get("events.jsonl", 0) + sizes.get("results.json", 0) + max(predictions, default=0)


def make(owner: User, dataset: Dataset, entry: Entry) -> Run:
    """A row that is not saved yet."""
    fields = {name: getattr(entry, name) for name in (*TAKEN, *SCORES)}
    return Run(owner=owner, dataset=dataset, charged=False, imported=entry.test_labels, **fields)


def unpack(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], run: Run) -> None:
    """Write its files anew.

    Raises:
        ValueError: one of them is not what it should be.
    """
    files, folder = _named(members), run.folder
    folder.mkdir(parents=True)
    if events := files.get("events.jsonl"):
        with open(folder / "events.jsonl", "x", encoding="utf-8") as out:
            for line in _lines(archive, events, JOURNAL_MAX_BYTES):
                out.write(Event.model_validate_json(line).model_dump_json(exclude_unset=True) + "\n")
    if found := files.get("results.json"):
        results = Results.model_validate_json(b"".join(_lines(archive, found, JSON_MAX_BYTES, JSON_MAX_BYTES)))
        (folder / "results.json").write_text(results.model_dump_json(exclude_unset=True), encoding="utf-8")
        name = f".predict_{results.k}"
        (prediction,) = [files[one] for one in files if PREDICTION.fullmatch(one) and one.endswith(name)]
        with open(folder / f"imported{name}", "x", encoding="ascii") as out:
            out.writelines(_rows(archive, prediction, results))
    store.push(folder)


def save(run: Run, entry: Entry) -> None:
    """Insert the row and its curve.  Inside a transaction."""
    run.dataset = Dataset.objects.select_for_update().get(pk=run.dataset.pk)
    run.number = Run.next_number(run.dataset)
    run.save(force_insert=True)
    journal.take(run)
    of_entry = {name: getattr(entry, name) for name in ("created", *SCORES)}
    Run.objects.filter(pk=run.pk).update(**of_entry)
    measure_run(run.pk)


def checked(text: bytes) -> bytes:
    """JSON without the character that databases do not store."""
    if b"\\u0000" in text:
        raise ValueError("it holds a NUL")
    return text


def _named(members: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """By their names in the folder of the run."""
    return {info.filename.split("/", 2)[-1]: info for info in members}


def _lines(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, most_bytes: int, line_bytes: int = LINE_MAX_BYTES
) -> Iterator[bytes]:
    """zipfile ends at the announced size, and checks the sum."""
    if member.file_size > most_bytes:
        raise ValueError("a file is too large")
    with archive.open(member) as file:
        while line := file.readline(line_bytes):
            yield checked(line)


def _rows(archive: zipfile.ZipFile, member: zipfile.ZipInfo, results: Results) -> Iterator[str]:
    width, count = len(results.labels), 0
    for line in _lines(archive, member, results.n_test * width * NUMBER_MAX_BYTES):
        numbers = [float(value) for value in line.split()]
        if len(numbers) != width or not all(map(math.isfinite, numbers)):
            raise ValueError("a prediction is not a row of numbers")
        count += 1
        yield " ".join(map(repr, numbers)) + "\n"
    if count != results.n_test:
        raise ValueError("predictions are missing")
