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
    from machine.shop import Shop, Witness
    from peers.app import App

CUTS = int(os.environ.get("CARTWIRE_CUTS", "5"))
PATIENCE = 90.0
AHEAD = 8
"""Scans that wait in the line at most."""


def test_power_cuts(dark: Shop) -> None:
    """Both disks lose what was not flushed, or any part of it; each boot is the start of the next cut."""
    shop, rng = dark, random.Random(SEED)
    accepted: dict[str, dict[str, Any]] = {}
    scanned: list[str] = []
    for cut in range(CUTS + 1):
        shop.leave()
        with step(f"boot {cut}"):
            shop.machine.boot(logged=True)
            app = shop.app()  # before the gateway comes, whose broker has forgotten the app: it pushes again in minutes
            shop.ready(240)
        with step("what was accepted is looked for"):
            judge(shop, app, accepted, scanned)
        if cut == CUTS:
            break
        witness = shop.witness()
        shop.tap(BAND)
        with step("scans"):
            stream(shop, witness, rng, scanned)
            shop.machine.kill()
        seen = items(witness)
        accepted |= {event["id"]: event for event in seen}
        with step(f"power cut {cut + 1} of {CUTS}, after {len(seen)} scans"):
            for lost in shop.machine.cut(rng):
                print(f"          {lost}")
    print(f"{CUTS} cuts, {len(scanned)} scanned, {len(accepted)} seen accepted: 0 lost, 0 doubled, 0 wrong")


def items(witness: Witness) -> list[dict[str, Any]]:
    """Return the items that were seen."""
    return [event for event in witness.events if event["type"] == "cartwire.cart.item_added.v1"]


def stream(shop: Shop, witness: Witness, rng: random.Random, scanned: list[str]) -> None:
    """Scan on and on, until so many were seen accepted; the cut comes in the middle of the next."""
    start, enough = len(scanned), rng.randint(100, 400)

    def one() -> bool:
        seen = len(items(witness))
        if len(scanned) - start < seen + AHEAD:
            scanned.append(gtins(len(scanned))[0])
            shop.scan(len(scanned) - 1)
        return seen >= enough

    until(one, lambda: f"{enough} items, there are {len(items(witness))}", 3 * PATIENCE)


def judge(shop: Shop, app: App, accepted: dict[str, dict[str, Any]], scanned: list[str]) -> None:
    """Hold the journal, the app and the platform against what was seen from outside."""
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
