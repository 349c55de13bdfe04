"""What a challenge needs of the engine: its data without test labels, and scores on parts of a test set."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from automl_engine.dataset import metrics, records
from automl_engine.dataset.spec import Spec
from automl_engine.run import curve, scoreboard, scoring
from webapp.engine_samples import record

nauc, alc, prediction_files, read_matrix = metrics.nauc, curve.alc, scoreboard.prediction_files, scoring.read_matrix
NO_LABELS: dict[str, records.Feature] = {"label_index": np.empty(0, np.int64), "label_score": np.empty(0, np.float32)}


def solution_path(autodl_dir: Path) -> Path:
    return next(autodl_dir.glob("*.solution"), autodl_dir / "data.solution")


def read_solution(path: Path) -> np.ndarray:
    """(N_test, K) of 0 and 1; raises DataError where there is none."""
    return scoreboard.read_solution(path)


def hidden_order(salt: str, count: int) -> np.ndarray:
    """(count,) which test sample stands at each place of a download.

    Its own order may tell labels: that of a given split may go class by class, and the shuffle of others has a known
    seed.
    """
    return np.argsort(_keys(salt, "order", map(str, range(count))), kind="stable")


def public_part(solution: np.ndarray, salt: str, percent: int) -> np.ndarray:
    """(N,) bool, a fixed share of each class (of each combination of labels)."""
    strata = np.unique(solution, axis=0, return_inverse=True)[1].ravel()
    ranked = np.lexsort((_keys(salt, "part", map(str, range(len(solution)))), strata))
    places = np.arange(len(solution))
    mask = np.empty(len(solution), bool)
    mask[ranked] = (places + 1) * percent // 100 > places * percent // 100
    return mask


def can_be_scored(solution: np.ndarray) -> bool:
    """Whether some class is neither in all of these rows nor in none."""
    counts = (solution > 0).sum(0)
    return bool(((counts > 0) & (counts < len(solution))).any())


def bundle(autodl_dir: Path, salt: str, count: int) -> list[tuple[Path | bytes | Iterator[bytes], str]]:
    """Members of a zip with the data set as a participant may have it: no solution, no report, no previews.

    Test samples are numbered anew in ``hidden_order``, and so are the tokens of a vocabulary, which stand in the order
    in which the uploaded texts first held them.
    """
    data = next(autodl_dir.glob("*.data"))
    specs = {split: Spec.read(data / split / "metadata.textproto") for split in ("train", "test")}
    renamed = _vocabulary(specs["train"].channel_to_index, salt)
    made: list[tuple[Path | bytes | Iterator[bytes], str]] = []
    for split, spec in specs.items():
        new = replace(spec, channel_to_index=_renamed(specs["train"].channel_to_index, renamed))
        made.append((new.to_textproto().encode(), f"{data.name}/{split}/metadata.textproto"))
    for path in [] if len(renamed) else sorted((data / "train").glob("*.tfrecord")):
        made.append((path, f"{data.name}/train/{path.name}"))
    if len(renamed):
        train = _train(autodl_dir, renamed)
        made.append((train, f"{data.name}/train/sample-{data.stem}-train.tfrecord"))
    test = _test(autodl_dir, hidden_order(salt, count), renamed)
    return [*made, (test, f"{data.name}/test/sample-{data.stem}-test.tfrecord")]


def _keys(salt: str, use: str, items: Iterator[str]) -> np.ndarray:
    """(n,) uint64 that nobody can guess without the salt, the same on every machine."""
    hashed = (sha256(f"{salt} {use} {item}".encode()).digest()[:8] for item in items)
    return np.frombuffer(b"".join(hashed), "<u8")


def _vocabulary(tokens: Mapping[str, int], salt: str) -> np.ndarray:
    """(largest index + 1,) the new index of each token; empty where there is no vocabulary."""
    if not tokens:
        return np.empty(0, np.int64)
    old = np.array(list(tokens.values()))
    renamed = np.arange(old.max() + 1)
    renamed[old[np.argsort(_keys(salt, "token", iter(tokens)))]] = np.sort(old)
    return renamed


def _renamed(tokens: Mapping[str, int], renamed: np.ndarray) -> dict[str, int]:
    found = {token: int(renamed[index]) for token, index in tokens.items()}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _train(autodl_dir: Path, renamed: np.ndarray) -> Iterator[bytes]:
    for index in itertools.count():
        data = record(autodl_dir, "train", index)
        if data is None:
            return
        yield _record(records.decode_context(data), data, renamed)


def _test(autodl_dir: Path, order: np.ndarray, renamed: np.ndarray) -> Iterator[bytes]:
    for place, index in enumerate(order.tolist()):
        data = record(autodl_dir, "test", index)
        if data is None:
            raise EOFError(f"test sample {index} is missing")
        yield _record({"id": np.array([place], np.int64), **NO_LABELS}, data, renamed)


def _record(context: Mapping[str, records.Feature], data: bytes, renamed: np.ndarray) -> bytes:
    lists = records.decode_lists(data)
    if len(renamed):
        lists = {name: _tokens(name, steps, renamed) for name, steps in lists.items()}
    return records.frame(records.encode_example(context, lists))


def _tokens(name: str, steps: records.FeatureList, renamed: np.ndarray) -> records.FeatureList:
    """The tokens of a text: a number a time step, or the channel of a sparse one."""
    if name == "0_sparse_channel_index":
        return [_new(np.asarray(step), renamed) for step in steps]
    if name == "0_dense_input" and len(steps):
        return _new(np.asarray(steps), renamed).astype(np.float32)
    return steps


def _new(tokens: np.ndarray, renamed: np.ndarray) -> np.ndarray:
    """Numbers that are no token stay."""
    old = tokens.astype(np.int64)
    known = (old >= 0) & (old < len(renamed))
    old[known] = renamed[old[known]]
    return old
