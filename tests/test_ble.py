"""Beacons: stories with the real bleak on a BlueZ of our own, and the real daemon."""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import pytest
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from drivers.ble import AT_ONCE, WAITING, Driver, _Ear, beacons, named
from edge.model import Ready, Sighting
from edge.ports import DeviceLost
from peers.app import event_violations
from peers.bluez import BlueZ, DBus, Said
from peers.day import SEED
from peers.gtin import gtin13, padded
from peers.needles import contents
from peers.process import STOP, until
from peers.store import Store, Table, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from conftest import Platform
    from edge.model import Reading
    from peers.app import App

# type -> value (the contract's form), and the advertisement of a real one
IBEACON = "ibeacon", "e2c56db5-dffb-48d2-b060-d0f5a71096e0/1/258"
EDDYSTONE = "eddystone-uid", "8b0ca750095477cb3e77000000000001"
ALTBEACON = "altbeacon", "2f234454cf6d4a0fadf2f4911ba9ffa600010002"
FRAMES = {
    IBEACON: "0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010102c5",
    EDDYSTONE: "0201060303aafe1716aafe00ec8b0ca750095477cb3e770000000000010000",
    ALTBEACON: "0201061bff1801beac2f234454cf6d4a0fadf2f4911ba9ffa600010002c500",
}
OTHERS = {
    "url": "0201060303aafe1316aafe10ec03676f6f2e676c2f417131387a46",
    "telemetry": "0201060303aafe1116aafe20000bab168000003039000f1206",
    "earphones": "0201061aff4c000719" + "00" * 23,
}
STRANGER = "0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010103c5"
SHY = "0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e000010104c5"
LOYAL = "altbeacon", "0a" * 20
SHY_ID = "e2c56db5-dffb-48d2-b060-d0f5a71096e0/1/260"
MAC = "C0:FF:EE:00:00:0"
BAND = "04A1B2C3D4E5F6"
SILENCE = 1.0
RADIO: Table = {"kind": "ble", "read_point": "door", "silence": f"{SILENCE:g}s"}


@pytest.fixture(autouse=True)
def no_trace(tmp_path: Path) -> Iterator[None]:
    """No beacon's id and no address may stand in any file when all is over."""
    yield
    ids = [value.partition("/")[0] for _, value in (*FRAMES, LOYAL)]
    forms = [form for id in ids for form in (id, id.replace("-", ""))] + [MAC, MAC.replace(":", "_")]
    for path, text in contents(tmp_path).items():
        for form in forms:
            assert form.upper().encode() not in text.upper(), path
        for form in forms[:-2]:
            assert "-" in form or bytes.fromhex(form) not in text, path


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch, ended: ExitStack) -> DBus:
    """Lead all to a message bus of their own, running."""
    bus = DBus(Path(ended.enter_context(TemporaryDirectory(prefix="dbus-"))))
    ended.callback(bus.kill)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    bus.start()
    return bus


@pytest.fixture
def bluez(bus: DBus, ended: ExitStack) -> BlueZ:
    """Start a BlueZ on it."""
    bluez = BlueZ(bus.address)
    ended.callback(bluez.close)
    bluez.start()
    return bluez


@pytest.fixture
def opened(store: Store, platform: Platform) -> Callable[..., Store]:
    """Open the store with this radio; c-1 to c-3 have a beacon of a kind each, c-4 no consent, c-5 a phone."""

    def opened(**radio: str) -> Store:
        platform.customer("c-1", "k-1", "cart", "presence")
        platform.band(pseudonym("nfc", BAND), "c-1")
        for number, (kind, value) in enumerate(FRAMES, 1):
            if number > 1:
                platform.customer(f"c-{number}", f"k-{number}", "presence")
            identifier = {"type": kind, "customer": f"c-{number}"}
            platform.change("identifier", pseudonym(kind, value), identifier)
        platform.customer("c-4", "k-4", "cart", "personalisation")
        platform.change("identifier", pseudonym("ibeacon", SHY_ID), {"type": "ibeacon", "customer": "c-4"})
        platform.customer("c-5", "k-5", "presence")
        platform.change("identifier", pseudonym(*LOYAL), {"type": LOYAL[0], "customer": "c-5"})
        store.presence = {"silent": "8s"}
        store.configure([{**RADIO, **radio}])
        store.start()
        store.ready()
        platform.wait_pulled()
        return store

    return opened


def appear(bluez: BlueZ, which: tuple[str, str], *rssi: int) -> str:
    """Let the beacon be in the air; return its address."""
    address = f"{MAC}{list(FRAMES).index(which)}"
    bluez.beacon(address, bytes.fromhex(FRAMES[which]), *(rssi or (-55,)))
    return address


