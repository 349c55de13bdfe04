"""AutoDL data sets (NAME.data beside NAME.solution): checked, copied byte for byte, and shown like any other."""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.dataset.decode import decode_image
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.reader import open_split
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.writer import write_split
from automl_engine.errors import DataError
from formatters.base import Evidence, Findings, NewData, Options, Sample, Table, spec_of
from formatters.media.order import files_below
from formatters.media.samples import THREADS, spread
from formatters.native import deprecated, find
from formatters.native.deprecated import Part
from formatters.native.find import Bundle

MAX_TEXT_CHARS = 500
MAX_POINTS = 100
THUMBNAIL_PX = 128
Preview = Callable[[int, Path], dict[str, Any]]


def sniff(root: Path, options: Options) -> Evidence | None:
    found = find.bundles(root)
    return Evidence(1.0, [f"{found[0].name} is an AutoDL data set"]) if found else None


def read(root: Path, options: Options) -> Table:
    bundle = find.chosen(root, options.data_set)
    parts = deprecated.opened(bundle.folder) if bundle.deprecated else _opened(bundle)
    spec = replace(parts[0].examples.spec, name=bundle.name)
    samples = [
        Sample(f"{part.side or 'record'} {number}", tuple(spec.labels[k] for k in np.flatnonzero(row > 0)), part.side)
        for part in parts
        for number, row in enumerate(part.labels)
    ]
    firsts = list(accumulate((len(part.examples) for part in parts), initial=0))

    def place(i: int) -> tuple[Examples, int]:
        number = bisect_right(firsts, i) - 1
        return parts[number].examples, i - firsts[number]

    modality = _modality(parts[0].examples)
    made, stats = _kept_content(modality, spec, place, len(samples))
    return Table(
        modality,
        samples,
        spec.labels,
        any(np.any((part.labels > 0).sum(1) != 1) for part in parts),
        spec,
        steps=lambda i: place(i)[0].steps(place(i)[1]),
        preview=made,
        write_raw=lambda picks, folder: _write_records([place(i) for i in picks], spec, folder),
        recipe=_recipe(modality, spec),
        copy=None if bundle.deprecated else partial(_copy, bundle),
        findings=Findings(
            why=["the given train and test splits are kept"] if parts[0].side else [],
            ignored=_ignored(root, bundle),
            stats=stats,
            choices=_choices(root, bundle),
        ),
    )


def _opened(bundle: Bundle) -> list[Part]:
    train, test = open_split(bundle.folder, "train"), open_split(bundle.folder, "test")
    if _shape(train.spec) != _shape(test.spec):
        raise DataError(
            f"train and test of {bundle.folder.name} differ in metadata.textproto; they must describe one data set."
        )
    return [Part("train", train, train.labels), Part("test", test, _solution(bundle.solution, test))]


def _files(bundle: Bundle) -> list[Path]:
    """What a model may see: no labels of the test split that lie beside the records."""
    if bundle.deprecated:
        return [path for path in bundle.folder.iterdir() if path.suffix == ".tfrecord" or path.name == find.METADATA]
    sides = [bundle.folder / side for side in ("train", "test")]
    return [path for side in sides for path in sorted(side.glob("*")) if path.name.startswith(("metadata.", "sample"))]


