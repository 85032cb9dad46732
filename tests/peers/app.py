"""A shopper's app: one cart topic, a session the broker keeps, stored first and acknowledged then.

`violations` is the contract as a list of checks. The app collects what it finds in `problems`;
it keeps what it does not know, as the contract asks, but lists it there as well.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from peers.gtin import check_digit
from peers.process import until

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

ADDED = "cartwire.cart.item_added.v1"
REMOVED = "cartwire.cart.item_removed.v1"
CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
KEEP_SESSION = 30 * 86_400  # seconds
CLOCK_SLACK = 15  # seconds
SOURCE = re.compile(r"/stores/([a-z0-9-]{1,32})/gateways/([a-z0-9-]{1,32})")

Form = Callable[[Any], bool]


def matching(pattern: str) -> Form:
    """Return the form of a text that fits the pattern as a whole."""
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def one_of(*values: object) -> Form:
    """Return the form of a value that is one of these, of the same type."""
    return lambda value: any(type(value) is type(one) and value == one for one in values)


def is_time(value: object) -> bool:
    """Whether it is a moment in UTC with three decimals and Z."""
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")(value)


def is_gtin(value: object) -> bool:
    """Whether it is a GTIN-14 with its check digit."""
    return matching(r"\d{14}")(value) and check_digit(str(value)[:-1]) == str(value)[-1]


def anything(_: object) -> bool:
    """Accept whatever it is: the contract does not say more."""
    return True


TEXT = matching(r"(?s).+")
UUID7 = matching(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DECIMAL = matching(r"-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Shape:
    """The members that an object must and may have; `null`: it may be null instead."""

    must: Mapping[str, Form | Shape]
    may: Mapping[str, Form | Shape] = field(default_factory=dict)
    null: bool = False

    def violations(self, value: object, where: str = "") -> Iterator[str]:
        """Yield what is missing, unknown or of another form."""
        if value is None and self.null:
            return
        if not isinstance(value, dict):
            yield f"{where} {value!r} is no object"
            return
        prefix = f"{where}." if where else ""
        for name in sorted(self.must.keys() - value.keys()):
            yield f"{prefix}{name} missing"
        for name, member in value.items():
            form = self.must.get(name) or self.may.get(name)
            if form is None:
                yield f"{prefix}{name} unknown"
            elif isinstance(form, Shape):
                yield from form.violations(member, prefix + name)
            elif not form(member):
                yield f"{prefix}{name} {member!r}"


EVENT = Shape(
    {
        "specversion": one_of("1.0"),
        "id": UUID7,
        "source": matching(SOURCE.pattern),
        "type": TEXT,
        "time": is_time,
        "datacontenttype": one_of("application/json"),
        "journal": UUID7,
        "seq": lambda seq: type(seq) is int and seq > 0,
        "bootid": TEXT,
        "clockok": lambda ok: isinstance(ok, bool),
        "data": lambda data: isinstance(data, dict),
    },
    {"subject": TEXT},
)
PRICE = Shape({"amount": DECIMAL, "currency": matching("[A-Z]{3}")}, null=True)
PRODUCT = Shape(
    {},
    {
        "name": lambda name: name is None or isinstance(name, str),
        "price": PRICE,
        "stock": anything,
        "rating": anything,
        "reviews": anything,
        "image": anything,
    },
    null=True,
)
SYMBOLOGY = one_of(
    *(None, "EAN13", "EAN8", "UPCA", "UPCE", "ITF14", "CODE128", "GS1-128", "QR", "DATAMATRIX"),
    *("DATABAR", "DATABAR-LIMITED", "DATABAR-EXPANDED"),
)
ITEM = {
    "customer": TEXT,
    "cart": matching("[A-Za-z0-9_-]{1,64}"),
    "session": TEXT,
    "read_point": TEXT,
    "gtin": is_gtin,
    "quantity": one_of(1),
}
DATA = {
    ADDED: Shape(
        {**ITEM, "symbology": SYMBOLOGY, "product": PRODUCT},
        {
            "staff": TEXT,
            "event": UUID7,
            "in_store": Shape({"kind": one_of("price", "weight"), "value": DECIMAL}),
        },
    ),
    REMOVED: Shape({**ITEM, "event": UUID7, "staff": TEXT}),
}


@dataclass(frozen=True)
class Delivery:
    """One MQTT message as it came in; the last four are None on MQTT 3.1.1."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    content_type: str | None = None
    expiry: int | None = None  # seconds
    response_topic: str | None = None
    correlation: bytes | None = None


