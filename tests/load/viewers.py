"""Many people follow runs live while pages are asked for."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from typing import Any

from tests.load.site import (
    ROOT,
    START_LIMIT_S,
    Sampler,
    Site,
    make_dataset,
    make_users,
    page_times,
    session_of,
    tell_pages,
    used_s,
)

USERS, RUNS, VIEWERS, MEASURED_S = 20, 20, 300, 40


def viewers(site: Site) -> None:
    from tests.webapp import toys
    from webapp.runs.models import Run

    users = make_users(USERS)
    runs = []
    for number in range(RUNS):
        dataset = make_dataset(users[number])
        fields = {"owner": dataset.owner, "number": 1, "budget_s": 1200, "public": True}
        runs.append(Run.objects.create(dataset=dataset, state="running", **fields))
        toys.write_run(runs[-1].dir, dataset.report, finished=False)
    cookies = [session_of(user) for user in users]
    pages = [
        ("/", cookies[0]),
        ("/status", ""),
        (runs[0].get_absolute_url(), cookies[0]),
        (f"/data/{runs[1].dataset_id}", ""),
    ]
    web = site.start_web()
    before_s = used_s(web)
    times = page_times(site, pages, MEASURED_S / 2)
    site.tell("processor time a page", 1000 * (used_s(web) - before_s) / len(times), "ms")
    tell_pages(site, "without viewers", times)
    site.tell("web process without viewers", web.memory_info().rss / 2**20, "MB")
    watchers = [(f"/runs/{runs[n % RUNS].pk}/stream", cookies[n % RUNS] if n % 3 == 0 else "") for n in range(VIEWERS)]
    client = subprocess.Popen(
        [sys.executable, "-m", "tests.load.viewers", str(site.port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin is not None
    assert client.stdout is not None
    print(json.dumps(watchers), file=client.stdin, flush=True)
    client.stdout.readline()  # all are connected
    is_over = threading.Event()
    mover = threading.Thread(target=move, args=(runs, is_over), daemon=True)
    mover.start()
    sampler = Sampler(web)
    sampler.start()
    before_s, begun = used_s(web), time.monotonic()
    times = page_times(site, pages, MEASURED_S)
    share = (used_s(web) - before_s) / (time.monotonic() - begun)
    most = sampler.end()
    counts = sorted(json.loads(client.communicate("end\n")[0]))
    is_over.set()
    mover.join()
    site.tell(f"processor use with {VIEWERS} viewers of {RUNS} moving runs", share, "cores")
    site.tell("viewers who got news", sum(count > 1 for count in counts), "viewers")
    site.tell("messages a viewer, median", counts[len(counts) // 2], "messages")
    tell_pages(site, f"with {VIEWERS} viewers", times, 100)
    site.tell(f"web process with {VIEWERS} viewers", most["memory"] / 2**20, "MB", 250)
    site.tell(f"threads with {VIEWERS} viewers", most["threads"], "threads", 60)
    site.tell(f"descriptors with {VIEWERS} viewers", most["descriptors"], "descriptors")


def move(runs: list[Any], is_over: threading.Event) -> None:
    """Each run makes a prediction a second, as its worker would write it down."""
    from automl_engine.run import events
    from webapp.runs import journal

    k = 3
    while not is_over.wait(1.0):
        for run in runs:
            scores = {"nauc": 0.9, "accuracy": 0.95, "soft_accuracy": 0.9, "alc": 0.5}
            events.append(run.dir / "events.jsonl", "score", k=k, t=float(k), by="toy", **scores)
            journal.take(run)
        k += 1


async def watch_all(port: int) -> None:
    """The client: opens the streams that stdin names, and counts the messages of each until stdin says more."""
    loop = asyncio.get_running_loop()
    watchers = json.loads(sys.stdin.readline())
    counts = [0] * len(watchers)

    async def watch(number: int, path: str, cookie: str, connected: asyncio.Semaphore) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
        while line := await reader.readline():
            if line.startswith(b"event: page"):
                counts[number] += 1
                if counts[number] == 1:
                    connected.release()

    connected = asyncio.Semaphore(0)
    tasks = [loop.create_task(watch(number, *watcher, connected)) for number, watcher in enumerate(watchers)]
    for _ in watchers:
        await asyncio.wait_for(connected.acquire(), START_LIMIT_S)
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps(counts), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(watch_all(int(sys.argv[1])))
