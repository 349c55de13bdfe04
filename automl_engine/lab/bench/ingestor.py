"""What the data ingestor can do, measured: speed against the decoder's limit and tf.data, and what a run takes.

    python -m automl_engine.lab.bench.ingestor sets --out DIR [png28 jpeg32 jpeg500 jpeg6gb]
    python -m automl_engine.lab.bench.ingestor throughput [--out DIR] [--repeats 5]
    python -m automl_engine.lab.bench.ingestor watch SET --out RUN [--budget 20] [--model auto]

``throughput``: images/s from the file to uint8 arrays of the side that a network takes.  The limit decodes the same
bytes, lying in memory, in as many threads, at the same scale.  ``watch``: a run, its clock and its memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import psutil

from automl_engine.dataset.decode import THREADS, decode_image
from automl_engine.dataset.reader import RecordExamples, open_split
from automl_engine.lab.bench.synthetic import SETS, make_set

SIDES = {"png28": 28, "jpeg32": 32, "jpeg500": 64}
POLL_S = 0.02


def sets(options: argparse.Namespace) -> None:
    for name in options.names or SETS:
        start = time.monotonic()
        print(f"{make_set(options.out, name, SETS[name])} ({time.monotonic() - start:.0f} s)", flush=True)


def throughput(options: argparse.Namespace) -> None:
    """A table of images/s: median (min to max); the three are measured in turn, so that a busy moment hits all."""
    print(f"| set | images | bytes each | limit | ours | share | tf.data | ours / tf.data | tf.data, {_SCALED} |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.names or SIDES:
            data_dir = make_set(options.out or Path(scratch), name, SETS[name]) / f"{name}.data"
            side, examples = SIDES[name], open_split(data_dir, "train")
            datas = [_bytes(examples, i) for i in range(len(examples))]
            ways: list[Callable[[], int]] = [
                partial(decode_all, datas, side, examples.spec.num_channels),
                partial(read_all, data_dir, side),
                partial(tf_data_all, data_dir, side, scaled=False),
                partial(tf_data_all, data_dir, side, scaled=True),
            ]
            rates: list[list[float]] = [[] for _ in ways]
            for _ in range(options.repeats):
                for rate, way in zip(rates, ways, strict=True):
                    start = time.perf_counter()
                    rate.append(way() / (time.perf_counter() - start))
            limit, ours, plain, scaled = (median(rate) for rate in rates)
            cells = [f"{median(rate):,.0f} ({min(rate):,.0f} to {max(rate):,.0f})" for rate in rates]
            size = sum(map(len, datas)) / len(datas)
            print(
                f"| {name} | {len(datas):,} | {size:,.0f} | {cells[0]} | {cells[1]} | {ours / limit:.0%} | {cells[2]} "
                f"| {ours / plain:.1f} | {cells[3]}: {ours / scaled:.1f} |",
                flush=True,
            )


_SCALED = "JPEG decoded at 1/4 by hand"


def _bytes(examples: RecordExamples, index: int) -> bytes:
    step = examples.steps(index)[0]
    assert isinstance(step, bytes)
    return step


def decode_all(datas: list[bytes], side: int, channels: int) -> int:
    """The limit: decoding and nothing else."""

    def work(part: list[bytes]) -> None:
        for data in part:
            decode_image(data, channels, min_side=side)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, (datas[i::THREADS] for i in range(THREADS))))
    return len(datas)


def read_all(data_dir: Path, side: int) -> int:
    """Ours, from opening the file: records found, labels read, checksums checked, images decoded and resized."""
    examples = open_split(data_dir, "train")
    return len(examples.labels) and len(examples.images(side, side))


def tf_data_all(data_dir: Path, side: int, scaled: bool) -> int:
    """The usual pipeline: parse, decode and resize in parallel, batch, prefetch; no more than that is tuned."""
    import tensorflow as tf

    lists = {"0_compressed": tf.io.VarLenFeature(tf.string)}
    context = {"label_index": tf.io.VarLenFeature(tf.int64)}
    channels = open_split(data_dir, "test").spec.num_channels

    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found, features = tf.io.parse_single_sequence_example(record, context, lists)
        data = features["0_compressed"].values[0]
        if scaled and side == SIDES["jpeg500"]:
            image = tf.io.decode_jpeg(data, channels=channels, ratio=4)
        else:
            image = tf.io.decode_image(data, channels=channels, expand_animations=False)
        image = tf.cast(tf.image.resize(image, (side, side)), tf.uint8) if side == SIDES["jpeg500"] else image
        return image, tf.sparse.to_dense(found["label_index"])[0]

    files = [str(path) for path in data_dir.glob("train/sample*")]
    dataset = tf.data.TFRecordDataset(files).map(parse, tf.data.AUTOTUNE, deterministic=False).batch(256)
    return sum(len(labels) for _, labels in dataset.prefetch(tf.data.AUTOTUNE))


def watch(options: argparse.Namespace) -> None:
    """One line of a table: when predictions came, when all was over, and the most memory that the child held."""
    command = [sys.executable, "-m", "automl_engine", "run", str(options.set), "--out", str(options.out), "--no-export"]
    command += ["--budget", str(options.budget), "--model", options.model, "--seed", str(options.seed)]
    start = time.time()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peaks = {"VmHWM": 0.0, "RssAnon": 0.0}
    while process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            _update_peaks(child.pid, peaks)
        time.sleep(POLL_S)
    wall_s = time.time() - start
    scores = json.loads((options.out / "scores.json").read_text())
    clock = _clock_start(options.out)
    written = [path.stat().st_mtime - clock for path in options.out.glob("*.predict_*")]
    print(
        "| set | model | T | first prediction s | last byte s | wall s | NAUC | ALC | VmHWM GB | largest RssAnon GB |"
    )
    first = f"{scores['first_prediction_s']:.2f} (written {min(written):.2f})"
    print(
        f"| {options.set.name} | {options.model} | {options.budget:g} | {first} | {max(written):.2f} | {wall_s:.2f} "
        f"| {scores['nauc']:.3f} | {scores['alc']:.3f} | {peaks['VmHWM']:.2f} | {peaks['RssAnon']:.2f} |"
    )


def _update_peaks(pid: int, peaks: dict[str, float]) -> None:
    """The child's figures of /proc/PID/status, in GB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return
    for key, value in (line.split(":", 1) for line in lines if ":" in line):
        if key in peaks:
            peaks[key] = max(peaks[key], int(value.split()[0]) / 2**20)


def _clock_start(run_dir: Path) -> float:
    lines = (run_dir / "start.txt").read_text().splitlines()
    return float(dict(line.split(": ", 1) for line in lines)["start_time"])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m automl_engine.lab.bench.ingestor")
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("sets", help="make the synthetic data sets")
    verb.set_defaults(verb=sets)
    verb.add_argument("names", nargs="*", metavar="SET", help=", ".join(SETS))
    verb.add_argument("--out", type=Path, required=True)
    verb = verbs.add_parser("throughput", help="images per second: decoding limit, this reader, tf.data")
    verb.set_defaults(verb=throughput)
    verb.add_argument("names", nargs="*", metavar="SET", help=", ".join(SIDES))
    verb.add_argument("--out", type=Path, help="folder of the data sets (default: a temporary folder)")
    verb.add_argument("--repeats", type=int, default=5)
    verb = verbs.add_parser("watch", help="first prediction, duration and memory of a run")
    verb.set_defaults(verb=watch)
    verb.add_argument("set", type=Path)
    verb.add_argument("--out", type=Path, required=True)
    verb.add_argument("--budget", type=float, default=20.0)
    verb.add_argument("--model", default="auto")
    verb.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.verb(options)


if __name__ == "__main__":
    main()
