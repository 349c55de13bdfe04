"""Images, video and audio in all usual formats, whole and broken."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from automl_engine.dataset.decode import decode_image
from automl_engine.errors import DataError
from formatters import recipe
from formatters.base import Options, Table
from formatters.media.samples import Spool, UnreadableError
from formatters.modalities import audio, image, video
from tests.formatters import toys

COLOUR = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
GREY = COLOUR[..., 0]


def picture(mode: str, **options: object) -> Image.Image:
    return Image.fromarray(COLOUR).convert(mode, **options)


def class_folders(root: Path, files: dict[str, bytes]) -> Path:
    """Two classes, each with every file."""
    for label in ("a", "b"):
        (root / label).mkdir(parents=True)
        for name, content in files.items():
            (root / label / name).write_bytes(content)
    return root


def encoded(image_: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image_.save(buffer, kind, **options)
    return buffer.getvalue()


KEPT = {
    "rgb.jpg": encoded(picture("RGB"), "JPEG"),
    "grey.jpg": encoded(picture("L"), "JPEG"),
    "bit.png": encoded(picture("1"), "PNG"),
    "grey.png": encoded(picture("L"), "PNG"),
    "grey_alpha.png": encoded(picture("LA"), "PNG"),
    "palette.png": encoded(picture("P"), "PNG"),
    "rgb.png": encoded(picture("RGB"), "PNG"),
    "alpha.png": encoded(picture("RGBA"), "PNG"),
    "rgb.bmp": encoded(picture("RGB"), "BMP"),
}
CONVERTED = {
    "deep.png": encoded(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"),
    "still.gif": encoded(picture("P"), "GIF"),
    "exact.webp": encoded(picture("RGB"), "WEBP", lossless=True),
    "rgb.tiff": encoded(picture("RGB"), "TIFF"),
    "deep.tif": encoded(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"),
    "float.tif": encoded(Image.fromarray(GREY.astype(np.float32) * 257), "TIFF"),
    "exact.avif": encoded(picture("L"), "AVIF", quality=100, subsampling="4:4:4"),
    "rgb.ppm": encoded(picture("RGB"), "PPM"),
    "exact.jp2": encoded(picture("RGB"), "JPEG2000"),
    "cmyk.jpg": encoded(picture("CMYK"), "JPEG"),
    "palette.bmp": encoded(picture("P"), "BMP"),
    "bit.bmp": encoded(picture("1"), "BMP"),
}


@pytest.fixture(scope="module")
def all_images(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return image.read(class_folders(tmp_path_factory.mktemp("images"), KEPT | CONVERTED), Options())


def test_every_image_format_is_read(all_images: Table) -> None:
    assert all_images.findings.unreadable == []
    assert len(all_images.samples) == 2 * len(KEPT | CONVERTED)
    assert (all_images.spec.row_count, all_images.spec.col_count, all_images.spec.num_channels) == (20, 30, 3)


def test_bytes_are_kept_or_become_png_of_the_same_pixels(all_images: Table) -> None:
    for i, sample in enumerate(all_images.samples):
        name = sample.source.rpartition("/")[2]
        [data] = all_images.steps(i)
        if name in KEPT:
            assert data == KEPT[name], name
        else:
            assert data.startswith(b"\x89PNG"), name
        pixels = decode_image(data, 3)
        wanted = np.repeat(GREY[..., None], 3, -1) if name.startswith(("deep", "float")) else None
        if wanted is None:
            wanted = np.asarray(Image.open(io.BytesIO((KEPT | CONVERTED)[name])).convert("RGB"))
        tolerance = 3 if name.endswith(("jpg", "avif")) or name.startswith(("float", "deep")) else 0
        assert np.abs(pixels.astype(int) - wanted).max() <= tolerance, name


def test_all_grey_means_one_channel_and_mixed_sizes_mean_variable(tmp_path: Path) -> None:
    grey_as_rgb = encoded(picture("L").convert("RGB"), "PNG")
    table = image.read(class_folders(tmp_path / "1", {"a.png": KEPT["grey.png"], "b.png": grey_as_rgb}), Options())
    assert table.spec.num_channels == 1
    small = encoded(picture("L").resize((9, 7)), "PNG")
    table = image.read(class_folders(tmp_path / "2", {"a.png": KEPT["rgb.png"], "b.png": small}), Options())
    assert (table.spec.row_count, table.spec.col_count, table.spec.num_channels) == (-1, -1, 3)


def test_the_first_page_of_several_is_read(tmp_path: Path) -> None:
    page = picture("L").convert("RGB")
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[page])
    data = (tmp_path / "pages.tif").read_bytes()
    table = image.read(class_folders(tmp_path / "set", {"1.tif": data, "2.png": KEPT["grey.png"]}), Options())
    assert len(table.samples) == 4
    assert table.spec.num_channels == 1


def test_broken_images_are_named_and_left_out(tmp_path: Path) -> None:
    broken = {
        "cut.jpg": encoded(Image.fromarray(np.tile(COLOUR, (5, 5, 1))), "JPEG")[:-2000],
        "cut.png": KEPT["rgb.png"][:-200],
        "empty.png": b"",
        "prose.jpg": b"this is no image",
    }
    table = image.read(class_folders(tmp_path, {"good.png": KEPT["rgb.png"], **broken}), Options())
    assert {entry["path"] for entry in table.findings.unreadable} == {f"{c}/{name}" for c in "ab" for name in broken}
    assert "0 bytes" in next(e["why"] for e in table.findings.unreadable if e["path"] == "a/empty.png")
    assert [sample.source for sample in table.samples] == ["a/good.png", "b/good.png"]


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="None of the 2 images can be read"):
        image.read(class_folders(tmp_path / "1", {"x.png": b"no image"}), Options())
    root = class_folders(tmp_path / "2", {"good.png": KEPT["rgb.png"]})
    (root / "c").mkdir()
    (root / "c" / "bad.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"Class 'c' has no readable file: c/bad\.png"):
        image.read(root, Options())


def test_new_images_take_the_size_of_the_data_set(tmp_path: Path) -> None:
    table = image.read(class_folders(tmp_path, {"a.png": KEPT["grey.png"]}), Options())
    made = recipe.make("image", table.label_names, False, table.spec, table.recipe)
    (tmp_path / "new.jpg").write_bytes(encoded(picture("RGB").resize((60, 60)), "JPEG"))
    new_data = recipe.encode(made, tmp_path / "new.jpg")
    names, examples = new_data.names, new_data.examples
    assert names == ["new.jpg"]
    assert examples.tensor(0).shape == (1, 20, 30, 1)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"bad\.jpg cannot be read"):
        recipe.encode(made, tmp_path / "bad.jpg")
    (tmp_path / "new.doc").write_bytes(b"x")
    with pytest.raises(DataError, match="holds no images"):
        recipe.encode(made, tmp_path / "new.doc")


CODECS = {".avi": "mpeg4", ".mp4": "libx264", ".mov": "mpeg4", ".webm": "libvpx-vp9", ".mkv": "mpeg4"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip in each container, and an animated GIF, in two class folders."""
    root = tmp_path_factory.mktemp("clips")
    frames = toys.moving_bar("right", 0, 12, 48)
    frames[..., 2] = 40
    for label in ("a", "b"):
        (root / label).mkdir()
        for suffix, codec in CODECS.items():
            toys.write_video(root / label / f"clip{suffix}", frames, codec)
        images = [Image.fromarray(frame) for frame in frames]
        images[0].save(root / label / "clip.gif", save_all=True, append_images=images[1:], duration=100)
    return root


