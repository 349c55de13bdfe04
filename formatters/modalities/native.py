"""AutoDL data sets (NAME.data beside NAME.solution): checked, copied byte for byte, and shown like any other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.dataset.decode import decode_image
from automl_engine.dataset.examples import Examples
from automl_engine.dataset.reader import open_split
from automl_engine.dataset.spec import Spec
from automl_engine.dataset.writer import write_split
from automl_engine.errors import DataError
from formatters.base import Evidence, Findings, NewData, Options, Sample, Side, Table, spec_of
from formatters.media.samples import THREADS, spread
from formatters.split import Split

MAX_TEXT_CHARS = 500
MAX_POINTS = 100
THUMBNAIL_PX = 128
Preview = Callable[[int, Path], dict[str, Any]]


def sniff(root: Path, options: Options) -> Evidence | None:
    bundles = [path for path in root.glob("*.data") if path.is_dir() and (path / "train").is_dir()]
    if not bundles:
        return None
    return Evidence(1.0, [f"{bundles[0].name} is an AutoDL data set"])


def read(root: Path, options: Options) -> Table:
    name = bundle_name(root)
    data = root / f"{name}.data"
    train, test = open_split(data, "train"), open_split(data, "test")
    solution = _solution(root / f"{name}.solution", test)
    spec = train.spec
    if _shape(spec) != _shape(test.spec):
        raise DataError(
            f"train and test of {data.name} differ in their metadata.textproto; they must describe one data set."
        )
    labelled: list[tuple[Side, np.ndarray]] = [("train", train.labels), ("test", solution)]
    samples = [
        Sample(f"{side} record {number}", tuple(spec.labels[k] for k in np.flatnonzero(row > 0)), side)
        for side, rows in labelled
        for number, row in enumerate(rows)
    ]

    def place(i: int) -> tuple[Examples, int]:
        return (train, i) if i < len(train) else (test, i - len(train))

    modality = _modality(train)
    made, stats = _kept_content(modality, spec, place, len(samples))
    return Table(
        modality,
        samples,
        spec.labels,
        bool(np.any((train.labels > 0).sum(1) != 1)),
        spec,
        steps=lambda i: place(i)[0].steps(place(i)[1]),
        preview=made,
        write_raw=lambda picks, folder: _write_records([place(i) for i in picks], spec, folder),
        recipe=_recipe(modality, spec),
        findings=Findings(
            why=["the given train and test splits are kept"],
            ignored=[
                {"path": path.name, "why": "not part of the data set's format"}
                for path in sorted(root.iterdir())
                if path.name not in (data.name, f"{name}.solution")
            ],
            stats=stats,
        ),
    )


def bundle_name(root: Path) -> str:
    """NAME of the one NAME.data.

    Raises:
        DataError: there are several.
    """
    names = sorted(path.stem for path in root.glob("*.data") if path.is_dir())
    if len(names) > 1:
        raise DataError(f"The upload holds several data sets ({', '.join(names)}); upload them one by one.")
    return names[0]


def copy(root: Path, out: Path, name: str) -> Split:
    """Copy the bundle into ``out`` under a (perhaps new) name; the files within stay as they are."""
    old = bundle_name(root)
    shutil.copytree(root / f"{old}.data", out / f"{name}.data", copy_function=shutil.copyfile)
    shutil.copyfile(root / f"{old}.solution", out / f"{name}.solution")
    n_train, n_test = (len(open_split(out / f"{name}.data", side)) for side in ("train", "test"))
    return Split(list(range(n_train)), list(range(n_train, n_train + n_test)), "given")


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
        DataError: missing, or of another shape.
    """
    if not path.is_file():
        raise DataError(f"{path.name} is missing beside {path.stem}.data; add the labels of the test split.")
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