def seen(platform: Platform, kind: str, number: int = 1) -> list[dict[str, Any]]:
    """Wait for that many events of the type at the platform; return them."""
    return until(lambda: events if len(events := platform.of(kind)) >= number else [], f"{number} of {kind}", 30)


def settle(store: Store, platform: Platform) -> list[str]:
    """Wait until nothing waits; hold everybody against the contract; return the types of the events."""
    until(store.settled, "nothing waits", 30)
    events = store.events()
    until(lambda: platform.events() == events, "the platform has the journal")
    assert platform.problems() == []
    assert [problem for event in events for problem in event_violations(event)] == []
    names = [event["type"].removeprefix("cartwire.").removesuffix(".v1") for event in events]
    return [name for name in names if not name.startswith(("clock.", "journal."))]


def radio_of(store: Store) -> dict[str, str]:
    """Return what `cartwire status` says of the radio."""
    found: dict[str, str] = next(row for row in store.status()["drivers"] if row["driver"] == "ble@door")
    return found


def test_whoever_comes_and_goes_is_told_to_the_platform_and_of_others_there_is_no_trace(
    bluez: BlueZ, opened: Callable[..., Store], platform: Platform
) -> None:
    store = opened(adapter="hci0")
    before, log, page = store.status(), store.log.read_text(), store.page("/metrics")[2]
    for at, who in (("desk", {"value": LOYAL[1]}), ("window", {"pseudonym": pseudonym(*LOYAL)})):
        for _ in range(3):
            store.fifos["till-1"].write({"kind": "sighting", "type": LOYAL[0], "rssi": -61, "read_point": at, **who})
    assert seen(platform, "presence.entered")[0]["data"] == {"customer": "c-5", "read_point": "window"}
    strange = [*OTHERS.values(), STRANGER, SHY]
    for number, frame in enumerate(strange, 3):
        bluez.beacon(f"{MAC}{number}", bytes.fromhex(frame), -40, -50)
    addresses = [appear(bluez, which, -50, -60) for which in FRAMES]
    entered = seen(platform, "presence.entered", 4)[1:]
    assert {event["data"]["customer"] for event in entered} == {"c-1", "c-2", "c-3"}
    assert {event["data"]["read_point"] for event in entered} == {"door"}
    for address in addresses:
        bluez.gone(address)
    left = seen(platform, "presence.left", 4)
    assert all(event["data"]["dwell_seconds"] >= 8 for event in left)
    assert sorted(settle(store, platform)) == ["presence.entered"] * 4 + ["presence.left"] * 4
    after = store.status()
    assert (after["seq"], after["readings"]) == (before["seq"] + 8, before["readings"])
    assert store.log.read_text() == log
    assert len(store.page("/metrics")[2].splitlines()) == len(page.splitlines())
    store.stop()
    until(lambda: not bluez.scanning, "nobody scans any more")


@dataclass
class Radio:
    """All that may fail, and how it comes back."""

    bus: DBus
    bluez: BlueZ

    def fail(self, what: str) -> None:
        """Let it fail."""
        match what:
            case "bluetoothd dies":
                self.bluez.kill()
            case "bluetoothd hangs":
                self.bluez.hang()
            case "the adapter is off":
                self.bluez.power(on=False)
            case "the adapter is out":
                self.bluez.plug(there=False)
            case "D-Bus dies":
                self.bus.kill()
                self.bluez.kill()

    def mend(self, what: str) -> None:
        """Let it work again."""
        match what:
            case "bluetoothd dies":
                self.bluez.start()
            case "bluetoothd hangs":
                self.bluez.go_on()
            case "the adapter is off":
                self.bluez.power(on=True)
            case "the adapter is out":
                self.bluez.plug(there=True)
            case "D-Bus dies":
                self.bus.start()
                self.bluez.start()


FAULTS = {
    "D-Bus dies": "systemctl start dbus",
    "bluetoothd dies": "systemctl start bluetooth",
    "the adapter is out": "plug one in",
    "the adapter is off": "rfkill unblock",
    "bluetoothd hangs": "systemctl restart bluetooth",
}


