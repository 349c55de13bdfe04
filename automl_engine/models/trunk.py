"""A residual network that begins with what another has learned: its trunk taken over, its last layer in closed form.

First the last layer alone and then all layers: so the trunk isn't spoiled by a head that knows nothing (Kumar et al.,
"Fine-tuning can distort pretrained features and underperform out-of-distribution", ICLR 2022).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from automl_engine import clock
from automl_engine.models.linear import fit_ridge
from automl_engine.models.vision import load_weights
from automl_engine.models.workload import workload

MOST, BATCH = 4000, 250
"""Examples that the last layer is fitted to, and how many of them pass at once."""


def take_over(network: nn.Sequential, file: Path) -> None:
    """All but the last layer of a ``residual_network``, from a file that ``pretrain`` wrote.

    The stem is that for images of such a side; its filters serve any number of channels.

    Raises:
        RuntimeError: the file is of another network.
    """
    state = load_weights(file)
    stem = network[0].weight
    found = next(
        (state[key] for key in ("small.weight", "large.weight") if state[key].shape[2:] == stem.shape[2:]), None
    )
    if found is None or len(found) != len(stem):
        raise RuntimeError(f"{file.name} was not made for a network of {len(stem)} channels")
    with torch.no_grad():
        stem.copy_(for_channels(found, stem.shape[1]))
    network[1:-1].load_state_dict({key.removeprefix("body."): v for key, v in state.items() if key.startswith("body.")})


def for_channels(filters: torch.Tensor, channels: int) -> torch.Tensor:
    """(n, C, h, w) -> (n, ``channels``, h, w) that answers as strongly: grey images are seen as three equal colours."""
    taken = filters.shape[1]
    if channels == 1:
        return filters.sum(1, keepdim=True)
    return filters[:, [i % taken for i in range(channels)]] * (taken / channels)


def fit_last_layer(
    network: nn.Sequential, inputs: torch.Tensor, labels: np.ndarray, multi_label: bool, name: str
) -> None:
    """The last layer by ridge regression on what the others see.

    Args:
        inputs: (n, C, H, W), standardised.
        labels: (n, K).
        name: by which the clock knows the network.
    """
    network.eval()
    parts = []
    for batch in inputs.split(BATCH):
        with (
            clock.work(f"{name} forward", lambda batch=batch: workload(network, batch[:1], len(batch))),
            torch.inference_mode(),
        ):
            parts.append(network[:-1](batch).cpu())
    head, _ = fit_ridge(torch.cat(parts).numpy(), labels, multi_label)
    weights = torch.from_numpy(head.scale[:, None] * head.weights)
    with torch.no_grad():
        network[-1].weight.copy_(weights.T)
        network[-1].bias.copy_(torch.from_numpy(head.bias - head.mean @ weights.numpy()))
