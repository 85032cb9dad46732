"""`make bench`: what a scan costs, measured from outside, in pairs within one run.

The floor is the least that could be done: one committed SQLite insert (WAL, FULL) and one paho QoS 1 publish
of the same payload to a subscriber in another process. Each pair is one floor and one scan, in turn.
"""

from __future__ import annotations

import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from conftest import Platform
from peers.brokers import Mosquitto
from peers.card import Pcscd
from peers.gtin import gtin13, padded
from peers.process import until
from peers.store import Store, pseudonym

PAIRS = int(os.environ.get("BENCH_PAIRS", "300"))
SCANS = int(os.environ.get("BENCH_SCANS", "150"))
IDLE = float(os.environ.get("BENCH_IDLE", "20"))
BAND = "04A1B2C3D4E5F6"
TICKS = os.sysconf("SC_CLK_TCK")

SUBSCRIBER = """
import json, sys, time
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
def got(client, _, message):
    at = time.clock_gettime(time.CLOCK_MONOTONIC)
    event = json.loads(message.payload)
    print(json.dumps([message.topic, event["id"], event["data"]["gtin"], at]), flush=True)
    to = getattr(message.properties, "ResponseTopic", None)
    if to:
        client.publish(to, json.dumps({"id": event["id"]}), qos=1)
client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
client.on_message = got
client.on_subscribe = lambda *_: print("[]", flush=True)
client.connect("127.0.0.1", int(sys.argv[1]))
client.subscribe([("cartwire/v1/carts/+/items", 1), ("floor", 1)])
client.loop_forever()
"""


def gtin14(number: int) -> str:
    return padded(gtin13(number))


class Subscriber:
    """The other process, and when it got what."""

    def __init__(self, port: int) -> None:
        self._child = subprocess.Popen([sys.executable, "-c", SUBSCRIBER, str(port)], stdout=subprocess.PIPE, text=True)
        self.got: dict[tuple[str, str], tuple[float, str]] = {}
        self._news = threading.Condition()
        assert self._child.stdout
        assert self._child.stdout.readline().strip() == "[]"
        threading.Thread(target=self._read, daemon=True).start()

    def wait(self, topic: str, gtin: str) -> float:
        """When the item arrived: CLOCK_MONOTONIC."""
        with self._news:
            assert self._news.wait_for(lambda: (topic, gtin) in self.got, 10), f"{gtin} did not arrive"
        return self.got[topic, gtin][0]

    def close(self) -> None:
        self._child.kill()
        self._child.wait()

    def _read(self) -> None:
        assert self._child.stdout
        for line in self._child.stdout:
            topic, id, gtin, at = json.loads(line)
            with self._news:
                self.got[topic, gtin] = (at, id)
                self._news.notify_all()


class Floor:
    """The least that could be done for a scan."""

    def __init__(self, folder: Path, port: int) -> None:
        self._database = sqlite3.connect(folder / "floor.db", isolation_level=None)
        for statement in ("page_size=1024", "journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {statement}")
        self._database.execute("CREATE TABLE row (seq INTEGER PRIMARY KEY, body BLOB)")
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def scan(self, payload: bytes) -> float:
        """Commits, publishes; returns when it began."""
        began = time.clock_gettime(time.CLOCK_MONOTONIC)
        self._database.execute("INSERT INTO row (body) VALUES (?)", (payload,))
        self._client.publish("floor", payload, qos=1)
        return began

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._database.close()


def main() -> int:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        broker = Mosquitto(folder / "mosquitto", keeps=True)
        stack.callback(broker.kill)
        broker.start()
        platform = Platform(folder / "platform")
        stack.callback(platform.kill)
        platform.start()
        platform.customer("c-1", "k-1", "cart")
        platform.band(pseudonym("nfc", BAND), "c-1")
        for number in range(PAIRS + SCANS + 20):
            platform.product(gtin14(number), f"상품 {number}", "12900")
        store = Store(
            folder / "store",
            cart={"broker": broker.url, "protocol": "5"},
            platform=platform.table,
            floor={"session": "10m"},
        )
        stack.callback(store.close)
        subscriber = Subscriber(broker.port)
        stack.callback(subscriber.close)
        store.start()
        store.ready()
        platform.wait_pulled()
        first_reading(store, subscriber)
        latency(store, subscriber, folder, broker)
        writes(store)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        idle(Path(name), stack)
    return 0


