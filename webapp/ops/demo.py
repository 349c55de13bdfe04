"""The whole job without a browser: ``make demo`` (or ``python -m webapp.ops.demo``).

As a user who registers over HTTP: upload a zip, wait for its conversion, learn, watch the curve, download model.zip
and run its predict.py in a fresh process.  Exit code 0 only if every step worked.

Settings: BUDGET (seconds, default 60), DATA (a file to upload; default: hand-written digits made on the spot), PORT,
DATA_DIR.  A server that answers on PORT is used; otherwise one is started, and stopped at the end.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from webapp import settings

CHUNK_BYTES = 4 * 2**20
START_PATIENCE_S = 120
CONVERT_PATIENCE_S = 900
EXPORT_PATIENCE_S = 600
SILENCE_S = 60  # the stream sends a comment every 15 s


class DemoError(Exception):
    """A step did not work; ``str`` is one sentence."""


class Site:
    """A browser without a window: cookies, CSRF token, JSON."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def open(self, path: str, data: bytes | None = None, method: str | None = None, **headers: str) -> HTTPResponse:
        """Follow ``path`` (or a whole address on this site).

        Raises:
            DemoError: the answer is an error; the message holds what the server said.
        """
        address = urllib.parse.urljoin(self.url, path)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None:
            named |= {"X-CSRFToken": self._csrf(), "Referer": self.url}
        request = urllib.request.Request(address, data, named, method=method)  # noqa: S310  our own http address
        try:
            return self._opener.open(request, timeout=SILENCE_S)
        except urllib.error.HTTPError as error:
            said = error.read().decode("utf-8", "replace")[:300]
            raise DemoError(f"{request.get_method()} {path} was answered with {error.code}: {said}") from error
        except urllib.error.URLError as error:
            raise DemoError(f"{self.url} does not answer ({error.reason}).") from error

    def json(self, path: str, value: Any = None) -> Any:
        """GET, or POST when there is a value."""
        data = None if value is None else json.dumps(value).encode()
        with self.open(path, data, Content_Type="application/json", Accept="application/json") as response:
            return json.load(response)

    def form(self, path: str, **fields: str) -> str:
        """POST a form as its page does; returns the address it leads to."""
        self.open(path).close()  # sets the CSRF cookie
        data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": self._csrf()}).encode()
        with self.open(path, data, Content_Type="application/x-www-form-urlencoded") as response:
            return response.url

    def _csrf(self) -> str:
        return next((cookie.value or "" for cookie in self.cookies if cookie.name == "csrftoken"), "")


def main() -> int:
    budget_s = os.environ.get("BUDGET") or "60"
    port = os.environ.get("PORT") or "8000"
    try:
        if not budget_s.isdecimal():
            raise DemoError(f"BUDGET must be a number of seconds but is {budget_s!r}.")
        with running_site(f"http://127.0.0.1:{port}") as site, tempfile.TemporaryDirectory() as temporary:
            demo(site, _data(Path(temporary)), int(budget_s))
    except DemoError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def running_site(url: str) -> Iterator[Site]:
    """The site, started if need be and then stopped afterwards."""
    site = Site(url)
    server = (
        None if _answers(site) else subprocess.Popen([sys.executable, "-m", "webapp.ops.up"], cwd=settings.BASE_DIR)
    )
    try:
        if server:
            say(f"Starting the server, data in {settings.DATA_DIR} ...")
            wait_for(lambda: server.poll() is not None or _answers(site), START_PATIENCE_S, "The server is not ready.")
            if server.poll() is not None:
                raise DemoError("The server did not start; the reason is printed above.")
        yield site
    finally:
        if server and server.poll() is None:
            server.send_signal(signal.SIGINT)  # at once, whatever it does
            server.wait(timeout=30)


def _answers(site: Site) -> bool:
    try:
        site.open("/").close()
    except DemoError:
        return False
    return True


def _data(temporary: Path) -> Path:
    """What to upload: DATA, or digits."""
    if given := os.environ.get("DATA"):
        path = Path(given).expanduser()
        if not path.is_file():
            raise DemoError(f"DATA={given} is no file; give a zip or a table.")
        return path
    path = temporary / "digits.zip"
    command = [sys.executable, "-m", "webapp.ops.starters", "digits", str(path)]
    subprocess.run(command, check=True, cwd=settings.BASE_DIR)
    return path


def demo(site: Site, data: Path, budget_s: int) -> None:
    """All steps, told as they happen."""
    register(site)
    dataset = convert(site, upload(site, data))
    run = learn(site, dataset["id"], budget_s)
    model = download(site, run["id"])
    predictions = predict(model)
    accuracy = "" if run["accuracy"] is None else f"Accuracy {run['accuracy']:.1%}, "
    say(f"{accuracy}NAUC {run['nauc']:.3f}, ALC {run['alc']:.3f}. {run['reason']}")
    say(f"Model: {model}")
    say(f"Its predictions of the samples inside: {predictions}")
    say("Every step worked.")


