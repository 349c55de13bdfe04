"""The child process of a run: the challenge's clock, files and loop around one model.

    python -m automl_engine.run.ingestion NAME.data RUN

What to do stands in ``RUN/run.json`` (by supervisor.py); what happened goes to ``start.txt``, ``NAME.predict_k``,
``end.txt``, ``model/`` and the journal.  As in the challenge, opening the data and constructing the model is not on
the clock; training, testing and everything that reads examples is.  No label of the test set is ever here.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.reader import open_split
from automl_engine.errors import DataError
from automl_engine.files import atomic_write, replace_folder
from automl_engine.models import model_class
from automl_engine.models.base import AnytimeModel
from automl_engine.run import events

TEXT_CHUNK = 100_000
"""Number of values that are written at once: their digits stay in the cache of the processor."""
WRITE_S = 3e-7
"""Seconds that writing one value takes until it is measured; rather too long than too short."""
EXIT_OK, EXIT_FAILED, EXIT_DATA = 0, 1, 2


class Ingestion:
    """One run: files in ``run_dir``, and a clock that starts when the model stands."""

    def __init__(self, run_dir: Path, order: dict[str, Any], now: Callable[[], float] = time.time) -> None:
        self.run_dir, self.order, self.now = run_dir, order, now
        self.budget_s = float(order["budget_s"])
        self.start: float | None = None
        self._told: set[str] = set()
        self._write_s = 0.0

    def run(self, data_dir: Path) -> int:
        """Construct, start the clock, loop; returns an exit code.  A failure is told in the journal."""
        code = EXIT_OK
        try:
            train, test = open_split(data_dir, "train"), open_split(data_dir, "test")
            model = self._construct(train)
            self._start_clock(model, train)
            self._loop(model, train, test)
        except DataError as error:
            code = self._failed("data", error, EXIT_DATA)
        except Exception as error:  # whatever a model raises: told once, here; earlier predictions count
            code = self._failed("model", error, EXIT_FAILED)
        finally:  # also on SIGTERM
            self._write_end(code)
        return code

    def _construct(self, train: Examples) -> AnytimeModel:
        order = self.order
        params = {**order["params"], "seed": order["seed"], "device": order["device"]}
        gc.disable()  # a tenth of the time of imports goes into looking for garbage that they do not make
        try:
            model = model_class(order["model"])(train.spec, **params)
        finally:
            gc.enable()
        model.emit = self.emit
        return model

    def _loop(self, model: AnytimeModel, train: Examples, test: Examples) -> None:
        """The challenge's loop: ``done_training`` is looked at before train only."""
        k, self._write_s = 0, WRITE_S * len(test) * test.spec.output_dim
        while not model.done_training:
            model.train(train, self.remaining_s() - self._write_s)
            prediction = model.test(test, self.remaining_s() - self._write_s)
            if prediction is None:
                break
            prediction = self._checked(np.asarray(prediction, np.float64), (len(test), test.spec.output_dim))
            now = self.now()
            if self.remaining_s(now) < 0:
                self.note(f"prediction {k} came after the end of the budget and does not count")
                break
            self._write_prediction(k, now, prediction, test.spec.name)
            self.emit(
                "prediction",
                k=k,
                t=self.elapsed_s(now),
                by=model.made_by,
                reason=model.why,
            )
            with clock.work("save", lambda: _saved(self.run_dir / "model")):
                self._save(model, k)
            k += 1
            if self.remaining_s() <= 0:
                break

    # The clock and the journal

    def elapsed_s(self, now: float | None = None) -> float:
        return 0.0 if self.start is None else (self.now() if now is None else now) - self.start

    def remaining_s(self, now: float | None = None) -> float:
        return self.budget_s - self.elapsed_s(now)

    def emit(self, kind: str, **fields: Any) -> None:
        """One event of the journal, with the time on the clock."""
        events.append(self.run_dir / "events.jsonl", kind, **{"t": round(self.elapsed_s(), 3), **fields})

    def note(self, text: str) -> None:
        """A fact worth telling, once."""
        if text not in self._told:
            self._told.add(text)
            self.emit("note", text=text)

    def _failed(self, what: str, error: Exception, code: int) -> int:
        text = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
        self.emit("failed", what=what, error=text, traceback=traceback.format_exc(), fatal=True)
        return code

    # The challenge's files

    def _start_clock(self, model: AnytimeModel, train: Examples) -> None:
        order = self.order
        self.start = self.now()
        fields = {
            "ingestion_pid": os.getpid(),
            "task_name": train.spec.name,
            "time_budget": self.budget_s,
            "start_time": self.start,
        }
        text = "".join(
            f"{key}: {value!r}\n" if key != "task_name" else f"{key}: {value}\n" for key, value in fields.items()
        )
        _write(self.run_dir / "start.txt", text)
        self.emit(
            "started",
            dataset=train.spec.name,
            modality=train.spec.domain,
            budget_s=self.budget_s,
            t0_s=order["t0_s"],
            seed=order["seed"],
            device=str(model.device),
            model=order["name"],
        )
        if clock.is_virtual():
            self.note(f"The clock is virtual: times are those of {clock.reference()}, whatever they are here.")

    def _write_prediction(self, k: int, now: float, prediction: np.ndarray, name: str) -> None:
        """The timestamp first, as in the challenge; so whoever sees the file finds its time."""
        with open(self.run_dir / "start.txt", "a") as file:
            file.write(f"{k}: {now!r}\n")
        start = clock.now_s()
        with clock.work("write", numbers=prediction.size):
            _write(self.run_dir / f"{name}.predict_{k}", text_of(prediction))
        self._write_s = max(self._write_s, clock.now_s() - start)

    def _write_end(self, code: int) -> None:
        fields = {
            "ingestion_duration": self.elapsed_s(),
            "ingestion_success": int(code == EXIT_OK),
            "end_time": self.now(),
        }
        _write(self.run_dir / "end.txt", "".join(f"{key}: {value!r}\n" for key, value in fields.items()))

    def _checked(self, prediction: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """The prediction without NaN, which can't be ranked: the column's mean stands in.

        Raises:
            ValueError: wrong shape.
        """
        if prediction.shape != shape:
            raise ValueError(f"test() must return an array of shape {shape} but got {prediction.shape}")
        holes = np.isnan(prediction)
        if not holes.any():
            return prediction
        self.note("the model predicted NaN for some values; the mean of their class stands in")
        known = np.maximum((~holes).sum(0), 1)
        return np.where(holes, np.where(holes, 0, prediction).sum(0) / known, prediction)

    def _save(self, model: AnytimeModel, k: int) -> None:
        """Swap the model behind prediction k into ``model/``; ``restore_model`` heals a kill between the renames."""
        new, place = self.run_dir / "model.new", self.run_dir / "model"
        description = {"model": self.order["model"], "k": k, "spec": asdict(model.spec)}
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        try:
            model.save(new)
            (new / "model.json").write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")
        except TypeError as error:  # the base class: this model has no save
            self.note(str(error))
            shutil.rmtree(new)
        except Exception as error:  # told; the predictions are worth having without it
            text = f"{type(error).__name__}: {error}"
            self.emit("failed", what="save", error=text, traceback=traceback.format_exc(), fatal=False)
            shutil.rmtree(new, ignore_errors=True)
        else:
            replace_folder(new, place)


def _saved(place: Path) -> dict[str, float]:
    """For the clock: how much was written."""
    sizes = [file.stat().st_size for file in place.rglob("*") if file.is_file()]
    return {"files": len(sizes), "bytes": sum(sizes)}


def text_of(matrix: np.ndarray) -> bytes:
    """The numbers with six digits (``1.23456e-01``), separated by spaces and newlines.

    Numbers in [0, 10), as probabilities are, are made digit by digit for all of them at once: ten million take one
    second, and a ``%g`` for each takes eight.
    """
    if not matrix.size or matrix.min() < 0 or matrix.max() >= 10:
        row_format = " ".join(["%g"] * matrix.shape[1]) + "\n"
        return "".join([row_format % tuple(row) for row in matrix.tolist()]).encode()
    rows = max(1, TEXT_CHUNK // matrix.shape[1])
    return b"".join(_digits(matrix[at : at + rows]) for at in range(0, len(matrix), rows))


def _digits(matrix: np.ndarray) -> bytes:
    """``d.ddddde-dd`` for each number in [0, 10); below 1e-99 it is zero."""
    values = np.where(matrix < 1e-99, 0.0, matrix)
    down = np.where(values > 0, -np.floor(np.log10(np.where(values > 0, values, 1.0))), 0.0)  # 10^-down <= value
    mantissa = np.rint(values * 10.0 ** (down + 5)).astype(np.int64)
    too_long = mantissa > 999_999  # 9.999999 is 1.00000 of the next power, or 9.99999 where that is not below 10
    mantissa = np.where(too_long, np.where(down > 0, 100_000, 999_999), mantissa)
    down = (down - (too_long & (down > 0))).astype(np.int64)
    text = np.empty((*matrix.shape, 12), np.uint8)
    text[...] = np.frombuffer(b"0.00000e-00 ", np.uint8)
    for place in (6, 5, 4, 3, 2, 0):
        mantissa, digit = np.divmod(mantissa, 10)
        text[..., place] += digit.astype(np.uint8)
    text[..., 9] += (down // 10).astype(np.uint8)
    text[..., 10] += (down % 10).astype(np.uint8)
    text[:, -1, -1] = ord("\n")
    return text.tobytes()


def _write(path: Path, content: str | bytes) -> None:
    with atomic_write(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def main(arguments: list[str]) -> int:
    data_dir, run_dir = map(Path, arguments)
    faulthandler.enable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    order = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    if order.get("clock", "wall") == "wall":
        return Ingestion(run_dir, order).run(data_dir)
    begun = float(int(time.time()))  # whole: what is added to it is rounded alike in every run
    with clock.using(clock.Virtual(clock.Costs.read(Path(order["costs"])))):
        _repeat_exactly(order["seed"])
        return Ingestion(run_dir, order, lambda: begun + clock.now_s()).run(data_dir)


def _repeat_exactly(seed: int) -> None:
    """Random numbers, and sums in the same order, whatever else runs on this machine."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(clock.threads(torch.get_num_threads()))
    torch.use_deterministic_algorithms(True, warn_only=True)
    np.random.seed(seed)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads that a model leaves behind would keep us until the budget is used up
