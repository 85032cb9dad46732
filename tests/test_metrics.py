"""`/metrics`, read by the Prometheus project's own parser."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client.parser import text_string_to_metric_families

from peers.process import until
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

BAND = "04A1B2C3D4E5F6"
NOBODYS = "019aa2f1-0000-7000-8000-000000000000"


def figures(store: Store) -> dict[tuple[str, ...], float]:
    """Each sample's value by its name and its labels' values."""
    status, content_type, text = store.page("/metrics")
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families)
    return {
        (sample.name.removeprefix("cartwire_"), *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_a_days_figures(store: Store, platform: Platform, app: App, broker: Mosquitto) -> None:
    platform.customer("c-secret", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-secret")
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(BAND)
    for n in range(3):
        store.scan(n)
    until(lambda: len(store.of("cart.item_confirmed")) == 3, "three items", 10)
    acks = Client(CallbackAPIVersion.VERSION2)
    acks.connect("127.0.0.1", broker.port)
    acks.loop_start()
    acks.publish("cartwire/v1/gateways/gangnam/gw-1/acks", json.dumps({"id": NOBODYS}), 1).wait_for_publish(10)
    acks.loop_stop()
    acks.disconnect()
    store.fifos["till-1"].write({"kind": "no reading"})
    until(lambda: figures(store)["unknown_acks_total", "cart"] == 1, "the ack to be counted")
    until(lambda: figures(store)["driver_skipped_total", "replay@till-1"] == 1, "the line to be counted")
    told = store.status()
    assert (told["sinks"]["cart"]["unknown_acks"], told["drivers"][0]["skipped"]) == (1, 1)
    found = figures(store)
    assert (found["line_up",], found["pages_open",]) == (1, 0)
    assert 0 <= found["feed_age_seconds",] < 3, "the feed is pulled every second"
    assert abs(found["sink_state_since_seconds", "platform"] - time.time()) < 60
    platform.kill()
    until(lambda: figures(store)["line_up",] == 0, "the cut to be seen, though nothing is sent", 3)
    store.scan(4)
    until(lambda: figures(store)["sink_state", "platform", "unavailable"] == 1, "the platform to be missed", 20)
    found = figures(store)
    assert found["readings_total", "scans"] == 4
    assert found["readings_total", "taps"] == 1
    assert found["up",] == 1
    assert found["sink_queued_events", "platform"] >= 1
    assert found["sink_queued_events", "cart"] == 0
    assert found["driver_state", "replay@till-1", "ok"] == 1
    assert found["space_capacity_bytes",] == 2e9
    assert 0 < found["space_used_bytes",] < 1e7
    assert 5 < found["journal_seq",] <= store.status()["seq"]
    assert "c-secret" not in store.page("/metrics")[2]
