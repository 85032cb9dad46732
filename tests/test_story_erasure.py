"""Stories of people who leave: nothing of theirs is left in any file, and the platform had all of it before."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from peers.process import until
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from conftest import Platform
    from peers.app import App

BAND, STRANGER = "04A1B2C3D4E5F6", "04C1B2C3D4E5F6"
WHO, CART = "c-leaves-soon", "k-1"
OWN = (WHO, pseudonym("nfc", BAND))


def shop(store: Store, platform: Platform) -> None:
    """A customer's band is unknown at first; then it has a name, and its owner goes on shopping."""
    store.start()
    store.ready()
    store.tap(BAND)
    store.scan(1)
    platform.customer(WHO, CART, "cart", "presence")
    platform.band(pseudonym("nfc", BAND), WHO)
    until(lambda: store.of("customer.resolved"), "the name of the band")
    for n in range(2, 9):
        store.scan(n)
    until(lambda: len(store.of("cart.item_added")) == 8, "eight items")
    assert store.found(*OWN) == set(OWN)


def leave(platform: Platform, how: str) -> None:
    """Delete the customer, or take the consent away."""
    if how == "deleted":
        platform.change("customer", WHO, None)
    else:
        platform.customer(WHO, CART, "presence")


@pytest.mark.parametrize("how", ["deleted", "without the consent"])
def test_whoever_leaves_leaves_nothing(store: Store, platform: Platform, app: App, how: str) -> None:
    shop(store, platform)
    until(store.settled, "all to be accepted and confirmed")
    told = platform.events()
    leave(platform, how)
    until(lambda: platform.of("customer.erased"), "the erasure to be told")
    cached = set(OWN) if how != "deleted" else {pseudonym("nfc", BAND)}  # what the feed still says
    if how == "deleted":
        platform.change("identifier", pseudonym("nfc", BAND), None)
        cached = set()
    until(lambda: store.found(*OWN) <= cached, lambda: f"nothing to be left but {store.found(*OWN)}", 60)
    (ended,) = platform.of("session.ended")
    assert (ended["data"]["reason"], ended["data"]["customer"]) == ("consent", WHO)
    assert platform.of("customer.erased")[0]["data"] == {"customer": WHO, "reason": "platform"}
    assert platform.events()[: len(told)] == told
    kinds = "cart.item_added", "customer.identified", "customer.resolved", "customer.erased"
    until(lambda: {e["data"]["customer"] for e in store.of(*kinds)} == {None}, "all rows to be blanked", 60)
    assert [event for event in store.of(*kinds) if "subject" in event] == []
    assert {event["data"]["cart"] for event in store.of("cart.item_added")} == {None}
    assert [e["data"]["gtin"] for e in store.of("cart.item_added")] == [
        e["data"]["gtin"] for e in platform.of("cart.item_added")
    ]
    assert platform.problems() == []


def test_what_the_platform_does_not_have_yet_still_goes_there_whole(store: Store, platform: Platform, app: App) -> None:
    shop(store, platform)
    until(store.settled, "all to be accepted and confirmed")
    platform.fault("/v1/events", "status", 100_000, status=500)
    for n in range(3):
        store.scan(n)
    until(lambda: len(app.received) == 11, "three more items")
    leave(platform, "deleted")
    platform.change("identifier", pseudonym("nfc", BAND), None)
    until(lambda: store.of("customer.erased"), "the erasure")
    until(
        lambda: [e["data"]["customer"] for e in store.of("cart.item_added")] == [None] * 8 + [WHO] * 3, "the first", 10
    )
    store.kill()
    store.start()
    store.ready()
    platform.mend()
    until(lambda: not store.found(*OWN), lambda: f"nothing to be left but {store.found(*OWN)}", 30)
    assert len(platform.of("cart.item_added")) == 11
    assert {event["data"]["customer"] for event in platform.of("cart.item_added")} == {WHO}


def test_a_band_that_is_never_resolved_is_forgotten(store: Store, platform: Platform) -> None:
    store.floor |= {"late": "1s", "session": "1s"}
    store.configure()
    store.start()
    store.ready()
    store.tap(STRANGER)
    store.scan(1)
    until(lambda: platform.of("scan.unclaimed"), "the scan to be nobody's")
    name = pseudonym("nfc", STRANGER)
    until(lambda: not store.found(name), "the pseudonym to be gone", 20)
    assert [event["data"]["pseudonym"] for event in platform.of("tap.unknown")] == [name]


def test_whoever_left_while_the_cache_had_lost_them(store: Store, platform: Platform, app: App) -> None:
    """The database is damaged where the cache stood, and salvaged; the rows still name the customer."""
    shop(store, platform)
    until(store.settled, "all to be accepted and confirmed")
    platform.kill()
    store.stop()
    with closing(sqlite3.connect(store.data / "cartwire.db")) as database:
        database.execute("PRAGMA secure_delete=ON")
        database.execute("DELETE FROM customer")
        database.execute("DELETE FROM identifier")
        database.commit()
    (store.data / "cartwire.db-suspect").write_text("damaged")
    platform.start()
    platform.change("identifier", pseudonym("nfc", BAND), None)
    leave(platform, "deleted")
    store.start()
    store.ready()
    until(lambda: platform.of("customer.erased"), "the erasure to be told")
    until(lambda: store.found(*OWN, CART) == set(), lambda: f"{store.found(*OWN, CART)} to be gone", 20)
