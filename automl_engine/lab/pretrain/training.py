"""The training of a backbone on what a source draws: endless examples, one cosine cycle, resumable.

The heads (one for each kind of formula) are softmax layers whose targets are shares: an image with a fractal and a
contour is half of each.  What is kept is an average of the weights over the last steps.
"""

from __future__ import annotations

import copy
import math
import time
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from automl_engine.errors import DataError
from automl_engine.files import atomic_write
from automl_engine.lab.pretrain.architectures import ARCHITECTURES
from automl_engine.lab.pretrain.sources import source
from automl_engine.models.shared.device import put_channels_last
from automl_engine.models.shared.network import PixelNetwork
from automl_engine.models.shared.residual import MIDDLE, SCALE
from automl_engine.models.shared.trainer import half_precision_is_faster, move_towards

LR, DECAY, WARM_UP = 3e-3, 0.05, 100
"""Learning rate and weight decay of AdamW, and the number of steps in which the rate rises."""
AVERAGE = 0.999
"""Weight of the old average after every step."""
FIRST = 10
"""At first the average is that of the last one in so many steps, so that a short training forgets its random start."""
STATE = "training.pt"


class Recipe(NamedTuple):
    """All that a training depends on; written into its card."""

    arch: str
    source: str
    hours: float
    batch: int = 128
    seed: int = 0


class Training:
    """What can be saved and resumed: the backbone, its heads, the optimiser, their averages, and how far they are."""

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.source = source(recipe.source)(recipe.seed, device)
        architecture = ARCHITECTURES[recipe.arch]
        self.sides, self.is_series = architecture.sides, architecture.series
        backbone = architecture.build(self.source.channels)
        side = self.sides[0]
        height = 1 if self.is_series else side
        with torch.no_grad():
            features = backbone.eval()(torch.zeros(1, self.source.channels, height, side)).shape[1]
        heads = nn.ModuleDict({kind: nn.Linear(features, count) for kind, count in self.source.classes.items()})
        self.network = nn.ModuleDict({"trunk": backbone, "heads": heads}).to(device)
        put_channels_last(self.network)
        self.average = copy.deepcopy(self.network)
        decayed = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=LR)
        self.steps, self.spent_s = 0, 0.0
        blank = torch.zeros(recipe.batch, height, side, self.source.channels, dtype=torch.uint8)
        inputs = PixelNetwork(backbone, self.source.channels, False).standardise(blank)
        self.half = device.type == "cuda" or half_precision_is_faster(backbone, inputs, "image_resnet")

    @property
    def backbone(self) -> nn.Module:
        """The averaged one."""
        return self.average["trunk"]

    @property
    def progress(self) -> float:
        """0..1, of the hours asked for."""
        return min(1.0, self.spent_s / (3600 * self.recipe.hours))

    def step(self) -> dict[str, float]:
        """One batch; the loss of each head."""
        start = time.perf_counter()
        images, targets = self.source.draw(self.recipe.batch, self.sides[self.steps % len(self.sides)])
        inputs = images if self.is_series else (images - MIDDLE) * SCALE
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        rate = LR * min(1.0, (self.steps + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * self.progress))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        heads = self.network["heads"]
        assert isinstance(heads, nn.ModuleDict)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            features = self.network["trunk"](inputs)
            logits = {kind: head(features).float() for kind, head in heads.items()}
        losses = {kind: F.cross_entropy(logits[kind], targets[kind]) for kind in logits}
        self.optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        move_towards(self.average, self.network, max(1 - AVERAGE, FIRST / (self.steps + FIRST)))
        self.steps += 1
        values = {kind: loss.item() for kind, loss in losses.items()}
        self.spent_s += time.perf_counter() - start
        return values

    def save(self, folder: Path) -> None:
        """All that ``resume`` needs; the file that was there is replaced at once."""
        parts = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimiser")}
        with atomic_write(folder / STATE) as part:
            torch.save({**parts, "steps": self.steps, "spent_s": self.spent_s, "recipe": self.recipe._asdict()}, part)

    def resume(self, folder: Path) -> None:
        """Go on from what ``save`` left.

        Raises:
            DataError: that is of another network, source, batch or seed.
        """
        saved = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        if {**saved["recipe"], "hours": 0} != {**self.recipe._asdict(), "hours": 0}:
            raise DataError(f"{folder / STATE} was made by {saved['recipe']}; choose another --out folder.")
        for name in ("network", "average", "optimiser"):
            getattr(self, name).load_state_dict(saved[name])
        self.steps, self.spent_s = saved["steps"], saved["spent_s"]
        torch.manual_seed(self.recipe.seed + self.steps)

    def write_weights(self, folder: Path, name: str) -> None:
        """The averaged backbone as NAME.safetensors in half precision; the file that was there is replaced at once."""
        state = {key: value.detach().cpu().contiguous() for key, value in self.backbone.state_dict().items()}
        half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
        with atomic_write(folder / f"{name}.safetensors") as part:
            save_file(half, part)