def test_every_video_format_is_read_with_all_frames(clips: Path, tmp_path: Path) -> None:
    assert video.sniff(clips, Options()).score > 0.9
    table = video.read(clips, Options())
    assert table.findings.unreadable == []
    assert (table.spec.sequence_size, table.spec.row_count, table.spec.num_channels) == (12, 48, 3)
    wanted = toys.moving_bar("right", 0, 12, 48)
    for i, sample in enumerate(table.samples):
        steps = table.steps(i)
        assert all(step.startswith(b"\xff\xd8") for step in steps), sample.source
        red = np.stack([decode_image(step, 3) for step in steps])[..., 0].astype(int)
        assert np.abs(red - wanted[..., 0]).mean() < 12, sample.source
        assert table.preview(i, tmp_path / str(i))["file"].endswith(".webp")


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "clip.webm"])
def test_cut_off_videos_are_unreadable(clips: Path, tmp_path: Path, name: str) -> None:
    data = (clips / "a" / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableError):
        video.decode(tmp_path / name, Spool(tmp_path))
    (tmp_path / name).write_bytes(b"no video at all")
    with pytest.raises(UnreadableError):
        video.decode(tmp_path / name, Spool(tmp_path))


def test_long_videos_are_cut_and_told(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MAX_FRAMES", 5)
    table = video.read(clips, Options())
    assert table.spec.sequence_size == 5
    assert "longer than 5 frames" in table.findings.doubts[0].what


def test_animated_and_still_gifs(clips: Path, tmp_path: Path) -> None:
    moving = class_folders(tmp_path / "1", {"x.gif": (clips / "a" / "clip.gif").read_bytes()})
    assert image.sniff(moving, Options()) is None
    assert video.sniff(moving, Options()).score > 0.9
    still = class_folders(tmp_path / "2", {"x.gif": CONVERTED["still.gif"]})
    assert image.sniff(still, Options()).score > 0.9
    assert video.sniff(still, Options()) is None


SECOND = (np.sin(np.arange(22050) / 22050 * 2 * np.pi * 440) * 0.5).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 300),
        ("a.wav", "PCM_16", 60),
        ("a.wav", "PCM_24", 60),
        ("a.wav", "PCM_32", 60),
        ("a.wav", "FLOAT", 60),
        ("a.wav", "ULAW", 900),
        ("a.flac", "PCM_16", 60),
        ("a.ogg", "VORBIS", 1500),
        ("a.mp3", "MPEG_LAYER_III", 1500),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_audio_becomes_mono_16_khz_integers(
    tmp_path: Path, name: str, subtype: str, tolerance: int, channels: int
) -> None:
    soundfile.write(tmp_path / name, np.stack([SECOND] * channels, 1), 22050, subtype=subtype)
    amplitudes, rate_hz, found_channels, cut = audio.load(tmp_path / name)
    assert (amplitudes.dtype, rate_hz, found_channels, cut) == (np.int16, 22050, channels, False)
    assert len(amplitudes) == pytest.approx(16000, abs=200)
    if subtype != "MPEG_LAYER_III":  # MP3 starts with silence of the codec
        wanted = np.sin(np.arange(16000) / 16000 * 2 * np.pi * 440) * 16384
        middle = slice(1000, 15000)
        assert np.abs(amplitudes[middle] - wanted[middle]).max() < tolerance


