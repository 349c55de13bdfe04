"""``python -m automl_engine pretrain``: a network that has seen no data but what formulas draw.

    python -m automl_engine pretrain --arch resnet_small --source mixed --hours 1 --out FOLDER [--probe DIR...]

Formula-driven supervised learning (Kataoka et al., "Pre-training without natural images", ACCV 2020): endless
examples with perfect labels, no licence but our own, nothing to download.  The folder gets ARCH_SOURCE.safetensors
(half precision), its card ARCH_SOURCE.json, log.jsonl and the state from which the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_engine.errors import EXIT_STOPPED, DataError

if TYPE_CHECKING:
    from automl_engine.lab.pretrain.probe import Probe
    from automl_engine.lab.pretrain.training import Training

LOG_EVERY_S = 60.0
LICENCE = "CC0-1.0"


def arguments(parser: argparse.ArgumentParser) -> None:
    from automl_engine.lab.pretrain.sources import SOURCES

    text = "documentation"  # that lies on this machine: see words.py
    add = parser.add_argument
    add(
        "--arch",
        default="resnet_small",
        help="resnet_small, resnet_medium, resnet9, resnet18; series: series_small; text: word_vectors (resnet_small)",
    )
    add(
        "--source",
        choices=[*SOURCES, text],
        default="mixed",
        help="kind of synthetic data (mixed: fractals and contours)",
    )
    add(
        "--hours",
        type=float,
        default=1.0,
        metavar="H",
        help="hours of training in total, including earlier calls; for networks (1)",
    )
    add(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="output folder; with the same folder, training continues",
    )
    add(
        "--probe",
        type=Path,
        nargs="*",
        default=[],
        metavar="DIR",
        help="data sets on which the frozen network is tested",
    )
    add("--batch", type=int, default=128)
    add("--seed", type=int, default=0)
    add("--device", default="auto", help="auto, cpu, cuda ...")


def main(options: argparse.Namespace) -> int:
    """Trains until the hours are over; Ctrl-C loses at most a minute."""
    import torch

    from automl_engine.lab.pretrain import words
    from automl_engine.lab.pretrain.architectures import ARCHITECTURES
    from automl_engine.lab.pretrain.probe import Probe
    from automl_engine.lab.pretrain.sources import SERIES
    from automl_engine.lab.pretrain.training import STATE, Recipe, Training

    if (options.arch, options.source) == (words.ARCH, words.SOURCE):
        return words.main(options)
    if options.arch == words.ARCH or options.source == words.SOURCE:
        raise DataError(f"--arch {words.ARCH} and --source {words.SOURCE} go together.")
    if options.arch not in ARCHITECTURES:
        raise DataError(f"--arch must be one of {', '.join(ARCHITECTURES)}; but got {options.arch!r}.")
    if ARCHITECTURES[options.arch].series != (options.source in SERIES):
        raise DataError(
            f"--arch series_small and --source {', '.join(SERIES)} go together; but got {options.arch!r} and "
            f"{options.source!r}."
        )
    if not (0 < options.hours < float("inf") and options.batch > 1):
        raise DataError(f"--hours must be above 0 and --batch above 1; but got {options.hours} and {options.batch}.")
    device = options.device.replace("auto", "cuda" if torch.cuda.is_available() else "cpu")
    options.out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(options.arch, options.source, options.hours, options.batch, options.seed)
    training = Training(recipe, torch.device(device))
    if (options.out / STATE).exists():
        training.resume(options.out)
    probes = [Probe(folder, training.source.channels, training.is_series) for folder in options.probe]
    try:
        _train(training, probes, options.out)
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from the last minute.", file=sys.stderr)
        return EXIT_STOPPED
    print(f"The weights and their card are in {options.out}.")
    return 0


def _train(training: Training, probes: list[Probe], folder: Path) -> None:
    started_steps, started_s = training.steps, training.spent_s
    name = f"{training.recipe.arch}_{training.recipe.source}"
    while training.progress < 1:
        losses = _work(training)
        naucs = {f"nauc_{probe.name}": round(probe.nauc(training.backbone), 4) for probe in probes}
        training.save(folder)
        rate = (training.steps - started_steps) * training.recipe.batch / (training.spent_s - started_s)
        done = {"steps": training.steps, "spent_s": round(training.spent_s), "images_per_s": round(rate)}
        line = done | losses | naucs
        print(", ".join(f"{key} {value}" for key, value in line.items()), flush=True)
        with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        training.write_weights(folder, name)
        (folder / f"{name}.json").write_text(json.dumps(_card(training, line), indent=1) + "\n", encoding="utf-8")


def _work(training: Training) -> dict[str, float]:
    """Steps until the next line of the log is due; their mean losses."""
    end, sums, count = time.monotonic() + LOG_EVERY_S, dict.fromkeys(training.source.classes, 0.0), 0
    while time.monotonic() < end and training.progress < 1:
        for kind, loss in training.step().items():
            sums[kind] += loss
        count += 1
    return {f"{kind}_loss": round(total / max(1, count), 4) for kind, total in sums.items()}


def _card(training: Training, line: dict[str, Any]) -> dict[str, Any]:
    """What the weights are, beside them."""
    import torch

    recipe, device = training.recipe, training.device
    cores = f"{torch.get_num_threads()} of the processor's cores"
    device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else cores
    return {
        "formula": f"{recipe.source}: {', '.join(f'{n} {kind}s' for kind, n in training.source.classes.items())}",
        **recipe._asdict(),
        **line,
        "examples": training.steps * recipe.batch,
        "device": device_name,
        "date": datetime.now(UTC).date().isoformat(),
        "licence": LICENCE,
    }
