"""`make bench`, second part: a backlog goes to the platform, and a bare aiohttp loop posts the same bytes to another.

BENCH_EVENTS scans are made while the platform is away, then it comes back: how fast they drain, and how the memory of
the daemon grows over all of it. The loop posts to the same kind of platform, with an empty store of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from conftest import Platform
from peers.process import until
from peers.store import Store, command, pseudonym

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = int(os.environ.get("BENCH_EVENTS", "100000"))
BATCH = 500
BAND = "04A1B2C3D4E5F6"


def main() -> int:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        platform, other = Platform(folder / "platform"), Platform(folder / "other")
        table = {**platform.table, "jitter": "0s", "drain_per_second": 0}
        store = Store(folder / "store", platform=table)
        for part in (platform.kill, other.kill, store.close):
            stack.callback(part)
        platform.start()
        platform.customer("c-1", "k-1", "cart")
        platform.band(pseudonym("nfc", BAND), "c-1")
        store.start()
        store.ready()
        platform.wait_pulled()
        memory = [_resident(store.pid)]
        platform.kill()
        began = time.monotonic()
        store.tap(BAND)
        for number in range(EVENTS):
            store.scan(number % 1000)
        until(lambda: store.status()["readings"]["scans"] == EVENTS, "the scans", 600)
        print(f"scans taken                     {EVENTS / (time.monotonic() - began):.0f} /s")
        memory.append(_resident(store.pid))
        platform.start()
        ours = _drain(store, platform, memory)
        print(f"drained                         {ours:.0f} events/s")
        store.stop()
        platform.kill()
        other.start()
        least = asyncio.run(_post(other.table["url"], list(_bodies(store))))
        print(f"the bare loop                   {least:.0f} events/s, so {ours / least:.2f} of it")
        print(f"resident, start to end          {min(memory):.1f} to {max(memory):.1f} MB")
    return 0


def _drain(store: Store, platform: Platform, memory: list[float]) -> float:
    """Events a second from the first to the last that the platform has."""
    marks: list[tuple[float, int]] = []
    while not marks or marks[-1][1] < EVENTS:
        memory.append(_resident(store.pid))
        asked = platform.ask("GET", "/sandbox/requests")["requests"]
        batches = sum(row["count"] for row in asked if (row["path"], row["status"]) == ("/v1/events", 200))
        if batches:
            marks.append((time.monotonic(), batches * BATCH))
        time.sleep(0.1)
    return (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])


def _bodies(store: Store) -> Iterator[bytes]:
    """Batches of what `cartwire events` prints."""
    printed = subprocess.run([*command("events", store.config), "--json"], capture_output=True, check=True)
    lines = printed.stdout.splitlines()
    for at in range(0, len(lines), BATCH):
        yield b"[" + b",".join(lines[at : at + BATCH]) + b"]"


async def _post(url: object, bodies: list[bytes]) -> float:
    headers = {"Content-Type": "application/cloudevents-batch+json", "Authorization": "Bearer sandbox-token"}
    async with aiohttp.ClientSession(headers=headers) as session:
        began, posted = time.monotonic(), 0
        for body in bodies:
            async with session.post(f"{url}/v1/events", data=body) as answer:
                posted += len(json.loads(await answer.read())["results"])
        return posted / (time.monotonic() - began)


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