def test_whatever_the_radio_does_it_comes_back_and_the_other_driver_never_notices(
    bus: DBus, bluez: BlueZ, opened: Callable[..., Store], platform: Platform, app: App
) -> None:
    """The day begins without D-Bus; then each fault there is, one after the other."""
    radio = Radio(bus, bluez)
    radio.fail("D-Bus dies")
    store = opened()
    appear(bluez, IBEACON)
    store.tap(BAND)
    for number, (fault, reason) in enumerate(FAULTS.items(), 1):
        radio.fail(fault)
        store.scan(number)
        until(lambda expected=number: len(app.cart) == expected, "the till goes on")
        lost = seen(platform, "device.lost", number)[-1]
        assert (lost["data"]["driver"], radio_of(store)["state"]) == ("ble@door", "lost")
        assert reason in lost["data"]["reason"]
        radio.mend(fault)
        begun = time.monotonic()
        recovered = seen(platform, "device.recovered", number)[-1]
        print(f"\nble: {fault}: recovered after {time.monotonic() - begun:.1f} s", end="")
        assert time.monotonic() - begun < SILENCE + 5 + 10, "ten of these for a slow machine"
        assert recovered["data"] == lost["data"]
        until(lambda: bluez.scanning, "it scans")
    appear(bluez, EDDYSTONE)
    until(lambda: "c-2" in {event["data"]["customer"] for event in platform.of("presence.entered")}, "it hears", 30)
    told = settle(store, platform)
    assert [kind for kind in told if kind.startswith("device.")] == ["device.lost", "device.recovered"] * len(FAULTS)


def test_silence_begins_the_scan_anew_without_an_event_however_badly_it_ends(
    bluez: BlueZ, opened: Callable[..., Store], platform: Platform
) -> None:
    bluez.errors["StopDiscovery"] = ["org.bluez.Error.Failed", "org.freedesktop.DBus.Error.NoReply"]
    store = opened()
    until(lambda: bluez.calls["StartDiscovery"] >= 3, "an empty store is silent")
    bluez.errors["StartDiscovery"] = ["org.bluez.Error.InProgress"]
    until(lambda: not bluez.errors["StartDiscovery"] and bluez.scanning, "the scan before was in the way")
    appear(bluez, IBEACON)
    seen(platform, "presence.entered")
    bluez.kill()
    bluez.start()
    until(lambda: bluez.scanning, "bluetoothd was started again, so that the scan was gone, and nobody has said so")
    assert settle(store, platform) == ["presence.entered"]
    assert radio_of(store)["state"] == "ok"
    bluez.hang()
    begun = time.monotonic()
    store.stop()
    assert time.monotonic() - begun < STOP, "it stops though bluetoothd hangs"


@pytest.mark.parametrize("scan", ["active", "passive"])
async def test_all_kinds_are_heard_and_cancelling_ends_the_scan(
    bluez: BlueZ, scan: Literal["active", "passive"]
) -> None:
    readings: asyncio.Queue[Reading] = asyncio.Queue()
    running = asyncio.create_task(Driver(read_point="door", scan=scan).run(readings.put))
    try:
        assert await asyncio.wait_for(readings.get(), 20) == Ready(read_point="door")
        for number, frame in enumerate(OTHERS.values(), 3):
            bluez.beacon(f"{MAC}{number}", bytes.fromhex(frame), -40, -50)
        for which in FRAMES:
            appear(bluez, which, -50, -60)
        found: list[Reading] = []
        while len(found) < 30:
            found.append(await asyncio.wait_for(readings.get(), 20))
    finally:
        running.cancel()
        await asyncio.wait([running])
    assert {(reading.type, reading.value) for reading in found if isinstance(reading, Sighting)} == set(FRAMES)
    assert {reading.rssi for reading in found if isinstance(reading, Sighting)} == {-50, -60}
    assert bluez.calls["StartDiscovery" if scan == "passive" else "RegisterMonitor"] == 0
    assert not bluez.scanning


async def test_an_adapter_that_is_not_there(bluez: BlueZ) -> None:
    readings: asyncio.Queue[Reading] = asyncio.Queue()
    with pytest.raises(DeviceLost, match="hci1"):
        await Driver(read_point="door", adapter="hci1").run(readings.put)


def crowd(bluez: BlueZ, number: int) -> str:
    """Let one of the strangers come, with an address nobody has had."""
    address = f"02:{number >> 16 & 255:02X}:{number >> 8 & 255:02X}:{number & 255:02X}:00:00"
    bluez.beacon(address, bytes.fromhex(FRAMES[IBEACON])[:-5] + number.to_bytes(4) + b"\xc5", -60 - number % 30)
    return address


def busy(store: Store, platform: Platform, bluez: BlueZ, seconds: float) -> tuple[float, float, int]:
    """Let 500 beacons be heard twice a second, strangers who change all the time; CPU (cores), MB more, told."""
    bluez.interval = 0.5
    appear(bluez, IBEACON)
    strangers = [crowd(bluez, number) for number in range(499)]
    seen(platform, "presence.entered")
    number, begun, rate = 1000, time.monotonic(), 20

    def come_and_go() -> bool:
        nonlocal number
        while number < 1000 + (time.monotonic() - begun) * rate:
            strangers.append(crowd(bluez, number))
            bluez.gone(strangers[0])
            bluez.forget(strangers.pop(0))
            number += 1
        return time.monotonic() > warm

    warm = begun + seconds / 4
    until(come_and_go, "it is warm", seconds)
    memory, cpu, told, at = resident(store.pid), used(store.pid), bluez.told, time.monotonic()
    warm += seconds
    until(come_and_go, "the end", 2 * seconds)
    passed = time.monotonic() - at
    return (used(store.pid) - cpu) / passed, (resident(store.pid) - memory) / 1e6, round((bluez.told - told) / passed)


