"""The image and compose.yaml: they start what ``make run`` starts, as nobody special, and say whether it is ready."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from webapp import settings as site
from webapp.ops import up
from webapp.ops.health.middleware import VIEWS

ROOT = Path(__file__).resolve().parents[2]
DURATION = re.compile(r"(\d+)s")


def instructions() -> list[tuple[str, str]]:
    """(instruction, its arguments) of the Dockerfile's stage "site", in order."""
    return stage("site")


def stage(name: str) -> list[tuple[str, str]]:
    return next(found for found in stages() if found[0][1].endswith(f" AS {name}"))


def stages() -> list[list[tuple[str, str]]]:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: list[list[tuple[str, str]]] = []
    for line in lines:
        if line.startswith("ARG "):
            continue
        if line.startswith("FROM "):
            found.append([])
        found[-1].append((line.split()[0], line.partition(" ")[2].strip()))
    return found


def last(name: str) -> str:
    return [arguments for instruction, arguments in instructions() if instruction == name][-1]


def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def started_by_make() -> list[str]:
    """The arguments of python in ``make run``."""
    recipe = re.search(r"^run:.*\n\t@exec (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert recipe
    return shlex.split(recipe[1])[1:]


def test_the_image_starts_the_command_of_make_run() -> None:
    assert json.loads(last("CMD")) == ["python", *started_by_make()]
    assert started_by_make() == ["-m", up.__name__]


def test_the_image_is_not_run_by_root() -> None:
    names = [instruction for instruction, _ in instructions()]
    assert last("USER") not in ("root", "0")
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")
    assert f"-o {last('USER')} " in next(arguments for _, arguments in instructions() if "install -d" in arguments)


def test_what_the_image_is_made_of_is_pinned() -> None:
    bases = [stage[0][1].partition(" AS ")[0] for stage in stages()]
    assert bases[-1] == "site"
    ours = {stage[0][1].partition(" AS ")[2] for stage in stages()}
    assert "packages-${WHEELS}" in bases
    assert {"packages-cpu", "packages-cuda"} <= ours
    for base in set(bases) - ours - {"packages-${WHEELS}"}:
        assert re.fullmatch(r"[\w./-]+:[\w.-]+", base)
        assert not base.endswith(":latest")
    for name in ("requirements.txt", "requirements-baselines.txt", "requirements-challenge.txt"):
        assert not [line for line in (ROOT / name).read_text().splitlines() if line[0] != "#" and "==" not in line]


def test_challenge_code_runs_as_the_same_user() -> None:
    (challenge,) = [stage for stage in stages() if stage[0][1] == "site AS challenge"]
    assert [arguments for instruction, arguments in challenge if instruction == "USER"][-1] == last("USER")
    assert ("ENV", "CHALLENGE_PYTHON=/opt/challenge/bin/python") in challenge


class Answer(BaseHTTPRequestHandler):
    """Stands for the site."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_asks_whether_the_site_is_ready(
    status: int, healthy: bool, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Answer, "status", status)
    assert "/readyz" in VIEWS
    command = json.loads(last("HEALTHCHECK").partition(" CMD ")[2])
    done = subprocess.run([sys.executable, *command[1:]], env=os.environ | {"PORT": str(port)}, capture_output=True)
    assert (done.returncode == 0) == healthy, done.stderr


def test_compose_names_what_it_uses() -> None:
    content = compose()
    assert set(content) <= {"services", "volumes"}
    for service in content["services"].values():
        assert service["build"] == "."
        assert "command" not in service
        assert "entrypoint" not in service  # the image's own: that of make run
        assert service["init"]
        assert service["restart"] == "unless-stopped"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])  # open only if somebody decides so
        assert {volume.split(":")[0] for volume in service["volumes"]} <= set(content["volumes"])
        assert {volume.split(":")[1] for volume in service["volumes"]} == {last("VOLUME")}


def test_compose_sets_what_the_site_reads() -> None:
    read = "".join(
        (ROOT / path).read_text()
        for path in ("webapp/settings.py", "webapp/ops/up.py", "README.md", "docs/settings.md")
    )
    for service in compose()["services"].values():
        assert not [name for name in service["environment"] if name not in read]


def scaled() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.scale.yaml").read_text())


def test_several_machines_start_the_roles_of_make_run() -> None:
    services = scaled()["services"]
    ours = {name: service for name, service in services.items() if "build" in service}
    roles = {}
    for name, service in ours.items():
        assert "command" not in service
        (told,) = [arguments for instruction, arguments in stage(service["build"]["target"]) if instruction == "CMD"]
        python, *command = json.loads(told)
        assert [python, *command[: len(started_by_make())]] == ["python", *started_by_make()]
        roles[name] = up.parsed(command[len(started_by_make()) :]).role
    assert roles == {"web1": "web", "web2": "web", "worker1": "worker", "worker2": "worker"}
    assert all(re.fullmatch(r"[\w/]+:[\w.-]*\d[\w.-]*", s["image"]) for n, s in services.items() if n not in ours)


NAMED = ("DATABASE_URL", "REDIS_URL", "AWS_ENDPOINT_URL")


def test_several_machines_share_no_disk_and_all_that_they_need() -> None:
    content = scaled()
    volumes = [v.split(":")[0] for service in content["services"].values() for v in service.get("volumes", [])]
    assert sorted(volumes) == sorted([*content["volumes"], "uploads"])  # each has one, and its own
    uploads = {v for service in content["services"].values() for v in service.get("volumes", []) if "uploads:" in v}
    assert uploads == {"uploads:/data/media/uploads"}
    assert "/data/media/uploads" in next(arguments for _, arguments in instructions() if "install -d" in arguments)
    shared = {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "STORAGE_URL"}
    ours = [service for service in content["services"].values() if "build" in service]
    for name in shared:
        assert len({service["environment"][name] for service in ours}) == 1
    urls = [re.sub(r"\$\{.*?\}", "secret", ours[0]["environment"][name]) for name in NAMED]
    assert {urlsplit(url).hostname for url in urls} == set(ours[0]["depends_on"])


def test_there_is_time_to_stop() -> None:
    """Jobs end; then workers first, Redis last, each with its grace, before the container is killed."""
    ours = [service for content in (compose(), scaled()) for service in content["services"].values()]
    for service in [service for service in ours if "build" in service]:
        grace = DURATION.fullmatch(service["stop_grace_period"])
        assert grace
        assert int(grace[1]) >= site.STOP_GRACE_S + 2 * (1.2 + up.GRACE_S)


def test_the_proxy_asks_the_web_servers_whether_they_are_ready() -> None:
    content = scaled()
    told = content["configs"]["proxy"]["content"]
    webs = [name for name, service in content["services"].items() if service.get("build", {}).get("target") == "web"]
    port = last("EXPOSE")
    assert f"reverse_proxy {' '.join(f'{name}:{port}' for name in webs)} " in told
    health = re.search(r"health_uri (\S+)\n.*health_interval (\d+)s", told)
    assert health
    assert health[1] in VIEWS
    assert all(int(health[2]) < content["services"][name]["environment"]["DRAIN_S"] for name in webs)


def test_the_port_is_the_one_that_is_published() -> None:
    ports = {port.split(":")[-1] for service in compose()["services"].values() for port in service["ports"]}
    assert ports == {last("EXPOSE")}
    assert f"PORT={last('EXPOSE')}" in last("ENV")
