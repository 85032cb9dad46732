"""A broker that may forget, as paho's client shows it, and all the apps behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.ports import Unavailable
from sync import mqtt
from sync.mqtt import Message


class Broker:
    """`pushed` hears of each push, its event, cart and properties; `confirmed` of each ack that the gateway has."""

    def __init__(self, pushed: Callable[[dict[str, Any], str, Any], None], confirmed: Callable[[str], None]) -> None:
        self.online, self.acking, self.forgot = True, True, False
        self.faults: list[str] = []
        self.denying = False
        """Whether a push ends the connection: the next write fails, before the reason has been read."""
        self.stored: dict[str, bytes] = {}
        self._pushed, self._confirmed = pushed, confirmed
        self._unread: dict[int, bytes] = {}
        self._connection: mqtt.Connection | None = None
        self._mid = 0

    @asynccontextmanager
    async def connect(self, *arguments: Any) -> AsyncIterator[mqtt.Connection]:
        if not self.online:
            raise Unavailable("the broker is down", connected=False)
        loop, self._receive = asyncio.get_running_loop(), arguments[-1]
        self._ended = False
        self._soon, self._connection = loop.call_soon, mqtt.Connection(cast(Any, self), loop)
        try:
            yield self._connection
        finally:
            self.drop()

    def drop(self) -> None:
        if self._connection:
            self._connection.over(Unavailable("the connection to the broker is gone"))
        self._connection = None

    def publish(self, topic: str, payload: bytes, *, properties: Any = None, **_: object) -> SimpleNamespace:
        self._mid += 1
        if self._ended:
            return SimpleNamespace(rc=paho.MQTT_ERR_CONN_LOST, mid=self._mid)
        if self.denying and topic.endswith("/items") and self._connection:
            self._ended = True
            self._soon(self._connection.over, Unavailable("not authorised"), 0x87)
            return SimpleNamespace(rc=0, mid=self._mid)
        if (not topic.endswith("/items") or self._takes(topic, payload, properties)) and self._connection:
            self._soon(self._connection.answered, self._mid, 0)
        return SimpleNamespace(rc=0, mid=self._mid)

    def subscribe(self, topic: str, _qos: int) -> tuple[int, int]:
        self._mid += 1
        assert self._connection
        self._soon(self._connection.answered, self._mid, 1)
        for mid, payload in self._unread.items() if topic.endswith("/acks") else ():
            self._give(topic, payload, mid)
        return 0, self._mid

    def want_write(self) -> bool:
        return False

    def ack(self, mid: int, _qos: int) -> None:
        said = json.loads(self._unread.pop(mid, b"0"))
        if isinstance(said, dict) and said.get("id") in self.stored:
            self._confirmed(said["id"])

    def say(self, ack: object) -> None:
        """An app acks."""
        self._mid += 1
        self._unread[self._mid] = json.dumps(ack).encode()
        self._give("acks", self._unread[self._mid], self._mid)

    def nudge(self) -> None:
        """The platform has changes."""
        self._give("cartwire/v1/stores/gangnam/changes", b"", 0)

    def _give(self, topic: str, payload: bytes, mid: int) -> None:
        if self._connection:
            self._soon(self._receive, Message(topic, payload, mid))

    def _takes(self, topic: str, payload: bytes, properties: Any) -> bool:
        """A push arrives; whether there is a PUBACK."""
        fault = self.faults.pop(0) if self.faults else ""
        event = json.loads(payload)
        read = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
        read.unpack(properties.pack())
        self._pushed(event, topic.split("/")[-2], read)
        if fault == "drop":
            self.drop()
        elif fault == "forget":
            self.forgot = True
        elif self.stored.setdefault(event["id"], payload) != payload:
            self.stored[event["id"]] = b"changed on the way"
        elif self.acking and fault != "lose ack":
            self.say({"id": event["id"]})
        return fault not in ("drop", "mute")
