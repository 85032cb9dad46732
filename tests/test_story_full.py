"""Stories of a full store: nothing accepted is dropped, what cannot be kept is refused, and room comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from peers.gtin import gtin13, padded
from peers.needles import contents
from peers.process import until
from peers.store import Store, Table, pseudonym
from peers.strike import Struck

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

BAND, OTHER = "04A1B2C3D4E5F6", "04B1B2C3D4E5F6"
CAPACITY = 17_000_000


def small(store: Store, platform: Platform) -> None:
    """The least capacity there may be, and products that talk a lot."""
    store.store |= {"capacity": "17MB", "reserve": "1MB"}
    store.configure()
    for n in range(10):
        platform.product(padded(gtin13(n)), f"{n} " + "가" * 5000, "12900")
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.start()
    store.ready()
    platform.wait_pulled()


def flood(store: Store) -> None:
    """Scan for a while."""
    for n in range(100):
        store.scan(n % 10)


def used(store: Store) -> int:
    """Bytes that lie in the data folder."""
    return sum(map(len, contents(store.data).values()))


def test_a_store_that_is_full_refuses_and_recovers(
    store: Store, platform: Platform, broker: Mosquitto, app: App
) -> None:
    """Broker and platform are away until nothing more fits."""
    small(store, platform)
    platform.kill()
    broker.stop()
    store.tap(BAND)
    while not store.status()["readings"]["cannot"]:
        flood(store)
    assert store.health() == (503, "the capacity is used up but for the reserve")
    store.tap(OTHER)
    until(lambda: store.of("session.ended"), "another's tap to end the session all the same")
    assert used(store) <= CAPACITY
    accepted = [event["id"] for event in store.of("cart.item_added")]
    assert len(accepted) > 500
    assert store.of("tap.unknown") == []

    platform.start()
    broker.start()
    until(store.settled, "all to be delivered", 120)
    until(lambda: store.health()[0] == 200, "room again", 30)
    assert sorted(event["id"] for event in app.received) == sorted(accepted)
    assert {event["id"] for event in platform.events()} >= set(accepted)
    store.tap(BAND)
    before = len(app.received)
    text = store.scan(1)
    until(lambda: len(app.received) > before, "a scan after that")
    assert app.received[-1]["data"]["gtin"] == padded(text)
    assert platform.problems() == []


def test_delivered_rows_go_before_their_time(store: Store, platform: Platform, app: App) -> None:
    """With both there, far more than the capacity goes through and nothing is refused."""
    small(store, platform)
    store.tap(BAND)
    scans = 0
    while store.events()[0]["seq"] == 1:
        flood(store)
        scans += 100
        until(store.settled, "all to be delivered", 60)
    assert store.status()["readings"]["cannot"] == 0
    assert used(store) <= CAPACITY
    store.kill()
    store.start()
    store.ready()
    store.scan(1)
    until(lambda: len(app.received) == scans + 1, "the session to go on after a restart", 20)
    assert len({event["id"] for event in app.received}) == scans + 1


def test_a_catalogue_that_does_not_fit(store: Store, platform: Platform, app: App) -> None:
    """It takes no room from taps and scans, and what came of it goes; once it is smaller all find their cart."""
    store.store |= {"capacity": "17MB", "reserve": "1MB"}
    store.configure()
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    big = [padded(gtin13(n)) for n in range(100, 1300)]
    price = {"amount": "1", "currency": "KRW"}
    value = {"name": "나" * 5000, "price": price}
    made = [{"kind": "product", "op": "upsert", "key": gtin, "value": value} for gtin in big]
    for n in range(0, len(made), 300):
        platform.changes(*made[n : n + 300])
    store.start()
    store.ready()
    until(lambda: "the cache does not fit" in store.tail(), "the feed to find no room", 60)
    store.tap(BAND)
    for n in range(10):
        store.scan(n)
    until(lambda: store.status()["held"] == 10, "ten scans held", 20)
    until(lambda: used(store) < CAPACITY // 2, lambda: f"{used(store)} to be less", 60)
    assert store.status()["readings"]["cannot"] == 0
    platform.changes(*({"kind": "product", "op": "delete", "key": gtin} for gtin in big))
    store.stop()  # else it looks again after a minute
    store.start()
    store.ready()
    until(lambda: len(app.received) == 10, "ten items", 20)
    assert "refused" not in store.log.read_text()


@pytest.fixture
def struck(
    tmp_path: Path, platform: Platform, broker: Mosquitto, app: App, ended: ExitStack
) -> Callable[[Table], Struck]:
    """Have one item in the cart of c-1, whose session is open; the daemon is killed, its disk is about to be struck."""

    def struck(floor: Table) -> Struck:
        store = Struck(tmp_path / "store", cart={"broker": broker.url}, platform=platform.table, floor=floor)
        ended.callback(store.close)
        platform.customer("c-1", "k-1", "cart")
        platform.band(pseudonym("nfc", BAND), "c-1")
        store.start()
        store.ready()
        platform.wait_pulled()
        store.tap(BAND)
        store.scan(1)
        until(lambda: app.received, "the first item")
        store.kill()
        store.about = store.data / "cartwire.db-wal"
        return store

    return struck


def test_a_tap_that_a_full_disk_refused_is_remembered_over_a_kill(struck: Callable[[Table], Struck]) -> None:
    """Or the next one's scans would go into the cart of the one before."""
    store = struck({})
    store.fault = "pwrite64:error=ENOSPC:when=3+"
    store.start()
    store.ready()
    store.scan(2)
    until(lambda: "cannot" in store.said, "a full disk")
    store.tap(OTHER)
    until(lambda: store.status()["readings"]["cannot"] >= 2, "the tap to be refused")
    store.kill()
    store.fault = None
    store.start()
    store.ready()
    store.scan(3)
    until(lambda: store.of("session.ended"), "the session to end")
    until(lambda: store.status()["held"] == 1, "the scan to be held")
    assert [event["data"]["gtin"] for event in store.of("cart.item_added")] == [padded(gtin13(1))]


def test_a_loyalty_code_that_is_a_product_code_too(struck: Callable[[Table], Struck], platform: Platform) -> None:
    """Refused by a full disk it is a tap all the same: the next products are not those of the one before."""
    platform.customer("c-2", "k-2", "cart")
    platform.change("identifier", pseudonym("code", gtin13(7)), {"type": "code", "customer": "c-2"})
    store = struck({})
    store.fault = "pwrite64:error=ENOSPC:when=3+"
    store.start()
    store.ready()
    store.scan(2)
    until(lambda: "cannot" in store.said, "a full disk")
    store.scan(7)
    until(lambda: store.status()["readings"]["cannot"] >= 2, "the code to be refused")
    store.mend()
    until(lambda: store.scan(3) and store.of("session.ended"), "room, and the session to end", 30)
    until(lambda: store.status()["held"], "the scan to be held")
    assert [event["data"]["gtin"] for event in store.of("cart.item_added")] == [padded(gtin13(1))]


def test_a_disk_that_is_full_at_the_start(struck: Callable[[Table], Struck], app: App) -> None:
    """The daemon says so and waits; with room again it goes on where it was."""
    store = struck({"session": "5s"})
    store.fault = "pwrite64:error=ENOSPC"
    store.start()
    until(lambda: "the disk takes nothing" in store.said, "it to see that", 20)
    status, reason = store.health()
    assert (status, reason[:23]) == (503, "the disk takes nothing:")
    store.mend()
    store.ready()
    until(lambda: store.of("session.ended"), "the session before to have ended")
    store.tap(BAND)
    store.scan(2)
    until(lambda: len(app.received) == 2, "the next item", 20)
