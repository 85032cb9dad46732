"""The first cart: short stories of one store, told with real parts, as a shopkeeper would."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from peers.app import ADDED, event_violations
from peers.gtin import gtin13, padded
from peers.needles import words_in
from peers.process import until
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

BAND = "04A1B2C3D4E5F6"
OTHER = "04B1B2C3D4E5F6"
STRANGER = "AABBCCDD"  # no band of ours


def gtins(*numbers: int) -> list[str]:
    """Return the GTIN-14s of these products."""
    return [padded(gtin13(number)) for number in numbers]


def product(number: int) -> dict[str, object]:
    """Return the replay line of a product's scan, without its instant."""
    return {"kind": "scan", "text": gtin13(number), "symbology": "EAN13"}


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """Return the types, short, without what drivers and clock have to say."""
    names = [event["type"].removeprefix("cartwire.").removesuffix(".v1") for event in events]
    return [name for name in names if not name.startswith(("device.", "clock.", "journal."))]


def seen(store: Store, kind: str, number: int = 1) -> list[dict[str, Any]]:
    """Wait for that many events of the type; return them."""
    return until(lambda: events if len(events := store.of(kind)) >= number else [], f"{number} of {kind}")


@pytest.fixture
def known(platform: Platform) -> None:
    """Let the store know a shopper with a band, and a bottle of water."""
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    platform.product(gtins(1)[0], "물 2L", "12900")


@pytest.fixture
def opened(known: None, store: Store, platform: Platform) -> Store:
    """Open the store with that shopper in its directory."""
    store.start()
    store.ready()
    platform.wait_pulled()
    return store


def settle(store: Store, platform: Platform, *apps: App) -> list[dict[str, Any]]:
    """Wait until nothing waits; hold everybody against the contract; return the events."""
    until(store.settled, lambda: f"nothing waits: {store.status()}", 30)
    events = store.events()
    until(lambda: platform.events() == events, "the platform has the journal")
    assert platform.problems() == []
    assert [problem for event in events for problem in event_violations(event)] == []
    assert [problem for app in apps for problem in app.problems] == []
    return events


def test_a_tap_and_a_scan_reach_the_app_and_the_platform(opened: Store, platform: Platform, app: App) -> None:
    opened.tap(BAND)
    opened.scan(1)
    until(lambda: app.cart == gtins(1), "the bottle in the cart")
    events = settle(opened, platform, app)
    assert kinds(events) == ["customer.identified", "cart.item_added", "cart.item_confirmed"]
    identified, item, confirmed = events[-3:]
    assert app.received == [item]
    assert identified["data"]["method"] == "nfc"
    assert item["data"] == {
        "customer": "c-1",
        "cart": "k-1",
        "session": identified["data"]["session"],
        "read_point": "till-1",
        "gtin": gtins(1)[0],
        "quantity": 1,
        "symbology": "EAN13",
        "product": {"name": "물 2L", "price": {"amount": "12900", "currency": "KRW"}},
    }
    assert confirmed["data"]["event"] == item["id"]


def test_scans_while_the_broker_is_down_arrive_later_in_order(
    opened: Store, platform: Platform, broker: Mosquitto, app: App
) -> None:
    broker.stop()
    opened.tap(BAND)
    for number in range(5):
        opened.scan(number)
    seen(opened, "cart.item_added", 5)
    assert app.cart == []
    broker.start()
    until(lambda: app.cart == gtins(*range(5)), "five items in order", 20)
    settle(opened, platform, app)


def test_scans_while_the_platform_is_down_are_in_the_cart_at_once(opened: Store, platform: Platform, app: App) -> None:
    platform.kill()
    opened.tap(BAND)
    for number in range(5):
        opened.scan(number)
    until(lambda: app.cart == gtins(*range(5)), "five items in order")
    platform.start()
    settle(opened, platform, app)


