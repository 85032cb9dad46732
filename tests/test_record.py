"""A day is recorded on one gateway and played on another: the same carts, and nobody in the file who is not known."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bands import BAND, OTHER, seen
from drivers.replay import parse
from edge import control
from edge.model import Moment, Sighting
from edge.recorder import WAITING, Recorder
from peers.gtin import check_digit, gtin13, padded
from peers.process import Child, until
from peers.store import Store, command, pseudonym

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import ExitStack

    from conftest import Platform
    from peers.brokers import Mosquitto

STRANGER, NEW = "04C1B2C3D4E5F6", "04D1B2C3D4E5F6"
FOREIGN = "0A1B2C3D"  # a UID that no band has
REFUSED = "04E1B2C3D4E5F6"  # of one who is known, but without consent
CODE = "KR0123456789"
LABEL = "281234501299" + check_digit("281234501299")  # the store's own: 12.99
WRONG, NO_DAEMON = 2, 3
PRIVATE = 0o600
SERIAL, LOT = "98765432109876", "55554444333322"


@pytest.fixture
def recording(opened: Callable[..., Store], tmp_path: Path, ended: ExitStack) -> Callable[[Store], Child]:
    """Begin a recording of a store that is open."""

    def begin(store: Store) -> Child:
        child = Child([*command("record", store.config), str(tmp_path / "day.jsonl")], tmp_path / "record.log")
        ended.callback(child.kill)
        child.line("readings go into")
        return child

    return begin


def tap(store: Store, uid: str) -> None:
    """Tap, and wait until that is committed."""
    settled(store, lambda: store.tap(uid))


def scan(store: Store, text: str, symbology: str = "EAN13") -> None:
    """Scan, and wait until that is committed."""
    line = {"kind": "scan", "text": text, "symbology": symbology}
    settled(store, lambda: store.fifos["till-1"].write(line))


def settled(store: Store, reading: Callable[[], None]) -> None:
    """Have something read, and wait until it was answered with a cue."""
    before = store.log.read_text().count("cue at till-1")
    reading()
    until(lambda: store.log.read_text().count("cue at till-1") > before, "the cue")


def carts(store: Store) -> list[tuple[str, str, str, Any]]:
    """Return whose items these are, and what they are."""
    added = [event["data"] for event in store.of("cart.item_added")]
    return [(data["customer"], data["gtin"], data["symbology"], data.get("in_store")) for data in added]


def bought(customer: str, number: int, symbology: str = "EAN13") -> tuple[str, str, str, Any]:
    """Return an item of `carts`."""
    return customer, padded(gtin13(number)), symbology, None


def test_a_day_recorded_is_a_day_played(
    broker: Mosquitto,
    store: Store,
    platform: Platform,
    opened: Callable[..., Store],
    recording: Callable[[Store], Child],
    tmp_path: Path,
    ended: ExitStack,
) -> None:
    day = tmp_path / "day.jsonl"
    store.floor["claim"] = "20s"
    store.label = {"prefix": "28", "item": 5, "value": 5, "decimals": 2, "kind": "price"}
    platform.customer("c-3", "k-3", "cart")
    platform.change("identifier", pseudonym("code", CODE), {"type": "code", "customer": "c-3"})
    platform.customer("c-4", "k-4")
    platform.band(pseudonym("nfc", REFUSED), "c-4")
    opened()
    tap(store, OTHER)
    recorder = recording(store)
    scan(store, gtin13(1))  # in a session from before
    tap(store, STRANGER)
    scan(store, gtin13(2))  # nobody's yet, and never the next one's
    tap(store, BAND)
    scan(store, gtin13(3))
    scan(store, f"01{padded(gtin13(4))}21{SERIAL}\x1d10{LOT}", "GS1-128")
    scan(store, f"https://id.gs1.org/01/{padded(gtin13(5))}/21/{SERIAL}", "QR")
    scan(store, LABEL)
    tap(store, FOREIGN)
    scan(store, gtin13(6))  # waits for the next one
    scan(store, CODE, "QR")
    scan(store, gtin13(7))
    tap(store, REFUSED)
    scan(store, gtin13(8))
    tap(store, OTHER)
    platform.customer("c-2", "k-2")  # whose consent is gone, and with it the session
    seen(store, "customer.erased")
    scan(store, gtin13(9))
    tap(store, NEW)
    scan(store, gtin13(10))
    platform.band(pseudonym("nfc", NEW), "c-1")
    seen(store, "customer.resolved")
    scan(store, gtin13(11))
    until(lambda: gtin13(11) in day.read_text(), "the last line")
    assert recorder.terminate(how=signal.SIGINT) == 0
    lines = day.read_text().splitlines()
    assert recorder.text().splitlines()[-1] == f"{len(lines)} readings in {day}"
    assert day.stat().st_mode & 0o777 == PRIVATE
    assert all(parse(line.encode()) for line in lines)
    known = {pseudonym("nfc", uid) for uid in (BAND, OTHER, NEW)} | {pseudonym("code", CODE)}
    assert set(re.findall("[0-9a-f]{64}", day.read_text())) == known
    for word in (STRANGER, FOREIGN, REFUSED, BAND, OTHER, NEW, CODE, SERIAL, LOT):
        assert word not in day.read_text()
    store.stop()

    platform.customer("c-2", "k-2", "cart")
    fresh = Store(
        tmp_path / "fresh",
        cart={"broker": broker.url, "protocol": broker.protocol},
        platform=platform.table,
        floor=store.floor,
        read_points=(),
    )
    ended.callback(fresh.close)
    fresh.start()
    fresh.ready()
    platform.wait_pulled()
    fresh.stop()
    fresh.label = store.label
    fresh.configure([{"kind": "replay", "read_point": "till-1", "path": str(day), "speed": 0.0}])
    fresh.start()
    until(lambda: carts(fresh)[-1:] == [bought("c-1", 11)], "the last item")
    label = ("c-1", padded("281234500000" + check_digit("281234500000")), "EAN13", {"kind": "price", "value": "12.99"})
    assert carts(fresh) == [
        *(bought("c-1", 3), bought("c-1", 4, "GS1-128"), bought("c-1", 5, "QR"), label),
        *(bought("c-3", 6), bought("c-3", 7)),
        bought("c-2", 8),
        bought("c-1", 11),
    ]
    unclaimed = [event["data"]["gtin"] for event in fresh.of("scan.unclaimed")]
    assert unclaimed == [padded(gtin13(9))], "it waited when somebody came whom nobody knew"
    fresh.stop()


def test_of_beacons_only_those_who_consent_to_it_are_recorded(
    platform: Platform, opened: Callable[..., Store], recording: Callable[[Store], Child], tmp_path: Path
) -> None:
    beacons = [f"e2c56db5-dffb-48d2-b060-d0f5a71096e0/1/{minor}" for minor in (1, 2, 3)]
    platform.customer("c-3", "k-3", "presence")
    for beacon, customer in zip(beacons, ("c-1", "c-3"), strict=False):
        platform.change("identifier", pseudonym("ibeacon", beacon), {"type": "ibeacon", "customer": customer})
    store = opened()
    recorder = recording(store)
    for value in beacons:
        store.fifos["till-1"].write({"kind": "sighting", "type": "ibeacon", "value": value, "rssi": -61})
    scan(store, gtin13(1))
    day = tmp_path / "day.jsonl"
    until(lambda: gtin13(1) in day.read_text(), "the last line")
    assert recorder.terminate(how=signal.SIGINT) == 0
    heard, _ = [json.loads(line) for line in day.read_text().splitlines()]
    assert parse(json.dumps(heard).encode())
    del heard["at"]
    assert heard == {
        "kind": "sighting",
        "type": "ibeacon",
        "pseudonym": pseudonym("ibeacon", beacons[1]),
        "rssi": -61,
        "read_point": "till-1",
    }


def test_a_kill_a_full_disk_and_a_file_that_is_there_harm_nothing(
    opened: Callable[..., Store], recording: Callable[[Store], Child], tmp_path: Path, ended: ExitStack
) -> None:
    store, day = opened(), tmp_path / "day.jsonl"
    recording(store).kill()
    assert refused(store, day) == (WRONG, f"cartwire: record: {day}: is there already")
    assert day.read_bytes() == b""
    day.unlink()
    disk = tmp_path / "disk"
    disk.mkdir()
    alone = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    inside = 'mount -t tmpfs -o size=4k none "$0" && "$@"; cat "$0/day.jsonl" > "$0.copy"'
    command_line = [*command("record", store.config), str(disk / "day.jsonl")]
    full = Child([*alone, "sh", "-c", inside, str(disk), *command_line], tmp_path / "full.log")
    ended.callback(full.kill)
    full.line("readings go into")
    tap(store, BAND)
    for number in range(1, 51):
        scan(store, gtin13(number))
    kept = int(full.line(r"No space left on device; .* \((\d+) readings kept\)")[1])
    until(lambda: not full.running, "the copy")
    lines = disk.with_name("disk.copy").read_text().splitlines()
    assert all(parse(line.encode()) for line in lines), "no half line is left"
    assert 1 < len(lines) == kept < 50
    last = recording(store)
    scan(store, gtin13(51))
    assert len(store.of("cart.item_added")) == 51
    store.stop()
    until(lambda: not last.running, "the recording ends with the daemon")
    assert "0 readings in" in last.text(), "what is scanned in a session from before is left out"
    assert "it has ended" in last.text()
    day.unlink()
    assert refused(store, day)[0] == NO_DAEMON
    assert not day.exists()


def refused(store: Store, path: Path) -> tuple[int, str]:
    """Return the exit code, and what is said before what to do."""
    done = subprocess.run([*command("record", store.config), str(path)], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.partition(";")[0]


async def test_a_recording_that_nobody_writes_down_does_not_grow() -> None:
    """Its command was stopped, say; when it goes on it is told that the recording is over."""
    recorder = Recorder()
    lines = recorder.lines(0.0)
    assert await anext(lines) == {}
    moment, heard = Moment(1.0, 0, True, "boot"), Sighting(read_point="door", type="ibeacon", rssi=-61, pseudonym="9f")
    for _ in range(2 * WAITING):
        recorder.heard(heard, moment)
    (recording,) = recorder._recordings
    assert len(recording.lines) == WAITING + 1
    assert "error" in [line async for line in lines][-1]


async def test_whoever_hangs_up_is_forgotten(tmp_path: Path) -> None:
    open_now: list[int] = []

    async def lines() -> AsyncIterator[dict[str, int]]:
        open_now.append(1)
        try:
            yield {"first": 1}
            await asyncio.Event().wait()
        finally:
            open_now.pop()

    async with control.serve(tmp_path, {"record": lines}):
        following = control.follow(tmp_path, "record")
        assert await asyncio.to_thread(next, following) == {"first": 1}
        assert open_now == [1]
        following.close()
        await asyncio.to_thread(until, lambda: not open_now, "the end of what nobody reads")