def test_16_khz_wav_keeps_its_very_amplitudes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-32768, 32767, 4000).astype(np.int16)
    toys.write_wav(tmp_path / "a.wav", values, 16000)
    np.testing.assert_array_equal(audio.load(tmp_path / "a.wav")[0], values)


def test_aac_is_read_by_the_other_decoder(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(SECOND[None, :16000], format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    amplitudes, rate_hz, _, _ = audio.load(tmp_path / "a.m4a")
    assert rate_hz == 16000
    assert len(amplitudes) == pytest.approx(16000, abs=2100)
    assert 10000 < np.abs(amplitudes).max() < 22000


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_cut_off_and_broken_audio(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, SECOND, 22050)
    data = (tmp_path / name).read_bytes()
    for content in (data[: len(data) // 2], data[:30], b"no sound at all"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableError):
            audio.load(tmp_path / name)


def test_wav_without_samples(tmp_path: Path) -> None:
    toys.write_wav(tmp_path / "a.wav", np.zeros(0, np.int16))
    with pytest.raises(UnreadableError, match="no sound"):
        audio.load(tmp_path / "a.wav")


def seen(content: dict[str, bytes], root: Path) -> dict[str, np.ndarray]:
    """The stored pictures of class a, decoded as the challenge does, by name."""
    table = image.read(class_folders(root, content), Options())
    found = {sample.source: decode_image(table.steps(i)[0], 3) for i, sample in enumerate(table.samples)}
    return {name.removeprefix("a/"): pixels for name, pixels in found.items() if name.startswith("a/")}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_photos_are_stored_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x112] = orientation
    data = encoded(Image.fromarray(np.kron(COLOUR[:5, :8], np.ones((16, 16, 1), np.uint8))), kind, exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"), int)
    got = seen({f"x.{kind.lower()}": data}, tmp_path)[f"x.{kind.lower()}"]
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).mean() < 2


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_transparent_parts_are_white(tmp_path: Path, mode: str) -> None:
    shape = Image.fromarray(np.zeros((20, 20), np.uint8)).convert("LA")
    shape.putalpha(Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 200).reshape(20, 20)))
    shown = shape.convert("RGBA").convert("P" if mode == "PA" else mode)
    pixels = seen({"x.webp" if mode == "PA" else "x.png": encoded(shown, "WEBP" if mode == "PA" else "PNG")}, tmp_path)
    assert [int(next(iter(pixels.values()))[row, 5].mean()) for row in (2, 18)] == [255, 0]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_few_of_16_bits_are_scaled_by_the_range_of_all(tmp_path: Path, suffix: str, channels: int) -> None:
    import cv2

    values = np.tile(np.linspace(0, 1023, 40).astype(np.uint16)[:, None, None], (1, 40, channels))
    bright, dark = (cv2.imencode(suffix, part)[1].tobytes() for part in (values, values // 2))
    pixels = seen({f"bright{suffix}": bright, f"dark{suffix}": dark}, tmp_path)
    assert np.ptp(pixels[f"bright{suffix}"].astype(int)) > 250
    assert 115 < pixels[f"dark{suffix}"].max() < 135


def test_new_images_are_put_right_as_the_data_set_was(tmp_path: Path) -> None:
    import cv2

    values = np.tile(np.linspace(0, 1023, 40).astype(np.uint16)[:, None], (1, 40))
    table = image.read(class_folders(tmp_path, {"a.png": cv2.imencode(".png", values)[1].tobytes()}), Options())
    made = recipe.make("image", table.label_names, False, table.spec, table.recipe)
    (tmp_path / "new.png").write_bytes(cv2.imencode(".png", values // 2)[1].tobytes())
    examples = recipe.encode(made, tmp_path / "new.png").examples
    assert examples.tensor(0).max() == pytest.approx(0.5, abs=0.02)


def test_heic_and_dicom(tmp_path: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    heic = encoded(Image.fromarray(np.kron(COLOUR[:4, :4], np.ones((16, 16, 1), np.uint8))), "HEIF", quality=95)
    pixels = seen({"x.HEIC": heic, "x.dcm": dicom(np.linspace(-1000, 3000, 4096).reshape(64, 64))}, tmp_path)
    assert pixels["x.HEIC"].shape == (64, 64, 3)
    assert np.ptp(pixels["x.dcm"].astype(int)) > 250


def dicom(values: np.ndarray) -> bytes:
    import pydicom
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = pydicom.uid.generate_uid()
    data.set_pixel_data(values.astype(np.int16), "MONOCHROME2", 16)
    data.RescaleSlope, data.RescaleIntercept = 1, 0
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_placeholders_and_empty_pictures_are_told(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(6):
            picture_ = np.random.default_rng(i + 10 * (label == "b")).integers(0, 255, (20, 20), np.uint8)
            (tmp_path / label / f"{i}.png").write_bytes(encoded(Image.fromarray(picture_), "PNG"))
        (tmp_path / label / "missing.png").write_bytes(KEPT["rgb.png"])
        (tmp_path / label / "white.png").write_bytes(encoded(Image.new("L", (20, 20), 250), "PNG"))
    said = [doubt.what for doubt in image.read(tmp_path, Options()).findings.doubts]
    assert any("1 picture stands under several classes" in what for what in said)
    assert any("2 images are nearly empty" in what for what in said)


@pytest.mark.parametrize(("promised", "trailing"), [(0, b""), (0xFFFFFFFF, b""), (8008, b""), (8000, b"junk" * 5)])
def test_wavs_with_a_wrong_length_are_played_to_the_end(tmp_path: Path, promised: int, trailing: bytes) -> None:
    path = tmp_path / "a.wav"
    toys.write_wav(path, np.full(4000, 5000, np.int16), 16000)
    data = bytearray(path.read_bytes())
    data[40:44] = promised.to_bytes(4, "little")
    path.write_bytes(bytes(data) + trailing)
    assert len(audio.load(path)[0]) == 4000


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("a.caf", "PCM_16"), ("a.aiff", "PCM_16"), ("a.wav", "IMA_ADPCM"), ("a.wav", "MS_ADPCM"), ("a.au", "PCM_16")],
)
def test_less_usual_sounds(tmp_path: Path, name: str, subtype: str) -> None:
    soundfile.write(tmp_path / name, SECOND, 22050, subtype=subtype)
    assert len(audio.load(tmp_path / name)[0]) == pytest.approx(16000, abs=1000)


@pytest.mark.parametrize(
    ("suffix", "codec", "rate_hz"), [(".webm", "libopus", 48000), (".mp4", "aac", 16000), (".3gp", "aac", 16000)]
)
def test_sound_in_containers_of_videos(tmp_path: Path, suffix: str, codec: str, rate_hz: int) -> None:
    import av

    for label in "ab":
        (tmp_path / label).mkdir()
        with av.open(str(tmp_path / label / f"x{suffix}"), "w") as container:
            stream = container.add_stream(codec, rate=rate_hz, layout="mono")
            frame = av.AudioFrame.from_ndarray(np.tile(SECOND, 3)[None, :rate_hz], format="flt", layout="mono")
            frame.sample_rate = rate_hz
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    assert video.sniff(tmp_path, Options()) is None
    assert audio.sniff(tmp_path, Options()).score > 0.9
    assert len(audio.read(tmp_path, Options()).samples) == 2


@pytest.mark.parametrize(("suffix", "codec"), [(".mts", "libx264"), (".3gp", "mpeg4")])
def test_less_usual_videos(tmp_path: Path, suffix: str, codec: str) -> None:
    toys.write_video(tmp_path / f"x{suffix}", toys.moving_bar("right", 0, 12, 64), codec)
    assert len(video.decode(tmp_path / f"x{suffix}", Spool(tmp_path)).frames) == 12
