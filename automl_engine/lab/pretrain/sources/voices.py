"""Formulas of sound: rhythms say when something sounds and how loud, voices say what.

A voice is a series of harmonics (Moorer, "The synthesis of complex audio spectra by means of discrete summation
formulas", JAES 1976) or frequency modulation (Chowning, JAES 1973), crossed with noise, behind a filter with
resonances that move; with few of these at work it is a chirp, a bell, a click, a vowel, a hiss.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from automl_engine.features.audio import BANDS, HOP, RATE_HZ

BLOCK = HOP // 4
"""Amplitudes from one value of all that changes slowly to the next, 2.5 ms; between them are straight lines."""
SLOTS = 8
"""Steps in a rhythm."""
LOWEST_HZ, HIGHEST_HZ = 30.0, 7000.0
RESONANCES = 3


class Notes(NamedTuple):
    """What a rhythm asks of a voice, each (n, times): seconds since the last onset, its slot, the amplitude 0..1."""

    age_s: torch.Tensor
    slot: torch.Tensor
    amplitude: torch.Tensor


class Draws:
    """Random numbers of formulas, the same on any machine: made on the CPU, one row for each formula."""

    def __init__(self, count: int, rng: torch.Generator, device: torch.device) -> None:
        self.count, self.rng, self.device = count, rng, device

    def even(self, low: float, high: float, size: int = 1) -> torch.Tensor:
        """(count, size) between low and high."""
        return (low + (high - low) * torch.rand(self.count, size, generator=self.rng)).to(self.device)

    def scale(self, low: float, high: float, size: int = 1) -> torch.Tensor:
        """(count, size) between low and high, every ratio as likely as any other."""
        return self.even(math.log(low), math.log(high), size).exp()

    def some(self, share: float, size: int = 1) -> torch.Tensor:
        """(count, size) of 1 for this share, else 0."""
        return (self.even(0, 1, size) < share).float()


class Rhythms:
    """``count`` formulas: which of eight steps sound, how strong, how they swell and fade, how they tremble."""

    def __init__(self, count: int, rng: torch.Generator, device: torch.device) -> None:
        draws = Draws(count, rng, device)
        self.period_s = draws.scale(0.05, 0.6)
        on = draws.even(0, 1, SLOTS) < draws.even(0.0, 1.2)
        on[:, 0] = True
        slots = torch.arange(SLOTS, device=device)
        self.since = slots - torch.where(on, slots, 0).cummax(1).values  # steps since the last that sounds
        self.accent = 10 ** (draws.some(0.6) * draws.even(-0.8, 0, SLOTS))
        self.decay_s = draws.scale(0.004, 0.6)
        self.sustain = draws.some(0.5) * draws.even(0, 1)
        self.hold_s, self.release_s = draws.scale(0.03, 1.0), draws.scale(0.005, 0.15)
        self.attack_s = torch.minimum(draws.scale(0.001, 0.15), torch.minimum(self.decay_s, self.hold_s) / 2)
        self.tremble, self.tremble_hz = draws.some(0.3) * draws.even(0.3, 1), draws.scale(3, 50)

    def play(self, which: torch.Tensor, times_s: torch.Tensor) -> Notes:
        """Of the formulas ``which`` (n,), from one of their onsets on, at time 0 of ``times_s`` (n, times)."""
        pace = _jitter(which, 0.15)
        period_s = self.period_s[which] * pace
        slot = torch.randint(0, SLOTS, (len(which), 1), device=which.device)
        place = times_s / period_s + slot - self.since[which].gather(1, slot)
        step = place.floor()
        slot = step.long() % SLOTS
        since = self.since[which].gather(1, slot)
        slot = slot - since
        age_s = (place - step + since) * period_s
        fade = (-age_s / (self.decay_s[which] * _jitter(which, 0.2))).exp()
        swell = 1 - (-age_s / (self.attack_s[which] * _jitter(which, 0.2))).exp()
        sustain = self.sustain[which]
        amplitude = swell * (sustain + (1 - sustain) * fade) * self.accent[which].gather(1, slot)
        over_s = age_s - self.hold_s[which] * _jitter(which, 0.2)
        amplitude = amplitude * (-over_s.clamp(min=0) / self.release_s[which]).exp()
        phase = torch.rand(len(which), 1, device=which.device) + self.tremble_hz[which] / pace * times_s
        amplitude = amplitude * (1 - self.tremble[which] * (0.5 + 0.5 * torch.sin(2 * math.pi * phase)))
        return Notes(age_s, slot, amplitude * (times_s >= 0))


class Voices:
    """``count`` formulas; each number that changes in a note goes from one value to another as it gets older."""

    def __init__(self, count: int, rng: torch.Generator, device: torch.device) -> None:
        draws = Draws(count, rng, device)
        spoken = draws.some(0.5)
        self.octave = torch.lerp(draws.even(6.6, 11.5), draws.even(6.3, 8.5), spoken)  # of Hz
        self.melody = draws.some(0.4) * draws.even(-0.7, 0.7, SLOTS)  # octaves
        self.glide = draws.some(0.5) * draws.even(-1.5, 1.5) * (1 - 0.6 * spoken)  # octaves
        self.glide_s = draws.scale(0.02, 0.6)
        self.vibrato, self.vibrato_hz = draws.some(0.35) * draws.scale(0.01, 0.3), draws.scale(2, 14)
        rich = torch.maximum(spoken, draws.some(0.3))
        self.bright = rich * draws.even(0.6, 1)
        modulated = (1 - rich) * draws.some(0.65)
        ratio = draws.scale(0.2, 5)
        self.ratio = torch.where(draws.some(0.5) > 0, ratio.round().clamp(min=0.5), ratio)
        self.index = modulated * draws.even(0, 7), modulated * draws.even(0, 3)
        self.index_s = draws.scale(0.02, 0.4)
        hiss = draws.some(0.25)
        self.noise = [torch.maximum(hiss * draws.even(0.7, 1), draws.some(0.5) * draws.even(0, 1) ** 2) for _ in "ab"]
        self.noise_s = draws.scale(0.01, 0.2)
        self.band = [draws.even(2, BANDS - 4, RESONANCES) for _ in "ab"]
        self.band_s = draws.scale(0.03, 0.5)
        self.width = draws.scale(1.5, 7, RESONANCES)  # bands
        self.height = draws.some(0.8) * draws.even(1, 7, RESONANCES)  # natural log of energy
        self.tilt = draws.even(-7, 3)  # the same, from the lowest band to the highest

    def sing(self, which: torch.Tensor, notes: Notes) -> torch.Tensor:
        """(n, (times - 1) * BLOCK) amplitudes of about 1 of the formulas ``which`` (n,), before the filter."""
        octave = self.octave[which] + 0.2 * torch.randn(len(which), 1, device=which.device)
        octave = octave + self.melody[which].gather(1, notes.slot)
        octave = octave + self.glide[which] * _jitter(which, 0.2) * (1 - (-notes.age_s / self.glide_s[which]).exp())
        turns = self.vibrato_hz[which] * _jitter(which, 0.1) * notes.age_s
        octave = octave + self.vibrato[which] * torch.sin(2 * math.pi * turns)
        hertz = (2**octave).clamp(LOWEST_HZ, HIGHEST_HZ)
        ratio = self.ratio[which] * _jitter(which, 0.02)
        start, end = (index[which] for index in self.index)
        index = _course(start, end, self.index_s[which], notes.age_s)
        room = (RATE_HZ / 2 / hertz - 1) / ratio - 1  # side bands beyond half the rate would be folded back (Carson)
        index = torch.minimum(index, room.clamp(min=0))
        cycles, modulator = _cycles(hertz, ratio)
        phase = 2 * math.pi * cycles + _sampled(index) * torch.sin(2 * math.pi * modulator)
        bright = self.bright[which] * (-5 * hertz.mean(1, keepdim=True) / (RATE_HZ / 2)).exp()
        loud = (1 - bright**2).sqrt()
        tone = loud * phase.sin() / (1 - 2 * bright * phase.cos() + bright**2)
        start, end = (noise[which] for noise in self.noise)
        share = _sampled(_course(start, end, self.noise_s[which], notes.age_s))
        return torch.lerp(tone, 2.4 * torch.rand_like(tone) - 1.2, share) * _sampled(notes.amplitude)

    def colour(self, which: torch.Tensor, age_s: torch.Tensor) -> torch.Tensor:
        """(n, frames, BANDS): factors of energy of the filters of ``which`` (n,) at ``age_s`` (n, frames)."""
        device = which.device
        bands = torch.arange(BANDS, device=device, dtype=torch.float32)
        start, end = (band[which] for band in self.band)
        log_factor = (self.tilt[which] * bands / BANDS)[:, None]
        shift = 1.2 * torch.randn(len(which), 1, device=device)
        for i in range(RESONANCES):
            centre = shift + _course(start[:, i, None], end[:, i, None], self.band_s[which], age_s)
            reach = (bands - centre[..., None]) / self.width[which, i, None, None]
            height = self.height[which, i, None, None] * _jitter(which, 0.15)[..., None]
            log_factor = log_factor + height / (1 + reach**2)
        return log_factor.exp()


def _jitter(which: torch.Tensor, spread: float) -> torch.Tensor:
    """(n, 1) about 1."""
    return torch.exp(spread * torch.randn(len(which), 1, device=which.device))


def _course(start: torch.Tensor, end: torch.Tensor, time_s: torch.Tensor, age_s: torch.Tensor) -> torch.Tensor:
    """From start to end, most of it within ``time_s``, each (n, 1); (n, times)."""
    return end + (start - end) * (-age_s / time_s).exp()


def _ramp(device: torch.device) -> torch.Tensor:
    return torch.arange(BLOCK, device=device) / BLOCK


def _sampled(values: torch.Tensor) -> torch.Tensor:
    """(n, times) -> (n, (times - 1) * BLOCK), straight lines."""
    return torch.lerp(values[:, :-1, None], values[:, 1:, None], _ramp(values.device)).flatten(1)


def _cycles(hertz: torch.Tensor, ratio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Frequencies (n, times) -> cycles (n, (times - 1) * BLOCK) of a wave and of one ``ratio`` (n, 1) times as fast.

    Whole cycles are left out at every block: float32 would lose the fractions after a second.
    """
    block_s = BLOCK / RATE_HZ
    past = ((hertz[:, :-1] + hertz[:, 1:]).double() / 2 * block_s).cumsum(1)
    past = torch.nn.functional.pad(past[:, :-1], (1, 0)) + torch.rand(len(hertz), 1, device=hertz.device)
    ramp = _ramp(hertz.device)
    within = (ramp * hertz[:, :-1, None] + ramp**2 / 2 * hertz.diff(dim=1)[..., None]) * block_s
    both = [
        (past * factor % 1).float()[..., None] + within * factor[..., None]
        for factor in (torch.ones_like(ratio), ratio)
    ]
    return both[0].flatten(1), both[1].flatten(1)
