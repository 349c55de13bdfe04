"""New raw data for a packed model: checked, saved, and sent to a worker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from webapp import store
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.datasets.storage import remove
from webapp.filenames import safe_name
from webapp.runs import queue
from webapp.runs.models import Prediction, Run

MAX_BYTES = 200 * 2**20
MAX_FILES = 100
VISITOR_MAX_BYTES = 20 * 2**20  # of somebody with the shared link
MOST_RECORDED_S = 10
MAX_WAITING = 5  # of one user, or of all visitors of one model
KEPT = 50  # predictions of one user, or of all visitors, on one model; older ones are deleted


class TryError(Exception):
    """The data cannot be taken; ``str`` is one sentence for the user."""


def inputs(dataset: Dataset) -> list[dict[str, Any]]:
    """The columns of a table's row form: name, type, what to choose from, an example, and the range of numbers."""
    if dataset.modality != "tabular":
        return []
    columns = [column for column in dataset.report.get("columns", []) if column["role"] == "feature"]
    return [_input(column) for column in columns]


def _input(column: dict[str, Any]) -> dict[str, Any]:
    frequent = [str(value) for value, _ in column.get("top", [])]
    choices = frequent if column["type"] in ("category", "boolean") else []
    example = (frequent or [""])[0]
    return {"name": column["name"], "type": column["type"], "choices": choices, "example": example, **_range(column)}


def _range(column: dict[str, Any]) -> dict[str, float]:
    """``low`` and ``high`` in the training data, of a column of numbers."""
    values = column.get("histogram", {}).get("edges", [])
    if not values and column["type"] == "number":
        try:
            values = [float(value) for value, _ in column.get("top", [])]
        except ValueError:  # written with commas or units
            return {}
    return {"low": min(values), "high": max(values)} if values else {}


def recording_s(dataset: Dataset) -> int:
    """How long a sound or a clip is recorded to try the model: as long as most of the data, within reason."""
    lengths = [stat["median"] for stat in dataset.report.get("stats", []) if stat["unit"] == "s"]
    return round(min(MOST_RECORDED_S, max([1.0, *lengths])))


def take_files(run: Run, user: User | None, files: Sequence[UploadedFile], explain: bool) -> Prediction:
    """Save uploaded files and enqueue their prediction.

    Args:
        user: None is a visitor with the shared link, here and below.
        explain: also tell why, if there is only one input.

    Raises:
        TryError: none, too many or too large.
    """
    if not files:
        raise TryError("No file was sent: choose at least one.")
    if len(files) > MAX_FILES:
        raise TryError(f"At most {MAX_FILES} files at once: put more of them into one zip.")
    if user is None and sum(file.size or 0 for file in files) > VISITOR_MAX_BYTES:
        raise TryError(f"At most {VISITOR_MAX_BYTES // 2**20} MB at once: send fewer or smaller files.")
    if sum(file.size or 0 for file in files) > MAX_BYTES:
        raise TryError(
            f"At most {MAX_BYTES // 2**20} MB at once: send fewer files, or download the model, which has no limit."
        )
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    prediction = _new(run, user, f"{_name(files[0])}{more}")
    for number, file in enumerate(files):
        path = prediction.folder / "input" / _name(file)
        if path.exists():
            path = path.with_name(f"{number}-{path.name}")
        with open(path, "wb") as target:
            for block in file.chunks():
                target.write(block)
    return _send(prediction, explain)


def take_row(run: Run, user: User | None, values: Sequence[str], explain: bool) -> Prediction:
    """One row, in the order of ``inputs``; empty values are missing.  JSON leaves no delimiter to be guessed."""
    if not any(value.strip() for value in values):
        raise TryError("The row is empty: fill in at least one value.")
    names = [column["name"] for column in inputs(run.dataset)]
    prediction = _new(run, user, "one row")
    row = dict(zip(names, values, strict=False))
    (prediction.folder / "input" / "row.json").write_text(json.dumps([row]), encoding="utf-8")
    return _send(prediction, explain)


def take_text(run: Run, user: User | None, text: str, explain: bool) -> Prediction:
    if not text.strip():
        raise TryError("The text is empty: write or paste something.")
    prediction = _new(run, user, f"“{text.strip()[:60]}”")
    line = " ".join(text.split())  # a model of lines would take each line for a text
    (prediction.folder / "input" / "text.txt").write_text(line, encoding="utf-8")
    return _send(prediction, explain)


def _new(run: Run, user: User | None, name: str) -> Prediction:
    _check_waiting(run, user)
    for old in Prediction.objects.filter(run=run, owner=user).order_by("-created")[KEPT - 1 :]:
        old.delete()
    prediction = Prediction(run=run, owner=user, input_name=name[:255])
    (prediction.folder / "input").mkdir(parents=True)
    return prediction


def _send(prediction: Prediction, explain: bool) -> Prediction:
    """The row is written once its files are complete."""
    try:
        store.push(prediction.folder)
        with transaction.atomic():
            sender = prediction.owner_id or prediction.run.owner_id
            User.objects.select_for_update().get(pk=sender)  # many sent at once are counted, too
            _check_waiting(prediction.run, prediction.owner)
            prediction.save(force_insert=True)
            queue.enqueue_predict(prediction, explain)
    except BaseException:
        remove(prediction.folder)
        raise
    return prediction


def _check_waiting(run: Run, user: User | None) -> None:
    waiting = Prediction.objects.filter(state=Prediction.State.QUEUED, owner=user)
    if user and waiting.count() >= MAX_WAITING:
        raise TryError(f"{MAX_WAITING} of your predictions are waiting: let them finish first.")
    if user is None and waiting.filter(run=run).count() >= MAX_WAITING:
        raise TryError("Many visitors try this model just now: try again in a minute.")


def _name(file: UploadedFile) -> str:
    return safe_name(file.name or "data")
