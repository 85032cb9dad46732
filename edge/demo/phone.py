"""A shopper's phone in the demo: an app as the contract describes it, on paho's own thread.

It keeps what it gets, then acknowledges; drops what it has; ignores an addition after its removal.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion


@dataclass(slots=True)
class Phone:
    """One app with one cart, connected to a broker on this machine over MQTT 3.1.1."""

    cart: str
    name: str
    port: int
    items: list[dict[str, Any]] = field(default_factory=list)
    repeats: int = 0
    _seen: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _client: Client | None = None

    def start(self) -> None:
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"phone-{self.cart}", clean_session=False, manual_ack=True
        )
        client.on_connect = self._connected
        client.on_message = self._received
        client.reconnect_delay_set(1, 2)
        client.connect_async("127.0.0.1", self.port, keepalive=10)
        client.loop_start()
        self._client = client

    def stop(self) -> None:
        if self._client:
            self._client.disconnect()
            self._client.loop_stop()

    def snapshot(self) -> list[dict[str, Any]]:
        """The items in the cart, in the order in which they came."""
        with self._lock:
            return list(self.items)

    def _connected(self, client: Client, *_: object) -> None:
        client.subscribe(f"cartwire/v1/carts/{self.cart}/items", 1)

    def _received(self, client: Client, _: object, message: MQTTMessage) -> None:
        event = json.loads(message.payload)
        with self._lock:
            if event["id"] in self._seen:
                self.repeats += 1
            else:
                self._seen.add(event["id"])
                self._keep(event)
        gateway = "/".join(event["source"].split("/")[2::2])
        client.publish(f"cartwire/v1/gateways/{gateway}/acks", json.dumps({"id": event["id"]}), qos=1)
        client.ack(message.mid, message.qos)

    def _keep(self, event: dict[str, Any]) -> None:
        if event["type"] == "cartwire.cart.item_added.v1":
            self.items.append(event)
        elif event["type"] == "cartwire.cart.item_removed.v1":
            self._seen.add(event["data"]["event"])
            self.items = [item for item in self.items if item["id"] != event["data"]["event"]]
