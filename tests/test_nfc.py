"""Bands on a reader: stories with the real pcscd, its virtual reader, and the real daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bands import BAND, DESK, OTHER, RANDOM, READER, gtins, scan, seen, settle
from drivers.nfc import AWAY, Driver, Resting, attached
from drivers.nfc.card import Card
from edge.model import Ready
from edge.ports import DeviceLost
from peers.card import NAMES, SUCCESS, Pcscd
from peers.needles import contents
from peers.process import BUSY, STOP, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Platform
    from edge.model import Reading
    from peers.app import App
    from peers.store import Store


@pytest.fixture(autouse=True)
def no_trace(tmp_path: Path) -> Iterator[None]:
    """No UID may stand in any file when all is over."""
    yield
    for path, data in contents(tmp_path).items():
        for uid in (BAND, OTHER, RANDOM):
            assert uid.encode() not in data.upper(), path
            assert len(uid) < 14 or bytes.fromhex(uid) not in data, path


def descriptors() -> int:
    """Count what this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def reader_of(store: Store) -> dict[str, str]:
    """Return what `cartwire status` says of the reader."""
    found: dict[str, str] = next(row for row in store.status()["drivers"] if row["driver"].startswith("nfc@"))
    return found


def test_a_band_on_the_reader_and_a_scan_reach_the_cart(
    pcscd: Pcscd, opened: Callable[..., Store], platform: Platform, app: App
) -> None:
    pcscd.start()
    store = opened(READER)
    band = pcscd.lay(BAND)
    identified = seen(store, "customer.identified")[0]
    assert (identified["data"]["customer"], identified["data"]["method"]) == ("c-1", "nfc")
    store.scan(1)
    until(lambda: app.cart == gtins(1), "the item")
    assert settle(store, platform, app) == ["customer.identified", "cart.item_added", "cart.item_confirmed"]
    rows, polls = store.status()["seq"], band.polls
    until(lambda: band.polls > polls + 9, "the band rests for more than 3 s, when another tap would be a row", 20)
    assert (band.asked, store.status()["seq"]) == (1, rows)


def test_a_band_that_lies_there_at_the_start_is_a_tap(pcscd: Pcscd, opened: Callable[..., Store]) -> None:
    pcscd.start()
    pcscd.lay(BAND)
    store = opened(READER)
    named = until(lambda: store.of("customer.identified", "customer.resolved"), "whose band it is")
    assert [event["data"]["customer"] for event in named] == ["c-1"]


def test_two_readers_serve_two_tills(pcscd: Pcscd, opened: Callable[..., Store], platform: Platform) -> None:
    pcscd.start()
    store = opened({**READER, "reader": NAMES[0]}, {**DESK, "reader": "00 01"})
    pcscd.lay(OTHER, slot=1)
    pcscd.lay(BAND, slot=0)
    found = {
        event["data"]["customer"]: event["data"]["read_point"] for event in seen(store, "customer.identified", number=2)
    }
    assert found == {"c-1": "till-1", "c-2": "till-2"}
    settle(store, platform)


def test_another_band_at_once_is_another_session(
    pcscd: Pcscd, opened: Callable[..., Store], platform: Platform
) -> None:
    pcscd.start()
    store = opened(READER)
    for number, uid in enumerate((BAND, OTHER, BAND), 1):
        card = pcscd.lay(uid)
        seen(store, "customer.identified", number=number)
        pcscd.pull(card)
    begun, end = "customer.identified", "session.ended"
    assert settle(store, platform) == [begun, end, begun, end, begun]


@pytest.mark.parametrize("reader", [False, True], ids=["dead", "unplugged"])
def test_the_reader_goes_and_comes_back_and_the_other_driver_never_notices(
    pcscd: Pcscd,
    opened: Callable[..., Store],
    platform: Platform,
    app: App,
    app_of: Callable[[str], App],
    reader: bool,
) -> None:
    other = app_of("k-2")
    pcscd.start()
    store = opened(DESK)
    store.tap(OTHER)
    store.scan(1)
    pcscd.lay(BAND)
    seen(store, "customer.identified", number=2)
    pcscd.kill()
    lost = seen(store, "device.lost")[0]
    assert lost["data"]["driver"] == "nfc@till-2"
    if reader:
        pcscd.start(reader=False)
    store.scan(2)
    until(lambda: other.cart == gtins(1, 2), "the other till goes on")
    assert reader_of(store)["state"] == "lost"
    pcscd.kill()
    pcscd.start()
    recovered = seen(store, "device.recovered")[0]
    assert recovered["data"] == lost["data"]
    assert reader_of(store)["state"] == "ok"
    store.scan(3)
    pcscd.lay(OTHER)
    seen(store, "customer.identified", number=3)
    scan(store, 4, "till-2")
    until(lambda: other.cart == gtins(1, 2, 3, 4), "both tills")
    told = settle(store, platform, app, other)
    assert [kind for kind in told if kind.startswith("device.")] == ["device.lost", "device.recovered"]
    assert told.count("session.ended") == 1, "only that of the one who left the second till"