def test_both_away_over_a_restart_of_the_daemon(opened: Store, platform: Platform, broker: Mosquitto, app: App) -> None:
    broker.stop()
    platform.kill()
    opened.tap(BAND)
    opened.scan(1)
    before = seen(opened, "cart.item_added")
    opened.stop()
    assert opened.of("cart.item_added") == before, "also without a daemon"
    opened.start()
    opened.scan(2)
    seen(opened, "cart.item_added", 2)
    broker.start()
    platform.start()
    until(lambda: app.cart == gtins(1, 2), "both items, of one session", 20)
    events = settle(opened, platform, app)
    assert len({item["data"]["session"] for item in app.received}) == 1
    assert kinds(events).count("customer.identified") == 1


def test_a_scan_before_the_tap_waits_for_it(opened: Store, platform: Platform, app: App) -> None:
    opened.scan(1)
    until(lambda: opened.status()["held"] == 1, "the scan is held")
    assert kinds(opened.events()) == []
    opened.tap(BAND)
    until(lambda: app.cart == gtins(1), "the item")
    events = settle(opened, platform, app)
    assert kinds(events)[:2] == ["customer.identified", "cart.item_added"]


def test_an_unknown_band_is_learnt_later_over_the_feed(
    opened: Store, platform: Platform, app_of: Callable[[str], App]
) -> None:
    late = app_of("k-2")
    opened.tap(OTHER)
    opened.scan(1)
    opened.scan(2)
    until(lambda: opened.status()["held"] == 2, "two scans are held")
    unknown = opened.of("tap.unknown")[0]
    assert unknown["data"]["pseudonym"] == pseudonym("nfc", OTHER)
    opened.kill()
    opened.start()
    opened.ready()
    assert opened.status()["held"] == 2
    platform.customer("c-2", "k-2", "cart")
    platform.band(pseudonym("nfc", OTHER), "c-2")
    until(lambda: late.cart == gtins(1, 2), "both items")
    events = settle(opened, platform, late)
    resolved = next(event for event in events if event["type"] == "cartwire.customer.resolved.v1")
    assert resolved["data"]["session"] == unknown["data"]["session"]
    assert {item["data"]["session"] for item in late.received} == {unknown["data"]["session"]}
    assert all(unknown["time"] <= item["time"] <= resolved["time"] for item in late.received)


@pytest.mark.usefixtures("known")
def test_a_scan_that_nobody_claims_is_in_no_cart(store: Store, platform: Platform, app: App) -> None:
    store.floor["claim"] = "1s"
    store.configure()
    store.start()
    store.ready()
    platform.wait_pulled()
    store.scan(1)
    unclaimed = seen(store, "scan.unclaimed")[0]
    assert unclaimed["data"] == {
        "read_point": "till-1",
        "gtin": gtins(1)[0],
        "symbology": "EAN13",
    }
    assert "subject" not in unclaimed
    store.tap(BAND)
    store.scan(2)
    until(lambda: app.cart == gtins(2), "only what was scanned after the tap")
    settle(store, platform, app)


def test_a_customer_without_the_consent_leaves_nothing(opened: Store, platform: Platform, app: App) -> None:
    platform.customer("c-2", "k-2", "presence", "personalisation")
    platform.band(pseudonym("nfc", OTHER), "c-2")
    platform.wait_pulled()
    opened.tap(OTHER)
    opened.scan(1)
    opened.tap(OTHER)  # decides who claims the scan: nobody
    opened.tap(BAND)
    opened.scan(2)
    until(lambda: app.cart == gtins(2), "the item of the one with consent")
    events = settle(opened, platform, app)
    assert words_in(json.dumps(events), "c-2", pseudonym("nfc", OTHER)) == []
    assert "tap.unknown" not in kinds(events)


