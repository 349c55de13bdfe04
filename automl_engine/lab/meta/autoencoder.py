"""``python -m automl_engine meta vae``: trains the autoencoder on image and video sets, and leaves its encoder.

The bound of Kingma & Welling (ICLR 2014), of which each latent dimension may use ``FREE_NATS`` for nothing: a decoder
that sees the pixels around would else ignore the latent vector (Kingma et al., "Improved variational inference with
inverse autoregressive flow", NeurIPS 2016; Chen et al., "Variational lossy autoencoder", ICLR 2017).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_engine.errors import DataError
from automl_engine.metalearning.samples import data_dir_of
from automl_engine.metalearning.vae import LATENT, scaled, to_planes

if TYPE_CHECKING:
    import torch

    from automl_engine.metalearning.vae.network import Decoder, Encoder

SIDE, FRAMES = 24, 4
BATCH = 32
FREE_NATS = 0.1
RATE = 2e-3
WIDTH, DEPTH = 16, 1
"""Channels and gated blocks of the decoder."""
TOLD_EVERY = 100


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR", help="folders with NAME.data")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="output folder for encoder.safetensors and its card"
    )
    parser.add_argument(
        "--steps", type=int, default=2000, help=f"number of training steps of {BATCH} images each (2000)"
    )
    parser.add_argument(
        "--blocks", type=int, nargs="+", default=[2, 4, 6, 4], metavar="N", help="number of layers of each dense block"
    )
    parser.add_argument("--growth", type=int, default=12, help="channels that a layer adds (12)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")


def main(options: argparse.Namespace) -> int:
    """Trains on the training splits, and writes the encoder and its card."""
    images, names, sets = read_images(options.data)
    print(f"{len(images)} images of {', '.join(names)}", flush=True)
    start = time.monotonic()
    config = {"side": SIDE, "blocks": options.blocks, "growth": options.growth, "latent": LATENT}
    encoder, figures = train(
        images, sets, config, options.steps, options.seed, options.device, lambda line: print(line, flush=True)
    )
    card = {
        **config,
        "trained_on": {name: int((sets == at).sum()) for at, name in enumerate(names)},
        "steps": options.steps,
        "batch": BATCH,
        **figures,
        "seed": options.seed,
        "device": options.device,
        "wall_s": round(time.monotonic() - start),
        "date": datetime.now(UTC).date().isoformat(),
    }
    write(options.out, encoder, card)
    print(f"The encoder is in {options.out}.")
    return 0


def read_images(folders: list[Path]) -> tuple[np.ndarray, list[str], np.ndarray]:
    """((N, 3, SIDE, SIDE) uint8, names of the data sets, (N,) which of these each image is of): training splits.

    Raises:
        DataError: a folder holds no data set, or one without images.
    """
    from automl_engine.dataset.reader import open_split

    parts, names = [], []
    for folder in folders:
        data_dir = data_dir_of(folder)
        split = open_split(data_dir, "train")
        if split.spec.domain not in ("image", "video"):
            raise DataError(
                f"{folder.name} is {split.spec.domain}; the autoencoder learns from images and videos alone."
            )
        frames = split.images(SIDE, SIDE, FRAMES if split.spec.domain == "video" else 1)
        parts.append(to_planes(frames.reshape(-1, *frames.shape[2:])))
        names.append(data_dir.stem)
    return np.concatenate(parts), names, np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def train(
    images: np.ndarray,
    sets: np.ndarray,
    config: dict[str, Any],
    steps: int,
    seed: int = 0,
    device: str = "cpu",
    on_line: Callable[[str], None] = lambda line: None,
) -> tuple[Encoder, dict[str, float]]:
    """The encoder, and the figures of its last steps.  A set is drawn in proportion to the root of its size."""
    import torch

    from automl_engine.metalearning.vae.network import Decoder, Encoder

    torch.manual_seed(seed)
    encoder = Encoder(config["blocks"], config["growth"], config["latent"]).to(device)
    decoder = Decoder(images.shape[-1], config["latent"], WIDTH, DEPTH).to(device)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], RATE)
    warm, schedule = max(1, steps // 20), torch.optim.lr_scheduler.LambdaLR
    rates = schedule(optimiser, lambda i: min(1, (i + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * i / steps)))
    weights = torch.from_numpy(1 / np.sqrt(np.bincount(sets)[sets]))
    pixels = torch.from_numpy(images)
    told = np.zeros((0, 2))
    for step in range(1, steps + 1):
        batch = scaled(pixels[torch.multinomial(weights, BATCH)].to(device))
        loss, bits, nats = bound(encoder, decoder, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*encoder.parameters(), *decoder.parameters()], 1.0)
        optimiser.step()
        rates.step()
        told = np.concatenate([told[-TOLD_EVERY + 1 :], [[bits.item(), nats.item()]]])
        if step % TOLD_EVERY == 0:
            on_line(f"step {step}: {told.mean(0)[0]:.3f} bits a value, {told.mean(0)[1]:.1f} nats in the latent vector")
    bits_mean, nats_mean = told.mean(0)
    return encoder.cpu().eval(), {"bits_a_value": round(float(bits_mean), 3), "latent_nats": round(float(nats_mean), 1)}


def bound(encoder: Encoder, decoder: Decoder, batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(loss a value, reconstruction in bits a value, nats in the latent vector) of (N, 3, S, S) images."""
    import torch

    from automl_engine.metalearning.vae.network import log_likelihood

    mean, log_variance = encoder(batch)
    latent = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
    likelihood = log_likelihood(decoder(batch, latent), batch).mean()
    nats = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean(0)  # (latent,)
    values = batch[0].numel()
    loss = (nats.clamp(min=FREE_NATS).sum() - likelihood) / values
    return loss, (-likelihood / values / math.log(2)).detach(), nats.sum().detach()


def write(folder: Path, encoder: Encoder, card: dict[str, Any]) -> None:
    """``encoder.safetensors`` in half precision, ``encoder.json``."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = encoder.state_dict()
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in weights.items()},
        folder / "encoder.safetensors",
    )
    (folder / "encoder.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
