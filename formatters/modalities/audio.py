"""Audio: WAV, FLAC, OGG, MP3 (libsndfile) and the rest (PyAV) -> mono, 16 kHz, integer amplitudes, one per step."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.dataset.spec import VARIABLE, Spec
from formatters.base import Doubt, Evidence, Findings, NewData, Options, Table, spec_of
from formatters.media.samples import (
    Spool,
    UnreadableError,
    media_files,
    media_table,
    read_files,
    read_new_files,
    sniff_files,
    spread,
)
from formatters.words import counted

VIDEO_CONTAINERS = (".mp4", ".webm", ".3gp", ".3g2", ".mkv", ".mov")  # may hold sound alone
SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".m4b", ".aac", ".wma", ".aif", ".aiff", ".aifc"),
    *(".au", ".snd", ".amr", ".caf", ".mka", ".weba", ".w64", ".rf64", ".ac3", ".mp2", *VIDEO_CONTAINERS),
)
WHOLE_SHARE = 0.9  # of the promised length: what lacks less is played to its end by everybody
RATE_HZ = 16_000
RATES_HZ = range(1000, 1_000_000)  # of files
BLOCK = 65_536  # samples that are read at once, whatever the header promises
MAX_DURATION_S = 300  # what follows is left out, and told
PREVIEW_S = 5


@dataclass(frozen=True)
class _Clip:
    """One decoded sound; ``place`` of its int16 amplitudes in the spool."""

    place: tuple[int, int]
    rate_hz: int  # of the file
    channels: int
    cut: bool

    @property
    def duration_s(self) -> float:
        return self.place[1] / 2 / RATE_HZ


def sniff(root: Path, options: Options) -> Evidence | None:
    files = media_files(root, SUFFIXES)
    containers = [path for path in files if path.suffix.lower() in VIDEO_CONTAINERS]
    if containers and not mostly_sound(containers):
        files = [path for path in files if path not in set(containers)]
    return sniff_files(root, files, "sounds")


def mostly_sound(containers: list[Path]) -> bool:
    """Do most of these files (the first 20 are looked at) hold sound and no moving pictures?"""
    import av

    def sound_alone(path: Path) -> bool:
        try:
            with av.open(str(path)) as container:
                return bool(container.streams.audio) and not container.streams.video
        except (av.FFmpegError, ValueError):
            return False

    looked_at = containers[:20]
    return sum(map(sound_alone, looked_at)) > len(looked_at) / 2


def read(root: Path, options: Options) -> Table:
    spool = Spool(root.parent)
    labelled, found, unreadable = read_files(root, SUFFIXES, options, "sounds", lambda path: _spooled(path, spool))

    def amplitudes(i: int) -> np.ndarray:
        return np.frombuffer(spool.get(found[i].place), np.int16)

    return media_table(
        "audio",
        labelled,
        Spec(name="", sample_count=0, output_dim=0, sequence_size=VARIABLE, is_sequence=True),
        Findings(
            doubts=_doubts(found),
            unreadable=unreadable,
            stats=[
                spread("duration", "s", [clip.duration_s for clip in found]),
                spread("sample rate", "Hz", [clip.rate_hz for clip in found]),
                spread("channels", "", [clip.channels for clip in found]),
            ],
        ),
        steps=lambda i: as_steps(amplitudes(i)),
        preview=lambda i, path: player(amplitudes(i), path),
        recipe={"rate_hz": RATE_HZ},
    )


def encode(recipe: dict[str, Any], source: Path) -> NewData:
    return read_new_files(spec_of(recipe), source, SUFFIXES, "sounds", lambda path: as_steps(load(path)[0]))


def as_steps(amplitudes: np.ndarray) -> np.ndarray:
    return amplitudes.astype(np.float32).reshape(-1, 1, 1, 1)


def _spooled(path: Path, spool: Spool) -> _Clip:
    amplitudes, rate_hz, channels, cut = load(path)
    return _Clip(spool.add(amplitudes.tobytes()), rate_hz, channels, cut)


def load(path: Path) -> tuple[np.ndarray, int, int, bool]:
    """((T,) int16 at 16 kHz, the file's rate in Hz, its channels, was it cut to MAX_DURATION_S?).

    Raises:
        UnreadableError: damaged, cut off, or without sound.
    """
    import soundfile
    import soxr

    _check_wav_is_whole(path)
    try:
        with soundfile.SoundFile(path) as file:
            rate_hz, channels = file.samplerate, file.channels
            _check_rate(rate_hz)
            samples = _first_samples(file, rate_hz * MAX_DURATION_S + 1)
    except soundfile.LibsndfileError:
        samples, rate_hz = _load_with_av(path)
        channels = samples.shape[1]
    if not len(samples):  # a WAV whose recorder never wrote the length
        samples, rate_hz = _load_with_av(path)
    if not len(samples):
        raise UnreadableError("no sound in it")
    cut = len(samples) > rate_hz * MAX_DURATION_S
    mono = np.nan_to_num(samples[: rate_hz * MAX_DURATION_S]).mean(1)
    if rate_hz != RATE_HZ:
        mono = soxr.resample(mono, rate_hz, RATE_HZ)
    if not len(mono):
        raise UnreadableError("hardly any sound in it")
    return np.clip(np.rint(mono * 32768), -32768, 32767).astype(np.int16), rate_hz, channels, cut


def _check_rate(rate_hz: int) -> None:
    if rate_hz not in RATES_HZ:
        raise UnreadableError(f"its header gives a sample rate of {rate_hz} Hz")


def _first_samples(file: Any, count: int) -> np.ndarray:
    """(T, channels) float32, at most ``count`` steps, of an open sound file."""
    blocks, left = [np.empty((0, file.channels), np.float32)], count
    while left > 0 and len(block := file.read(min(left, BLOCK), dtype="float32", always_2d=True)):
        blocks.append(block)
        left -= len(block)
    return np.concatenate(blocks)


def _load_with_av(path: Path) -> tuple[np.ndarray, int]:
    """((T, channels) float32, rate in Hz)."""
    import av

    blocks: list[np.ndarray] = []
    count = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise UnreadableError("no sound in it")
            stream = container.streams.audio[0]
            rate_hz = int(getattr(stream, "rate", None) or 0)
            _check_rate(rate_hz)
            planar = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate_hz)
            for frame in container.decode(stream):
                for part in planar.resample(frame):
                    blocks.append(part.to_ndarray())
                    count += part.samples
                if count > rate_hz * MAX_DURATION_S:
                    break
    except (av.FFmpegError, ValueError) as error:
        raise UnreadableError(f"damaged or no sound: {getattr(error, 'strerror', None) or error}") from error
    return (np.concatenate(blocks, axis=1).T if blocks else np.empty((0, 1), np.float32)), rate_hz


def _check_wav_is_whole(path: Path) -> None:
    """libsndfile plays what is left of a WAV that was cut off; its header tells about how much there should be."""
    size_bytes = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return
        while len(chunk := file.read(8)) == 8:
            length = int.from_bytes(chunk[4:], "little")
            if chunk[:4] == b"data":
                left = size_bytes - file.tell()
                if (
                    left < WHOLE_SHARE * length and length < 0x7FFFFFFF
                ):  # recorders that stream write the largest number instead
                    raise UnreadableError(f"cut off: {left:,} of {length:,} bytes of sound are there")
                return
            file.seek(length + length % 2, 1)
    raise UnreadableError("cut off before the sound begins")


def _doubts(clips: list[_Clip]) -> list[Doubt]:
    doubts = []
    cut = sum(clip.cut for clip in clips)
    if cut:
        what = counted(cut, "sound is", "sounds are")
        what += f" longer than {MAX_DURATION_S} s; only the first {MAX_DURATION_S} s are used"
        doubts.append(Doubt(what, "cut long recordings into pieces"))
    if any(clip.channels > 1 for clip in clips):
        doubts.append(Doubt("the channels of stereo sounds were averaged", "nothing needs to be done", level="info"))
    return doubts


def player(amplitudes: np.ndarray, out: Path) -> dict[str, Any]:
    """A WAV of the first seconds beside ``out`` (a path without suffix)."""
    path = out.with_name(out.name + ".wav")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(amplitudes[: PREVIEW_S * RATE_HZ].astype("<i2").tobytes())
    return {"kind": "audio", "file": path.name}
