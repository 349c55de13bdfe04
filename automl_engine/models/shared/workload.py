"""How much work a pass through a network is, for the clock: counted layer by layer, on a copy."""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from automl_engine import clock

_COUNTED: WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], dict[str, float]]] = WeakKeyDictionary()
_LOOKED_UP = (nn.Embedding, nn.EmbeddingBag)


def passing(network: nn.Module, inputs: torch.Tensor, operation: str) -> AbstractContextManager[clock.Lap]:
    """Around a pass of the inputs through the network, for the clock."""
    return clock.work(operation, lambda: workload(network, inputs[:1], len(inputs)))


def workload(network: nn.Module, example: torch.Tensor, count: int) -> dict[str, float]:
    """Layers, weights, and what grows with the batch of ``count``: multiplications, and values that layers return.

    Args:
        example: a batch of one (or more); each example of its shape is as much work.
    """
    counted = _COUNTED.setdefault(network, {})
    views = getattr(getattr(network, "body", network), "views", ())  # a video network takes them in stages
    key = (*example.shape[1:], network.training, *views)
    if key not in counted:
        counted[key] = _count(network, example[:1].repeat_interleave(2, 0))
    one = counted[key]
    return one | {"products": count * one["products"], "values": count * one["values"]}


def _count(network: nn.Module, inputs: torch.Tensor) -> dict[str, float]:
    """``workload`` for a single example, from two."""
    weights = sum(parameter.numel() for parameter in network.parameters())
    found = {"layers": 0.0, "products": 0.0, "values": 0.0, "weights": float(weights)}

    def look(layer: nn.Module, _: Any, outputs: Any) -> None:
        weight = layer._parameters.get("weight")
        outputs = outputs[0] if isinstance(outputs, tuple) else outputs
        found["layers"] += 1
        found["values"] += outputs.numel() / len(inputs)
        if isinstance(layer, nn.RNNBase):
            steps = outputs.numel() / outputs.shape[-1]
            found["products"] += steps * sum(p.numel() for p in layer.parameters()) / len(inputs)
        elif weight is not None and not isinstance(layer, _LOOKED_UP):
            found["products"] += outputs.numel() * weight[0].numel() / len(inputs)

    twin = copy.deepcopy(network)  # what a pass changes (batch statistics) stays as it is
    hooks = [layer.register_forward_hook(look) for layer in twin.modules() if not list(layer.children())]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        twin(inputs)
    for hook in hooks:
        hook.remove()
    return found
