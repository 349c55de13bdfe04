"""The drop zone in a real browser: a folder as one zip, pause, a closed tab, and the zip's own format."""

from __future__ import annotations

import hashlib
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.webapp.conftest import CHROMIUM
from webapp.accounts.models import User
from webapp.datasets import tus
from webapp.datasets.models import Dataset, Upload

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's package chromium"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """600 small files in two classes, with a name that is not ASCII and an empty file."""
    source, chance = tmp_path / "animals", random.Random(0)
    for label in ("cat", "dög"):
        (source / label).mkdir(parents=True)
        for i in range(300):
            (source / label / f"{i}.txt").write_bytes(chance.randbytes(chance.randint(0, 4000)))
    (source / "cat" / "empty.txt").touch()
    return source


def assert_same(archive_path: Path, folder: Path) -> None:
    files = {path.relative_to(folder.parent).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    with zipfile.ZipFile(archive_path) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == set(files)
        assert all(archive.read(name) == path.read_bytes() for name, path in files.items())


def test_a_folder_becomes_one_data_set(page: Any, folder: Path) -> None:
    page.goto("/data/")
    page.set_input_files("#upload-folder", folder)
    page.get_by_role("heading", name="animals").wait_for()
    dataset = Dataset.objects.get()
    assert dataset.raw_name == "animals.zip"
    assert_same(dataset.raw_path, folder)


def test_parts_are_checked_over_plain_http(page: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another machine without TLS a browser has no crypto.subtle."""
    page.add_init_script("Object.defineProperty(window.crypto, 'subtle', {value: undefined})")
    sent: list[Any] = []
    monkeypatch.setattr(tus, "_checksum", lambda request, real=tus._checksum: sent.append(real(request)) or sent[-1])
    page.goto("/data/")
    page.set_input_files("#upload-folder", folder)
    page.get_by_role("heading", name="animals").wait_for()
    assert_same(Dataset.objects.get().raw_path, folder)
    assert sent
    assert {kind for kind, _ in sent} == {"sha256"}
    made = "(await import('/static/js/sha256.js')).sha256(Uint8Array.from({length: n}, (_, i) => i))"
    digest = f"async (n) => [...await {made}]"
    for length in (0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 5_000_001):
        content = bytes(i % 256 for i in range(length))
        assert bytes(page.evaluate(digest, length)) == hashlib.sha256(content).digest(), length


def test_a_closed_tab_and_the_same_files_again(page: Any, folder: Path, settings: Any) -> None:
    settings.UPLOAD_CHUNK_BYTES = 50_000
    page.goto("/data/")
    cut = {"left": 4}

    def lose(route: Any) -> None:  # after some parts the line is dead
        cut["left"] -= route.request.method == "PATCH"
        route.abort() if cut["left"] < 0 else route.continue_()

    page.route("**/uploads/**", lose)
    page.set_input_files("#upload-folder", folder)
    page.get_by_text("The connection is lost").wait_for()
    page.unroute("**/uploads/**")
    page.goto("/data/")
    page.get_by_text("Choose the same files again to resume").wait_for()
    upload = Upload.objects.get()
    assert upload.offset_bytes == 200_000
    page.set_input_files("#upload-folder", folder)
    page.get_by_role("heading", name="animals").wait_for()
    assert Dataset.objects.get().id == upload.id  # the same upload went on
    assert_same(Dataset.objects.get().raw_path, folder)


def test_limits_are_checked_before_the_first_byte(page: Any, folder: Path, owner: User) -> None:
    owner.storage_max_bytes = 1000
    owner.save()
    page.goto("/data/")
    page.set_input_files("#upload-folder", folder)
    page.get_by_role("alert").get_by_text("can upload only 1000").wait_for()
    assert not Upload.objects.exists()


def test_one_file_goes_as_it_is_and_the_keyboard_reaches_it(page: Any, tmp_path: Path) -> None:
    (tmp_path / "wine.csv").write_text("a,b\n1,2\n")
    page.goto("/data/")
    page.locator("form.upload.live").wait_for()
    with page.expect_file_chooser() as chooser:
        page.locator("#upload-file").press("Enter")
    chooser.value.set_files(tmp_path / "wine.csv")
    page.get_by_role("heading", name="wine").wait_for()
    assert Dataset.objects.get().raw_path.read_text() == "a,b\n1,2\n"


@pytest.mark.long
def test_more_than_65535_files_and_more_than_4_gib(page: Any) -> None:
    """zip64, with files that hold nothing and a file that is large in name only."""
    page.goto("/data/")
    found = page.evaluate(
        """async () => {
          const { Zip } = await import("/static/js/zip.js");
          const many = Array.from({ length: 66000 }, (_, i) => ({ path: `${i}`, file: new Blob() }));
          const zip = new Zip(many, "many.zip");
          const end = await (await zip.slice(zip.size - 98, zip.size)).arrayBuffer();
          const view = new DataView(end);
          const large = new Zip([{ path: "a", file: { size: 2 ** 32 } }, { path: "b", file: new Blob(["b"]) }], "l");
          return [view.getUint32(0, true), Number(view.getBigUint64(32, true)), view.getUint16(86, true),
                  large.entries[1].offset, large.size];
        }"""
    )
    header, directory = 30 + 1, 46 + 1
    assert found[:3] == [0x06064B50, 66000, 0xFFFF]
    assert found[3] == 2**32 + header + 20
    assert found[4] == 2**32 + 2 * header + 20 + 1 + 2 * directory + 20 + 12 + 76 + 22


def test_drag_and_drop_of_a_folder(page: Any, folder: Path) -> None:
    page.goto("/data/")
    page.locator("form.upload.live").wait_for()
    box = page.locator("form.upload").bounding_box()
    place = {"x": box["x"] + 20, "y": box["y"] + 20}
    dragged = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    devtools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "data": dragged, **place})
    page.get_by_role("heading", name="animals").wait_for()
    assert_same(Dataset.objects.get().raw_path, folder)
