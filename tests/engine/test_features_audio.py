"""Log-mel spectra: tones land in their band, any length works."""

from __future__ import annotations

import numpy as np
import pytest

from automl_engine.dataset.examples import MemoryExamples
from automl_engine.dataset.spec import Spec
from automl_engine.features.audio import (
    BANDS,
    MAX_FRAMES,
    RATE_HZ,
    log_mel,
    mel_filters,
    mel_picture,
    mel_statistics,
    picture_frames,
)


def tone(hertz: float, seconds: float) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * hertz * np.arange(int(RATE_HZ * seconds)) / RATE_HZ)).astype(np.float32)


def sounds(waves: list[np.ndarray]) -> MemoryExamples:
    spec = Spec("toy", len(waves), 2, -1, 1, 1, 1, is_sequence=True)
    return MemoryExamples(spec, [wave.reshape(-1, 1, 1, 1) for wave in waves])


def test_every_filter_lets_something_through() -> None:
    filters = mel_filters()
    assert filters.shape == (257, BANDS)
    assert (filters.max(0) > 0.3).all()
    assert (np.diff(filters.argmax(0)) >= 0).all()


def test_a_tone_lands_in_its_band_and_higher_tones_higher() -> None:
    bands = [int(log_mel(tone(hertz, 0.5)).mean(0).argmax()) for hertz in (200, 800, 3000, 7000)]
    assert bands == sorted(bands)
    assert len(set(bands)) == 4
    peak_hertz = np.linspace(0, RATE_HZ / 2, 257)[mel_filters()[:, bands[2]].argmax()]
    assert abs(peak_hertz - 3000) < 150


@pytest.mark.parametrize("length", [0, 1, 399, 400, 16_000, 400_000])
def test_any_length_gives_finite_frames(length: int) -> None:
    spectrum = log_mel(np.ones(length, np.float32))
    assert 1 <= len(spectrum) <= MAX_FRAMES + 1
    assert spectrum.shape[1] == BANDS
    assert np.isfinite(spectrum).all()


def test_statistics_do_not_depend_on_the_company() -> None:
    examples = sounds([tone(300, 0.2), tone(300, 1.5), np.zeros(0, np.float32)])
    together = mel_statistics(examples)
    assert together.shape == (3, 4 * BANDS + 8 * BANDS // 2 + 1)
    assert np.isfinite(together).all()
    np.testing.assert_array_equal(mel_statistics(examples.subset([1])), together[1:2])
    np.testing.assert_allclose(mel_statistics(sounds([tone(300, 1.5)])), together[1:2], atol=1e-3)
    assert mel_statistics(sounds([])).shape == (0, together.shape[1])


def test_picture_pads_short_sounds_and_squeezes_long_ones() -> None:
    fading = tone(1000, 0.1) * np.linspace(1, 0, int(0.1 * RATE_HZ), dtype=np.float32)
    examples = sounds([fading, tone(1000, 2.0)])
    picture = mel_picture(examples, frames=40)
    assert picture.shape == (2, BANDS, 40, 1)
    assert picture.dtype == np.uint8
    band = int(picture[0, :, 3, 0].argmax())
    assert picture[0, band, 3, 0] > picture[0, band, 30, 0]  # quiet after its end
    assert picture[1, band, 2:38, 0].min() > 100  # sounding to the end


def test_picture_width_follows_the_sounds() -> None:
    assert picture_frames(sounds([tone(500, 0.05)] * 3)) == 32
    assert picture_frames(sounds([tone(500, 0.6)] * 3)) == 64
    assert picture_frames(sounds([tone(500, 9.0)] * 3)) == 128
