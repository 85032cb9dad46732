"""Beacons: stories with the real bleak on a BlueZ of our own, and the real daemon."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from drivers.ble import AT_ONCE, WAITING, _Ear, beacons, named
from edge.model import Sighting
from peers.app import event_violations
from peers.bluez import BlueZ, DBus, Said
from peers.day import SEED
from peers.gtin import gtin13, padded
from peers.process import until
from peers.store import Store, Table, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from conftest import Platform
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
MAC = "C0:FF:EE:00:00:0"
BAND = "04A1B2C3D4E5F6"
SILENCE = 2.0
RADIO: Table = {"kind": "ble", "read_point": "door", "silence": f"{SILENCE:g}s"}


@pytest.fixture(autouse=True)
def no_trace(tmp_path: Path) -> Iterator[None]:
    """No beacon's id and no address may stand in any file when all is over."""
    yield
    ids = [value.partition("/")[0] for _, value in FRAMES]
    forms = [form for id in ids for form in (id, id.replace("-", ""))] + [MAC, MAC.replace(":", "_")]
    for path in tmp_path.rglob("*"):
        text = path.read_bytes() if path.is_file() else b""
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
    """Open the store with this radio; c-1, c-2, c-3 have a beacon of each kind, c-1 a band and a cart too."""

    def opened(**radio: str) -> Store:
        platform.customer("c-1", "k-1", "cart", "presence")
        platform.band(pseudonym("nfc", BAND), "c-1")
        for number, (kind, value) in enumerate(FRAMES, 1):
            if number > 1:
                platform.customer(f"c-{number}", f"k-{number}", "presence")
            identifier = {"type": kind, "customer": f"c-{number}"}
            platform.change("identifier", pseudonym(kind, value), identifier)
        store.presence = {"silent": "3s"}
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


def seen(store: Store, kind: str, number: int = 1, seconds: float = 30) -> list[dict[str, Any]]:
    """Wait for that many events of the type; return them."""
    return until(lambda: events if len(events := store.of(kind)) >= number else [], f"{number} of {kind}", seconds)


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


@pytest.mark.parametrize("scan", ["active", "passive"])
def test_whoever_comes_and_goes_is_told_to_the_platform(
    bluez: BlueZ, opened: Callable[..., Store], platform: Platform, scan: str
) -> None:
    store = opened(scan=scan)
    addresses = [appear(bluez, which, -50, -60) for which in FRAMES]
    for number, other in enumerate(OTHERS.values()):
        bluez.beacon(f"{MAC}{7 + number}", bytes.fromhex(other), -40, -50)
    entered = seen(store, "presence.entered", 3)
    assert {event["data"]["customer"] for event in entered} == {"c-1", "c-2", "c-3"}
    assert {event["data"]["read_point"] for event in entered} == {"door"}
    for address in addresses:
        bluez.gone(address)
    left = seen(store, "presence.left", 3)
    assert all(event["data"]["dwell_seconds"] >= 3 for event in left)
    assert settle(store, platform) == ["presence.entered"] * 3 + ["presence.left"] * 3
    assert bluez.calls["StartDiscovery" if scan == "passive" else "RegisterMonitor"] == 0
    store.stop()
    assert not bluez.scanning


def test_who_does_not_consent_and_who_is_unknown_leave_nothing(
    bluez: BlueZ, opened: Callable[..., Store], platform: Platform
) -> None:
    store = opened()
    platform.customer("c-2", "k-2", "cart", "personalisation")
    platform.change("identifier", pseudonym(*ALTBEACON), None)
    platform.wait_pulled()
    before, log, page = store.status(), store.log.read_text(), store.page("/metrics")
    for which in (EDDYSTONE, ALTBEACON):
        appear(bluez, which)
    told = bluez.told
    until(lambda: bluez.told > told + 50, "they were heard for long")
    appear(bluez, IBEACON)
    seen(store, "presence.entered")
    assert settle(store, platform) == ["presence.entered"]
    assert store.status()["seq"] == before["seq"] + 1
    assert store.status()["readings"] == before["readings"]
    assert store.log.read_text() == log
    assert len(store.page("/metrics")[2].splitlines()) == len(page[2].splitlines())


@pytest.mark.parametrize("fault", ["bluetoothd dies", "it hangs", "adapter off", "adapter out", "D-Bus dies"])
def test_the_radio_goes_deaf_and_hears_again_and_the_other_driver_never_notices(
    bus: DBus, bluez: BlueZ, opened: Callable[..., Store], platform: Platform, app: App, fault: str
) -> None:
    def go() -> None:
        if fault == "D-Bus dies":
            bus.kill()
        if fault in ("D-Bus dies", "bluetoothd dies"):
            bluez.kill()
        elif fault == "it hangs":
            bluez.hang()
        elif fault == "adapter off":
            bluez.power(on=False)
        else:
            bluez.plug(there=False)

    def come_back() -> None:
        if fault == "D-Bus dies":
            bus.start()
        if fault in ("D-Bus dies", "bluetoothd dies"):
            bluez.start()
        elif fault == "it hangs":
            bluez.go_on()
        elif fault == "adapter off":
            bluez.power(on=True)
        else:
            bluez.plug(there=True)

    store = opened()
    appear(bluez, IBEACON)
    seen(store, "presence.entered")
    go()
    store.tap(BAND)
    store.scan(1)
    until(lambda: app.cart == [padded(gtin13(1))], "the till goes on")
    lost = seen(store, "device.lost")[0]
    assert lost["data"]["driver"] == "ble@door"
    assert lost["data"]["reason"] == radio_of(store)["reason"]
    store.scan(2)
    until(lambda: app.cart == [padded(gtin13(n)) for n in (1, 2)], "and on")
    seen(store, "presence.left")
    come_back()
    begun = time.monotonic()
    recovered = seen(store, "device.recovered")[0]
    assert time.monotonic() - begun < SILENCE + 5 + 10, "ten of these for a slow machine"
    assert recovered["data"] == lost["data"]
    seen(store, "presence.entered", 2)
    told = settle(store, platform)
    assert [kind for kind in told if kind.startswith("device.")] == ["device.lost", "device.recovered"]


