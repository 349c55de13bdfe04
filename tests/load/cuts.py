"""One large upload whose connection is cut again and again."""

from __future__ import annotations

import base64
import hashlib
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

from tests.load.site import Sampler, Site, make_users, used_s

UPLOAD_BYTES, CHUNK_BYTES, CUTS = 3 * 10**9, 2**20, 5
TUS = {"Tus-Resumable": "1.0.0"}


def cuts(site: Site) -> None:
    """Chunks of 1 MiB with a checksum each, as the upload page sends them; five end in the middle of a chunk."""
    from webapp.api.models import ApiToken
    from webapp.datasets.models import Dataset

    user = make_users(1)[0]
    type(user).objects.filter(pk=user.pk).update(storage_max_bytes=2 * UPLOAD_BYTES)
    headers = TUS | {"Authorization": f"Bearer {ApiToken.make(user, 'load')[1]}"}
    web = site.start_web()
    sampler = Sampler(web)
    sampler.start()
    before_s, begun = used_s(web), time.monotonic()
    sent = send(site.port, headers)
    seconds = time.monotonic() - begun
    with open(Dataset.objects.get().raw_path, "rb") as file:
        kept = hashlib.file_digest(file, "sha256").digest()
    if kept != sent:
        raise RuntimeError("the upload is not byte for byte what was sent")
    site.tell(f"web process during 3 GB through {CUTS} cuts", sampler.end()["memory"] / 2**20, "MB", 300)
    site.tell("processor time of 3 GB", used_s(web) - before_s, "s")
    site.tell("3 GB, byte for byte", seconds, "s")


def send(port: int, headers: dict[str, str]) -> bytes:
    """The digest of what was sent."""
    about = {"Upload-Length": str(UPLOAD_BYTES), "Upload-Metadata": f"filename {_b64(b'table.csv')}"}
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/uploads/", headers=headers | about | {"Content-Length": "0"})
    answer = connection.getresponse()
    answer.read()
    place = urlsplit(answer.headers["Location"]).path
    whole, offset, number = hashlib.sha256(), 0, 0
    chunks = -(-UPLOAD_BYTES // CHUNK_BYTES)
    cut_at = {chunks * (i + 1) // (CUTS + 1) for i in range(CUTS)}
    while offset < UPLOAD_BYTES:
        chunk = (hashlib.sha256(str(number).encode()).digest() * (CHUNK_BYTES // 32))[: UPLOAD_BYTES - offset]
        if number in cut_at:
            cut_at.remove(number)
            _cut(port, place, headers, offset, chunk)
            connection = HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("HEAD", place, headers=headers)
            answer = connection.getresponse()
            answer.read()
            if int(answer.headers["Upload-Offset"]) != offset:
                raise RuntimeError(f"a cut chunk was kept in part: {answer.headers['Upload-Offset']} of {offset}")
        connection.request("PATCH", place, chunk, headers | _of_chunk(offset, chunk))
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 204:
            raise RuntimeError(f"chunk {number} was refused: {answer.status} {said[:200]!r}")
        whole.update(chunk)
        offset, number = offset + len(chunk), number + 1
    return whole.digest()


def _cut(port: int, place: str, headers: dict[str, str], offset: int, chunk: bytes) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.putrequest("PATCH", place)
    for name, value in (headers | _of_chunk(offset, chunk) | {"Content-Length": str(len(chunk))}).items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(chunk[: len(chunk) // 2])
    connection.close()
    time.sleep(0.5)


def _of_chunk(offset: int, chunk: bytes) -> dict[str, str]:
    digest = _b64(hashlib.sha256(chunk).digest())
    kind = {"Content-Type": "application/offset+octet-stream"}
    return kind | {"Upload-Offset": str(offset), "Upload-Checksum": f"sha256 {digest}"}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
