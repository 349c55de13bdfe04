"""Sounds from formulas: pictures as ``mel_picture`` makes them, the same formulas for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from automl_engine.features.audio import BANDS, LEVELS, RATE_HZ, WINDOW, log_mel, mel_filters
from automl_engine.lab.pretrain.sources.sound import CROWDED, SPAN, Sounds, levels, mel_energies
from automl_engine.lab.pretrain.sources.voices import BLOCK, Notes, Rhythms, Voices, _cycles

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def sounds() -> Sounds:
    return Sounds(0, CPU)


def formulas(seed: int) -> tuple[Rhythms, Voices]:
    rng = torch.Generator().manual_seed(seed)
    return Rhythms(32, rng, CPU), Voices(32, rng, CPU)


def numbers(formula: Rhythms | Voices) -> torch.Tensor:
    parts = [
        value if isinstance(value, torch.Tensor) else torch.cat(list(value), 1) for value in vars(formula).values()
    ]
    return torch.cat([part.float() for part in parts], 1)


def steady(seconds: float) -> Notes:
    times_s = torch.arange(int(seconds * RATE_HZ / BLOCK) + 1)[None] * BLOCK / RATE_HZ
    return Notes(times_s, torch.zeros_like(times_s, dtype=torch.long), torch.ones_like(times_s))


@pytest.mark.parametrize("side", [24, 32, 64])
def test_pictures_are_of_grey_levels_and_shares_add_up(sounds: Sounds, side: int) -> None:
    torch.manual_seed(0)
    pictures, targets = sounds.draw(40, side)
    assert pictures.shape == (40, 1, BANDS, SPAN * side)
    assert pictures.dtype == torch.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 255
    assert torch.equal(pictures, pictures.round())
    assert (pictures.flatten(1).std(1) > 3).all()
    for kind, count in sounds.classes.items():
        assert targets[kind].shape == (40, count)
        torch.testing.assert_close(targets[kind].sum(1), torch.ones(40))
    crowded = ((targets["voice"] > 0).sum(1) == 2).float().mean()
    assert abs(crowded - CROWDED) < 0.25


def test_the_same_seed_brings_the_same_formulas_and_drawings(sounds: Sounds) -> None:
    for kind in (Rhythms, Voices):
        one, same, other = (numbers(kind(32, torch.Generator().manual_seed(seed), CPU)) for seed in (3, 3, 4))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
        assert len(one.unique(dim=0)) == 32
    torch.manual_seed(5)
    first, _ = sounds.draw(3, 24)
    torch.manual_seed(5)
    again, _ = Sounds(0, CPU).draw(3, 24)
    assert torch.equal(first, again)


def test_levels_are_those_of_the_feature() -> None:
    waves = (3000 * np.random.default_rng(0).standard_normal((3, WINDOW + 800))).astype(np.float32)
    ours = levels(mel_energies(torch.from_numpy(waves)))
    theirs = np.stack([np.clip(LEVELS * log_mel(wave), 0, 255).astype(np.uint8) for wave in waves])
    assert ours.shape == theirs.shape
    assert (ours.numpy() == theirs).mean() > 0.999


@pytest.mark.parametrize("octave", [8.0, 10.0, 12.0])
def test_a_pure_tone_is_highest_in_its_band(octave: float) -> None:
    _, voices = formulas(0)
    for name in ("melody", "glide", "vibrato", "bright"):
        getattr(voices, name).zero_()
    for pair in (voices.index, voices.noise):
        for value in pair:
            value.zero_()
    voices.octave.fill_(octave)
    torch.manual_seed(0)
    wave = voices.sing(torch.tensor([7]), steady(0.5))
    hertz = RATE_HZ * torch.fft.rfft(wave[0] * torch.hann_window(wave.shape[1])).abs().argmax().item() / wave.shape[1]
    assert abs(np.log2(hertz) - octave) < 0.8
    band = int(mel_filters()[round(hertz / RATE_HZ * 512)].argmax())
    assert (mel_energies(wave)[0].argmax(1) - band).abs().max() <= 1
    assert wave.abs().max() == pytest.approx(1, abs=0.01)


def test_cycles_are_those_of_the_frequency() -> None:
    hertz = torch.linspace(300, 700, 101)[None]
    cycles, twice = _cycles(hertz, torch.tensor([[2.0]]))
    seconds = torch.arange(cycles.shape[1]) / RATE_HZ
    exact = 300 * seconds + 200 * seconds**2 / (100 * BLOCK / RATE_HZ)
    apart = torch.sin(2 * torch.pi * (cycles[0] - cycles[0, 0] - exact))
    assert apart.abs().max() < 1e-2
    assert torch.sin(2 * torch.pi * (twice - 2 * cycles) - 2 * torch.pi * (twice - 2 * cycles)[0, 0]).abs().max() < 1e-2


def test_a_rhythm_starts_at_time_0_with_a_step_that_sounds() -> None:
    rhythms, _ = formulas(1)
    times_s = torch.linspace(-0.2, 0.8, 401).expand(32, -1)
    torch.manual_seed(0)
    notes = rhythms.play(torch.arange(32), times_s)
    assert (notes.amplitude[times_s < 0] == 0).all()
    assert (notes.amplitude[times_s >= 0].reshape(32, -1).amax(1) > 0.02).all()
    assert notes.amplitude.max() <= 1
    assert notes.amplitude.min() >= 0
    assert (notes.age_s[:, 81] < 0.005).all()  # the first after time 0


def test_some_sounds_are_short_and_followed_by_the_quietest_level_of_each_band(sounds: Sounds) -> None:
    torch.manual_seed(1)
    pictures = sounds.draw(60, 32)[0][:, 0]
    still = (pictures[..., -4:] == pictures.amin(2, keepdim=True)).all(2).all(1)
    assert 0.2 < still.float().mean() < 0.8
