"""Images as the 512 features before the head of a ResNet-18 (Freiburg, section 5.1; He et al., CVPR 2016), at 96 × 96.

Its weights are those of ImageNet where ``AUTODL_WEIGHTS_DIR`` or torchvision's cache holds them, else random, the same
in every process: points of two machines can be compared only where ``source()`` says the same.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import nn

from automl_engine.dataset.examples import Examples
from automl_engine.models.pretrained import calibrate, in_pieces, standard_pixels
from automl_engine.models.vision import local_weights, torchvision

SIDE = 96
NAMES = tuple(f"resnet18_{unit}" for unit in range(512))


def source() -> str:
    """Where the weights come from: ``imagenet`` or ``random``."""
    return "random" if local_weights("resnet18") is None else "imagenet"


@cache
def network() -> nn.Module:
    """(n, 3, SIDE, SIDE) -> (n, 512), for inference; called once before the clock starts, it is ready."""
    body = torchvision().resnet18(weights=None)
    state = local_weights("resnet18")
    if state is None:
        calibrate(body)
    else:
        body.load_state_dict(state)
    body.fc = nn.Identity()
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
