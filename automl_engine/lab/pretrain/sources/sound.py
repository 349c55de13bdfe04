"""Sounds from formulas, as the log-mel pictures that ``audio_resnet`` sees.

A sound is one voice with one rhythm, or two of each; which ones is what a network learns to tell.  When it starts, how
loud it is, what stands between it and the microphone, and what else is heard say nothing about the class.
"""

from __future__ import annotations

import torch

from automl_engine.features.audio import BANDS, FFT, HOP, LEVELS, RATE_HZ, WINDOW, mel_filters
from automl_engine.lab.pretrain.sources import Targets
from automl_engine.lab.pretrain.sources.shapes import shares
from automl_engine.lab.pretrain.sources.voices import BLOCK, Rhythms, Voices

VOICES, RHYTHMS = 512, 128
CROWDED = 0.4
"""Share of the sounds that are two at once."""
SPAN = 2
"""Frames for each pixel of the side that is asked for: 48 to 128, among the widths that ``picture_frames`` chooses."""
CHUNK = 4
"""Sounds whose spectra are worked on at once on the CPU: within its cache."""
NOISE_S = 40
"""Of noise that is made once; every sound gets some of it."""
QUIETEST, LOUDEST = 16.0, 28.0
"""Natural log of the energy of the loudest frame; a full sine wave of 16 bits has 30."""


