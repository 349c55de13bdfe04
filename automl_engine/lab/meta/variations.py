"""New data sets from known ones: ``python -m automl_engine meta variations --data SETS --out OUT --ask A--n500``.

By class subset, by sample count and by resolution, as Freiburg's successors made theirs; so few public sets give a
meta-learner more to learn from.  ``SOURCE--classes3`` keeps three classes, ``SOURCE--n500`` 500 training examples,
``SOURCE--side16`` images of at most 16 pixels; parts join: ``SOURCE--classes3--n500``.  What was made from one source
must never stand on both sides of a judgement.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from automl_engine.dataset.examples import Examples, Steps
from automl_engine.dataset.reader import open_split
from automl_engine.dataset.spec import VARIABLE, Spec
from automl_engine.dataset.splits import stratified_sample
from automl_engine.dataset.writer import write_solution, write_split
from automl_engine.errors import DataError
from automl_engine.metalearning.sources import MARK, PART

JPEG_QUALITY = 95


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.add_argument("--data", type=Path, required=True, metavar="SETS", help="folder of NAME/NAME.data")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="OUT", help="output folder of SOURCE--WHAT/SOURCE--WHAT.data"
    )
    parser.add_argument("--ask", required=True, metavar="A--n500,B--classes3", help="names of the variations to make")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the choice of classes and examples (0)")


def main(options: argparse.Namespace) -> int:
    """Makes each variation that is not there yet."""
    for name in filter(None, options.ask.split(",")):
        if not (options.out / name / f"{name}.solution").exists():
            vary(options.data / name.partition(MARK)[0], options.out / name, options.seed)
        print(name, flush=True)
    return 0


def vary(source: Path, out: Path, seed: int = 0) -> None:
    """Write the variation that the name of ``out`` describes; its solution comes last, so that there means whole.

    Raises:
        DataError: there is no such source, or the name is none of a variation.
    """
    base, *parts = out.name.split(MARK)
    data_dir = source / f"{base}.data"
    if not data_dir.is_dir():
        raise DataError(f"{source} must hold {base}.data, which {out.name} is to be made from.")
    found = [PART.fullmatch(part) for part in parts]
    if not found or None in found:
        raise DataError(
            f"{out.name} must end with {MARK}classes3, {MARK}n500 or {MARK}side16 (any numbers), or several."
        )
    wanted = {match[1]: int(match[2]) for match in found if match}
    train, test = open_split(data_dir, "train"), open_split(data_dir, "test")
    labels = {"train": train.labels, "test": np.loadtxt(source / f"{base}.solution", ndmin=2)}
    classes = _classes(labels["train"], wanted.get("classes", train.spec.output_dim), seed)
    shrink = _shrinker(train.spec, wanted.get("side"))
    keep = {side: np.flatnonzero(labels[side][:, classes].sum(1) > 0) for side in labels}
    if len(classes) == train.spec.output_dim:
        keep = {side: np.arange(len(labels[side])) for side in labels}  # multi-label examples may have no label
    if wanted.get("n", len(keep["train"])) < len(keep["train"]):
        kept = stratified_sample(labels["train"][keep["train"]][:, classes], wanted["n"], seed)
        keep["train"] = keep["train"][np.sort(kept)]
    spec = _spec(train.spec, out.name, classes, wanted.get("side"))
    for side, split, first_id in (("test", test, 0), ("train", train, len(keep["test"]))):
        examples = _examples(split, keep[side], labels[side][:, classes], shrink)
        write_split(out / f"{out.name}.data" / side, spec, examples, first_id, hide_labels=side == "test")
    write_solution(out / f"{out.name}.solution", labels["test"][keep["test"]][:, classes])


def _classes(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """(count,) classes chosen at random, in their old order."""
    if not 1 < count <= labels.shape[1]:
        raise DataError(f"A variation must keep 2 to {labels.shape[1]} classes but {count} were asked for.")
    return np.sort(np.random.default_rng(seed).permutation(labels.shape[1])[:count])


def _spec(spec: Spec, name: str, classes: np.ndarray, side: int | None) -> Spec:
    names = {spec.labels[old]: new for new, old in enumerate(classes)}
    if side and VARIABLE not in (spec.row_count, spec.col_count):
        height, width = _smaller(spec.row_count, spec.col_count, side)
        spec = replace(spec, row_count=height, col_count=width)
    return replace(spec, name=name, output_dim=len(classes), label_to_index=names)


def _smaller(height: int, width: int, side: int) -> tuple[int, int]:
    """Sides of at most ``side``, aspect kept."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _shrinker(spec: Spec, side: int | None) -> Callable[[Steps], Steps]:
    if side is None:
        return lambda steps: steps
    if spec.format != "COMPRESSED":
        raise DataError(f"{spec.name} holds no encoded images, so {MARK}side{side} cannot be made of it.")

    def shrink(steps: Steps) -> Steps:
        return [_shrink(bytes(step), side) for step in steps]

    return shrink


def _shrink(data: bytes, side: int) -> bytes:
    import cv2

    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise DataError("An image of the source cannot be decoded, so it cannot be made smaller.")
    height, width = _smaller(image.shape[0], image.shape[1], side)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    small = image.ndim == 2 or max(height, width) <= 64  # loss of compression would be seen
    encoded = (
        cv2.imencode(".png", image) if small else cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    )
    return encoded[1].tobytes()


def _examples(
    split: Examples, keep: np.ndarray, labels: np.ndarray, shrink: Callable[[Steps], Steps]
) -> Iterator[tuple[Steps, Sequence[int]]]:
    for i in keep:
        yield shrink(split.steps(int(i))), [int(k) for k in np.flatnonzero(labels[i])]
