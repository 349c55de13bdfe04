"""Sound as log-mel spectra: statistics for linear models, pictures for networks.  Mono, 16 kHz, integer amplitudes."""

from __future__ import annotations

from functools import cache

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.features.kept import kept
from automl_engine.features.series import resize_time

RATE_HZ = 16_000
WINDOW = 400  # 25 ms
HOP = 160  # 10 ms
FFT = 512
BANDS = 64
MAX_FRAMES = 500  # a longer sound is looked at in wider hops
CHUNK = 64  # sounds that are worked on at once
LEVELS = 8  # grey levels for a factor e of energy: 0..255 spans all that 16 bits can hold


@cache
def mel_filters() -> np.ndarray:
    """(FFT // 2 + 1, BANDS) float32, triangles spread evenly over the mel scale (O'Shaughnessy's formula)."""
    top = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    hertz = np.linspace(0, RATE_HZ / 2, FFT // 2 + 1)[:, None]
    width = np.maximum(np.diff(corners), RATE_HZ / FFT)  # the lowest triangles are not narrower than a bin
    rising = 1 - (corners[1:-1] - hertz) / width[:-1]
    falling = 1 - (hertz - corners[1:-1]) / width[1:]
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)


def log_mel(amplitudes: np.ndarray) -> np.ndarray:
    """(T,) -> (frames, BANDS) float32, natural log of 1 + energy; at least one frame."""
    return _log_energies(_frames(amplitudes))


def _frames(amplitudes: np.ndarray) -> np.ndarray:
    """(T,) -> (frames, WINDOW), a view: one every HOP, or less often in a long sound."""
    if len(amplitudes) < WINDOW:
        amplitudes = np.pad(amplitudes, (0, WINDOW - len(amplitudes)))
    hop = max(HOP, -(-(len(amplitudes) - WINDOW) // MAX_FRAMES))
    return np.lib.stride_tricks.sliding_window_view(amplitudes, WINDOW)[::hop]


def _log_energies(frames: np.ndarray) -> np.ndarray:
    """(n, WINDOW) -> (n, BANDS) float32."""
    spectrum = np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), FFT)
    energy = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) @ mel_filters()
    return np.log1p(energy)


def _spectra(examples: Examples) -> list[np.ndarray]:
    """(frames, BANDS) float32 of each example; several channels are averaged."""
    return kept(examples, "log_mel", _compute_spectra)


def _compute_spectra(examples: Examples) -> list[np.ndarray]:
    """Many sounds at a time: one large product of matrices is quicker than many small ones."""
    spectra: list[np.ndarray] = []
    for at in range(0, len(examples), CHUNK):
        frames = [_frames(_amplitudes(examples, i)) for i in range(at, min(at + CHUNK, len(examples)))]
        ends = np.cumsum([len(one) for one in frames])
        spectra += np.split(_log_energies(np.concatenate(frames)), ends[:-1])
    return spectra


def _amplitudes(examples: Examples, index: int) -> np.ndarray:
    steps = np.asarray(examples.steps(index), np.float32)
    return np.nan_to_num(steps.reshape(len(steps), -1).mean(1) if steps.size else np.zeros(0, np.float32))


def mel_statistics(examples: Examples, segments: int = 8) -> np.ndarray:
    """(N, D) float32: mean, deviation, maximum and restlessness of every band; the course over ``segments`` equal
    parts of time in pairs of bands; how long the sound is."""
    rows = kept(examples, ("mel_statistics", segments), lambda some: [_statistics(s, segments) for s in _spectra(some)])
    width = 4 * BANDS + segments * (BANDS // 2) + 1
    return np.stack(rows) if rows else np.zeros((0, width), np.float32)


def _statistics(spectrum: np.ndarray, segments: int) -> np.ndarray:
    mean = spectrum.mean(0)
    change = np.abs(np.diff(spectrum, axis=0)).mean(0) if len(spectrum) > 1 else np.zeros(BANDS, np.float32)
    pairs = (spectrum - mean).reshape(len(spectrum), BANDS // 2, 2).mean(2)
    course = resize_time(pairs, segments)
    length = np.array([np.log(len(spectrum))], np.float32)
    parts = [mean, spectrum.std(0), spectrum.max(0), change, course.ravel(), length]
    return np.concatenate(parts).astype(np.float32)


def mel_picture(examples: Examples, frames: int) -> np.ndarray:
    """(N, BANDS, frames, 1) uint8: a shorter sound is followed by its quietest level, a longer one squeezed."""
    pictures = np.empty((len(examples), BANDS, frames, 1), np.uint8)
    for picture, spectrum in zip(pictures, _spectra(examples), strict=True):
        levels = resize_time(spectrum, frames) if len(spectrum) > frames else spectrum
        levels = np.clip(levels * LEVELS, 0, 255).astype(np.uint8).T  # (BANDS, at most frames)
        picture[:] = levels.min(1)[:, None, None]
        picture[:, : levels.shape[1], 0] = levels
    return pictures


def picture_frames(examples: Examples) -> int:
    """A width that holds nine of ten sounds, in multiples of 8 from 32 to 128."""
    longest = np.quantile([len(spectrum) for spectrum in _spectra(examples)], 0.9)
    return int(np.clip(-(-longest // 8) * 8, 32, 128))
