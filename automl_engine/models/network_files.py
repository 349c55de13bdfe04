"""A network on disk: what it is made of (JSON) and its weights (safetensors)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

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