class Sounds:
    channels = 1

    def __init__(self, seed: int, device: torch.device) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.device = device
        self.voices, self.rhythms = Voices(VOICES, rng, device), Rhythms(RHYTHMS, rng, device)
        hiss = torch.rand(1, NOISE_S * RATE_HZ, generator=rng).to(device) - 0.5
        self.rounding = mel_energies(hiss)[0]  # what is left of silence by rounding to whole amplitudes
        self.classes = {"voice": VOICES, "rhythm": RHYTHMS}

    def draw(self, count: int, side: int) -> tuple[torch.Tensor, Targets]:
        """(count, 1, BANDS, SPAN * side) float32, whole numbers in 0..255 as those of ``mel_picture``."""
        device, frames = self.device, SPAN * side
        voice = torch.randint(0, VOICES, (2, count), device=device)
        rhythm = torch.randint(0, RHYTHMS, (2, count), device=device)
        heard = torch.stack([torch.ones(count, device=device), (torch.rand(count, device=device) < CROWDED).float()])
        rows = heard.nonzero(as_tuple=True)
        parts = self._parts(voice[rows], rhythm[rows], frames)
        energies = torch.zeros(count, frames, BANDS, device=device).index_add_(0, rows[1], parts)
        pictures = _padded(levels(self._recorded(energies)).transpose(1, 2))
        return pictures[:, None], {"voice": shares(voice, heard, VOICES), "rhythm": shares(rhythm, heard, RHYTHMS)}

    def _parts(self, voice: torch.Tensor, rhythm: torch.Tensor, frames: int) -> torch.Tensor:
        """(n, frames, BANDS) energies of voices (n,) with rhythms (n,): about 1 in the loudest frame."""
        blocks = ((frames - 1) * HOP + WINDOW) // BLOCK
        times_s = torch.arange(blocks + 1, device=self.device) * (BLOCK / RATE_HZ)
        first_s = 0.35 * times_s[-1] * torch.rand(len(voice), 1, device=self.device) ** 2
        notes = self.rhythms.play(rhythm, times_s - first_s)
        middle = slice(WINDOW // BLOCK // 2, None, HOP // BLOCK)  # of the frames
        ages_s = notes.age_s[:, middle][:, :frames]
        energies = mel_energies(self.voices.sing(voice, notes)) * self.voices.colour(voice, ages_s)
        loudness = (2 * torch.rand(len(voice), 1, 1, device=self.device) - 1).exp()
        return energies * loudness / energies.sum(2, keepdim=True).amax(1, keepdim=True).clamp(min=1e-9)

    def _recorded(self, energies: torch.Tensor) -> torch.Tensor:
        """(n, frames, BANDS) of loudness 1 -> in a room, through a microphone, with noise, at some gain."""
        n, frames, _ = energies.shape
        device = self.device
        noise = self._noise(n, frames) / self.rounding.sum(1).mean() * _slopes(n, 1.5, device)
        noise *= torch.exp(-4 - 14 * torch.rand(n, 1, 1, device=device))
        gain = torch.exp(QUIETEST + (LOUDEST - QUIETEST) * torch.rand(n, 1, 1, device=device).sqrt())
        heard = (torch.bmm(_echoes(n, frames, device), energies) + noise) * gain * _slopes(n, 1.5, device)
        return heard * _cut(n, device) + self._noise(n, frames)

    def _noise(self, n: int, frames: int) -> torch.Tensor:
        """(n, frames, BANDS) energies of what rounding adds."""
        first = torch.randint(0, len(self.rounding) - frames, (n, 1), device=self.device)
        return self.rounding[first + torch.arange(frames, device=self.device)]


def mel_energies(waves: torch.Tensor) -> torch.Tensor:
    """(n, T) amplitudes -> (n, frames, BANDS), as in ``features/audio.py`` before the logarithm."""
    window = torch.hann_window(WINDOW, periodic=False, device=waves.device)
    filters = torch.from_numpy(mel_filters()).to(waves.device)
    energies = []
    for chunk in waves.split(CHUNK if waves.device.type == "cpu" else len(waves)):
        spectrum = torch.fft.rfft(chunk.unfold(1, WINDOW, HOP) * window, FFT)
        energies.append((spectrum.real**2 + spectrum.imag**2) @ filters)
    return torch.cat(energies)


def levels(energies: torch.Tensor) -> torch.Tensor:
    """Grey levels, as ``mel_picture`` makes them of energies."""
    return (LEVELS * energies.log1p()).clamp(0, 255).floor()


def _slopes(n: int, spread: float, device: torch.device) -> torch.Tensor:
    """(n, 1, BANDS) factors of energy, about 1: rising or falling, with a broad dent or bump."""
    bands = torch.linspace(-1, 1, BANDS, device=device)
    slope, bump, place = (torch.randn(n, 1, 1, device=device) for _ in range(3))
    return (spread * (slope * bands + bump * ((-4 * (bands - place) ** 2).exp() - 0.4))).exp()


def _cut(n: int, device: torch.device) -> torch.Tensor:
    """(n, 1, BANDS) factors of energy: two in five sounds were sampled at a lower rate once."""
    highest = 40 + 24 * torch.rand(n, 1, 1, device=device)
    cut = torch.rand(n, 1, 1, device=device) < 0.4
    above = (torch.arange(BANDS, device=device) - highest).clamp(min=0) * cut
    return (-6 * above).exp()


def _echoes(n: int, frames: int, device: torch.device) -> torch.Tensor:
    """(n, frames, frames): what of a frame is heard in it and those after; every other room has echoes."""
    lag = torch.arange(frames, device=device)
    lag = (lag[:, None] - lag).float()
    wet = 0.15 * (torch.rand(n, 1, 1, device=device) - 0.5).clamp(min=0)
    fade = 2 + 14 * torch.rand(n, 1, 1, device=device)  # frames, to a factor e
    return torch.eye(frames, device=device) + wet * (-lag.clamp(min=0) / fade).exp() * (lag > 0)


def _padded(pictures: torch.Tensor) -> torch.Tensor:
    """(n, BANDS, frames): half of them shorter than that, and followed by the quietest level of each band."""
    n, _, frames = pictures.shape
    length = frames * (0.4 + 1.2 * torch.rand(n, 1, 1, device=pictures.device))
    kept = torch.arange(frames, device=pictures.device) < length
    return torch.where(kept, pictures, pictures.masked_fill(~kept, 255).amin(2, keepdim=True))
