"""What can stand between the embeddings of a text's tokens and its linear layer: the networks of DeepWisdom's engine.

Each body maps embeddings (N, L, E) and the mask (N, L) of real tokens to (N, ``outputs``), and what stands behind the
last token of a text never changes the answer, so a batch may be cut to its longest text.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

LOWEST = -1e4


def _largest(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(N, L, H) -> (N, H), over the real tokens."""
    return states.masked_fill(~mask[:, :, None], LOWEST).amax(1)


class Body(nn.Module):
    """Made for embeddings of so many ``inputs``, with ``width`` filters a window or units a direction."""

    outputs: int

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()


class Average(Body):
    """The mean embedding (Joulin et al. 2017, "Bag of tricks for efficient text classification": fastText)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        self.outputs = inputs

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        real = mask[:, :, None].float()
        return (x * real).sum(1) / real.sum(1).clamp(min=1)


class Convolutions(Body):
    """TextCNN: windows of one to four tokens, the strongest place of each filter (Kim 2014)."""

    SIZES = (1, 2, 3, 4)

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        self.convolutions = nn.ModuleList([nn.Conv1d(inputs, width, size) for size in self.SIZES])
        self.outputs = width * len(self.SIZES)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        columns = x.transpose(1, 2)  # (N, E, L); a window begins at a token and may reach beyond the end
        found = [
            conv(F.pad(columns, (0, size - 1))).transpose(1, 2)
            for conv, size in zip(self.convolutions, self.SIZES, strict=True)
        ]
        return _largest(F.relu(torch.cat(found, 2)), mask)


class _BothWays(nn.Module):
    """Gated recurrent units (Cho et al. 2014) from the left and, over the reversed text, from the right."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.left = nn.GRU(inputs, width, batch_first=True)
        self.right = nn.GRU(inputs, width, batch_first=True)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States after reading up to each token from the left, from the right: (N, L, width) each."""
        places = torch.arange(x.shape[1], device=x.device)[None, :]
        mirrored = torch.where(mask, mask.long().sum(1, keepdim=True) - 1 - places, places)[:, :, None]
        right = self.right(x.gather(1, mirrored.expand_as(x)))[0]
        return self.left(x)[0], right.gather(1, mirrored.expand_as(right))


class Recurrent(Body):
    """GRU in both directions; the largest and the mean state (Howard & Ruder 2018, concat pooling)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        self.states, self.mean = _BothWays(inputs, width), Average(2 * width, width)
        self.outputs = 4 * width

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states = torch.cat(self.states(x, mask), 2)
        return torch.cat([_largest(states, mask), self.mean(states, mask)], 1)


class Attention(Body):
    """GRU in both directions, summed by how much each token matters (Yang et al. 2016, equations 5 to 7)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        self.states = _BothWays(inputs, width)
        self.key, self.importance = nn.Linear(2 * width, 2 * width), nn.Linear(2 * width, 1, bias=False)
        self.outputs = 2 * width

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states = torch.cat(self.states(x, mask), 2)
        scores = self.importance(self.key(states).tanh())[:, :, 0].masked_fill(~mask, LOWEST)
        return (states * scores.softmax(1)[:, :, None]).sum(1)


class RecurrentConvolution(Body):
    """RCNN: each token with what stands before and behind it, the strongest place (Lai et al. 2015; GRU contexts)."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        self.states = _BothWays(inputs, width)
        self.meaning = nn.Linear(inputs + 2 * width, 2 * width)
        self.outputs = 2 * width

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        left, right = self.states(x, mask)
        return _largest(self.meaning(torch.cat([left, x, right], 2)).tanh(), mask)


BODIES: dict[str, type[Body]] = {
    "average": Average,
    "cnn": Convolutions,
    "gru": Recurrent,
    "gru_attention": Attention,
    "rcnn": RecurrentConvolution,
}
