"""Raw data from a web address: the conversion job fetches it in blocks, with the limits of an upload.

Addresses have the rules of webhooks: private networks are refused, also after a redirect (webapp/outgoing.py).
"""

from __future__ import annotations

import mimetypes
import os
import shutil
import time
from collections.abc import Callable
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import unquote, urlsplit

from webapp import engine, outgoing
from webapp.accounts.models import User
from webapp.datasets.models import Dataset
from webapp.datasets.storage import Refused, refusal, storage_of
from webapp.filenames import safe_name
from webapp.sizes import size

TOO_SLOW = "The import took too long and was stopped: download the file yourself, and upload it here."
SAID_S = 1.0  # how often the progress is said
Say = Callable[[str, int], object]
"""A line for the page, and the bytes that the import takes or will take."""


def plan(owner: User, url: str) -> Dataset:
    """A data set, not saved yet, whose raw data is at this address.

    Raises:
        Refused: the address is not public or not known, or the owner has no room.
    """
    try:
        parts = outgoing.resolve(url)[0]
    except outgoing.Refused as error:
        raise Refused(400, str(error)) from error
    except outgoing.Failed as error:
        raise Refused(400, f"Nothing can be imported: {error}. Check the address.") from error
    if refused := refusal(owner, 1):
        raise refused
    name = safe_name(unquote(parts.path)) if parts.path.strip("/") else str(parts.hostname)
    return Dataset(owner=owner, source_url=url, raw_name=name, name=Path(name).stem[:100])


def fetch(dataset: Dataset, say: Say, should_stop: Callable[[], bool]) -> None:
    """Write ``raw_path``, under the name that the server gives, or nothing.

    Raises:
        DataError: one sentence why it cannot be had.
    """
    target = dataset.dir / "raw"
    shutil.rmtree(target, ignore_errors=True)  # what a killed try has fetched under another name
    target.mkdir(parents=True)
    part = target.with_suffix(".part")
    try:
        with outgoing.get(dataset.source_url) as (response, url):
            name = _name(response, url)
            _receive(response, part, dataset.owner, say, should_stop)
        dataset.raw_name = name
        os.replace(part, dataset.raw_path)
    except outgoing.Refused as error:
        raise engine.DataError(str(error)) from error
    except outgoing.Failed as error:
        raise engine.DataError(f"The import failed: {error}. Check the address, and try again.") from error
    finally:
        part.unlink(missing_ok=True)


def _name(response: HTTPResponse, url: str) -> str:
    kind = response.headers.get_content_type()
    given = _decoded(response.headers.get_filename() or "")
    if kind in ("text/html", "application/xhtml+xml") and not given:
        raise engine.DataError(
            "The address leads to a web page, not to a file: copy the address of the page's download link instead."
        )
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise outgoing.Failed("the server sends the file in a compressed form that was not asked for")
    name = safe_name(given or unquote(urlsplit(url).path))
    return name if Path(name).suffix else name + (mimetypes.guess_extension(kind) or "")


def _decoded(name: str) -> str:
    """Headers are read as Latin-1, and many servers write UTF-8."""
    try:
        return name.encode("latin-1").decode()
    except UnicodeError:
        return name


def _receive(response: HTTPResponse, part: Path, owner: User, say: Say, should_stop: Callable[[], bool]) -> None:
    announced = response.length
    if announced is not None and (refused := refusal(owner, announced)):
        raise engine.DataError(refused.sentence)
    most_bytes = storage_of(owner).upload_max_bytes if announced is None else announced
    of_all = f" of {size(announced)}" if announced else ""
    received, said = 0, 0.0
    with open(part, "wb") as file:
        for block in outgoing.blocks(response):
            received += len(block)
            if received > most_bytes:
                most = size(most_bytes)
                raise engine.DataError(f"The file has more than {most}, which is all that you may upload now.")
            file.write(block)
            if time.monotonic() > said + SAID_S:
                said = time.monotonic()
                say(f"fetching: {size(received)}{of_all}", announced or received)
                if should_stop():
                    raise engine.DataError(TOO_SLOW)
    if not received:
        raise engine.DataError("The file at this address is empty.")