def test_the_tap_of_one_without_consent_ends_the_session_before(opened: Store, platform: Platform, app: App) -> None:
    platform.customer("c-2", "k-2")
    platform.band(pseudonym("nfc", OTHER), "c-2")
    platform.wait_pulled()
    opened.tap(BAND)
    opened.scan(1)
    opened.tap(OTHER)
    opened.scan(2)
    ended = seen(opened, "session.ended")[0]
    assert (ended["data"]["customer"], ended["data"]["reason"]) == ("c-1", "replaced")
    opened.tap(STRANGER)
    assert seen(opened, "scan.unclaimed")[0]["data"]["gtin"] == gtins(2)[0]
    events = settle(opened, platform, app)
    assert app.cart == gtins(1)
    assert not re.search(r"[\"/]c-2\"", json.dumps(events))  # an id may hold c-2


def test_a_double_tap_of_the_holder_is_nothing(opened: Store, platform: Platform, app: App) -> None:
    opened.tap(BAND)
    opened.tap(BAND)
    opened.scan(1)
    until(lambda: app.cart == gtins(1), "the item")
    events = settle(opened, platform, app)
    assert kinds(events) == ["customer.identified", "cart.item_added", "cart.item_confirmed"]


def test_another_shoppers_tap_ends_the_session(
    opened: Store, platform: Platform, app: App, app_of: Callable[[str], App]
) -> None:
    other = app_of("k-2")
    platform.customer("c-2", "k-2", "cart")
    platform.band(pseudonym("nfc", OTHER), "c-2")
    platform.wait_pulled()
    opened.tap(BAND)
    opened.scan(1)
    opened.tap(OTHER)
    opened.scan(2)
    until(lambda: (app.cart, other.cart) == (gtins(1), gtins(2)), "each has one item")
    events = settle(opened, platform, app, other)
    first, second = opened.of("customer.identified")
    (over,) = opened.of("session.ended")
    assert over["data"] == {
        "customer": "c-1",
        "session": first["data"]["session"],
        "read_point": "till-1",
        "reason": "replaced",
    }
    assert first["seq"] < over["seq"] < second["seq"]
    assert [event["data"]["session"] for event in events if event["type"] == ADDED] == [
        first["data"]["session"],
        second["data"]["session"],
    ]


def test_a_recorded_day_is_played_as_fast_as_it_is_taken(opened: Store, platform: Platform, app: App) -> None:
    opened.stop()
    tap = {"kind": "tap", "type": "nfc", "pseudonym": pseudonym("nfc", BAND)}
    day: list[dict[str, object]] = [
        {"at": 0, **tap},
        {"at": 1, **product(1)},
        {"at": 40, **product(2)},  # within 45 s of the one before, and extends
        {"at": 80, **product(3)},
        {"at": 130, **product(4)},  # 50 s after: the session is over, nobody taps within 10 s
        {"at": 200, **product(5)},
        {"at": 205, **tap},  # takes the one before
        {"at": 205.5, **tap},  # nothing
        {"at": 36_000, **product(6)},
    ]
    text = "".join(json.dumps(line) + "\n" for line in day)
    (opened.folder / "day.jsonl").write_text(text + "no line\n")
    opened.configure([{"kind": "replay", "read_point": "till-9", "path": "day.jsonl", "speed": 0.0}])
    opened.start()
    until(lambda: app.cart == gtins(1, 2, 3, 5), "the whole day", 60)
    told = [kind for kind in kinds(settle(opened, platform, app)) if kind != "cart.item_confirmed"]
    assert told == [
        "customer.identified",
        *["cart.item_added"] * 3,
        "session.ended",
        "scan.unclaimed",
        "customer.identified",
        "cart.item_added",
        "session.ended",
        "scan.unclaimed",
    ]
    assert {end["data"]["reason"] for end in opened.of("session.ended")} == {"timeout"}
    drivers = {row["driver"]: row["state"] for row in opened.status()["drivers"]}
    assert drivers == {"replay@till-1": "ok", "replay@till-9": "done"}
