"""The networks of a variational autoencoder whose latent space tells data sets apart.

Section 5.2 of the Freiburg paper: the encoder is a DenseNet (Huang et al., CVPR 2017) with a 3 × 3 stem of stride 1 and
no pooling after it, the decoder a small PixelCNN++ (Salimans et al., ICLR 2017): each pixel follows a mixture of
discretised logistics whose parameters depend on the pixels above and to the left, and on a picture made from the latent
vector by a fully connected layer.  Only the encoder is of use after training.

An image is (3, S, S) float32 in [-1, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

MIXTURE = 5
"""Number of logistics in the distribution of a pixel."""
PARAMETERS = 10 * MIXTURE
"""Each has its share, and for 3 channels: mean, scale, and how the mean moves with the channels before (3 factors)."""


class DenseLayer(nn.Module):
    """Adds ``growth`` channels to its input: 1 × 1 to 4 × growth, then 3 × 3."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.body(x)], 1)


class Encoder(nn.Module):
    """(N, 3, S, S) -> mean and logarithm of the variance of the latent vector, each (N, latent).

    ``blocks`` are the layers of each dense block; those of DenseNet-121 are 6, 12, 24, 16 at growth 32.
    """

    def __init__(self, blocks: list[int], growth: int, latent: int) -> None:
        super().__init__()
        width = 2 * growth
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, bias=False)]
        for at, depth in enumerate(blocks):
            if at:
                layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width // 2, 1, bias=False)]
                layers.append(nn.AvgPool2d(2))
                width //= 2
            for _ in range(depth):
                layers.append(DenseLayer(width, growth))
                width += growth
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, 2 * latent)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_variance = self.head(self.body(images)).chunk(2, 1)
        return mean, log_variance.clamp(-8, 4)


class Shifted(nn.Module):
    """A convolution over rows up to the present one; columns on both sides, or (``left``) up to the present one."""

    def __init__(self, inputs: int, outputs: int, rows: int, columns: int, left: bool = False) -> None:
        super().__init__()
        before = columns - 1 if left else columns // 2
        self.padding = (before, columns - 1 - before, rows - 1, 0)
        self.convolution = nn.Conv2d(inputs, outputs, (rows, columns))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(F.pad(x, self.padding))


class Gated(nn.Module):
    """Residual block with a gate; ``beside`` is what another stream knows of the same pixel."""

    def __init__(self, width: int, first: Shifted, beside: bool = False) -> None:
        super().__init__()
        self.first = first
        self.beside = nn.Conv2d(width, width, 1) if beside else None
        self.second = nn.Conv2d(width, 2 * width, 1)

    def forward(self, x: torch.Tensor, beside: torch.Tensor | None = None) -> torch.Tensor:
        hidden = self.first(F.elu(x))
        if self.beside is not None and beside is not None:
            hidden = hidden + self.beside(F.elu(beside))
        value, gate = self.second(F.elu(hidden)).chunk(2, 1)
        return x + value * torch.sigmoid(gate)


class Decoder(nn.Module):
    """(N, 3, S, S) images and (N, latent) vectors -> (N, PARAMETERS, S, S): what is expected of each pixel.

    Two streams as in PixelCNN++: ``above`` sees the rows above a pixel, ``before`` also its row to the left.
    """

    def __init__(self, side: int, latent: int, width: int, depth: int) -> None:
        super().__init__()
        self.side = side
        self.picture = nn.Linear(latent, 3 * side * side)
        self.latent_above, self.latent_before = nn.Conv2d(3, width, 1), nn.Conv2d(3, width, 1)
        self.rows_above = Shifted(4, width, 2, 3)
        self.row_above, self.columns_left = Shifted(4, width, 1, 3), Shifted(4, width, 2, 1, left=True)
        self.above = nn.ModuleList(Gated(width, Shifted(width, width, 2, 3)) for _ in range(depth))
        self.before = nn.ModuleList(Gated(width, Shifted(width, width, 2, 2, left=True), True) for _ in range(depth))
        self.head = nn.Conv2d(width, PARAMETERS, 1)

    def forward(self, images: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        picture = self.picture(latent).view(-1, 3, self.side, self.side)
        inside = F.pad(images, (0, 0, 0, 0, 0, 1), value=1.0)  # a channel of ones tells the image from the padding
        above = _down(self.rows_above(inside)) + self.latent_above(picture)
        before = _down(self.row_above(inside)) + _right(self.columns_left(inside)) + self.latent_before(picture)
        for block_above, block_before in zip(self.above, self.before, strict=True):
            above = block_above(above)
            before = block_before(before, above)
        return self.head(F.elu(before))


def _down(x: torch.Tensor) -> torch.Tensor:
    return F.pad(x, (0, 0, 1, 0))[:, :, :-1]


def _right(x: torch.Tensor) -> torch.Tensor:
    return F.pad(x, (1, 0))[..., :-1]


def log_likelihood(parameters: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """(N,) natural logarithm of the probability of 8-bit images under discretised logistic mixtures (PixelCNN++, 2.1).

    Green's mean moves with the pixel's red, blue's with its red and green (2.2).
    """
    count, _, height, width = images.shape
    shares = parameters[:, :MIXTURE].log_softmax(1)  # (N, M, H, W)
    means, log_scales, factors = (
        parameters[:, MIXTURE:].view(count, MIXTURE, 9, height, width).split(3, 2)  # 3 × (N, M, 3, H, W)
    )
    log_scales, factors = log_scales.clamp(min=-7), torch.tanh(factors)
    x = images[:, None]  # (N, 1, 3, H, W)
    moves = [torch.zeros_like(means[:, :, 0]), factors[:, :, 0] * x[:, :, 0]]
    moves.append(factors[:, :, 1] * x[:, :, 0] + factors[:, :, 2] * x[:, :, 1])
    distance = (x - means - torch.stack(moves, 2)) * torch.exp(-log_scales)
    half = torch.exp(-log_scales) / 255  # half the width of one of 256 levels
    mass = torch.sigmoid(distance + half) - torch.sigmoid(distance - half)
    density = distance - log_scales - 2 * F.softplus(distance) - 4.844  # log(127.5): where the mass is too small to see
    inner = torch.where(mass > 1e-5, mass.clamp(min=1e-12).log(), density)
    ends = torch.where(x > 0.999, -F.softplus(distance - half), inner)
    ends = torch.where(x < -0.999, -F.softplus(-distance - half), ends)
    return torch.logsumexp(ends.sum(2) + shares, 1).sum((1, 2))
