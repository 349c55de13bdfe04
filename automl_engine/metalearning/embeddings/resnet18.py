"""Images as the 512 features before the head of a ResNet-18 (Freiburg, section 5.1; He et al., CVPR 2016), at 96 × 96.

Its weights are those that ``find_weights`` finds (ImageNet's or our own), else random, the same in every process:
points of two machines can be compared only where ``source()`` says the same.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import nn

from automl_engine.dataset.examples import Examples
from automl_engine.models.shared.pretrained import calibrate, in_pieces, standard_pixels
from automl_engine.models.shared.vision import load_weights, torchvision
from automl_engine.weights import find_weights

SIDE = 96
NAMES = tuple(f"resnet18_{unit}" for unit in range(512))


def source() -> str:
    """The name of the file with the weights, or ``random``."""
    file = find_weights("resnet18")
    return file.stem if file else "random"


@cache
def network() -> nn.Module:
    """(n, 3, SIDE, SIDE) -> (n, 512), for inference; called once before the clock starts, it is ready."""
    body = torchvision().resnet18(weights=None)
    body.fc = nn.Identity()
    file = find_weights("resnet18")
    if file is None:
        calibrate(body)
    else:
        body.load_state_dict({key: value for key, value in load_weights(file).items() if not key.startswith("fc.")})
    return body.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def embed(examples: Examples) -> np.ndarray:
    """(n, 512) float32; grey images are shown in all three colours, of many channels the first three."""
    images = examples.images(SIDE, SIDE)[:, 0]
    colours = images[..., :3] if images.shape[3] >= 3 else images[..., :1].repeat(3, axis=3)
    mean, scale = standard_pixels()

    def work(piece: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network()((piece - mean) * scale)

    planes = torch.from_numpy(np.ascontiguousarray(colours)).permute(0, 3, 1, 2).float()
    return in_pieces(work, planes).numpy()
