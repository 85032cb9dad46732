"""`/metrics`, read by the Prometheus project's own parser."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client.parser import text_string_to_metric_families

from edge.health import Trouble, TroubleCode
from edge.kiosk import metrics
from peers.process import BUSY, until
from peers.signer import Signer
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from collections.abc import Iterator

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


TOLD = {
    "version": "info",
    "journal": "info",
    "seq": "journal_seq",
    "held": "held_scans",
    "pages": "pages_open",
    "trouble": "trouble",
    "refused": "trouble",
    "readings.*": "readings_total",
    "clock.ok": "clock_synchronised",
    "space.used": "space_used_bytes",
    "space.capacity": "space_capacity_bytes",
    "space.left": "space_left_bytes",
    "space.hours_left": "space_left_seconds",
    "writer.commits": "commits_total",
    "writer.seconds": "commit_seconds_total",
    "writer.at_work_seconds": "commit_at_work_seconds",
    "line.up": "line_up",
    "line.since": "line_since_timestamp_seconds",
    "feed.reachable": "feed_reachable",
    "feed.age_seconds": "feed_age_seconds",
    "sinks.*.state": "sink_state",
    "sinks.*.since": "sink_state_since_timestamp_seconds",
    "sinks.*.queued": "sink_queued_events",
    "sinks.*.oldest_seconds": "sink_oldest_seconds",
    "sinks.*.unconfirmed": "sink_unconfirmed_items",
    "sinks.*.rejected": "sink_rejected_events",
    "sinks.*.unknown_acks": "unknown_acks_total",
    "drivers.*.driver": "driver_state",
    "drivers.*.state": "driver_state",
    "drivers.*.since": "driver_state_since_timestamp_seconds",
    "drivers.*.skipped": "driver_skipped_total",
    "remote.version": "remote_configuration_version",
    "remote.trial": "remote_configuration_trial",
    "remote.refused": "remote_configuration_refused",
}
"""Of what `status` says, in which metric it is."""
WORDS = {"clock.bootid", "line.reason", "sinks.*.reason", "drivers.*.reason"}
"""What is for people, or no figure."""
NOT_YET = {"space_left_seconds"}
"""What needs an hour to be known."""


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Yield where in a status something stands; names of sinks, drivers and kinds of readings as a star."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.*" if path in ("sinks", "readings") else f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, f"{path}.*")
    else:
        yield path


def health(store: Store) -> dict[str, Any]:
    """Return what `/healthz` says, nothing while nobody answers."""
    with suppress(OSError):
        said: dict[str, Any] = json.loads(store.page("/healthz")[2])
        return said
    return {}


def test_all_that_the_status_says_is_a_metric(store: Store, platform: Platform) -> None:
    """What is new there needs a metric, or a word here why it needs none."""
    store.remote = {"key_file": str(Signer().believed_in(store.folder / "remote.pub"))}
    store.configure()
    store.start()
    store.ready()
    platform.wait_pulled()
    told = store.status()
    found = set(leaves(told))
    assert found - WORDS == TOLD.keys(), "status and metrics differ"
    assert found >= WORDS
    names = {name for name, *_ in figures(store)}
    assert set(TOLD.values()) - names <= NOT_YET
    after_an_hour = {**told, "space": {**told["space"], "hours_left": 1.5}}
    assert "\ncartwire_space_left_seconds 5400.0\n" in metrics.render(None, after_an_hour)
    page = (Path(__file__).parent.parent / "docs" / "operate.md").read_text()
    assert [name for name in names | NOT_YET if f"`{name}`" not in page] == [], "each is explained"
    assert set(re.findall(r"cartwire_(\w+?)(?:[=\[{ )`<>]|$)", page, re.MULTILINE)) <= names | NOT_YET


@pytest.mark.parametrize("code", get_args(TroubleCode))
def test_each_trouble_that_healthz_may_have_is_a_metric(code: TroubleCode) -> None:
    """Also while the daemon has nothing else to tell."""
    said = metrics.render(Trouble(code, "why"), {})
    assert "cartwire_up 0.0" in said
    troubles = dict(re.findall(r'^cartwire_trouble\{code="(\w+)"\} ([01])', said, re.MULTILINE))
    assert troubles == {each: str(int(each == code)) for each in get_args(TroubleCode)}


def test_healthz_and_metrics_say_the_same(store: Store) -> None:
    """All readers are lost."""
    store.fifos.clear()
    store.configure([{"kind": "serialport", "read_point": "till-1", "path": "/nowhere"}])
    store.start()
    until(lambda: health(store).get("code") == "readers", store.tail, 20)
    assert health(store) == {"ok": False, "code": "readers", "reason": "lost: serialport@till-1"}
    found = figures(store)
    assert (found["up",], found["trouble", "readers"], found["trouble", "disk"]) == (0, 1, 0)


def test_a_days_figures(store: Store, platform: Platform, app: App, broker: Mosquitto) -> None:
    platform.customer("c-secret", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-secret")
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(BAND)
    for n in range(3):
        store.scan(n)
    until(lambda: len(store.of("cart.item_confirmed")) == 3, "three items")
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
    assert 0 <= found["feed_age_seconds",] < 30, "the feed is pulled every second, on a busy machine later"
    assert abs(found["sink_state_since_timestamp_seconds", "platform"] - time.time()) < 60
    platform.kill()
    until(lambda: figures(store)["line_up",] == 0, "the cut to be seen, though nothing is sent", 3 + BUSY)
    store.scan(4)
    until(lambda: figures(store)["sink_state", "platform", "unavailable"] == 1, "the platform to be missed", 20)
    until(lambda: figures(store)["readings_total", "scans"] == 4, "the scan to be counted")
    until(lambda: figures(store)["sink_queued_events", "cart"] == 0, "it to be pushed")
    found = figures(store)
    assert found["readings_total", "taps"] == 1
    assert found["up",] == 1
    assert found["commits_total",] > 4
    assert 0 < found["commit_seconds_total",] < 60
    assert 0 < found["space_left_bytes",] < 2e9
    assert found["sink_queued_events", "platform"] >= 1
    assert found["driver_state", "replay@till-1", "ok"] == 1
    assert found["space_capacity_bytes",] == 2e9
    assert 0 < found["space_used_bytes",] < 1e7
    assert 5 < found["journal_seq",] <= store.status()["seq"]
    assert "c-secret" not in store.page("/metrics")[2]
