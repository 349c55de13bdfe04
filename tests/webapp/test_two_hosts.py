"""Machines that share a database, a queue and an S3 store, but no disk: one is lost in the middle of a run.

Each host is a set of processes with a DATA_DIR, a host name where root may give one, and with AUTODL_TEST_NETWORKS=1
a network namespace of its own.  test_servers.py runs this with PostgreSQL and Redis as well.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.test import Client
from moto.server import ThreadedMotoServer

from automl_engine.run import events
from formatters.base import Options
from formatters.convert import convert
from tests.formatters.toys import TOYS
from tests.webapp import networks
from tests.webapp.faults import MARGIN_S, NOTICED_S, ROOT, start_run, wait_for
from webapp import store
from webapp.accounts.models import User
from webapp.database import patiently
from webapp.datasets.models import Dataset
from webapp.ops import processes
from webapp.runs import control, journal
from webapp.runs.models import Run
from webapp.store import remote

pytestmark = [  # starts three hosts, and waits until one is missed
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
]
FOLLOWED_S = 10  # 1 to 3 s on two cores, with the tests of the engine beside


class Host:
    """Processes of one machine."""

    def __init__(self, name: str, folder: Path, place: Sequence[str]) -> None:
        """``place``: the beginning of a command that runs there."""
        self.name, self.data_dir, self.mark = name, folder / name, f"{name}-{secrets.token_hex(4)}"
        self.data_dir.mkdir()
        self.place, self.socket = place, Path(f"/tmp/{self.mark}.sock")
        self.environment = {"DATA_DIR": str(self.data_dir), "CUDA_VISIBLE_DEVICES": "", processes.MARK: self.mark}

    def start(self, *command: str, **environment: str) -> None:
        own_name = ["unshare", "--uts", "sh", "-c", f'hostname {self.name}; exec "$@"', "-"]
        may_have = not subprocess.run([*own_name, "true"], capture_output=True).returncode
        with open(self.data_dir / "host.log", "ab") as log:
            subprocess.Popen(
                [*self.place, *(own_name if may_have else []), sys.executable, *command],
                cwd=ROOT,
                env=os.environ | self.environment | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def train(self) -> None:
        self.start("-m", "automl_engine.run.warm", str(self.socket))
        self.start("manage.py", "worker", "train", WARM_ENGINE=str(self.socket))

    def processes(self) -> list[psutil.Process]:
        return processes.marked(self.mark)

    def kill(self) -> None:
        while alive := self.processes():
            for process in alive:
                process.kill()
            psutil.wait_procs(alive, 5)
        self.socket.unlink(missing_ok=True)

    def scored(self, run: Run) -> int:
        path = self.data_dir / "media" / "runs" / run.pk / "events.jsonl"
        return sum(event["event"] == "score" for event in events.read(path)[0])

    def freeze(self, run: Run) -> None:
        """Its training process, so that the run stays as it is."""
        first = (self.data_dir / "media" / "runs" / run.pk / "engine.pid").read_text().split()[0]
        psutil.Process(int(first)).children(recursive=True)[-1].suspend()


@pytest.fixture
def network() -> Iterator[networks.Bridge | None]:
    with networks.bridge() as bridge:
        if not bridge:
            print("the hosts share the network of this machine: no other is wanted, or it lets us make none")
        yield bridge


@pytest.fixture
def bucket(network: networks.Bridge | None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[None]:
    server = ThreadedMotoServer(ip_address=network.address if network else "127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings.STORAGE_URL = "s3://autodl/site"
    values = {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "DEFAULT_REGION": "us-east-1"}
    for name, value in (values | {"ENDPOINT_URL": f"http://{host}:{port}"}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("STORAGE_URL", settings.STORAGE_URL)
    remote.prepare()
    yield
    server.stop()


@pytest.fixture
def hosts(
    network: networks.Bridge | None, bucket: None, servers: None, tmp_path: Path, settings: Any
) -> Iterator[dict[str, Host]]:
    """The web host is this process, too, so it stays in the network of this machine."""
    found = {"web": Host("web", tmp_path, [])}
    for number, name in enumerate(("one", "two"), 1):
        found[name] = Host(name, tmp_path, network.join(number) if network else [])
    settings.DATA_DIR = found["web"].data_dir
    settings.MEDIA_ROOT = found["web"].data_dir / "media"
    yield found
    for host in found.values():
        host.kill()


@pytest.fixture
def dataset(hosts: dict[str, Host], owner: User, make_dataset: Any, tmp_path: Path) -> Dataset:
    dataset = make_dataset(owner, "tabular", state="queued")
    convert(TOYS["tabular"](tmp_path / "toy"), dataset.dir / "autodl", Options(name="toy"), say=lambda line: None)
    store.push(dataset.dir / "autodl")
    Dataset.objects.update(state="ready")
    dataset.refresh_from_db()
    return dataset


def test_a_lost_host(hosts: dict[str, Host], dataset: Dataset, owner_client: Client) -> None:
    """Each of two hosts takes a run; one is killed, and the other takes over what it had."""
    workers = [hosts["one"], hosts["two"]]
    for host in workers:
        host.train()
    for host in workers:
        wait_for(host.socket.exists, 2 * MARGIN_S, "a waiting engine")
    networks_of = {os.readlink(f"/proc/{process.pid}/ns/net") for host in workers for process in host.processes()}
    assert len({os.readlink("/proc/self/ns/net"), *networks_of}) == (3 if workers[0].place else 1)
    hosts["web"].start("manage.py", "reaper")
    runs = [start_run(dataset, number) for number in (1, 2)]

    def where(run: Run) -> Host | None:
        return next((host for host in workers if host.scored(run)), None)

    wait_for(lambda: all(where(run) for run in runs), MARGIN_S, "a score of each run")
    begun = time.monotonic()
    seen = [where(run).scored(run) for run in runs]  # type: ignore[union-attr]
    wait_for(
        lambda: all(hosts["web"].scored(_fetched(run)) >= n for run, n in zip(runs, seen, strict=True)),
        FOLLOWED_S,
        "the scores on the web host",
    )
    print(f"followed on the web host after {time.monotonic() - begun:.1f} s")
    lost, kept = where(runs[0]), where(runs[1])
    assert lost
    assert kept
    assert lost is not kept
    lost.freeze(runs[0])
    wait_for(lambda: runs[0].points.count() == lost.scored(runs[0]), MARGIN_S, "scores as rows")
    time.sleep(2)  # nothing more comes
    points = runs[0].points.count()
    lost.kill()
    killed_at = time.monotonic()
    shutil.rmtree(lost.data_dir)

    again = Run.objects.filter(pk=runs[0].pk, error__contains="starts once more")
    wait_for(again.exists, NOTICED_S + MARGIN_S, "the lost host is noticed")
    print(f"the lost host was noticed after {time.monotonic() - killed_at:.1f} s")
    assert len(journal.lost_points(runs[0])) == points
    for run in reversed(runs):
        wait_for(lambda run=run: Run.objects.filter(pk=run.pk, points__gt=0).exists(), MARGIN_S, "a score")
        run.refresh_from_db()
        patiently(lambda run=run: control.stop(run))
        wait_for(lambda run=run: Run.objects.filter(pk=run.pk, state="finished").exists(), MARGIN_S, "its end")
        assert owner_client.get(f"/runs/{run.pk}").context["results"]
    runs[0].refresh_from_db()
    assert (runs[0].tries, runs[0].charged, runs[0].size_bytes > 0) == (2, True, True)
    assert "first attempt, worker lost" in json.dumps(owner_client.get(f"/runs/{runs[0].pk}/state").json()["figure"])
    owner_client.post(f"/data/{dataset.pk}/delete")
    assert remote.names("runs") == remote.names("datasets") == set()


def _fetched(run: Run) -> Run:
    assert run.dir
    return run
