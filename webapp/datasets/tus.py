"""The tus 1.0 end-point (https://tus.io/protocols/resumable-upload, version 1.0.0).

Core protocol with the extensions creation, creation-with-upload, checksum, termination and expiration.
Django spools a request body to disk before the view runs, and the view copies it in blocks: memory stays bounded.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.urls import reverse
from django.utils import timezone
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from webapp.access import EDIT, get_allowed, may, signed_in
from webapp.api.auth import signed_in_or_token
from webapp.datasets import uploads
from webapp.datasets.models import Dataset, Upload
from webapp.datasets.storage import Refused

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,termination,expiration"
CHECKSUMS = {"sha1": "sha1", "sha256": "sha256"}  # tus name -> hashlib name
STREAM = "application/offset+octet-stream"


def _tus(handlers: dict[str, Callable[..., HttpResponse]]) -> Callable[..., HttpResponseBase]:
    """A view of tus methods: version check, refusals as status + sentence, protocol headers on every answer."""

    @csrf_exempt  # signed_in_or_token checks it for sessions
    @signed_in_or_token
    def view(request: HttpRequest, **kwargs: str) -> HttpResponse:
        method = request.method or ""
        if method == "POST":  # never on a GET, which passes without a CSRF check
            method = request.headers.get("X-HTTP-Method-Override", method).upper()
        if method not in handlers:
            return HttpResponseNotAllowed(handlers)
        if method not in ("OPTIONS", "GET") and request.headers.get("Tus-Resumable") != VERSION:
            response = HttpResponse(f"This server speaks tus {VERSION}.", status=412, content_type="text/plain")
        else:
            try:
                response = handlers[method](request, **kwargs)
            except Refused as refused:
                response = HttpResponse(refused.sentence, status=refused.status, content_type="text/plain")
            except PermissionDenied as lacking:
                response = HttpResponse(str(lacking), status=403, content_type="text/plain")
        response["Tus-Resumable"] = response["Tus-Version"] = VERSION
        response["Cache-Control"] = "no-store"
        return response

    return view


def _options(request: HttpRequest, **_: str) -> HttpResponse:
    response = HttpResponse(status=204)
    response["Tus-Extension"] = EXTENSIONS
    response["Tus-Max-Size"] = str(settings.UPLOAD_MAX_BYTES)
    response["Tus-Checksum-Algorithm"] = ",".join(CHECKSUMS)
    return response


def _create(request: HttpRequest) -> HttpResponse:
    size_bytes = _number(request, "Upload-Length")
    about = _metadata(request.headers.get("Upload-Metadata", ""))
    continues = _editable(request, about["continues"]) if "continues" in about else None
    upload = uploads.begin(signed_in(request), about.get("filename", "upload"), size_bytes, continues)
    offset = _receive(request, upload, 0) if request.content_type == STREAM else 0
    response = _answer(upload, 201, offset)
    response["Location"] = request.build_absolute_uri(reverse("upload-part", args=[upload.id]))
    return response


def _state(request: HttpRequest, id: str) -> HttpResponse:
    finished = Dataset.objects.filter(id=id).first()
    if finished and may(request.user, finished, EDIT):
        response = HttpResponse()
        response["Upload-Offset"] = response["Upload-Length"] = str(
            [finished.raw_path, *finished.more_paths][-1].stat().st_size
        )
        return response
    upload = _upload(request, id)
    response = _answer(upload, 200, upload.offset_bytes)
    response["Upload-Length"] = str(upload.size_bytes)
    return response


def _append(request: HttpRequest, id: str) -> HttpResponse:
    if request.content_type != STREAM:
        raise Refused(415, f"A part must be sent as {STREAM}.")
    upload = _upload(request, id)
    return _answer(upload, 204, _receive(request, upload, _number(request, "Upload-Offset")))


def _delete(request: HttpRequest, id: str) -> HttpResponse:
    _upload(request, id).delete()
    return HttpResponse(status=204)


def _page(request: HttpRequest, id: str) -> HttpResponse:
    """A person (or the page's script at the end) who follows the upload's address gets to the data set."""
    return HttpResponseRedirect(_editable(request, id).get_absolute_url())


def _editable(request: HttpRequest, id: str) -> Dataset:
    return get_allowed(Dataset.objects.select_related("owner"), request.user, EDIT, id=id)


def _upload(request: HttpRequest, id: str) -> Upload:
    upload = Upload.objects.filter(owner=signed_in(request), id=id).first()
    if upload is None:
        raise Http404
    if upload.expires < timezone.now():
        raise Refused(410, "This upload was begun too long ago: start it again.")
    if upload.continues_id:
        _editable(request, upload.continues_id)  # still
    return upload


def _receive(request: HttpRequest, upload: Upload, offset: int) -> int:
    announced = int(request.headers.get("Content-Length") or 0)
    if offset + announced > upload.size_bytes:
        raise Refused(413, f"More bytes came than the {upload.size_bytes} that were announced.")
    return uploads.append(upload, request, offset, _checksum(request))


def _answer(upload: Upload, status: int, offset: int) -> HttpResponse:
    """Offset and expiry; the last byte turns the upload into a data set."""
    if offset == upload.size_bytes:
        uploads.finish(upload)
    response = HttpResponse(status=status)
    response["Upload-Offset"] = str(offset)
    response["Upload-Expires"] = http_date(upload.expires.timestamp())
    return response


def _number(request: HttpRequest, header: str) -> int:
    value = request.headers.get(header, "")
    if not re.fullmatch(r"[0-9]{1,15}", value):
        raise Refused(400, f"The header {header} must hold a number of bytes.")
    return int(value)


def _checksum(request: HttpRequest) -> tuple[str, bytes] | None:
    header = request.headers.get("Upload-Checksum")
    if header is None:
        return None
    name, _, digest = header.partition(" ")
    if name not in CHECKSUMS:
        raise Refused(400, f"The checksum must be one of {', '.join(CHECKSUMS)}.")
    return CHECKSUMS[name], _base64(digest)


def _metadata(header: str) -> dict[str, str]:
    """``key base64, key base64``; a key may stand alone."""
    pairs = (pair.strip().partition(" ") for pair in header.split(",") if pair.strip())
    return {key: _base64(value).decode("utf-8", errors="replace") for key, _, value in pairs}


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Refused(400, "A header holds broken base64.") from None


collection = _tus({"OPTIONS": _options, "POST": _create})
part = _tus({"OPTIONS": _options, "HEAD": _state, "PATCH": _append, "DELETE": _delete, "GET": _page})
