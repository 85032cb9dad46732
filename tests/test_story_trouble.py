"""Stories of trouble: a big catalogue, an app that talks nonsense, a code that is no loyalty code."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from peers.gtin import gtin13, padded
from peers.process import until
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

BAND = "04A1B2C3D4E5F6"


@pytest.fixture
def talker(broker: Mosquitto, ended: ExitStack) -> Client:
    """Somebody else at the broker."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", broker.port)
    ended.callback(client.loop_stop)
    ended.callback(client.disconnect)
    client.loop_start()
    return client


def test_a_catalogue_of_many_pages(store: Store, platform: Platform, app: App) -> None:
    """Each page is far larger than one read from a socket."""
    products = [
        {
            "kind": "product",
            "op": "upsert",
            "key": padded(gtin13(n)),
            "value": {"name": {"ko": f"상품 {n} " + "가" * 200, "en": f"product {n}"}, "price": None},
        }
        for n in range(1500)
    ]
    platform.ask("POST", "/sandbox/changes", {"store": "*", "changes": products})
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.start()
    store.ready()
    until(lambda: store.status()["feed"]["reachable"], "the whole catalogue", 30)
    store.tap(BAND)
    store.scan(1400)
    until(lambda: app.received, "the item")
    assert app.received[0]["data"]["product"]["name"].startswith("상품 1400 ")


def test_nonsense_for_acks_harms_nobody(store: Store, platform: Platform, app: App, talker: Client) -> None:
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.start()
    store.ready()
    platform.wait_pulled()
    nonsense = [b"", b"x", b"{}", b'{"id":1}', b'{"id":"' + b"9" * 5000 + b'"}', b'{"x":' + b"[" * 5000, b"\xff\xfe"]
    for payload in [*nonsense, json.dumps({"id": "019aa2f1-5c07-7c11-9c5e-8a4f0d6b2e10"}).encode()]:
        talker.publish("cartwire/v1/gateways/gangnam/gw-1/acks", payload, qos=1).wait_for_publish(10)
    store.tap(BAND)
    for n in range(3):
        store.scan(n)
    until(lambda: len(store.of("cart.item_confirmed")) == 3, "three confirmations", 60)
    assert store.status()["sinks"]["cart"]["state"] == "ok"


@pytest.mark.parametrize("qos", [0, 1])
def test_nudges_of_any_kind_and_any_number(
    store: Store, platform: Platform, app: App, talker: Client, qos: int
) -> None:
    """A retained one meets each new connection; a flood of them makes nobody pull more than once a second."""
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    topic = "cartwire/v1/stores/gangnam/changes"
    talker.publish(topic, b"any payload", qos=qos, retain=True).wait_for_publish(10)
    store.start()
    store.ready()
    platform.wait_pulled()
    begun, pulls = time.monotonic(), platform.answered("/changes", 200)
    for _ in range(300):
        talker.publish(topic, b"\x00", qos=qos).wait_for_publish(10)
    store.tap(BAND)
    store.scan(1)
    until(lambda: app.received, "the item")
    until(lambda: store.of("cart.item_confirmed"), "the confirmation")
    most = 2 * (time.monotonic() - begun) + 3  # it polls once a second as well
    assert platform.answered("/changes", 200) - pulls <= most
    assert store.log.read_text().count("cart: connected") == 1


def test_another_program_holds_the_database(store: Store, platform: Platform, app: App) -> None:
    """Longer than a commit waits for it: what is scanned meanwhile is refused, and then all goes on."""
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(BAND)
    store.scan(1)
    until(lambda: store.of("cart.item_confirmed"), "the first item")
    with closing(sqlite3.connect(store.data / "cartwire.db", isolation_level=None)) as other:
        until(lambda: other.execute("BEGIN IMMEDIATE"), "the lock")
        store.scan(2)
        until(lambda: "cue at till-1: cannot" in store.log.read_text(), "the scan to be refused", 30)
        other.execute("ROLLBACK")
    store.ready()
    third = store.scan(3)
    until(lambda: len(app.received) == 2, "the next item")
    assert app.cart[1] == padded(third)


def test_a_code_that_is_nobodys_opens_no_session(store: Store, platform: Platform) -> None:
    store.start()
    store.ready()
    platform.wait_pulled()
    store.fifos["till-1"].write({"kind": "tap", "type": "code", "value": "hello"})
    store.fifos["till-1"].write({"kind": "tap", "type": "code", "value": "KR0123456789"})
    store.fifos["till-1"].write({"kind": "scan", "text": "KR9876543210"})
    until(lambda: len(store.of("tap.unknown")) == 2, "two loyalty codes")
    assert [event["data"]["method"] for event in store.of("tap.unknown")] == ["code", "code"]
    assert [event["data"]["reason"] for event in store.of("session.ended")] == ["replaced"]


def test_a_pattern_that_would_take_years_holds_nobody_up(store: Store, platform: Platform) -> None:
    """Repeats within repeats, and somebody holds up what almost fits: on paper, and as a band."""
    store.floor |= {"loyalty": "^KR([0-9]+)*$", "bands": "^04(([0-9A-F]+)*)*G$"}
    store.configure()
    store.start()
    store.ready()
    platform.wait_pulled()
    store.fifos["till-1"].write({"kind": "tap", "type": "nfc", "value": f"04{'A' * 60}"})
    store.fifos["till-1"].write({"kind": "scan", "text": f"KR{'1' * 60}x"})
    store.fifos["till-1"].write({"kind": "scan", "text": "KR0123456789"})
    until(lambda: len(store.of("tap.unknown")) == 1, store.tail, 30)


def test_a_session_outlives_the_patience_for_its_scans(store: Store, platform: Platform, app: App) -> None:
    """With `late` shorter than `session`: an old scan is nobody's, the session still gets its name."""
    store.floor["late"] = "1s"
    store.configure()
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(BAND)
    store.scan(1)
    until(lambda: len(store.of("scan.unclaimed")) == 1, "the scan to be nobody's")
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    until(lambda: store.of("customer.resolved"), "a name for the session")
    store.scan(2)
    until(lambda: app.received, "the item")
    (resolved,), (opened,) = store.of("customer.resolved"), store.of("tap.unknown")
    assert resolved["data"]["session"] == opened["data"]["session"] == app.received[0]["data"]["session"]
    assert [event["data"]["gtin"] for event in app.received] == [padded(gtin13(2))]
