"""Two stores on one broker of `config/`, and what a stolen gateway, an app or the platform tries there, in vain.

A subscription counts by what comes through it: mosquitto grants each, and delivers what may be read.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from bands import BAND, OTHER
from peers.app import App
from peers.guarded import CARTS, JUDGE, Guarded, GuardedMosquitto, GuardedNats
from peers.process import until
from peers.store import Store, command, pseudonym
from peers.tls import Authority

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform

OURS, STOLEN = "cartwire-gangnam-gw-1", "cartwire-hongdae-gw-1"
CART, ANOTHER = CARTS
V1 = "cartwire/v1"
HOME = "homeassistant"
EVERYTHING = ("#", "+/#", "cartwire/#", f"{V1}/+/+/items", "$SYS/#", "$MQTT/#", "$MQTT/sub/#", "$JS/#", "$share/x/#")
NOT_HOME = (
    *(f"{HOME}/device/{OURS}/config", f"{HOME}/device/config", f"{HOME}/binary_sensor/{STOLEN}/config"),
    f"{HOME}/device/{STOLEN}/set",
)
"""Where the stolen one may not write also with discovery."""
READS = {
    STOLEN: (
        *EVERYTHING,
        *(f"{V1}/carts/+/items", f"{V1}/carts/{CART}/items", f"$share/x/{V1}/carts/+/items"),
        *(f"{V1}/gateways/gangnam/gw-1/acks", f"{V1}/gateways/+/+/acks", f"{V1}/gateways/hongdae/+/acks"),
        *(f"{V1}/gateways/gangnam/gw-1/status", f"{V1}/gateways/+/+/status"),
        *(f"{V1}/stores/gangnam/changes", f"{V1}/stores/+/changes"),
    ),
    ANOTHER: (
        *EVERYTHING,
        *(f"{V1}/carts/{CART}/items", f"{V1}/carts/+/items", f"$share/x/{V1}/carts/{CART}/items"),
        *(f"{V1}/gateways/gangnam/gw-1/acks", f"{V1}/gateways/gangnam/gw-1/status", f"{V1}/stores/gangnam/changes"),
    ),
    "platform": (f"{V1}/carts/{CART}/items", f"{V1}/carts/+/items", f"{V1}/gateways/+/+/acks", "$SYS/#"),
}
"""Who tries to hear what."""
WRITES = {
    STOLEN: (
        *(f"{V1}/gateways/gangnam/gw-1/status", f"{V1}/gateways/gangnam/gw-1/acks", f"{V1}/gateways/hongdae/gw-1/acks"),
        *(
            f"{V1}/stores/gangnam/changes",
            f"{V1}/stores/hongdae/changes",
            f"{V1}/carts/{CART}",
            f"{V1}/carts/a/b/items",
        ),
        *("$SYS/broker/version", "$MQTT/sub/x", "anything"),
        f"{HOME}/device/{STOLEN}/config",
        *NOT_HOME,
    ),
    ANOTHER: (
        *(f"{V1}/carts/{CART}/items", f"{V1}/carts/{ANOTHER}/items", f"{V1}/gateways/gangnam/gw-1/status"),
        *(f"{V1}/stores/gangnam/changes", f"{V1}/gateways/gangnam/gw-1", "anything"),
        f"{HOME}/device/{OURS}/config",
    ),
    "platform": (f"{V1}/carts/{CART}/items", f"{V1}/gateways/gangnam/gw-1/acks", f"{V1}/gateways/gangnam/gw-1/status"),
}
"""Who tries to say something where, retained and not."""
WILLS = {
    STOLEN: (f"{V1}/gateways/gangnam/gw-1/status", f"{V1}/stores/gangnam/changes", f"{HOME}/device/{OURS}/config"),
    ANOTHER: (f"{V1}/carts/{CART}/items", f"{V1}/gateways/gangnam/gw-1/status"),
}
"""Who leaves a will where."""
SENTINELS = {
    STOLEN: f"{V1}/stores/hongdae/changes",
    ANOTHER: f"{V1}/carts/{ANOTHER}/items",
    "platform": f"{V1}/gateways/none/none/status",
}
"""What each may hear, so that we know that it listens."""


class Somebody:
    """A client with no manners."""

    def __init__(self, broker: Guarded, name: str, client_id: str = "", will: str = "") -> None:
        """Come in by the door of `name`, which has to open; with `client_id` as somebody whose session is kept."""
        self.heard: list[tuple[str, bytes]] = []
        self.answers: list[Any] = []
        door = broker.door(name)
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id or name, clean_session=not client_id, reconnect_on_failure=False
        )
        if door.tls:
            self._client.tls_set_context(door.tls)
        if door.login:
            self._client.username_pw_set(*door.login)
        if will:
            self._client.will_set(will, b"intruder's will", 1, retain=True)
        connected: list[str] = []
        self._client.on_connect = lambda _c, _u, _f, code, _p: connected.append(str(code))
        self._client.on_subscribe = lambda *answer: self.answers.append(answer)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", door.port)
        self._client.loop_start()
        until(lambda: connected == ["Success"], f"{name} to come in")

    def listen(self, *topics: str) -> None:
        """Subscribe to each; whether it is granted makes no odds."""
        for topic in topics:
            before = len(self.answers)
            self._client.subscribe(topic, 1)
            until(lambda before=before: len(self.answers) > before, f"an answer about {topic}")  # type: ignore[misc]

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1."""
        self._client.publish(topic, payload, 1, retain).wait_for_publish(10)

    def vanish(self) -> None:
        """Be cut off, so that the will is read."""
        sock = self._client.socket()
        assert isinstance(sock, socket.socket)
        with suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self.leave()

    def leave(self) -> None:
        """Go."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self.heard.append((message.topic, message.payload))


@pytest.fixture(params=[GuardedMosquitto, GuardedNats], ids=["mosquitto", "nats"])
def shipped(request: pytest.FixtureRequest, tmp_path: Path, ended: ExitStack) -> Guarded:
    """Each broker in turn, before its start."""
    broker: Guarded = request.param(tmp_path / "broker", Authority(tmp_path / "authority"))
    ended.callback(broker.kill)
    return broker


@pytest.fixture
def guarded(shipped: Guarded) -> Guarded:
    """The same, started."""
    shipped.start()
    return shipped


def opened(guarded: Guarded, platform: Platform, folder: Path, name: str, ended: ExitStack) -> Store:
    """A store that runs, with the certificate of its gateway."""
    certificate, key = guarded.authority.issue(f"cartwire-{name}-gw-1")
    files = {"ca_file": guarded.authority.ca, "cert_file": certificate, "key_file": key}
    cart = {"broker": f"mqtts://127.0.0.1:{guarded.port}", "protocol": guarded.protocol}
    store = Store(
        folder / name, cart={**cart, **{key: str(path) for key, path in files.items()}}, platform=platform.table
    )
    ended.callback(store.close)
    store.store["id"] = name
    store.configure()
    store.start()
    store.ready()
    return store


def app_of(guarded: Guarded, folder: Path, cart: str, ended: ExitStack) -> App:
    door = guarded.door(cart)
    app = App(door.port, cart, folder / "apps", guarded.protocol, login=door.login, tls=door.tls)
    ended.callback(app.close)
    app.online()
    return app


def intrude(guarded: Guarded) -> dict[str, Somebody]:
    """Try all of the tables; who listens stays."""
    for name, topics in WILLS.items():
        for topic in topics:
            Somebody(guarded, name, will=topic).vanish()
    intruders = {name: Somebody(guarded, name) for name in READS}
    for name, intruder in intruders.items():
        intruder.listen(*READS[name], SENTINELS[name])
        for topic in WRITES[name]:
            intruder.say(topic, f"intruder {name}".encode(), retain=True)
            intruder.say(topic, f"intruder {name}".encode())
    return intruders


def test_two_stores_on_one_broker_and_one_is_stolen(
    guarded: Guarded, platform: Platform, tmp_path: Path, ended: ExitStack
) -> None:
    for number, (uid, cart) in enumerate(((BAND, CART), (OTHER, ANOTHER))):
        platform.customer(f"c-{number}", cart, "cart")
        platform.band(pseudonym("nfc", uid), f"c-{number}")
    stores = [opened(guarded, platform, tmp_path, name, ended) for name in ("gangnam", "hongdae")]
    apps = [app_of(guarded, tmp_path, cart, ended) for cart in CARTS]
    platform.wait_pulled()
    for store in stores:
        for uid in (BAND, OTHER):
            store.tap(uid)
            store.scan(1)
    for store in stores:
        until(lambda store=store: len(store.of("cart.item_confirmed")) == 2, store.tail, 20)  # type: ignore[misc]
    assert [len(app.received) for app in apps] == [2, 2]

    judge, boss = Somebody(guarded, JUDGE), Somebody(guarded, "platform")
    judge.listen("#")
    boss.listen(f"{V1}/gateways/+/+/status")
    until(lambda: len({topic for topic, _ in boss.heard}) == 2, "the platform to see both gateways")
    stores[1].kill()
    said = f"{V1}/gateways/hongdae/gw-1/status"
    until(lambda: any(b"offline" in payload for topic, payload in boss.heard if topic == said), "its will", 30)
    boss.leave()
    apps[1].offline()

    intruders = intrude(guarded)
    pulls = platform.answered("/changes", 200)
    stores[0].tap(BAND)
    stores[0].scan(2)
    until(lambda: len(apps[0].received) == 3, stores[0].tail, 20)
    until(lambda: len(stores[0].of("cart.item_confirmed")) == 3, stores[0].tail, 20)
    judge.say(f"{V1}/stores/gangnam/changes", b"to gangnam")
    until(lambda: platform.answered("/changes", 200) > pulls, "a pull")
    for name, topic in SENTINELS.items():
        judge.say(topic, b"sentinel")
        until(lambda name=name: intruders[name].heard, f"{name} to hear its own")  # type: ignore[misc]
        assert set(intruders[name].heard) == {(topic, b"sentinel")}, name
    made_up = json.dumps({"id": "019aa2f1-5c07-7c11-9c5e-8a4f0d6b2e10"}).encode()
    intruders[ANOTHER].say(f"{V1}/gateways/gangnam/gw-1/acks", made_up)
    until(lambda: stores[0].status()["sinks"]["cart"]["unknown_acks"] == 1, "an ack of nothing, which harms nobody")
    intruders[STOLEN].say(f"{V1}/carts/{CART}/items", b"what a stolen gateway still can")
    until(lambda: apps[0].problems, "the app, which has to judge what it gets")
    assert [payload for _, payload in judge.heard if b"intruder" in payload] == []
    for each in (*intruders.values(), judge):
        each.leave()
    checked = subprocess.run(
        command("check", stores[0].config), capture_output=True, text=True, timeout=60, check=False
    )
    assert re.search(r"^ok +broker +ok, says the running daemon$", checked.stdout, re.MULTILINE), checked
    assert stores[0].log.read_text().count("cart: connected") == 1


def test_discovery_is_one_topic_more_for_each_gateway(shipped: Guarded, ended: ExitStack) -> None:
    """Once it is allowed, which it is not as shipped."""
    shipped.allow_discovery()
    shipped.start()
    judge = Somebody(shipped, JUDGE)
    ended.callback(judge.leave)
    judge.listen(f"{HOME}/#")
    stolen, ours = Somebody(shipped, STOLEN), Somebody(shipped, OURS)
    for topic in (*NOT_HOME, own := f"{HOME}/device/{STOLEN}/config"):
        stolen.say(topic, b"intruder", retain=True)
    ours.say(other := f"{HOME}/device/{OURS}/config", b"our own")
    for each in (stolen, ours):
        each.leave()
    until(lambda: len(judge.heard) == 2, "both to be heard")
    assert judge.heard == [(own, b"intruder"), (other, b"our own")]


def test_with_the_client_id_of_another_nothing_of_his_is_had(guarded: Guarded, ended: ExitStack) -> None:
    """Not what waits for him, not what comes; and it is all there when he is back."""
    topics = {CART: f"{V1}/carts/{CART}/items", OURS: f"{V1}/gateways/gangnam/gw-1/acks"}
    for name, topic in topics.items():
        owner = Somebody(guarded, name, name)
        owner.listen(topic)
        owner.leave()
    judge = Somebody(guarded, JUDGE)
    ended.callback(judge.leave)
    for victim, thief in ((CART, ANOTHER), (OURS, STOLEN)):
        judge.say(topics[victim], b"waits")
        intruder = Somebody(guarded, thief, victim)
        judge.say(topics[victim], b"comes")
        intruder.listen(SENTINELS[thief])
        judge.say(SENTINELS[thief], b"sentinel")
        until(lambda intruder=intruder: intruder.heard, "its own")  # type: ignore[misc]
        assert intruder.heard == [(SENTINELS[thief], b"sentinel")]
        intruder.leave()
        owner = Somebody(guarded, victim, victim)
        ended.callback(owner.leave)
        until(lambda owner=owner: len(owner.heard) == 2, "what waited")  # type: ignore[misc]
        assert owner.heard == [(topics[victim], b"waits"), (topics[victim], b"comes")]
