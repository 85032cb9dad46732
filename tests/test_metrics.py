"""`/metrics`, read by the Prometheus project's own parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from peers.process import until
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from conftest import Platform
    from peers.app import App

BAND = "04A1B2C3D4E5F6"


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


def test_a_days_figures(store: Store, platform: Platform, app: App) -> None:
    platform.customer("c-secret", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-secret")
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(BAND)
    for n in range(3):
        store.scan(n)
    until(lambda: len(store.of("cart.item_confirmed")) == 3, "three items", 10)
    platform.kill()
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
