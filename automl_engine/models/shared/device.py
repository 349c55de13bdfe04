"""Where networks compute, and with how many threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn

from automl_engine import clock
from automl_engine.dataset.decode import CORES

T = TypeVar("T")


def torch_device(params: Mapping[str, Any]) -> torch.device:
    """The ``device`` of a model's parameters; "auto" is the GPU if there is one."""
    name = params.get("device", "auto")
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else name.replace("auto", "cpu"))


def put_channels_last(network: nn.Module) -> None:
    """In memory, in place: so convolutions of images are fastest."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)


class Pace:
    """Runs pieces of work with as many threads as prove fastest: on a busy machine fewer can be (measured on 2 cores
    with 4 others' processes: one thread took a third of the time of two)."""

    TRIALS = 3

    def __init__(self) -> None:
        counts = {clock.threads(CORES)} if clock.is_virtual() else {CORES, max(1, CORES // 2)}
        self.seconds: dict[int, list[float]] = {count: [] for count in counts}

    def __call__(self, work: Callable[[], T]) -> T:
        untried = [count for count, seconds in self.seconds.items() if len(seconds) < self.TRIALS]
        count = untried[0] if untried else min(self.seconds, key=lambda c: sorted(self.seconds[c])[self.TRIALS // 2])
        if torch.get_num_threads() != count:
            torch.set_num_threads(count)
        start = clock.now_s()
        result = work()
        if untried:
            self.seconds[count].append(clock.now_s() - start)
        return result