def _copy(bundle: Bundle, out: Path, name: str) -> None:
    """Under a (perhaps new) name; the files stay as they are."""
    for path in _files(bundle):
        target = out / f"{name}.data" / path.relative_to(bundle.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    shutil.copyfile(bundle.solution, out / f"{name}.solution")


def _ignored(root: Path, bundle: Bundle) -> list[dict[str, str]]:
    used = {*_files(bundle), *bundle.solutions}
    others = [path for path in files_below(root) if root / path not in used]
    return [{"path": path, "why": "not part of the data set"} for path in others]


def _choices(root: Path, bundle: Bundle) -> dict[str, Any]:
    keys = [found.key for found in find.bundles(root)]
    return {"data_set": bundle.key, "data_set_candidates": keys} if len(keys) > 1 else {}


def encode(recipe: dict[str, Any], source: Path) -> NewData:
    """The records of a split (``metadata.textproto`` and ``sample*.tfrecord``), whatever the recipe's modality."""
    spec = spec_of(recipe)
    folder = split_folder(source)
    if folder is None:
        raise DataError(f"{source.name} holds no metadata.textproto with sample*.tfrecord beside it.")
    examples = open_split(folder.parent, "train" if folder.name == "train" else "test")
    if _shape(examples.spec) != _shape(spec):
        raise DataError(f"{source.name} has another shape or other classes than the data that the model learned from.")
    content = [examples.steps(i) for i in range(len(examples))]
    return NewData(spec, [f"record {i}" for i in range(len(content))], content)


def split_folder(source: Path) -> Path | None:
    """The folder of one split's records in ``source``, if that is what it holds."""
    found = [path.parent for path in source.rglob("metadata.textproto")] if source.is_dir() else []
    return found[0] if len(found) == 1 and any(found[0].glob("sample*.tfrecord")) else None


def _write_records(places: list[tuple[Examples, int]], spec: Spec, folder: Path) -> None:
    write_split(folder / "test", spec, ((examples.steps(at), []) for examples, at in places), 0, hide_labels=True)


def _shape(spec: Spec) -> tuple[Any, ...]:
    return spec.output_dim, spec.sequence_size, spec.row_count, spec.col_count, spec.num_channels, spec.format


def _solution(path: Path, test: Examples) -> np.ndarray:
    """(N, K) labels of the test split.

    Raises:
        DataError: no matrix of numbers, or of another shape.
    """
    try:
        matrix = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise DataError(
            f"{path.name} is not a matrix of numbers ({error}); write a line of 0 and 1 per test record."
        ) from error
    wanted = (len(test), test.spec.output_dim)
    if matrix.shape != wanted:
        raise DataError(
            f"{path.name} has {matrix.shape[0]} lines of {matrix.shape[1]} numbers not {wanted[0]} of {wanted[1]}."
        )
    return matrix


def _modality(train: Examples) -> str:
    """The domain; series of whole numbers beyond +-100 in one channel are sound, as in the challenge."""
    domain = train.spec.domain
    if domain != "series":
        return domain
    first = train.tensor(0)
    sound = train.spec.num_channels == 1 and np.array_equal(first, np.rint(first)) and np.abs(first).max() > 100
    return "audio" if sound else "timeseries"


def _kept_content(
    modality: str, spec: Spec, place: Callable[[int], tuple[Examples, int]], count: int
) -> tuple[Preview, list[dict[str, Any]]]:
    """(how to show a sample, statistics) of a data set that keeps its content."""

    def tensor(i: int) -> np.ndarray:
        examples, at = place(i)
        return examples.tensor(at)

    if modality in ("image", "video"):
        return (lambda i, path: _pictures(modality, tensor(i), path)), _picture_stats(modality, spec, place, count)
    if modality == "text":
        return (lambda i, path: _text(tensor(i), spec)), []
    lengths = [len(place(i)[0].steps(place(i)[1])) for i in range(count)]
    if modality == "audio":
        stats = [spread("duration", "s", [length / 16_000 for length in lengths])]
        return (lambda i, path: _sound(tensor(i), path)), stats
    if modality == "timeseries":
        return (lambda i, path: _series(tensor(i))), [spread("length", "", lengths)]
    names = {index: name for name, index in spec.feature_to_index.items()}
    return (lambda i, path: _row(tensor(i), names)), []


def _picture_stats(
    modality: str, spec: Spec, place: Callable[[int], tuple[Examples, int]], count: int
) -> list[dict[str, Any]]:
    """Sizes by the first picture of each sample, which is decoded, and frames."""

    def size(i: int) -> tuple[int, ...]:
        examples, at = place(i)
        steps = examples.steps(at)
        first = steps[0] if isinstance(steps, np.ndarray) else decode_image(steps[0], spec.num_channels)
        return first.shape[1], first.shape[0], len(steps)

    with ThreadPoolExecutor(THREADS) as pool:
        widths, heights, frames = zip(*pool.map(size, range(count)), strict=True)
    stats = [spread("width", "px", widths), spread("height", "px", heights)]
    return [spread("frames", "", frames), *stats] if modality == "video" else stats


def _pictures(modality: str, frames: np.ndarray, out: Path) -> dict[str, Any]:
    """frames: (T, row, col, channels) float32, in [0, 1] or of any scale."""
    from PIL import Image

    from formatters.modalities.video import PREVIEW_FRAMES, animation

    picks = np.linspace(0, len(frames) - 1, min(PREVIEW_FRAMES, len(frames))).round().astype(int)
    scale = 255 if frames.max() <= 1 else 1
    shown = np.clip(frames[picks] * scale, 0, 255).astype(np.uint8)
    images = [Image.fromarray(frame[..., 0] if frame.shape[-1] < 3 else frame[..., :3]) for frame in shown]
    if modality == "video":
        return animation([image.convert("RGB") for image in images], len(frames) / 25, out)
    images[0].thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    file = out.with_name(out.name + ".png")
    images[0].save(file)
    return {"kind": "image", "file": file.name}


def _text(tokens: np.ndarray, spec: Spec) -> dict[str, Any]:
    words = [spec.vocabulary.get(int(token), "?") for token in tokens.reshape(-1)[:MAX_TEXT_CHARS]]
    glue = "" if is_chinese(spec) else " "
    return {"kind": "text", "text": glue.join(words)[:MAX_TEXT_CHARS]}


def is_chinese(spec: Spec) -> bool:
    """The rule of all challenge systems: the first vocabulary entries are single characters."""
    first = [token for _, token in sorted(spec.vocabulary.items())[:100]]
    return all(len(token) == 1 for token in first)


def _sound(amplitudes: np.ndarray, out: Path) -> dict[str, Any]:
    from formatters.modalities.audio import player

    return player(np.clip(amplitudes.reshape(-1), -32768, 32767), out)


def _series(tensor: np.ndarray) -> dict[str, Any]:
    picks = np.linspace(0, len(tensor) - 1, min(MAX_POINTS, len(tensor))).round().astype(int)
    values = np.nan_to_num(tensor[picks].reshape(len(picks), -1).T.astype(float))
    return {"kind": "series", "series": [[float(f"{value:.5g}") for value in channel] for channel in values]}


def _row(tensor: np.ndarray, names: dict[int, str]) -> dict[str, Any]:
    if tensor.shape[-2:] == (2, 1):  # sparse: pairs of column and value
        cells = [(int(column), float(value)) for column, value in tensor.reshape(-1, 2)[:MAX_POINTS]]
    else:
        cells = list(enumerate(tensor.reshape(-1)[:MAX_POINTS].tolist()))
    return {
        "kind": "row",
        "row": {names.get(at, f"column_{at}"): None if np.isnan(value) else value for at, value in cells},
    }


def _recipe(modality: str, spec: Spec) -> dict[str, Any]:
    """What the modality's encode needs, as far as the spec tells it."""
    if modality == "audio":
        return {"rate_hz": 16_000}
    if modality == "text":
        return {"language": "characters" if is_chinese(spec) else "words"}
    if modality == "tabular":
        names = [f"column_{at}" for at in range(spec.col_count)]
        for name, at in spec.feature_to_index.items():
            names[at] = name
        columns = [{"name": n, "type": "number", "features": [n], "decimal_comma": False} for n in names]
        return {"columns": columns, "table": {"columns": names, "has_header": False, "target": []}}
    return {}
