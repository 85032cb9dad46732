"""One who hears everything on a broker, and holds it against `sync/asyncapi.yaml`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from peers.app import Delivery, received
from peers.process import until
from peers.spec import ASYNCAPI, OPEN, STRICT, misfit

if TYPE_CHECKING:
    from collections.abc import Iterator


class Eavesdropper:
    """Subscribed to all topics of the project, as they are published."""

    def __init__(self, port: int, *topics: str) -> None:
        """Connect to a broker that speaks MQTT 5; return when it listens to `topics`, or to all of ours."""
        self.heard: list[Delivery] = []
        granted: list[object] = []
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: granted.append(True)
        self._client.connect("127.0.0.1", port)
        options = SubscribeOptions(2, retainAsPublished=True)
        self._client.subscribe([(topic, options) for topic in topics or ("cartwire/#",)])
        self._client.loop_start()
        until(lambda: granted, "the subscription to everything")

    def say(self, topic: str, payload: str) -> None:
        """Publish at QoS 1."""
        self._client.publish(topic, payload, 1).wait_for_publish(10)

    def on(self, channel: str) -> list[Delivery]:
        """Return what was heard on a channel of the document."""
        return [each for each in list(self.heard) if channel_of(each.topic) == channel]

    def told(self, channel: str, message: str) -> list[dict[str, Any]]:
        """Return what was heard there that is this message of the document, and no other."""
        return [json.loads(each.payload) for each in self.on(channel) if not payload_misfit(message, each.payload)]

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self.heard.append(received(message))


def channel_of(topic: str) -> str | None:
    """Return the name of the channel that a topic belongs to."""
    for name, channel in ASYNCAPI["channels"].items():
        parts = re.split(r"\{(\w+)\}", channel["address"])
        for at in range(1, len(parts), 2):
            parts[at] = ASYNCAPI["components"]["parameters"][parts[at]]["x-pattern"]
        if re.fullmatch("".join(parts), topic):
            return str(name)
    return None


def misfits(heard: Delivery, protocol: str) -> Iterator[str]:
    """Yield in what a message of a gateway, app or platform differs from the document."""
    channel = channel_of(heard.topic)
    if channel is None:
        yield f"no channel for {heard.topic}"
        return
    messages = [each["$ref"].rpartition("/")[2] for each in ASYNCAPI["channels"][channel]["messages"].values()]
    found = {name: payload_misfit(name, heard.payload) for name in messages}
    name = next((name for name, wrong in found.items() if not wrong), None)
    if name is None:
        yield f"{heard.topic}: {found}"
        return
    for operation in ASYNCAPI["operations"].values():
        if any(each["$ref"] == f"#/channels/{channel}/messages/{name}" for each in operation["messages"]):
            binding = operation["bindings"]["mqtt"]
            if (heard.qos, heard.retain) != (binding["qos"], binding["retain"]):
                yield f"{heard.topic}: QoS {heard.qos}, retained {heard.retain}"
            yield from property_misfits("expiry", binding.get("messageExpiryInterval"), heard.expiry, protocol)
    binding = ASYNCAPI["components"]["messages"][name].get("bindings", {}).get("mqtt", {})
    yield from property_misfits("content type", binding.get("contentType"), heard.content_type, protocol)
    yield from property_misfits("response topic", binding.get("responseTopic"), heard.response_topic, protocol)
    correlation = heard.correlation.decode() if heard.correlation is not None else None
    yield from property_misfits("correlation data", binding.get("correlationData"), correlation, protocol)
    if correlation is not None and correlation != json.loads(heard.payload)["id"]:
        yield f"correlation data {correlation} of another event"


def payload_misfit(name: str, payload: bytes) -> str:
    """Say what is wrong with a payload as this message; empty if nothing is."""
    where = f"asyncapi.yaml#/components/messages/{name}/payload/schema"
    if ASYNCAPI["components"]["messages"][name]["contentType"] == "application/octet-stream":
        return ""
    try:
        return misfit(json.loads(payload), where, STRICT)
    except ValueError as error:
        return str(error)


def property_misfits(name: str, asked: Any, value: object, protocol: str) -> Iterator[str]:
    """Yield what is wrong with one MQTT 5 property; `asked` is a text, a schema, or None for one that must not be."""
    if protocol != "5" or asked is None:
        wrong = value is not None
    elif isinstance(asked, dict):
        wrong = not Draft202012Validator(asked, registry=OPEN).is_valid(value)
    else:
        wrong = value != asked
    if wrong:
        yield f"{name} {value!r}, not {asked!r} (MQTT {protocol})"