def acks_topic(source: str) -> str | None:
    """Build the acks topic from an event's `source`, or None when that has no such form."""
    match = SOURCE.fullmatch(source)
    return f"cartwire/v1/gateways/{match[1]}/{match[2]}/acks" if match else None


def violations(delivery: Delivery, cart: str, protocol: str, max_age: int) -> Iterator[str]:
    """Yield what the contract does not allow in a message to the app of `cart`."""
    if delivery.topic != f"cartwire/v1/carts/{cart}/items":
        yield f"topic {delivery.topic}"
    if delivery.qos != 1:
        yield f"qos {delivery.qos}"
    if delivery.retain:
        yield "retained"
    event = parsed(delivery.payload)
    if event is None:
        yield f"payload is no JSON object: {delivery.payload[:80]!r}"
        return
    if protocol == "5":
        yield from property_violations(delivery, event, max_age)
    yield from event_violations(event)
    if event.get("type") not in DATA:
        yield f"type {event.get('type')!r} in a cart"
    elif isinstance(event.get("data"), dict) and event["data"].get("cart") != cart:
        yield f"data.cart {event['data'].get('cart')!r} on the topic of {cart!r}"


def property_violations(delivery: Delivery, event: dict[str, Any], max_age: int) -> Iterator[str]:
    """Yield what is wrong with the MQTT 5 properties of a message."""
    if delivery.content_type != CONTENT_TYPE:
        yield f"content type {delivery.content_type!r}"
    if delivery.expiry is None or not 0 < delivery.expiry <= max_age:
        yield f"message expiry {delivery.expiry!r}, max_age is {max_age}"
    if delivery.response_topic != acks_topic(str(event.get("source"))):
        yield f"response topic {delivery.response_topic!r}"
    if delivery.correlation != str(event.get("id")).encode():
        yield f"correlation data {delivery.correlation!r}"


def event_violations(event: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an event: the envelope of any, the data of a cart's."""
    yield from EVENT.violations(event)
    data = event.get("data")
    if not isinstance(data, dict):
        return
    if event.get("type") in DATA:
        yield from DATA[event["type"]].violations(data, "data")
    named = {} if data.get("customer") is None else {"subject": f"customers/{data['customer']}"}
    if {name: event[name] for name in ("subject",) if name in event} != named:
        yield f"subject {event.get('subject')!r} of customer {data.get('customer')!r}"
    if event.get("clockok") is True and is_time(event.get("time")):
        ahead = (datetime.fromisoformat(event["time"]) - datetime.now(UTC)).total_seconds()
        if ahead > CLOCK_SLACK:
            yield f"time {event['time']} is {ahead:.0f} s ahead"


def parsed(payload: bytes) -> dict[str, Any] | None:
    """Return the JSON object, or None."""
    try:
        value = json.loads(payload.decode())
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True)
class First:
    """How an event came the first time: its bytes, its expiry and when that was."""

    payload: bytes
    expiry: int | None
    at: float  # time.monotonic()


