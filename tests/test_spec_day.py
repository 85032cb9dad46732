"""A day in a store, every kind of event that a daemon writes now: each fits its schema, each message its channel."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from peers.app import Delivery, event_violations
from peers.clock import Synchronisation
from peers.eavesdropper import Eavesdropper, misfits
from peers.gtin import check_digit, gtin13, padded
from peers.process import until
from peers.spec import SCHEMAS, event_misfit
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

BAND, OTHER = "04A1B2C3D4E5F6", "04B1B2C3D4E5F6"
LABEL = '[[floor.in_store]]\nprefix = "28"\nitem = 5\nvalue = 5\ndecimals = 3\nkind = "weight"\n'


@pytest.fixture
def ear(broker: Mosquitto, ended: ExitStack) -> Eavesdropper:
    """Listen to everything on the broker."""
    listening = Eavesdropper(broker.port)
    ended.callback(listening.close)
    return listening


def recorded_day(folder: Path) -> dict[str, Any]:
    """Write a day of sessions that run out and scans that nobody claims; return its driver."""
    tap = {"kind": "tap", "type": "nfc", "pseudonym": pseudonym("nfc", BAND)}
    scan = {"kind": "scan", "text": gtin13(3), "symbology": "EAN13"}
    lines: list[dict[str, Any]] = [{"at": 0, **tap}, {"at": 1, **scan}, {"at": 200, **scan}]
    lines.append({"at": 300, **tap, "pseudonym": pseudonym("nfc", "04FF")})
    (folder / "day.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"kind": "replay", "read_point": "till-9", "path": "day.jsonl", "speed": 0.0}


def happen(store: Store, platform: Platform, app: App, late: App) -> None:
    """Let everything happen that a gateway has a word for."""
    line, label = store.fifos["till-1"].write, "281234500512"
    store.tap(BAND)
    store.scan(1)
    store.scan(2)
    line({"kind": "scan", "text": gtin13(1)})
    line({"kind": "scan", "text": label + check_digit(label), "symbology": "EAN13"})
    line({"kind": "scan", "text": f"https://id.gs1.org/01/{padded(gtin13(1))}", "symbology": "QR"})
    line({"kind": "scan", "text": "KR0123456789", "symbology": "QR"})
    store.tap(OTHER)
    store.scan(1)
    until(lambda: store.status()["held"] == 1, "a scan is held")
    platform.customer("c-2", "k-2", "cart")
    platform.band(pseudonym("nfc", OTHER), "c-2")
    until(lambda: late.cart == [padded(gtin13(1))], "the scan of the band that was not known")
    store.tap(BAND)
    until(lambda: len(app.received) == 6, lambda: f"six items: {app.cart}")
    until(store.settled, "nothing waits")
    platform.customer("c-1", "k-1", "presence")
    until(lambda: any(end["data"]["reason"] == "consent" for end in store.of("session.ended")), "no consent any more")
    os.mkfifo(store.folder / "door.fifo")
    until(lambda: store.of("device.recovered"), "the door's driver is back", 20)


def test_a_day_is_as_the_documents_say(
    store: Store,
    platform: Platform,
    app: App,
    app_of: Callable[[str], App],
    ear: Eavesdropper,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, late = Synchronisation(tmp_path / "clock"), app_of("k-2")
    monkeypatch.setenv("CARTWIRE", clock.daemon)
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    platform.product(padded(gtin13(1)), "물 2L", "12900")
    platform.change("product", padded(gtin13(2)), {"name": {"ko": "우유", "en": "milk"}, "price": None})
    store.start()
    store.ready()
    platform.wait_pulled()
    until(lambda: ear.told("status", "status"), "it to be online")
    store.stop()
    clock.reached()
    store.configure([recorded_day(store.folder), {"kind": "replay", "read_point": "door", "path": "door.fifo"}])
    store.config.write_text(store.config.read_text() + LABEL)
    store.start()
    happen(store, platform, app, late)
    ear.say("cartwire/v1/stores/gangnam/changes", "pull the changes now")
    until(store.settled, lambda: f"nothing waits: {store.status()}", 30)
    store.kill()
    until(lambda: len(ear.told("status", "status")) == 4, "online, offline, online, and the Will", 30)
    told = platform.events()  # the gateway's own copies are blanked after the erasure
    assert [event["id"] for event in told] == [event["id"] for event in store.events()]

    assert [wrong for event in told if (wrong := event_misfit(event))] == []
    assert [wrong for event in told for wrong in event_violations(event)] == []
    assert [wrong for heard in ear.heard for wrong in misfits(heard, "5")] == []
    assert platform.problems() == app.problems == late.problems == []
    assert {event["type"].removeprefix("cartwire.").removesuffix(".v1") for event in told} == {
        *("customer.identified", "customer.resolved", "tap.unknown", "session.ended"),
        *("cart.item_added", "cart.item_confirmed", "scan.unclaimed"),
        *("device.lost", "device.recovered", "journal.opened", "clock.adjusted"),
        "customer.erased",
    }
    assert {event["clockok"] for event in told} == {False, True}
    ends = {(end["data"]["reason"], end["data"]["customer"]) for end in platform.of("session.ended")}
    assert ends >= {("timeout", "c-1"), ("timeout", None), ("replaced", "c-1"), ("replaced", None), ("consent", "c-1")}
    assert {event["data"]["method"] for event in platform.of("tap.unknown")} == {"nfc", "code"}
    items = [event["data"] for event in platform.of("cart.item_added")]
    assert {item["symbology"] for item in items} == {"EAN13", "QR", None}
    assert {"value": "0.512", "kind": "weight"} in [item.get("in_store") for item in items]
    assert [said["state"] for said in ear.told("status", "status")] == ["online", "offline"] * 2
    assert len(ear.on("items")) == len(ear.on("acks")) == 7
    assert len(ear.on("changes")) == 1


def test_on_mqtt_3_1_1_the_json_is_the_same_without_properties(
    broker: Mosquitto, platform: Platform, app: App, ear: Eavesdropper, tmp_path: Path, ended: ExitStack
) -> None:
    old = Store(tmp_path / "old", cart={"broker": broker.url, "protocol": "3.1.1"}, platform=platform.table)
    ended.callback(old.close)
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    old.start()
    old.ready()
    platform.wait_pulled()
    old.tap(BAND)
    old.scan(1)
    until(old.settled, lambda: f"nothing waits: {old.status()}", 20)
    until(lambda: ear.on("acks"), "the app's ack")
    ours = [each for each in ear.heard if each not in ear.on("acks")]
    assert [wrong for heard in ours for wrong in misfits(heard, "3.1.1")] == []
    (item,) = ear.on("items")
    assert app.received == [json.loads(item.payload)] == old.of("cart.item_added")
    assert list(misfits(item, "5")), "on MQTT 5 it would have had properties"


def heard(topic: str = "cartwire/v1/carts/k7f3a9/items", **more: Any) -> Delivery:
    """Return a message as it should be, but for `more`."""
    event = SCHEMAS["cart.item_added.v1.json"]["examples"][0]
    right: dict[str, Any] = {
        "payload": json.dumps(event).encode(),
        "content_type": "application/cloudevents+json; charset=utf-8",
        "expiry": 60,
        "response_topic": "cartwire/v1/gateways/gangnam/gw-1/acks",
        "correlation": event["id"].encode(),
    }
    return Delivery(topic, **(right | more))


def test_a_message_as_it_should_be_conforms() -> None:
    assert list(misfits(heard(), "5")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"topic": "cartwire/v1/carts/k7/f3a9/items"},
        {"topic": "cartwire/v1/cart/k7f3a9/items"},
        {"payload": b"{"},
        {"payload": json.dumps(SCHEMAS["scan.unclaimed.v1.json"]["examples"][0]).encode()},
        {"qos": 0},
        {"retain": True},
        {"content_type": "application/json"},
        {"content_type": None},
        {"expiry": None},
        {"expiry": 0},
        {"response_topic": None},
        {"response_topic": "cartwire/v1/gateways/gangnam/acks"},
        {"correlation": None},
        {"correlation": b"019aa2f1-5c07-7c11-9c5e-8a4f0d6b2e11"},
    ],
    ids=str,
)
def test_a_message_that_differs_is_found(wrong: dict[str, Any]) -> None:
    assert list(misfits(heard(**wrong), "5"))