def first_reading(store: Store, subscriber: Subscriber) -> None:
    store.tap(BAND)
    store.scan(PAIRS + SCANS)
    subscriber.wait("cartwire/v1/carts/k-1/items", gtin14(PAIRS + SCANS))
    store.stop()
    began = time.monotonic()
    store.start()
    store.scan(PAIRS + SCANS + 1)
    subscriber.wait("cartwire/v1/carts/k-1/items", gtin14(PAIRS + SCANS + 1))
    print(f"start to first item in the app  {time.monotonic() - began:.2f} s")


def latency(store: Store, subscriber: Subscriber, folder: Path, broker: Mosquitto) -> None:
    """Scan read to item at the app, and the floor, pair by pair."""
    floor = Floor(folder, broker.port)
    pairs: list[tuple[float, float]] = []
    payload = max((json.dumps(event) for event in store.of("cart.item_added")), key=len)
    event: dict[str, Any] = json.loads(payload)
    for number in range(PAIRS):
        event["data"]["gtin"] = gtin14(number)
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        began = floor.scan(body)
        least = subscriber.wait("floor", gtin14(number)) - began
        time.sleep(0.01)  # what the one still does is not to slow the other
        began = time.clock_gettime(time.CLOCK_MONOTONIC)
        store.scan(number)
        pairs.append((least, subscriber.wait("cartwire/v1/carts/k-1/items", gtin14(number)) - began))
        time.sleep(0.02)  # likewise
    floor.close()
    least, ours = (sorted(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(ours) / statistics.median(least)
    print(f"floor p50 / p95                 {1000 * least[PAIRS // 2]:.2f} / {1000 * least[PAIRS * 95 // 100]:.2f} ms")
    print(f"scan to app p50 / p95           {1000 * ours[PAIRS // 2]:.2f} / {1000 * ours[PAIRS * 95 // 100]:.2f} ms")
    print(f"ratio of the medians            {ratio:.2f}")
    print(f"median of the pairs' ratios     {statistics.median(b / a for a, b in pairs):.2f}")


def writes(store: Store) -> None:
    """Bytes the daemon lets the disk write, a scan, at 5 scans a second, cursors and confirmations included."""
    until(store.settled, "nothing waits", 30)
    before, calls = _written(store.pid)
    for number in range(PAIRS, PAIRS + SCANS):
        began = time.monotonic()
        store.scan(number)
        time.sleep(max(0.0, 0.2 - (time.monotonic() - began)))  # 5 a second
    until(store.settled, "nothing waits", 30)
    time.sleep(1.5)
    after, more = _written(store.pid)
    disk, wrote = (after - before) / SCANS / 1000, (more - calls) / SCANS / 1000
    print(f"written per scan, 5 scans/s     {disk:.1f} kB to the disk, {wrote:.1f} kB in write calls")
    print(f"resident after that             {_resident(store.pid):.1f} MB")


def idle(folder: Path, stack: ExitStack) -> None:
    """Memory and CPU of a daemon with a card reader and sinks, when nobody is in the shop."""
    broker, platform, pcscd = Mosquitto(folder / "mosquitto"), Platform(folder / "platform"), Pcscd(folder)
    for part in (broker, platform, pcscd):
        stack.callback(part.kill)
        part.start()
    os.environ["PCSCLITE_CSOCK_NAME"] = str(pcscd.socket)
    cart = {"broker": broker.url, "protocol": "5"}
    drivers = [{"kind": "nfc", "read_point": "till-1"}]
    store = Store(folder / "store", cart=cart, platform={**platform.table, "poll": "60s"}, drivers=drivers)
    stack.callback(store.close)
    store.start()
    store.ready()
    time.sleep(5)
    before = _ticks(store.pid)
    time.sleep(IDLE)
    used = (_ticks(store.pid) - before) / TICKS / IDLE
    print(f"idle with nfc                   {_resident(store.pid):.1f} MB, {100 * used:.2f} % of a core")


def _ticks(pid: int) -> int:
    """CPU time, user and system, in clock ticks (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _written(pid: int) -> tuple[int, int]:
    """`write_bytes` (pages given to the disk) and `wchar` (bytes of write calls) of /proc/PID/io."""
    fields = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(fields["write_bytes"]), int(fields["wchar"])


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
