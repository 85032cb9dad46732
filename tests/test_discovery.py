"""Home Assistant discovers a gateway, and shows what its heartbeat says; the templates are read by Jinja, as there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from peers.eavesdropper import Eavesdropper
from peers.process import until
from peers.spec import ASYNCAPI
from peers.store import Store
from sync.discovery import discovery

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.brokers import Mosquitto

TOPIC = "homeassistant/device/cartwire-gangnam-gw-1/config"
STATUS = "cartwire/v1/gateways/gangnam/gw-1/status"


def shown(template: str, said: dict[str, Any]) -> str:
    """Return what a template makes of a status."""
    return ImmutableSandboxedEnvironment().from_string(template).render(value_json=said)


def by_name(config: dict[str, Any], said: dict[str, Any]) -> dict[str, str]:
    """Return what Home Assistant shows, by entity."""
    return {key: shown(entity["value_template"], said) for key, entity in config["components"].items()}


@pytest.fixture
def config() -> dict[str, Any]:
    """Make one."""
    topic, payload = discovery("homeassistant", "gangnam", "gw-1", "0.1.0")
    assert topic == TOPIC
    made: dict[str, Any] = json.loads(payload)
    return made


def test_it_keeps_the_form_that_is_asked_for(config: dict[str, Any]) -> None:
    """Device and origin once for all; each component with a platform and an id that nobody else has; no commands."""
    assert config["device"]["identifiers"] == ["cartwire-gangnam-gw-1"]
    assert config["origin"]["name"] == "cartwire"
    assert config["state_topic"] == config["availability_topic"] == STATUS
    entities = config["components"].values()
    assert {entity["platform"] for entity in entities} == {"binary_sensor", "sensor"}
    ids = [entity["unique_id"] for entity in entities]
    assert len(set(ids)) == len(ids)
    assert all(id.startswith("cartwire-gangnam-gw-1-") for id in ids)
    assert "command" not in json.dumps(config)


def test_what_is_shown_of_each_example_of_the_contract(config: dict[str, Any]) -> None:
    well, trouble = (each["payload"] for each in ASYNCAPI["components"]["messages"]["heartbeat"]["examples"])
    online, offline = (each["payload"] for each in ASYNCAPI["components"]["messages"]["status"]["examples"])
    states = [shown(config["availability_template"], said) for said in (well, trouble, online, offline)]
    assert states == ["online", "online", "online", "offline"]
    found = by_name(config, well)
    assert (found["problem"], found["takes"], found["trouble"], found["queued"]) == ("OFF", "ON", "none", "0")
    assert found["heartbeat"] == well["time"]
    found = by_name(config, trouble)
    assert (found["problem"], found["takes"]) == ("ON", "ON")
    assert found["trouble"] == "nfc@till-1:lost, platform:unavailable"
    assert by_name(config, {**trouble, "trouble": ["gateway:refuses"]})["takes"] == "OFF"
    assert len(by_name(config, {**trouble, "trouble": [f"nfc@till-{n}:lost" for n in range(50)]})["trouble"]) == 255
    assert by_name(config, online)["problem"] == "OFF", "and what has no health yet is no error"


@pytest.mark.parametrize("prefix", ["homeassistant", None])
def test_a_gateway_introduces_itself_if_it_is_asked_to(
    broker: Mosquitto, platform: Platform, tmp_path: Path, ended: ExitStack, prefix: str | None
) -> None:
    """Retained, so that a Home Assistant that comes later finds it; without the key nobody hears of it."""
    cart = {"broker": broker.url, "protocol": broker.protocol}
    store = Store(
        tmp_path / "store", cart=cart | ({"discovery_prefix": prefix} if prefix else {}), platform=platform.table
    )
    ended.callback(store.close)
    store.start()
    store.ready()
    home = Eavesdropper(broker.port, "homeassistant/#", "cartwire/#")
    ended.callback(home.close)
    until(lambda: home.told("status", "heartbeat"), store.tail, 30)
    found = [each for each in home.heard if each.topic.startswith("homeassistant/")]
    assert [each.topic for each in found] == ([TOPIC] if prefix else [])
    for each in found:
        assert by_name(json.loads(each.payload), home.told("status", "heartbeat")[-1])["takes"] == "ON"
