"""Recording with a pretended webcam and microphone: held by mouse or key, files in folders by class, one upload."""

from __future__ import annotations

import io
import re
import wave
import zipfile
from typing import Any

import pytest
from PIL import Image

from tests.accessibility import check
from tests.webapp.conftest import CHROMIUM
from webapp.database import patiently
from webapp.datasets.models import Dataset
from webapp.runs.models import Prediction, Run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's package chromium"),
    pytest.mark.parametrize(
        "page", [["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]], indirect=True
    ),
]


def record(page: Any, name: str) -> None:
    """Hold the space bar until there is one of the class; there may be more by then."""
    page.locator("#record-class").fill(name)
    page.locator('[data-record="hold"]:enabled').focus()
    page.keyboard.down("Space")
    page.get_by_text(re.compile(rf"{name} \d+ ")).wait_for()
    page.keyboard.up("Space")


def uploaded(page: Any, kind: str) -> zipfile.ZipFile:
    page.get_by_role("button", name=re.compile(rf"^Upload \d+ {kind}s$")).click()
    page.get_by_role("heading", name=f"recorded {kind}s").wait_for()
    return zipfile.ZipFile(Dataset.objects.latest("created").raw_path)


def test_pictures_and_sounds_become_class_folders(page: Any) -> None:
    page.goto("/data/")
    page.get_by_role("button", name="Record", exact=True).click()
    hold = page.locator('[data-record="hold"]')
    hold.click()
    page.get_by_role("alert").get_by_text("Type the name of the class first").wait_for()
    page.locator("#record-class").fill("cup/red")
    hold.hover()
    page.mouse.down()
    page.get_by_text(re.compile(r"cup-red (?!1 )\d+ pictures")).wait_for()
    page.mouse.up()
    assert page.locator('[data-record="send"]').is_disabled(), "one class is no data set"
    record(page, "pen")
    check(page)
    with uploaded(page, "picture") as archive:
        folders = {name.rsplit("/", 1)[0] for name in archive.namelist()}
        assert folders == {"recorded pictures/cup-red", "recorded pictures/pen"}
        assert max(Image.open(io.BytesIO(archive.read(archive.namelist()[0]))).size) == 320

    page.goto("/data/")
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_label("sounds with the microphone").check()
    page.locator("#record-seconds").fill("1")
    for name in ("clap", "hum"):
        record(page, name)
    with uploaded(page, "sound") as archive, wave.open(io.BytesIO(archive.read(archive.namelist()[0]))) as sound:
        assert {name.split("/")[1] for name in archive.namelist()} == {"clap", "hum"}
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2)
        assert 0.8 < sound.getnframes() / 16000 < 1.5


SLOW_CAMERA = """
const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
navigator.mediaDevices.getUserMedia = async (wanted) => {
  if (wanted.video) await new Promise((resolve) => setTimeout(resolve, 1500));
  const stream = await open(wanted);
  if (wanted.video) window.late = stream;
  return stream;
};
"""


def test_sounds_are_chosen_while_the_camera_still_opens(page: Any) -> None:
    page.add_init_script(SLOW_CAMERA)
    page.goto("/data/")
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_label("sounds with the microphone").check()
    page.locator("#record-seconds").fill("1")
    page.wait_for_function("() => window.late?.getTracks().every((track) => track.readyState === 'ended')")
    record(page, "clap")


def tried(page: Any, name: str) -> bytes:
    """What the model was asked, once it has been sent."""
    with page.expect_response(re.compile("/predict$")):
        page.get_by_role("button", name=name).click()
    return next((Prediction.objects.latest("created").folder / "input").iterdir()).read_bytes()


def test_a_model_is_tried_with_the_camera_and_the_microphone(page: Any, run: Run) -> None:
    page.goto(f"/models/{run.pk}")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take a picture").wait_for()
    check(page)
    assert max(Image.open(io.BytesIO(tried(page, "Take a picture"))).size) == 320
    patiently(lambda: Dataset.objects.update(modality="video"))  # the page may be asking for the prediction
    page.goto(f"/models/{run.pk}")
    page.get_by_role("button", name="Use the camera").click()
    assert tried(page, "Record 1 s").startswith(b"\x1aE\xdf\xa3"), "a WebM file"
    patiently(lambda: Dataset.objects.update(modality="audio"))
    page.goto(f"/models/{run.pk}")
    with wave.open(io.BytesIO(tried(page, "Record 1 s with the microphone"))) as sound:
        assert 0.8 < sound.getnframes() / sound.getframerate() < 1.5
