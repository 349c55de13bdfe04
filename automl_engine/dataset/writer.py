"""Data sets to disk: one shard a split, streamed, each file written beside its place and then renamed.

The layout is ``docs/formats.md``; test labels are left empty, they stand in ``NAME.solution`` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from automl_engine.dataset import records
from automl_engine.dataset.examples import Steps
from automl_engine.dataset.spec import Spec
from automl_engine.files import atomic_write


def write_split(
    split_dir: Path,
    spec: Spec,
    examples: Iterable[tuple[Steps, Sequence[int]]],
    first_id: int,
    hide_labels: bool,
) -> int:
    """Write ``NAME.data/{train,test}`` and return the number of examples.

    Args:
        split_dir: its last part names the split; made if need be.
        examples: content and indices of the positive classes, taken one at a time.
        first_id: 0 for test, the number of test examples for train, as in the challenge.
        hide_labels: leave the labels out, as the test split must.

    Raises:
        ValueError: the content or a label doesn't fit the spec.
    """
    split_dir.mkdir(parents=True, exist_ok=True)
    count = 0
    with atomic_write(split_dir / f"sample-{spec.name}-{split_dir.name}.tfrecord") as part, open(part, "wb") as file:
        for steps, positives in examples:
            if not all(0 <= index < spec.output_dim for index in positives):
                raise ValueError(f"labels must be in [0, {spec.output_dim}) but got {list(positives)}")
            context = _context(first_id + count, [] if hide_labels else positives)
            file.write(records.frame(records.encode_example(context, _lists(steps, spec))))
            count += 1
    with atomic_write(split_dir / "metadata.textproto") as part:
        part.write_text(spec.with_count(count).to_textproto(), encoding="utf-8")
    return count


def write_solution(path: Path, label_matrix: np.ndarray) -> None:
    """``label_matrix``: (N_test, K) of 0 and 1, row i belongs to test record i."""
    with atomic_write(path) as part:
        np.savetxt(part, label_matrix, fmt="%d")


def _context(id_: int, positives: Sequence[int]) -> bytes:
    return records.encode_context({"id": np.array([id_], np.int64)}) + _labels(tuple(positives))


@lru_cache
def _labels(positives: tuple[int, ...]) -> bytes:
    return records.encode_context(
        {"label_index": np.array(positives, np.int64), "label_score": np.ones(len(positives), np.float32)}
    )


def _lists(steps: Steps, spec: Spec) -> dict[str, records.FeatureList]:
    """The feature lists of one example, by the format of the data set."""
    if not isinstance(steps, np.ndarray):
        if spec.format != "COMPRESSED":
            raise ValueError(f"steps of format {spec.format} must be an array but got {type(steps).__name__}")
        return {"0_compressed": [[bytes(step)] for step in steps]}
    if spec.format == "SPARSE":
        return _sparse_lists(steps, spec)
    width = spec.row_count * spec.col_count * spec.num_channels
    if spec.format != "DENSE" or steps[:1].size not in (0, width):
        raise ValueError(f"a step must hold {width} numbers of format DENSE but got {steps.shape} of {spec.format}")
    return {"0_dense_input": np.asarray(steps, np.float32).reshape(len(steps), width)}


def _sparse_lists(steps: np.ndarray, spec: Spec) -> dict[str, records.FeatureList]:
    """(nnz, 2, 1) pairs of (col index, value), or (T, 1, 1) channel indices of old sparse text."""
    zeros, ones = np.zeros(len(steps), np.int64), np.ones(len(steps), np.float32)
    pairs = spec.col_count > spec.num_channels
    return {
        "0_sparse_row_index": [zeros],
        "0_sparse_col_index": [steps[:, 0, 0].astype(np.int64) if pairs else zeros],
        "0_sparse_channel_index": [zeros if pairs else steps[:, 0, 0].astype(np.int64)],
        "0_sparse_value": [steps[:, 1, 0].astype(np.float32) if pairs else ones],
    }
