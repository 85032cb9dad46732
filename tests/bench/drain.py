"""A backlog goes to the platform, against a bare aiohttp loop that posts the same bytes to another; a link comes back.

The backlog is made while the platform is away. The loop posts to the same kind of platform, with an empty store of its
own. Of a link that comes back the seconds are taken until the first event of what waited is there: for the platform
until its sandbox has answered it, for the broker until the subscriber has it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import aiohttp

from bands import BAND
from bench import proc
from bench.figures import Figure, Gate, Result
from bench.marks import Marks, now
from bench.runs import say, workplace
from bench.sides import MARKER, PRODUCTS, Timed
from bench.subscriber import subscriber
from conftest import Platform
from edge.database import FILE
from peers.brokers import Mosquitto
from peers.gtin import gtin13
from peers.process import until
from peers.proxy import Proxy
from peers.store import Store, command, pseudonym

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.scale import Scale

BATCH = 500


def measure(scale: Scale) -> Result:
    """The backlog drains as often as `drains` says, the bare loop after each; links as often as there are repeats."""
    with ExitStack() as stack:
        result = _backlog(stack, workplace(stack), scale)
    with ExitStack() as stack:
        result.figures += _back(stack, workplace(stack), scale)
    return result


def _backlog(stack: ExitStack, folder: Path, scale: Scale) -> Result:
    platform, other, empty = Platform(folder / "platform"), Platform(folder / "other"), folder / "empty"
    store = Store(folder / "store", platform={**platform.table, "jitter": "0s", "drain_per_second": 0})
    store.store = {"capacity": "100GB"}
    store.configure()
    for part in (platform.kill, other.kill, store.close):
        stack.callback(part)
    platform.start()
    _customer(platform)
    store.start()
    store.ready()
    platform.wait_pulled()
    memory = [proc.resident(store.pid)]
    platform.kill()
    shutil.copytree(platform.folder / "data", empty)
    say(f"drain: {scale.events} scans while the platform is away")
    store.tap(BAND)
    _pour(store, scale.events)
    until(lambda: store.status()["readings"]["scans"] == scale.events, "the scans", 900)
    ours: list[float] = []
    least: list[float] = []
    for drain in range(scale.drains):
        say(f"drain: the platform is back, {drain + 1}/{scale.drains}")
        platform.start()
        if not store.running:
            store.start()
        ours.append(_drained(store, platform, memory, scale.events))
        store.stop()
        platform.kill()
        other.start()
        say("drain: the bare loop")
        least.append(asyncio.run(_post(str(other.table["url"]), list(_bodies(store)))))
        other.kill()
        for part in (platform, other):
            shutil.rmtree(part.folder / "data")
            shutil.copytree(empty, part.folder / "data")
        with closing(sqlite3.connect(store.data / FILE)) as database, database:
            database.execute("UPDATE cursor SET seq = 0")
    rate = Figure(f"{scale.events} events to the platform", "/s", ours, least, "a bare aiohttp loop", Gate(">=", 0.9))
    more = Figure("resident memory, from the start to the most", "MB more", [max(memory) - memory[0]])
    return Result("A backlog, and a link that comes back", [rate, more])


def _pour(store: Store, count: int) -> None:
    lines = [
        json.dumps({"kind": "scan", "text": gtin13(number), "symbology": "EAN13"}) + "\n" for number in range(PRODUCTS)
    ]
    with (store.folder / "till-1.fifo").open("w") as fifo:
        for number in range(count):
            fifo.write(lines[number % PRODUCTS])


def _customer(platform: Platform) -> None:
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")


def _drained(store: Store, platform: Platform, memory: list[float], events: int) -> float:
    """Events a second from the first batch to the last that the platform has."""
    marks: list[tuple[float, int]] = []
    while not marks or marks[-1][1] < events:
        memory.append(proc.resident(store.pid))
        if batches := platform.answered("/v1/events", 200):
            marks.append((now(), batches * BATCH))
        time.sleep(0.1)
    return (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])


def _bodies(store: Store) -> Iterator[bytes]:
    """Batches of what `cartwire events` prints."""
    printed = subprocess.run([*command("events", store.config), "--json"], capture_output=True, check=True)
    lines = printed.stdout.splitlines()
    for at in range(0, len(lines), BATCH):
        yield b"[" + b",".join(lines[at : at + BATCH]) + b"]"


async def _post(url: str, bodies: list[bytes]) -> float:
    """Events a second, as ours from the first answer to the last."""
    headers = {"Content-Type": "application/cloudevents-batch+json", "Authorization": "Bearer sandbox-token"}
    marks: list[tuple[float, int]] = []
    async with aiohttp.ClientSession(headers=headers) as session:
        for body in bodies:
            async with session.post(f"{url}/v1/events", data=body) as answer:
                count = len(json.loads(await answer.read())["results"])
                marks.append((now(), (marks[-1][1] if marks else 0) + count))
    return (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])


def _back(stack: ExitStack, folder: Path, scale: Scale) -> list[Figure]:
    """Links through a proxy that refuses for a while, with one scan made meanwhile."""
    platform, broker = Platform(folder / "platform"), Mosquitto(folder / "mosquitto", keeps=True)
    for part in (platform, broker):
        stack.callback(part.kill)
        part.start()
    _customer(platform)
    lines = [Proxy(platform.port), Proxy(broker.port)]
    for line in lines:
        stack.callback(line.close)
    store = Timed(
        folder / "store",
        cart={"broker": f"mqtt://127.0.0.1:{lines[1].port}", "protocol": "5"},
        platform={**platform.table, "url": f"http://127.0.0.1:{lines[0].port}"},
        floor={"session": "30m"},
    )
    stack.callback(store.close)
    acks = "cartwire/v1/gateways/gangnam/gw-1/acks"
    arrived = subscriber(stack, broker.port, "cartwire/v1/carts/+/items", MARKER, folder / "arrived", acks)
    Marks(store.folder / "emitted")
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(BAND)
    taken: list[list[float]] = [[], []]
    for repeat in range(scale.repeats):
        say(f"drain: links gone for {scale.away:g} s, {repeat + 1}/{scale.repeats}")
        for which, line in enumerate(lines):
            until(store.settled, "nothing waits", 60)
            before = platform.answered("/v1/events", 200), len(arrived)
            line.set("refuse")
            store.scan(repeat)
            time.sleep(scale.away)
            began = now()
            line.set("up")
            if which:
                arrived.wait(before[1] + 1)
                taken[which].append(arrived[before[1]] - began)
            else:
                until(lambda was=before[0]: platform.answered("/v1/events", 200) > was, "the platform has it", 60)
                taken[which].append(now() - began)
    return [
        Figure(f"the {side} is back, until the first event is there", "s", times)
        for side, times in zip(("platform", "broker"), taken, strict=True)
    ]
