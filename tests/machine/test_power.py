"""Power cuts in a stream of scans: what was seen accepted from outside is there afterwards, once, in the right cart."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from bands import BAND, gtins
from machine.progress import step
from peers.day import SEED
from peers.process import until

if TYPE_CHECKING:
    from machine.shop import Shop

CUTS = int(os.environ.get("CARTWIRE_CUTS", "5"))
PATIENCE = 90.0


def test_power_cuts(dark: Shop) -> None:
    """Both disks lose what was not flushed, or any part of it; each boot is the start of the next cut."""
    shop, rng = dark, random.Random(SEED)
    accepted: dict[str, dict[str, Any]] = {}
    scanned: list[str] = []
    for cut in range(CUTS + 1):
        shop.leave()
        with step(f"boot {cut}"):
            shop.machine.boot(logged=True)
            shop.ready(240)
        with step("what was accepted is looked for"):
            judge(shop, accepted, scanned)
        if cut == CUTS:
            break
        shop.app()
        witness = shop.witness()
        shop.tap(BAND)
        with step("scans"):
            stream(shop, witness, rng, scanned)
            shop.machine.kill()
        seen = [event for event in witness.events if event["type"] == "cartwire.cart.item_added.v1"]
        accepted |= {event["id"]: event for event in seen}
        with step(f"power cut {cut + 1} of {CUTS}, after {len(seen)} scans"):
            for lost in shop.machine.cut(rng):
                print(f"          {lost}")
    print(f"{CUTS} cuts, {len(scanned)} scanned, {len(accepted)} seen accepted: 0 lost, 0 doubled, 0 wrong")


def stream(shop: Shop, witness: Any, rng: random.Random, scanned: list[str]) -> None:
    """Scan on and on, until so many were seen accepted; the cut comes in the middle of the next."""
    line, enough = shop.line(), rng.randint(20, 80)
    before = len(witness.events)

    def one() -> bool:
        if len(scanned) - start < len(witness.events) - before + 8:  # a hand is not faster than that
            scanned.append(gtins(len(scanned))[0])
            line.scan(len(scanned) - 1)
        return len(witness.events) - before >= enough

    start = len(scanned)
    until(one, lambda: f"{enough} events, there are {len(witness.events) - before}", 3 * PATIENCE)


def judge(shop: Shop, accepted: dict[str, dict[str, Any]], scanned: list[str]) -> None:
    """Hold the journal, the app and the platform against what was seen from outside."""
    app = shop.app()
    until(shop.settled, "all to be told", PATIENCE)
    added = {event["id"]: event for event in shop.events("cart.item_added")}
    assert [event for id, event in accepted.items() if added.get(id) != event] == []  # lost, or another
    assert shop.events("scan.unclaimed") == []
    counts = Counter(event["data"]["gtin"] for event in added.values())
    assert counts.keys() <= set(scanned)
    assert set(counts.values()) <= {1}  # doubled
    assert all(event["data"]["customer"] == "c-1" for event in added.values())  # in the wrong cart
    until(lambda: len(app.cart) == len(added), lambda: f"{len(added)} items, not {len(app.cart)}", PATIENCE)
    assert sorted(app.cart) == sorted(counts)
    told = [event["id"] for event in shop.platform.of("cart.item_added")]
    assert sorted(told) == sorted(added)
    assert shop.platform.problems() == []