def test_a_named_reader_that_is_not_there_yet(pcscd: Pcscd, opened: Callable[..., Store], platform: Platform) -> None:
    pcscd.start(reader=False)
    store = opened({**READER, "reader": "PCD 00 01"})
    assert "no PC/SC reader" in seen(store, "device.lost")[0]["data"]["reason"]
    pcscd.kill()
    pcscd.start()
    seen(store, "device.recovered")
    wrong, right = pcscd.lay(OTHER, slot=0), pcscd.lay(BAND, slot=1)
    assert seen(store, "customer.identified")[0]["data"]["customer"] == "c-1"
    assert (wrong.asked, right.asked) == (0, 1)
    assert settle(store, platform) == ["device.lost", "device.recovered", "customer.identified"]


def test_the_day_begins_without_pcscd(pcscd: Pcscd, opened: Callable[..., Store], platform: Platform, app: App) -> None:
    store = opened(READER)
    assert "pcscd is not running" in seen(store, "device.lost")[0]["data"]["reason"]
    pcscd.start()
    seen(store, "device.recovered")
    pcscd.lay(BAND)
    seen(store, "customer.identified")
    store.scan(1)
    until(lambda: app.cart == gtins(1), "the item")
    told = settle(store, platform, app)
    assert told[:3] == ["device.lost", "device.recovered", "customer.identified"]
    assert (told.count("device.lost"), told.count("device.recovered")) == (1, 1)


def test_a_card_that_cannot_be_read_ends_the_session_and_leaves_nothing(
    pcscd: Pcscd, opened: Callable[..., Store], platform: Platform
) -> None:
    answers = [bytes.fromhex(word) for word in ("6A82", "6982", "6300", "6700", "6C04", "6E00", "6A81", "9000")]
    pcscd.start()
    store = opened(READER)
    for number, answer in enumerate([*answers, bytes.fromhex(RANDOM) + SUCCESS], 1):
        store.tap(BAND)
        seen(store, "customer.identified", number=number)
        card = pcscd.lay(answer=answer)
        ended = seen(store, "session.ended", number=number)[-1]
        assert (ended["data"]["customer"], ended["data"]["reason"]) == ("c-1", "replaced")
        pcscd.pull(card)
    assert settle(store, platform) == ["customer.identified", "session.ended"] * (len(answers) + 1)


def test_the_daemon_stops_though_pcscd_hangs(pcscd: Pcscd, opened: Callable[..., Store]) -> None:
    pcscd.start()
    store = opened(READER)
    pcscd.lay(BAND)
    seen(store, "customer.identified")
    os.kill(pcscd.pid, signal.SIGSTOP)
    store.scan(1)
    seen(store, "cart.item_added")
    begun = time.monotonic()
    store.stop()
    assert time.monotonic() - begun < STOP


async def test_cancelling_releases_the_reader(pcscd: Pcscd) -> None:
    pcscd.start()
    before = descriptors()
    for _ in range(3):
        readings: asyncio.Queue[Reading] = asyncio.Queue()
        running = asyncio.create_task(Driver(read_point="till-1").run(readings.put))
        assert await asyncio.wait_for(readings.get(), 5) == Ready(read_point="till-1")
        assert descriptors() == before + 1
        begun = time.monotonic()
        running.cancel()
        await asyncio.wait([running], timeout=5)
        assert running.cancelled()
        assert time.monotonic() - begun < 2 + BUSY
        assert descriptors() == before
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("nfc-")], "the threads end")


def test_the_readers_there_are(pcscd: Pcscd) -> None:
    with pytest.raises(DeviceLost, match="systemctl start pcscd"):
        attached()
    pcscd.start()
    assert attached() == [(f"PC/SC reader {name}", {"reader": name}) for name in NAMES]


def test_a_flicker_of_the_field_is_no_tap() -> None:
    band, other, unreadable = Card(BAND), Card(OTHER), Card()
    telephone = Card(texts=("KR0123456789",))
    resting = Resting()
    assert resting.laid(band, 0.0)
    resting.left(100.0)
    assert not resting.laid(band, 100.0 + AWAY - 0.01)
    resting.left(200.0)
    assert resting.laid(other, 200.01), "another one is a tap at once"
    resting.left(200.02)
    assert resting.laid(band, 200.03)
    resting.left(300.0)
    assert resting.laid(band, 300.0 + AWAY)
    resting.left(400.0)
    assert resting.laid(unreadable, 400.01)
    resting.left(400.02)
    assert resting.laid(unreadable, 400.03), "who that was nobody knows"
    resting.left(400.04)
    assert resting.laid(band, 400.05)
    resting.left(400.06)
    assert resting.laid(telephone, 400.07)
    resting.left(400.08)
    assert not resting.laid(telephone, 400.09), "its UID is another one, what is written on it is not"