class App:
    """The app of one cart; `acking` False is one that stores but has no time to say so."""

    def __init__(
        self,
        port: int,
        cart: str,
        folder: Path,
        protocol: str = "5",
        max_age: int = 86_400,
        login: tuple[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Remember what an earlier app stored in `folder`; nothing connects before `online`."""
        self.cart_reference = cart
        self.acking = True
        self.problems: list[str] = []
        self.received: list[dict[str, Any]] = []  # each event once, in the order of first arrival
        self.late: list[str] = []  # came first after a later one of the same journal
        self.repeats = 0
        self._port = port
        self._protocol = protocol
        self._max_age = max_age
        self._login, self._tls = login, tls
        self._first: dict[str, First] = {}
        self._seq: dict[str, int] = {}
        self._lock = threading.Lock()
        self._subscribed = threading.Event()
        self._client: Client | None = None
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{cart}.jsonl"
        if path.exists():
            for line in path.read_text().splitlines():
                self._remember(json.loads(line).encode(), None)
        self._store = path.open("a")

    @property
    def cart(self) -> list[str]:
        """The GTINs in the cart, in the order of their first arrival, without the removed."""
        with self._lock:
            events = list(self.received)
        removed = {event["data"]["event"] for event in events if event["type"] == REMOVED}
        return [event["data"]["gtin"] for event in events if event["type"] == ADDED and event["id"] not in removed]

    @property
    def expiries(self) -> list[int | None]:
        """The message expiry of each event when it came the first time; seconds."""
        with self._lock:
            return [first.expiry for first in self._first.values()]

    @property
    def connected(self) -> bool:
        """Whether the broker has granted the subscription on this connection."""
        return self._subscribed.is_set()

    def online(self, seconds: float = 60.0) -> None:
        """Connect, again and again until it works; with `seconds` wait for the subscription."""
        name = f"app-{self.cart_reference}"
        five = self._protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=name,
            clean_session=None if five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.reconnect_delay_set(1, 1)
        if self._login:
            client.username_pw_set(*self._login)
        if self._tls:
            client.tls_set_context(self._tls)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        if five:
            keep = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            keep.SessionExpiryInterval = KEEP_SESSION
            client.connect_async("127.0.0.1", self._port, keepalive=10, clean_start=False, properties=keep)
        else:
            client.connect_async("127.0.0.1", self._port, keepalive=10)
        self._client = client
        client.loop_start()
        if seconds:
            until(lambda: self.connected, f"{name} online", seconds)

    def offline(self) -> None:
        """Leave; the broker keeps the session and what comes for it."""
        if self._client is not None:
            self._client.disconnect()
            self._client.loop_stop()
            self._client = None
        self._subscribed.clear()

    def close(self) -> None:
        """Leave and close the store."""
        self.offline()
        self._store.close()

    def has(self, *events: str) -> bool:
        """Whether all these event ids are stored."""
        with self._lock:
            return all(event in self._first for event in events)

    def _topic(self) -> str:
        return f"cartwire/v1/carts/{self.cart_reference}/items"

    def _on_connect(self, client: Client, *_: object) -> None:
        if self._protocol == "5":
            # As published: a retained message shows itself also to those already subscribed.
            client.subscribe(self._topic(), options=SubscribeOptions(1, retainAsPublished=True))
        else:
            client.subscribe(self._topic(), 1)

    def _on_subscribe(self, *_: object) -> None:
        self._subscribed.set()

    def _on_disconnect(self, *_: object) -> None:
        self._subscribed.clear()

    def _on_message(self, client: Client, _userdata: object, message: MQTTMessage) -> None:
        delivery = received(message)
        event = parsed(delivery.payload)
        found = violations(delivery, self.cart_reference, self._protocol, self._max_age)
        with self._lock:
            self.problems += list(found)
            if event is not None and isinstance(event.get("id"), str):
                self._keep(event["id"], delivery)
        if self.acking and event is not None:
            answer = delivery.response_topic or acks_topic(str(event.get("source")))
            if answer:
                client.publish(answer, json.dumps({"id": event.get("id")}), 1)
        client.ack(message.mid, message.qos)

    def _keep(self, name: str, delivery: Delivery) -> None:
        first = self._first.get(name)
        if first is None:
            self._store.write(json.dumps(delivery.payload.decode()) + "\n")
            self._store.flush()
            self._remember(delivery.payload, delivery.expiry)
            return
        self.repeats += 1
        if delivery.payload != first.payload:
            self.problems.append(f"event {name} came again with other bytes")
        if first.expiry is not None and delivery.expiry is not None:
            left = first.expiry - (time.monotonic() - first.at)
            if delivery.expiry > left + CLOCK_SLACK:
                self.problems.append(f"event {name} came again with expiry {delivery.expiry}, {left:.0f} is left")

    def _remember(self, payload: bytes, expiry: int | None) -> None:
        event = json.loads(payload)
        self._first[event["id"]] = First(payload, expiry, time.monotonic())
        self.received.append(event)
        journal, seq = str(event.get("journal")), event.get("seq")
        if isinstance(seq, int):
            if seq < self._seq.get(journal, 0):
                self.late.append(event["id"])
            self._seq[journal] = max(seq, self._seq.get(journal, 0))


def received(message: MQTTMessage) -> Delivery:
    """Take a paho message apart."""
    properties = message.properties
    return Delivery(
        message.topic,
        bytes(message.payload),
        message.qos,
        message.retain,
        getattr(properties, "ContentType", None),
        getattr(properties, "MessageExpiryInterval", None),
        getattr(properties, "ResponseTopic", None),
        getattr(properties, "CorrelationData", None),
    )
