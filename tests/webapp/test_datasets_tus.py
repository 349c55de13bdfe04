"""The tus end-point as a client sees it, and what it must not let through."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from webapp.accounts.models import User
from webapp.datasets import jobs as conversion
from webapp.datasets import uploads
from webapp.datasets.models import Dataset, Upload
from webapp.filenames import NAME_MAX_BYTES

DATA = bytes(range(256)) * 40
STREAM = "application/offset+octet-stream"
TUS = {"Tus-Resumable": "1.0.0"}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def create(client: Client, size_bytes: int = len(DATA), name: str = "my data.zip", **headers: str) -> Any:
    about = {"Upload-Length": str(size_bytes), "Upload-Metadata": f"filename {b64(name.encode())},other"}
    return client.post("/uploads/", headers=TUS | about | headers, content_type="")


def patch(client: Client, url: str, data: bytes, offset: int, **headers: str) -> HttpResponse:
    return client.patch(url, data, content_type=STREAM, headers=TUS | {"Upload-Offset": str(offset)} | headers)


@pytest.fixture
def url(owner_client: Client) -> str:
    return create(owner_client)["Location"]


def test_whole_upload_becomes_a_data_set_and_is_queued(
    owner_client: Client, owner: User, url: str, jobs: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        response = patch(owner_client, url, DATA, 0)
    assert response.status_code == 204
    assert response["Upload-Offset"] == str(len(DATA))
    dataset = Dataset.objects.get(owner=owner)
    assert dataset.raw_path.read_bytes() == DATA
    assert (dataset.name, dataset.raw_name, dataset.state) == ("my data", "my data.zip", "queued")
    assert dataset.size_bytes == len(DATA)
    assert jobs == [("convert", "webapp.datasets.jobs.convert", (dataset.id,))]
    assert not Upload.objects.exists()
    assert owner_client.get(url)["Location"] == f"/data/{dataset.id}"


def test_options_tells_limits_and_extensions(owner_client: Client, settings: Any) -> None:
    response = owner_client.options("/uploads/")
    assert response["Tus-Max-Size"] == str(settings.UPLOAD_MAX_BYTES)
    assert "checksum" in response["Tus-Extension"]
    assert response["Tus-Checksum-Algorithm"] == "sha1,sha256"


def test_resumes_after_a_cut(owner_client: Client, url: str) -> None:
    assert patch(owner_client, url, DATA[:1000], 0).status_code == 204
    state = owner_client.head(url, headers=TUS)
    assert (state["Upload-Offset"], state["Upload-Length"]) == ("1000", str(len(DATA)))
    assert state["Cache-Control"] == "no-store"
    assert patch(owner_client, url, DATA[1000:], 1000).status_code == 204
    assert Dataset.objects.get().raw_path.read_bytes() == DATA


def test_uploads_that_failed_at_once_do_not_pile_up(owner_client: Client, url: str) -> None:
    patch(owner_client, url, DATA[:1000], 0)
    for _ in range(3):
        create(owner_client)
    assert Upload.objects.count() == 4, "several tabs may begin at once"
    Upload.objects.update(created=timezone.now() - uploads.ABANDONED)
    create(owner_client)
    assert sorted(upload.offset_bytes for upload in Upload.objects.all()) == [0, 1000], "what has bytes can be resumed"


def test_offset_comes_from_the_file(owner_client: Client, url: str) -> None:
    """Bytes that a killed server had written count, though nobody wrote them down."""
    Upload.objects.get().path.write_bytes(DATA[:123])
    assert owner_client.head(url, headers=TUS)["Upload-Offset"] == "123"


def test_torn_request_keeps_what_arrived(owner: User, media: Path) -> None:
    class Torn:
        blocks = [DATA[:500], OSError("connection lost")]

        def read(self, size: int, /) -> bytes:
            block = self.blocks.pop(0)
            if isinstance(block, OSError):
                raise block
            return block

    upload = uploads.begin(owner, "a.zip", len(DATA))
    with pytest.raises(OSError, match="lost"):
        uploads.append(upload, Torn(), 0)
    assert upload.offset_bytes == 500


def test_lost_answer_to_the_last_part(owner_client: Client, url: str) -> None:
    """The client asks again and is told that all is there, also when ``finish`` was cut short."""
    patch(owner_client, url, DATA, 0)
    state = owner_client.head(url, headers=TUS)
    assert state["Upload-Offset"] == state["Upload-Length"] == str(len(DATA))


def test_finish_cut_short_is_completed_by_the_next_look(owner_client: Client, url: str) -> None:
    upload = Upload.objects.get()
    upload.path.write_bytes(DATA)  # the last byte is on disk, the server died
    assert owner_client.head(url, headers=TUS)["Upload-Offset"] == str(len(DATA))
    assert Dataset.objects.get(id=upload.id).raw_path.read_bytes() == DATA
    assert uploads.finish(upload).id == upload.id  # harmless once more
    assert Dataset.objects.count() == 1


def test_wrong_offset_is_a_conflict(owner_client: Client, url: str) -> None:
    response = patch(owner_client, url, DATA[:10], 5)
    assert response.status_code == 409
    assert Upload.objects.get().offset_bytes == 0


@pytest.mark.parametrize("name", ["sha1", "sha256"])
def test_checksum(owner_client: Client, url: str, name: str) -> None:
    good = f"{name} {b64(hashlib.new(name, DATA[:100]).digest())}"
    assert patch(owner_client, url, DATA[:100], 0, **{"Upload-Checksum": good}).status_code == 204
    assert patch(owner_client, url, DATA[100:200], 100, **{"Upload-Checksum": good}).status_code == 460
    assert Upload.objects.get().offset_bytes == 100
    assert patch(owner_client, url, DATA[100:200], 100, **{"Upload-Checksum": "crc32 AAAA"}).status_code == 400


def test_more_bytes_than_announced(owner_client: Client, url: str) -> None:
    assert patch(owner_client, url, DATA + b"x", 0).status_code == 413
    assert Upload.objects.get().offset_bytes == 0


def test_too_large_is_refused_before_the_first_byte(owner_client: Client, owner: User, settings: Any) -> None:
    settings.UPLOAD_MAX_BYTES = 1000
    response = create(owner_client, 1001)
    assert response.status_code == 413
    assert "one upload may have 1000" in response.content.decode()
    owner.storage_max_bytes = 500
    owner.save()
    response = create(owner_client, 501)
    assert response.status_code == 413
    assert "of your storage are left" in response.content.decode()
    assert not Upload.objects.exists()


def test_begun_uploads_count_against_the_quota(owner_client: Client, owner: User) -> None:
    owner.storage_max_bytes = 1000
    owner.save()
    assert create(owner_client, 600).status_code == 201
    assert create(owner_client, 600).status_code == 413


@pytest.mark.parametrize("length", ["", "-1", "0", "x", "1" * 20])
def test_bad_length(owner_client: Client, length: str) -> None:
    assert create(owner_client, **{"Upload-Length": length}).status_code == 400


def test_bad_metadata(owner_client: Client) -> None:
    assert create(owner_client, **{"Upload-Metadata": "filename *not base64*"}).status_code == 400


def test_protocol_version_and_content_type(owner_client: Client, url: str) -> None:
    assert owner_client.post("/uploads/", headers={"Upload-Length": "5"}).status_code == 412
    assert owner_client.patch(url, b"x", content_type="text/plain", headers=TUS).status_code == 415
    assert owner_client.put(url, b"x", headers=TUS).status_code == 405


def test_creation_with_upload(owner_client: Client) -> None:
    about = {"Upload-Length": str(len(DATA)), "Upload-Metadata": f"filename {b64(b'a.csv')}"}
    response = owner_client.post("/uploads/", DATA[:700], content_type=STREAM, headers=TUS | about)
    assert (response.status_code, response["Upload-Offset"]) == (201, "700")


def test_termination_removes_row_and_file(
    owner_client: Client, url: str, django_capture_on_commit_callbacks: Any
) -> None:
    patch(owner_client, url, DATA[:10], 0)
    path = Upload.objects.get().path
    with django_capture_on_commit_callbacks(execute=True):
        assert owner_client.delete(url, headers=TUS).status_code == 204
    assert not Upload.objects.exists()
    assert not path.exists()
    assert owner_client.head(url, headers=TUS).status_code == 404


def test_expired(owner_client: Client, url: str, django_capture_on_commit_callbacks: Any) -> None:
    assert "Upload-Expires" in owner_client.head(url, headers=TUS)
    path = Upload.objects.get().path
    Upload.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert patch(owner_client, url, DATA, 0).status_code == 410
    with django_capture_on_commit_callbacks(execute=True):
        conversion.reap()
    assert not Upload.objects.exists()
    assert not path.exists()


def test_uploads_of_others_do_not_exist(
    stranger_client: Client, admin_client: Client, client: Client, url: str, owner_client: Client
) -> None:
    for other in (stranger_client, admin_client):  # not even an administrator writes into another's upload
        assert other.head(url, headers=TUS).status_code == 404
        assert patch(other, url, DATA, 0).status_code == 404
        assert other.delete(url, headers=TUS).status_code == 404
    assert patch(client, url, DATA, 0).status_code == 401
    patch(owner_client, url, DATA, 0)
    assert stranger_client.get(url).status_code == 404
    assert stranger_client.head(url, headers=TUS).status_code == 404


def test_two_requests_at_once_cannot_both_write(owner: User, media: Path) -> None:
    import fcntl
    import io

    upload = uploads.begin(owner, "a.zip", 10)
    with open(upload.path, "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(uploads.Refused) as refused:
            uploads.append(upload, io.BytesIO(b"x"), 0)
    assert refused.value.status == 423


def test_session_needs_the_csrf_token(owner: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(owner, backend="django.contrib.auth.backends.ModelBackend")
    assert create(strict).status_code == 401
    strict.get("/data/")
    assert create(strict, **{"X-CSRFToken": strict.cookies["csrftoken"].value}).status_code == 201


HOSTILE = {
    "../../etc/passwd": "passwd",
    "..\\..\\boot.ini": "boot.ini",
    "..": "upload",
    "": "upload",
    "a\x00b\n.zip": "ab.zip",
    "/": "upload",
    "gpj\u202e.exe": "gpj.exe",
    "x" * 400 + ".csv": "x" * (NAME_MAX_BYTES - 4) + ".csv",
    "数据.zip": "数据.zip",
    "数" * 200 + ".zip": "数" * ((NAME_MAX_BYTES - 4) // 3) + ".zip",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_in_their_folder(owner_client: Client, name: str, media: Path) -> None:
    url = create(owner_client, 3, name)["Location"]
    patch(owner_client, url, b"abc", 0)
    dataset = Dataset.objects.get()
    assert dataset.raw_name == HOSTILE[name]
    assert dataset.raw_path.resolve().parent == (media / "datasets" / dataset.id / "raw").resolve()
    assert dataset.raw_path.read_bytes() == b"abc"


def test_plain_form_without_javascript(owner_client: Client, owner: User, settings: Any) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    response = owner_client.post("/data/upload", {"file": SimpleUploadedFile("wine.csv", b"a,b\n1,2\n")})
    dataset = Dataset.objects.get(owner=owner)
    assert response["Location"] == f"/data/{dataset.id}"
    assert dataset.raw_path.read_bytes() == b"a,b\n1,2\n"
    settings.UPLOAD_MAX_BYTES = 3
    response = owner_client.post("/data/upload", {"file": SimpleUploadedFile("wine.csv", b"12345")}, follow=True)
    assert "one upload may have 3" in response.content.decode()
    assert "not empty" in owner_client.post("/data/upload", {}, follow=True).content.decode()


def test_drop_zone_tells_the_limits_and_what_can_go_on(owner_client: Client, owner: User, url: str) -> None:
    owner.storage_max_bytes = 3 * 2**20
    owner.save()
    page = owner_client.get("/data/").content.decode()
    assert "Up to 3\xa0MB" in page
    assert "my data.zip" in page
    assert f'data-max-bytes="{3 * 2**20 - len(DATA)}"' in page