def used(pid: int) -> float:
    """Return the seconds of CPU a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Return the bytes of memory a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("seconds", [4, pytest.param(600, marks=[pytest.mark.long, pytest.mark.timeout(1500)])])
def test_a_crowd_costs_little_and_delays_nobody(
    bluez: BlueZ, opened: Callable[..., Store], platform: Platform, app: App, seconds: int
) -> None:
    store = opened(silence="60s")
    cpu, more, told = busy(store, platform, bluez, seconds)
    begun = time.monotonic()
    store.tap(BAND)
    store.scan(1)
    until(lambda: app.cart == [padded(gtin13(1))], "the till goes on")
    took = time.monotonic() - begun
    print(
        f"\nble: {told} signals/s for {seconds} s: {cpu:.1%} of a core, {more:+.1f} MB; a tap and a scan {took:.2f} s"
    )
    assert told > 100, "a machine too slow to tell of a thousand a second shows little"
    assert more < 4
    assert cpu < 0.5
    assert [event["data"]["customer"] for event in platform.of("presence.entered")] == ["c-1"]


def parsed(raw: bytes) -> list[tuple[str, str]]:
    """Read the beacons of an advertisement."""
    said = Said.parse(raw)
    return list(beacons(said.manufacturer, said.service))


@pytest.mark.parametrize("which", FRAMES, ids=[kind for kind, _ in FRAMES])
def test_a_beacon_is_read(which: tuple[str, str]) -> None:
    raw = bytes.fromhex(FRAMES[which])
    assert parsed(raw) == [which]
    if which == EDDYSTONE:
        short = raw[:7] + bytes([raw[7] - 2]) + raw[8:-2]
        assert parsed(short) == [which], "the two spare bytes may be missing"
    if which == ALTBEACON:
        assert parsed(raw[:5] + b"\x4c\x00" + raw[7:]) == [which], "of any company"


@pytest.mark.parametrize("raw", OTHERS.values(), ids=OTHERS)
def test_what_is_no_beacon_is_not(raw: str) -> None:
    assert parsed(bytes.fromhex(raw)) == []


@pytest.mark.parametrize("number", [10_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_whatever_is_in_the_air(number: int) -> None:
    """Random bytes, and beacons with a few of them changed, cut or repeated."""
    chance = random.Random(SEED)
    frames = [bytes.fromhex(frame) for frame in (*FRAMES.values(), *OTHERS.values())]
    longest = 0
    for _ in range(number):
        raw = bytearray(chance.choice(frames) if chance.random() < 0.8 else chance.randbytes(chance.randrange(64)))
        for _ in range(chance.randrange(4)):
            if raw:
                raw[chance.randrange(len(raw))] = chance.randrange(256)
        raw = raw[: chance.randrange(len(raw) + 1)] if chance.random() < 0.2 else raw
        raw = raw * chance.randrange(1, 20) if chance.random() < 0.1 else raw
        for kind, value in parsed(bytes(raw)):
            assert kind in {kind for kind, _ in FRAMES}
            longest = max(longest, len(value))
    assert 0 < longest <= 48, "an iBeacon's, with 65535/65535 at most"


async def test_what_waits_is_bounded() -> None:
    ear = _Ear("door")
    said = Said.parse(bytes.fromhex(FRAMES[IBEACON]))
    for rssi in range(2 * WAITING):
        heard = AdvertisementData(None, said.manufacturer, said.service, [], None, -rssi % 100 - 110, ())
        ear(BLEDevice(MAC, None, None), heard)
    taken: list[Sighting] = []
    while len(taken) < WAITING:
        some = await ear.take(1.0)
        assert len(some) <= AT_ONCE
        taken += some
    assert len(taken) == WAITING
    for unknown in (127, -127):
        ear(BLEDevice(MAC, None, None), AdvertisementData(None, said.manufacturer, {}, [], None, unknown, ()))
    assert await ear.take(0.01) == []


def test_the_adapters_there_are(tmp_path: Path) -> None:
    for name in ("hci1", "hci0", "hci0:64", "rfkill0"):
        (tmp_path / name).mkdir()
    assert named(tmp_path) == [(f"Bluetooth adapter {name}", {"adapter": name}) for name in ("hci0", "hci1")]
