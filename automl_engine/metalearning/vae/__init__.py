"""Images as latent vectors of a variational autoencoder (section 5.2 of the Freiburg paper): a space of ``EMBEDDINGS``.

    python -m automl_engine meta vae --data DIR... --out FOLDER      trains it (lab/meta/autoencoder.py)

The weights of the encoder lie here (encoder.safetensors, half precision) with their card (encoder.json): they serve for
data sets that the training never saw, so that a new known data set needs none.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from automl_engine.dataset.examples import Examples

if TYPE_CHECKING:
    import torch

    from automl_engine.metalearning.vae.network import Encoder

HERE = Path(__file__).parent
BATCH = 64
LATENT = 64
"""Number of dimensions of the latent space; the paper has 196."""
NAMES = tuple(f"latent_{i}" for i in range(LATENT))


@cache
def load_encoder(folder: Path = HERE) -> tuple[Encoder, int]:
    """The encoder of a folder and the side of its images, ready to use."""
    from safetensors.torch import load_file

    from automl_engine.metalearning.vae.network import Encoder

    card = json.loads((folder / "encoder.json").read_text(encoding="utf-8"))
    encoder = Encoder(card["blocks"], card["growth"], card["latent"])
    encoder.load_state_dict(load_file(folder / "encoder.safetensors"))  # copied into float32
    return encoder.eval().requires_grad_(False), card["side"]


def embed(examples: Examples, folder: Path = HERE) -> np.ndarray:
    """(n, latent) float32: the latent means of images, of a video those of its first frame."""
    import torch

    encoder, side = load_encoder(folder)
    planes = torch.from_numpy(to_planes(examples.images(side, side)[:, 0]))
    with torch.inference_mode():
        return torch.cat([encoder(scaled(batch))[0] for batch in planes.split(BATCH)]).numpy()


def to_planes(images: np.ndarray) -> np.ndarray:
    """(N, H, W, C) uint8 -> (N, 3, H, W): one channel stands for all three, of more than three the first count."""
    colours = images[..., :3] if images.shape[3] >= 3 else np.repeat(images[..., :1], 3, axis=3)
    return np.ascontiguousarray(colours.transpose(0, 3, 1, 2))


def scaled(planes: torch.Tensor) -> torch.Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return planes.float() / 127.5 - 1
