"""Stories of a Pi without a clock: it starts decades ago, jumps, and becomes right in the middle of a visit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from peers.clock import Synchronisation
from peers.gtin import padded
from peers.process import until
from peers.store import Store, pseudonym
from peers.tls import Authority, Front

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

BAND, STRANGER = "04A1B2C3D4E5F6", "04C1B2C3D4E5F6"
DAY, YEAR = 86_400, 31_536_000


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Synchronisation:
    """A clock that is wrong and not synchronised, for the daemons of this test."""
    made = Synchronisation(tmp_path / "clock")
    monkeypatch.setenv("CARTWIRE", made.daemon)
    return made


def time_of(event: dict[str, object]) -> float:
    """Seconds since 1970."""
    return datetime.fromisoformat(str(event["time"])).timestamp()


def test_without_a_clock_no_certificate_is_believed_and_nothing_is_lost(
    clock: Synchronisation, platform: Platform, broker: Mosquitto, app: App, tmp_path: Path, ended: ExitStack
) -> None:
    """Thirty years ago the certificates are not valid yet. The shop goes on; then the time comes over the network."""
    authority = Authority(tmp_path / "authority")
    fronts = [Front(port, authority.server()) for port in (broker.port, platform.port)]
    for front in fronts:
        ended.callback(front.close)
    uplink = {"url": f"https://127.0.0.1:{fronts[1].port}", "ca_file": str(authority.ca), "jitter": "1s"}
    store = Store(
        tmp_path / "store",
        cart={"broker": f"mqtts://127.0.0.1:{fronts[0].port}", "ca_file": str(authority.ca)},
        platform={**platform.table, **uplink},
    )
    ended.callback(store.close)
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    clock.is_wrong_by(-30 * YEAR)
    store.start()
    store.ready()
    store.tap(BAND)
    for n in range(3):
        store.scan(n)
    for sink in ("cart", "platform"):
        until(lambda sink=sink: "clock not set" in store.status()["sinks"][sink]["reason"], f"{sink} to say why")
    assert store.status()["clock"]["ok"] is False
    assert store.of("customer.identified") == []

    clock.is_wrong_by(0)
    clock.reached()
    until(lambda: len(app.received) == 3, "the items, of a band that is known by now", 30)
    until(lambda: platform.of("clock.adjusted"), "the clock to be looked at", 20)
    until(store.settled, "everything", 20)
    (adjusted,) = platform.of("clock.adjusted")
    assert abs(adjusted["data"]["offset_seconds"] - 30 * YEAR) < DAY
    seqs = [event["seq"] for event in platform.events()]
    assert seqs == sorted(seqs)
    assert [event["clockok"] for event in platform.of("cart.item_added")] == [False] * 3
    mended = [time_of(event) + adjusted["data"]["offset_seconds"] for event in platform.of("cart.item_added")]
    assert all(abs(at - time_of(adjusted)) < DAY for at in mended)
    assert platform.problems() == []


def test_jumps_change_neither_sessions_nor_expiry_nor_retention(
    clock: Synchronisation, store: Store, platform: Platform, app: App
) -> None:
    """Ten years on, thirty back, an hour either way, while a shopper scans and a stranger's scan waits."""
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.store["retention"] = "1h"
    store.floor |= {"session": "30s", "late": "1h"}
    store.configure()
    clock.reached()
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(STRANGER)
    store.scan(99)
    store.tap(BAND)
    for n, jump in enumerate((0, 10 * YEAR, -30 * YEAR, 3600, -3600)):
        clock.is_wrong_by(jump)
        store.scan(n)
        until(lambda n=n: len(app.received) == n + 1, f"the item after a jump of {jump} s")
    assert len({event["data"]["session"] for event in app.received}) == 1
    assert [expiry is not None and DAY - 60 < expiry <= DAY for expiry in app.expiries] == [True] * 5
    assert store.status()["held"] == 1
    assert store.of("session.ended")[1:] == []
    seqs = [event["seq"] for event in store.events()]
    assert seqs == sorted(seqs)
    assert store.events()[0]["seq"] == 1
    platform.customer("c-2", "k-2", "cart")
    platform.band(pseudonym("nfc", STRANGER), "c-2")
    until(lambda: store.of("customer.resolved"), "the stranger to have a name")
    assert store.status()["held"] == 0


def test_a_band_that_is_bound_while_its_shopper_stands_there(
    clock: Synchronisation, store: Store, platform: Platform, app: App
) -> None:
    """It is theirs from now on: what was scanned before is nobody's, and the visit goes on in their name."""
    platform.customer("c-1", "k-1", "cart")
    clock.reached()
    store.start()
    store.ready()
    platform.wait_pulled()
    store.tap(STRANGER)
    before = store.scan(1)
    until(lambda: store.status()["held"] == 1, "the scan to be held")
    now = datetime.now(UTC).isoformat()
    platform.change("identifier", pseudonym("nfc", STRANGER), {"type": "nfc", "customer": "c-1", "from": now})
    resolved = until(lambda: store.of("customer.resolved"), "the session to get its name")[0]
    assert [event["data"]["gtin"] for event in store.of("scan.unclaimed")] == [padded(before)]
    until(lambda: store.status()["sinks"]["platform"]["queued"] == 0, "the platform to have it")
    store.kill()
    store.start()
    store.ready()
    mine = store.scan(2)
    until(lambda: app.cart == [padded(mine)], "the item")
    assert app.received[0]["data"]["session"] == resolved["data"]["session"]
    assert platform.problems() == []
