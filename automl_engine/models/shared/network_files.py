"""A network on disk: what it is made of (JSON) and its weights (safetensors); the graph of an exported one (ONNX)."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def write_network(dir: Path, network: nn.Module, params: dict[str, Any], config: dict[str, Any]) -> None:
    """``params``: of the model; ``config``: all that its empty network is made from."""
    (dir / "config.json").write_text(json.dumps({"params": params, "config": config}))
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    save_file(state, str(dir / "model.safetensors"))


def read_network(
    dir: Path, build: Callable[[dict[str, Any]], Network]
) -> tuple[dict[str, Any], dict[str, Any], Network]:
    """(params, config, network) as written."""
    saved = json.loads((dir / "config.json").read_text())
    network = build(saved["config"])
    network.load_state_dict(load_file(str(dir / "model.safetensors")))
    return saved["params"], saved["config"], network


def write_graph(path: Path, network: nn.Module, example: torch.Tensor, input_name: str) -> None:
    """The graph that maps (n, ...) inputs like ``example`` to (n, K) "probabilities".

    By tracing: ``torch.export`` takes thirty times as long, unrolls a recurrence into one step a token, and writes
    where our source files lie into the graph.
    """
    with quiet():
        torch.onnx.export(
            copy.deepcopy(network).cpu().eval(),
            (example,),
            str(path),
            dynamo=False,
            input_names=[input_name],
            output_names=["probabilities"],
            dynamic_axes={input_name: {0: "n"}},
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporter's chatter (progress lines, deprecations inside torch) kept off the journal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