def test_an_empty_store_is_silent_and_a_scan_that_does_not_end_well_begins_anew_all_the_same(
    bluez: BlueZ, opened: Callable[..., Store], platform: Platform
) -> None:
    bluez.errors["StopDiscovery"] = ["org.bluez.Error.Failed", "org.freedesktop.DBus.Error.NoReply"]
    store = opened()
    until(lambda: bluez.calls["StartDiscovery"] >= 2, "silence begins the scan anew")
    bluez.errors["StartDiscovery"] = ["org.bluez.Error.InProgress"]
    until(lambda: bluez.calls["StartDiscovery"] >= 4 and bluez.scanning, "the scan before was in the way")
    assert radio_of(store)["state"] == "ok"
    appear(bluez, IBEACON)
    seen(store, "presence.entered")
    assert settle(store, platform) == ["presence.entered"]


def test_a_radio_that_has_gone_deaf_without_a_word_is_mended_without_an_event(
    bluez: BlueZ, opened: Callable[..., Store], platform: Platform
) -> None:
    """bluetoothd was started again: the scan is gone, and nobody has said so."""
    store = opened()
    appear(bluez, IBEACON)
    seen(store, "presence.entered")
    bluez.kill()
    bluez.start()
    until(lambda: bluez.scanning, "the scan begins anew")
    until(lambda: store.running and radio_of(store)["state"] == "ok", "all is well")
    assert not store.of("device.lost")


@pytest.mark.parametrize("missing", ["D-Bus", "BlueZ", "adapter"])
def test_the_day_begins_without(
    bus: DBus, bluez: BlueZ, opened: Callable[..., Store], platform: Platform, missing: str
) -> None:
    if missing == "adapter":
        bluez.plug(there=False)
    else:
        bluez.kill()
    if missing == "D-Bus":
        bus.kill()
    store = opened()
    reason = {"D-Bus": "systemctl start dbus", "BlueZ": "systemctl start bluetooth", "adapter": "plug one in"}[missing]
    assert reason in seen(store, "device.lost")[0]["data"]["reason"]
    if missing == "D-Bus":
        bus.start()
    if missing != "adapter":
        bluez.start()
    else:
        bluez.plug(there=True)
    seen(store, "device.recovered")
    appear(bluez, IBEACON)
    seen(store, "presence.entered")
    told = settle(store, platform)
    assert told == ["device.lost", "device.recovered", "presence.entered"]


def test_the_daemon_stops_though_bluez_hangs(bluez: BlueZ, opened: Callable[..., Store]) -> None:
    store = opened(silence="60s")
    bluez.hang()
    begun = time.monotonic()
    store.stop()
    assert time.monotonic() - begun < 8


def test_a_named_adapter(bluez: BlueZ, opened: Callable[..., Store], platform: Platform) -> None:
    store = opened(adapter="hci1")
    assert "hci1" in seen(store, "device.lost")[0]["data"]["reason"]
    store.stop()
    store.configure([{**RADIO, "adapter": "hci0"}])
    store.start()
    store.ready()
    appear(bluez, IBEACON)
    seen(store, "presence.entered")
    assert settle(store, platform) == ["device.lost", "presence.entered"]


def crowd(bluez: BlueZ, number: int) -> str:
    """Let one of the strangers come, with an address nobody has had."""
    address = f"02:{number >> 16 & 255:02X}:{number >> 8 & 255:02X}:{number & 255:02X}:00:00"
    bluez.beacon(address, bytes.fromhex(FRAMES[IBEACON])[:-5] + number.to_bytes(4) + b"\xc5", -60 - number % 30)
    return address


def busy(store: Store, bluez: BlueZ, seconds: float) -> tuple[float, float, int]:
    """Let 500 beacons be heard twice a second, strangers who change all the time; CPU (cores), MB more, told."""
    bluez.interval = 0.5
    appear(bluez, IBEACON)
    strangers = [crowd(bluez, number) for number in range(499)]
    seen(store, "presence.entered")
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


@pytest.mark.parametrize("seconds", [8, pytest.param(600, marks=[pytest.mark.long, pytest.mark.timeout(1500)])])
def test_a_crowd_costs_little_and_delays_nobody(
    bluez: BlueZ, opened: Callable[..., Store], platform: Platform, app: App, seconds: int
) -> None:
    store = opened(silence="60s")
    cpu, more, told = busy(store, bluez, seconds)
    begun = time.monotonic()
    store.tap(BAND)
    store.scan(1)
    until(lambda: app.cart == [padded(gtin13(1))], "the till goes on")
    took = time.monotonic() - begun
    print(
        f"\nble: {told} signals/s for {seconds} s: {cpu:.1%} of a core, {more:+.1f} MB; a tap and a scan {took:.2f} s"
    )
    assert told > 500, "a machine too slow to tell of a thousand a second shows nothing"
    assert more < 4
    assert cpu < 0.5
    assert [event["data"]["customer"] for event in store.of("presence.entered")] == ["c-1"]


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
    assert longest == 48 or (longest <= 48 and number < 1000), "an iBeacon's, with 65535/65535 at most"


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