def register(site: Site) -> None:
    email = f"demo-{secrets.token_hex(4)}@example.org"
    arrived = site.form("/accounts/signup/", email=email, password1=secrets.token_urlsafe(16))
    if "/signup" in arrived:
        raise DemoError("Registering did not work; is e-mail verification set up as this server expects?")
    say(f"Registered as {email}.")


def upload(site: Site, path: Path) -> str:
    """tus 1.0: create, then the parts, each with its checksum; returns the data set's id."""
    size = path.stat().st_size
    name = base64.b64encode(path.name.encode()).decode()
    metadata = {"Upload_Length": str(size), "Upload_Metadata": f"filename {name}", "Tus_Resumable": "1.0.0"}
    with site.open("/uploads/", b"", **metadata) as response:
        address = response.headers["Location"]
    offset = 0
    with open(path, "rb") as file:
        while block := file.read(CHUNK_BYTES):
            digest = base64.b64encode(hashlib.sha256(block).digest()).decode()
            headers = {"Upload_Offset": str(offset), "Upload_Checksum": f"sha256 {digest}", "Tus_Resumable": "1.0.0"}
            headers["Content_Type"] = "application/offset+octet-stream"
            with site.open(address, block, "PATCH", **headers) as response:
                offset = int(response.headers["Upload-Offset"])
    with site.open(address) as response:  # a finished upload leads to its data set
        found = re.search(r"/data/([a-z0-9]+)", response.url)
    if offset != size or not found:
        raise DemoError(f"The upload ended at byte {offset} of {size}.")
    say(f"Uploaded {path.name}, {size:,} bytes.")
    return found[1]


def convert(site: Site, dataset_id: str) -> dict[str, Any]:
    def done() -> dict[str, Any] | None:
        dataset = site.json(f"/api/datasets/{dataset_id}")
        return dataset if dataset["state"] in ("ready", "failed") else None

    dataset = wait_for(done, CONVERT_PATIENCE_S, "The conversion did not end in time.")
    if dataset["state"] == "failed":
        raise DemoError(dataset["error"])
    say(f"Converted: {dataset['title']}.")
    return dataset


def learn(site: Site, dataset_id: str, budget_s: int) -> dict[str, Any]:
    """Start a run, print its curve as it grows, and return the run at its end."""
    run = site.json(f"/api/datasets/{dataset_id}/runs", {"budget_s": budget_s})
    say(f"Training for at most {budget_s} s: {site.url}/runs/{run['id']}")
    with site.open(f"/runs/{run['id']}/stream") as stream:
        for event, message in _messages(stream):
            if event == "point":
                bar = "#" * round(40 * max(0.0, message["nauc"]))
                say(f"  {message['t']:7.2f} s  NAUC {message['nauc']:.3f}  {bar:40}  {message['by']}")
    run = site.json(f"/api/runs/{run['id']}")
    if run["state"] != "finished":
        raise DemoError(run["error"] or f"The run ended as {run['state']}.")
    return run


def _messages(stream: HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Server-sent events until the server ends the stream."""
    event = ""
    for raw in stream:
        field, _, value = raw.decode().rstrip("\n").partition(": ")
        if field == "event":
            event = value
        elif field == "data":
            yield event, json.loads(value)


def download(site: Site, run_id: str) -> Path:
    """Wait until the model is packed and proved; save it under DATA_DIR."""

    def packed() -> dict[str, Any] | None:
        run = site.json(f"/api/runs/{run_id}")
        return run if run["export_state"] in ("ready", "failed") else None

    run = wait_for(packed, EXPORT_PATIENCE_S, "Packing the model did not end in time.")
    if run["export_state"] == "failed":
        raise DemoError(run["export_error"])
    path = settings.DATA_DIR / "demo" / run_id / "model.zip"
    path.parent.mkdir(parents=True)
    with site.open(f"/models/{run_id}/model.zip") as response, open(path, "wb") as target:
        while block := response.read(CHUNK_BYTES):
            target.write(block)
    return path


def predict(model_zip: Path) -> Path:
    """Unpack the model and let its own predict.py, alone in a fresh process, predict the samples inside."""
    folder = model_zip.parent / "model"
    with zipfile.ZipFile(model_zip) as archive:
        archive.extractall(folder)
    out = model_zip.parent / "predictions.csv"
    command = [sys.executable, "-I", str(folder / "predict.py"), str(folder / "sample" / "input"), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=model_zip.parent, timeout=300)
    if done.returncode or not out.exists():
        raise DemoError(f"predict.py of the model failed: {done.stderr.strip()[-500:]}")
    say(done.stdout.strip())
    return out


def wait_for(look: Any, patience_s: float, otherwise: str) -> Any:
    """What ``look`` returns once it is true.

    Raises:
        DemoError: ``otherwise``, when the patience is at its end.
    """
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.5)
    raise DemoError(otherwise)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
