"""Stories of what a sink refuses: listed with the reason, tried again when somebody says so, or dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peers.brokers import Mosquitto
from peers.process import until
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.app import App

BAND = "04A1B2C3D4E5F6"
STRANGERS = [f"04000000{n:06X}" for n in range(8)]


def test_one_refused_event_is_put_aside_and_tried_again(store: Store, platform: Platform) -> None:
    store.start()
    store.ready()
    platform.wait_pulled()
    platform.fault("/v1/events", "reject", 1, types=["cartwire.tap.unknown.v1"])
    store.tap(STRANGERS[0])
    until(lambda: store.status()["sinks"]["platform"]["rejected"] == 1, "the refusal")
    (refused,), (tap,) = store.rejected("list"), store.of("tap.unknown")
    assert (refused["sink"], refused["id"], refused["type"]) == ("platform", tap["id"], "tap.unknown")
    store.tap(STRANGERS[1])
    until(lambda: platform.of("tap.unknown"), "the next to go on")
    assert [event["id"] for event in platform.of("tap.unknown")] == [store.of("tap.unknown")[1]["id"]]
    assert store.rejected("retry", tap["id"]) == [refused]
    until(lambda: len(platform.of("tap.unknown")) == 2, "the refused one")
    until(lambda: store.rejected("list") == [], "nothing aside")


def test_what_was_refused_and_then_erased_is_not_sent_again(store: Store, platform: Platform, app: App) -> None:
    """It is no more as it was, and an event never changes."""
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.start()
    store.ready()
    platform.wait_pulled()
    platform.fault("/v1/events", "reject", 1, types=["cartwire.cart.item_added.v1"])
    store.tap(BAND)
    store.scan(1)
    until(lambda: store.status()["sinks"]["platform"]["rejected"] == 1, "the refusal")
    platform.change("customer", "c-1", None)
    until(lambda: store.of("customer.erased"), "the erasure")
    until(lambda: store.rejected("list") == [], "nothing to be sent again", 60)
    assert store.of("cart.item_added")[0]["data"]["customer"] is None
    assert platform.of("cart.item_added") == []
    assert platform.problems() == []


def test_a_platform_that_refuses_everything_stops_the_sink(store: Store, platform: Platform) -> None:
    """Three in a row: it is not the events. Two are dropped by hand, and the rest goes on."""
    store.start()
    store.ready()
    platform.wait_pulled()
    until(store.settled, "what the start tells")
    platform.fault("/v1/events", "reject", 1000, types=["cartwire.tap.unknown.v1", "cartwire.session.ended.v1"])
    for uid in STRANGERS:
        store.tap(uid)
    until(lambda: store.status()["sinks"]["platform"]["state"] == "stopped", "the sink to stop")
    refused = store.rejected("list")
    assert len(refused) == 3
    assert store.status()["sinks"]["platform"]["queued"] == 2 * len(STRANGERS) - 1 - 3
    platform.mend()
    store.rejected("drop", refused[0]["id"], refused[1]["id"])
    store.stop()
    store.start()
    store.ready()
    until(store.settled, "all but the dropped to arrive", 20)
    assert store.rejected("list") == []
    journal = [event["id"] for event in store.of("tap.unknown", "session.ended")]
    assert [event["id"] for event in platform.of("tap.unknown", "session.ended")] == journal[2:]


def test_a_cart_that_may_not_be_written_to(
    platform: Platform, tmp_path: Path, ended: ExitStack, app_of: Callable[[str], App], broker: Mosquitto
) -> None:
    """One customer's items are put aside, the others' arrive; when the broker is mended they are tried again."""
    carts = ["k-1", "k-2"]
    strict = Mosquitto(tmp_path / "strict", keeps=True, deny=[f"cartwire/v1/carts/{carts[1]}/items"])
    ended.callback(strict.kill)
    strict.start()
    store = Store(tmp_path / "shop", cart={"broker": strict.url}, platform=platform.table)
    ended.callback(store.close)
    bands = ["04A1B2C3D4E5F6", "04B1B2C3D4E5F6"]
    for n, cart in enumerate(carts):
        platform.customer(f"c-{n}", cart, "cart")
        platform.band(pseudonym("nfc", bands[n]), f"c-{n}")
    store.start()
    store.ready()
    platform.wait_pulled()
    for band in (bands[1], bands[0]):
        store.tap(band)
        for n in range(3):
            store.scan(n)
    until(lambda: store.status()["sinks"]["cart"]["rejected"] == 3, "three refusals", 30)
    until(lambda: store.status()["sinks"]["cart"]["unconfirmed"] == 3, "the others to be pushed", 30)
    strict.allow()
    assert len(store.rejected("retry")) == 3
    until(lambda: store.status()["sinks"]["cart"]["unconfirmed"] == 6, "the refused ones to be pushed", 30)
    assert store.rejected("list") == []


def test_a_broker_that_lets_nobody_write_stops_the_sink(platform: Platform, tmp_path: Path, ended: ExitStack) -> None:
    """Three carts in a row: all three are tried again first, and nothing is left behind."""
    strict = Mosquitto(tmp_path / "strict", keeps=True, deny=["cartwire/v1/carts/#"])
    ended.callback(strict.kill)
    strict.start()
    store = Store(tmp_path / "shop", cart={"broker": strict.url}, platform=platform.table)
    ended.callback(store.close)
    for n in range(4):
        platform.customer(f"c-{n}", f"k-{n}", "cart")
        platform.band(pseudonym("nfc", STRANGERS[n]), f"c-{n}")
    store.start()
    store.ready()
    platform.wait_pulled()
    for n in range(4):
        store.tap(STRANGERS[n])
        store.scan(n)
    until(lambda: store.status()["sinks"]["cart"]["state"] == "stopped", "the sink to stop", 60)
    assert len(store.rejected("list")) == 3
    strict.allow()
    store.stop()
    store.start()
    store.ready()
    until(lambda: store.status()["sinks"]["cart"]["unconfirmed"] == 4, "all four to be pushed", 60)
    assert store.rejected("list") == []
