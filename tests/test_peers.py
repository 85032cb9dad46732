"""The peers are no judges unless they find what is wrong: here somebody plays a bad gateway."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from peers.app import App, Delivery, violations
from peers.gtin import gtin13, number, padded
from peers.process import until
from peers.store import pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from peers.brokers import Broker

ACKS = "cartwire/v1/gateways/gangnam/gw-1/acks"
ITEMS = "cartwire/v1/carts/k-1/items"
MAX_AGE = 86_400


def uuid7(n: int) -> str:
    """Return the n-th id of a test."""
    return f"019aa2f1-0000-7000-8000-{n:012x}"


def added(n: int) -> dict[str, Any]:
    """Return the n-th scan, as §4 shows one."""
    return {
        "specversion": "1.0",
        "id": uuid7(n),
        "source": "/stores/gangnam/gateways/gw-1",
        "type": "cartwire.cart.item_added.v1",
        "subject": "customers/c-1",
        "time": "2025-11-21T09:12:45.123Z",
        "datacontenttype": "application/json",
        "journal": uuid7(0),
        "seq": n,
        "bootid": "7c0e0000-0000-4000-8000-000000000000",
        "clockok": True,
        "data": {
            "customer": "c-1",
            "cart": "k-1",
            "session": uuid7(1),
            "read_point": "till-1",
            "gtin": padded(gtin13(n)),
            "quantity": 1,
            "symbology": "EAN13",
            "product": {"name": "물", "price": {"amount": "12900", "currency": "KRW"}},
        },
    }


def removed(n: int, addition: int) -> dict[str, Any]:
    """Return the n-th event: staff undid an addition."""
    event = added(n)
    event["type"] = "cartwire.cart.item_removed.v1"
    data = event["data"]
    del data["symbology"], data["product"]
    data |= {"event": uuid7(addition), "staff": "s-1", "gtin": padded(gtin13(addition))}
    return event


def delivery(event: dict[str, Any], **changed: Any) -> Delivery:
    """Return the message a good gateway would send, but for what is `changed`."""
    good = {
        "topic": ITEMS,
        "payload": json.dumps(event).encode(),
        "content_type": "application/cloudevents+json; charset=utf-8",
        "expiry": MAX_AGE,
        "response_topic": ACKS,
        "correlation": str(event.get("id")).encode(),
    }
    return Delivery(**{**good, **changed})


def found(message: Delivery) -> str:
    """Return what the app of cart k-1 says of it."""
    return "; ".join(violations(message, "k-1", "5", MAX_AGE))


@pytest.mark.parametrize("event", [added(1), removed(2, 1)], ids=["added", "removed"])
def test_a_good_message_is_no_problem(event: dict[str, Any]) -> None:
    assert found(delivery(event)) == ""


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"topic": "cartwire/v1/carts/c-1/items"}, "topic"),
        ({"qos": 0}, "qos"),
        ({"retain": True}, "retained"),
        ({"payload": b"[]"}, "no JSON object"),
        ({"payload": b'{"id":'}, "no JSON object"),
        ({"content_type": "application/json"}, "content type"),
        ({"content_type": None}, "content type"),
        ({"expiry": None}, "expiry"),
        ({"expiry": MAX_AGE + 1}, "expiry"),
        ({"response_topic": None}, "response topic"),
        ({"response_topic": "cartwire/v1/gateways/gangnam/gw-2/acks"}, "response topic"),
        ({"correlation": None}, "correlation"),
        ({"correlation": uuid7(9).encode()}, "correlation"),
    ],
)
def test_a_bad_message_is_found(changed: dict[str, Any], problem: str) -> None:
    assert problem in found(delivery(added(1), **changed))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"specversion": "1"}, "specversion"),
        ({"id": "7"}, "id"),
        ({"id": "0d1f4e2c-5b1e-4f7e-9a53-0f5a1c9f4f10"}, "id"),
        ({"source": "gangnam/gw-1"}, "source"),
        ({"type": "cartwire.scan.unclaimed.v1"}, "type"),
        ({"subject": "c-1"}, "subject"),
        ({"time": "2025-11-21T09:12:45Z"}, "time"),
        ({"time": "2025-11-21T09:12:45.123+00:00"}, "time"),
        ({"time": "2025-13-21T09:12:45.123Z"}, "time"),
        ({"time": "2999-11-21T09:12:45.123Z"}, "ahead"),
        ({"datacontenttype": "text/plain"}, "datacontenttype"),
        ({"journal": "j"}, "journal"),
        ({"seq": "7"}, "seq"),
        ({"seq": True}, "seq"),
        ({"bootid": None}, "bootid"),
        ({"clockok": 1}, "clockok"),
        ({"data": None}, "data"),
        ({"staff": "s-1"}, "staff unknown"),
    ],
)
def test_a_bad_envelope_is_found(changed: dict[str, Any], problem: str) -> None:
    assert problem in found(delivery(added(1) | changed))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"customer": "c-2"}, "subject"),
        ({"customer": ""}, "data.customer"),
        ({"cart": "k-2"}, "cart"),
        ({"session": None}, "data.session"),
        ({"gtin": gtin13(1)}, "data.gtin"),
        ({"gtin": "08801045600131"}, "data.gtin"),
        ({"quantity": 2}, "data.quantity"),
        ({"quantity": "1"}, "data.quantity"),
        ({"symbology": "ean13"}, "data.symbology"),
        ({"pseudonym": "9f2c"}, "data.pseudonym unknown"),
        ({"product": {"name": {"ko": "물"}}}, "product.name"),
        ({"product": {"name": "물", "price": {"amount": 1, "currency": "KRW"}}}, "amount"),
        ({"product": {"name": "물", "price": {"amount": "1"}}}, "currency missing"),
        ({"in_store": {"kind": "price", "value": 5}}, "in_store.value"),
        ({"in_store": {"kind": "colour", "value": "5"}}, "in_store.kind"),
    ],
)
def test_bad_data_is_found(changed: dict[str, Any], problem: str) -> None:
    event = added(1)
    event["data"] |= changed
    assert problem in found(delivery(event))


@pytest.mark.parametrize("name", sorted(added(1).keys() - {"subject"}))
def test_a_missing_attribute_is_found(name: str) -> None:
    event = added(1)
    del event[name]
    assert f"{name} missing" in found(delivery(event))


@pytest.mark.parametrize("name", sorted(removed(2, 1)["data"]))
def test_missing_data_is_found(name: str) -> None:
    event = removed(2, 1)
    del event["data"][name]
    assert f"data.{name} missing" in found(delivery(event))


class Gateway:
    """A gateway by hand: it publishes what it is told and hears the acks."""

    def __init__(self, broker: Broker) -> None:
        """Connect, and return when the acks are subscribed."""
        self.acks: list[dict[str, Any]] = []
        self._five = broker.protocol == "5"
        version = MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311
        self._client = Client(CallbackAPIVersion.VERSION2, "gateway", protocol=version)
        self._client.on_message = self._heard
        ready = threading.Event()
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.subscribe(ACKS, 1)
        self._client.loop_start()
        assert ready.wait(10)

    def push(self, event: dict[str, Any], *, answer_to: str | None = ACKS) -> None:
        """Publish it as the contract says and wait for the PUBACK."""
        properties = None
        if self._five:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ContentType = "application/cloudevents+json; charset=utf-8"
            properties.MessageExpiryInterval = MAX_AGE
            properties.CorrelationData = event["id"].encode()
            if answer_to:
                properties.ResponseTopic = answer_to
        info = self._client.publish(ITEMS, json.dumps(event), 1, properties=properties)
        info.wait_for_publish(10)

    def acked(self, *numbers: int) -> bool:
        """Whether exactly these events were acknowledged, in this order."""
        return self.acks == [{"id": uuid7(n)} for n in numbers]

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def _heard(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self.acks.append(json.loads(message.payload))


@pytest.fixture
def gateway(any_broker: Broker, ended: ExitStack) -> Gateway:
    hand = Gateway(any_broker)
    ended.callback(hand.close)
    return hand


@pytest.fixture
def open_app(any_broker: Broker, tmp_path: Path) -> Iterator[Callable[[], App]]:
    """Open the app of k-1; opened once more it is the same app after a crash of the phone."""
    apps: list[App] = []

    def opened() -> App:
        if apps:
            apps[-1].close()
        apps.append(App(any_broker.port, "k-1", tmp_path, any_broker.protocol, MAX_AGE))
        apps[-1].online()
        return apps[-1]

    yield opened
    if apps:
        apps[-1].close()


def test_the_app_stores_once_and_acks_each_time(gateway: Gateway, open_app: Callable[[], App]) -> None:
    app = open_app()
    for n in (1, 2, 1):
        gateway.push(added(n))
    until(lambda: gateway.acked(1, 2, 1), "three acks")
    assert app.cart == [padded(gtin13(1)), padded(gtin13(2))]
    assert (app.problems, app.late, app.repeats) == ([], [], 1)


def test_the_app_without_a_response_topic_knows_the_acks_topic(gateway: Gateway, open_app: Callable[[], App]) -> None:
    open_app()
    gateway.push(added(1), answer_to=None)
    until(lambda: gateway.acked(1), "an ack")


def test_what_comes_while_the_app_is_away_waits_for_it(gateway: Gateway, open_app: Callable[[], App]) -> None:
    app = open_app()
    app.offline()
    for n in (1, 2, 3):
        gateway.push(added(n))
    app.online()
    until(lambda: gateway.acked(1, 2, 3), "three acks")
    assert app.cart == [padded(gtin13(n)) for n in (1, 2, 3)]


def test_an_app_that_does_not_ack_has_it_nevertheless(gateway: Gateway, open_app: Callable[[], App]) -> None:
    app = open_app()
    app.acking = False
    gateway.push(added(1))
    until(lambda: app.has(uuid7(1)), "the item")
    app.acking = True
    gateway.push(added(2))
    until(lambda: gateway.acked(2), "the second ack alone")


def test_an_addition_after_its_removal_is_ignored_also_by_the_next_app(
    gateway: Gateway, open_app: Callable[[], App]
) -> None:
    open_app()
    gateway.push(removed(2, 1))
    until(lambda: gateway.acked(2), "the removal's ack")
    app = open_app()
    gateway.push(added(1))
    gateway.push(added(3))
    until(lambda: gateway.acked(2, 1, 3), "all acks")
    assert app.cart == [padded(gtin13(3))]
    assert app.late == [uuid7(1)]


def test_other_bytes_under_the_same_id_are_found(gateway: Gateway, open_app: Callable[[], App]) -> None:
    app = open_app()
    gateway.push(added(1))
    gateway.push(added(1) | {"time": "2025-11-21T09:12:45.124Z"})
    until(lambda: gateway.acked(1, 1), "both acks")
    assert app.problems == [f"event {uuid7(1)} came again with other bytes"]


def test_the_queue_of_an_app_outlives_the_end_the_broker_is_made_for(
    gateway: Gateway, any_broker: Broker, open_app: Callable[[], App]
) -> None:
    app = open_app()
    app.offline()
    gateway.push(added(1))
    end = any_broker.stop if any_broker.protocol == "5" else any_broker.kill
    end()
    any_broker.start()
    app.online()
    until(lambda: app.has(uuid7(1)), "the item after the start")


def test_pseudonyms_and_gtins_are_those_of_the_contract() -> None:
    assert padded("8801045600130") == "08801045600130"
    assert gtin13(4560013) == "8801045600130"
    assert number(padded(gtin13(4560013))) == 4560013
    assert pseudonym("nfc", "04A1B2C3D4E5F6") == (  # by openssl
        "1f6054f63a205dcf1234fde28a3bb56362089cc4cc5151bf3ebdebf3cb4d0348"
    )
