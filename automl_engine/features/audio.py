"""Sound as log-mel spectra: statistics for linear models, pictures for networks.  Mono, 16 kHz, integer amplitudes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np

from automl_engine import clock
from automl_engine.dataset.decode import THREADS
from automl_engine.dataset.examples import Examples
from automl_engine.features.cached import cached
from automl_engine.features.timeseries import resize_time

RATE_HZ = 16_000
WINDOW = 400  # samples: 25 ms
HOP = 160  # samples: 10 ms
FFT = 512
BANDS = 64
MAX_FRAMES = 500  # a longer sound is looked at in wider hops
CHUNK = 8  # sounds that are worked on at once: large products of matrices, but within the cache
PRODUCT_ROWS = 14  # OpenBLAS starts no threads of its own for so small a product: they would wait for ours
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


@cache
def _window() -> np.ndarray:
    return np.hanning(WINDOW).astype(np.float32)


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
    spectrum = np.fft.rfft(frames * _window(), FFT)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    whole = len(power) // PRODUCT_ROWS * PRODUCT_ROWS
    stacked = power[:whole].reshape(-1, PRODUCT_ROWS, power.shape[1]) @ mel_filters()
    return np.log1p(np.concatenate([stacked.reshape(-1, BANDS), power[whole:] @ mel_filters()]))


def _spectra(examples: Examples) -> list[np.ndarray]:
    """(frames, BANDS) float32 of each example; several channels are averaged."""
    return cached(examples, "log_mel", _compute_spectra)


def _compute_spectra(examples: Examples) -> list[np.ndarray]:
    """Reading and transforming both release the GIL: chunks go to threads."""

    def compute(at: int) -> list[np.ndarray]:
        frames = [_frames(_amplitudes(examples, i)) for i in range(at, min(at + CHUNK, len(examples)))]
        ends = np.cumsum([len(one) for one in frames])
        return np.split(_log_energies(np.concatenate(frames)), ends[:-1])

    def amounts() -> dict[str, float]:
        return {"frames": sum(map(len, spectra)), "bytes": len(examples) * examples.stored_bytes()}

    with clock.work("log mel", amounts), ThreadPoolExecutor(THREADS) as pool:
        spectra = [spectrum for chunk in pool.map(compute, range(0, len(examples), CHUNK)) for spectrum in chunk]
    return spectra


def _amplitudes(examples: Examples, index: int) -> np.ndarray:
    steps = np.asarray(examples.steps(index), np.float32)
    return np.nan_to_num(steps.reshape(len(steps), -1).mean(1) if steps.size else np.zeros(0, np.float32))


def mel_statistics(examples: Examples, segments: int = 8) -> np.ndarray:
    """(N, D) float32: mean, deviation, maximum and restlessness of every band; the course over ``segments`` equal
    parts of time in pairs of bands; how long the sound is."""

    def compute(some: Examples) -> list[np.ndarray]:
        spectra = _spectra(some)
        with clock.work("mel statistics", sounds=len(some), frames=sum(map(len, spectra))):
            return [row for at in range(0, len(some), CHUNK) for row in _statistics(spectra[at : at + CHUNK], segments)]

    rows = cached(examples, ("mel_statistics", segments), compute)
    width = 4 * BANDS + segments * (BANDS // 2) + 1
    return np.stack(rows) if rows else np.zeros((0, width), np.float32)


def _statistics(spectra: list[np.ndarray], segments: int) -> np.ndarray:
    """(n, D) of n sounds at once: their frames in one array, reduced over the spans of each."""
    lengths = np.array([len(spectrum) for spectrum in spectra])
    starts = np.cumsum(lengths) - lengths
    frames = np.concatenate(spectra)
    mean = np.add.reduceat(frames, starts) / lengths[:, None]
    centred = frames - np.repeat(mean, lengths, axis=0)
    deviation = np.sqrt(np.add.reduceat(centred**2, starts) / lengths[:, None])
    steps = np.abs(np.diff(frames, axis=0, prepend=frames[:1]))
    steps[starts] = 0
    change = np.add.reduceat(steps, starts) / np.maximum(lengths - 1, 1)[:, None]
    pairs = centred.reshape(len(frames), BANDS // 2, 2).mean(2)
    course = np.stack([resize_time(one, segments) for one in np.split(pairs, starts[1:])])
    top = np.maximum.reduceat(frames, starts)
    parts = [mean, deviation, top, change, course.reshape(len(spectra), -1), np.log(lengths)[:, None]]
    return np.concatenate(parts, axis=1).astype(np.float32)


def mel_picture(examples: Examples, frames: int) -> np.ndarray:
    """(N, BANDS, frames, 1) uint8: a shorter sound is followed by its quietest level, a longer one squeezed."""
    pictures, spectra = np.empty((len(examples), BANDS, frames, 1), np.uint8), _spectra(examples)
    with clock.work("mel pictures", sounds=len(examples), frames=sum(map(len, spectra))):
        for picture, spectrum in zip(pictures, spectra, strict=True):
            levels = resize_time(spectrum, frames) if len(spectrum) > frames else spectrum
            levels = np.clip(levels * LEVELS, 0, 255).astype(np.uint8).T  # (BANDS, at most frames)
            picture[:] = levels.min(1)[:, None, None]
            picture[:, : levels.shape[1], 0] = levels
    return pictures


def picture_frames(examples: Examples) -> int:
    """A width that holds nine of ten sounds, in multiples of 8 from 32 to 128."""
    longest = np.quantile([len(spectrum) for spectrum in _spectra(examples)], 0.9)
    return int(np.clip(-(-longest // 8) * 8, 32, 128))
