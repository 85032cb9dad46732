"""A day and more without broker and platform, in simulated time: then everything arrives, but for what is too old."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from simulated.process import MAX_AGE

if TYPE_CHECKING:
    from simulated.world import World

VISITS = 54
BETWEEN = 1800.0


def test_a_day_offline(world: World) -> None:
    """Each half hour for 27 hours somebody buys two things; the daemon is killed at noon."""
    for name, customer in (("ann", "c-1"), ("ben", "c-2")):
        world.change("customer", customer, (("cart",),))
        world.change("identifier", name, (customer, None))
    world.broker.nudge()
    world.wait(10.0)
    world.broker.online = world.platform.online = False
    world.broker.drop()
    for visit in range(VISITS):
        world.see(("till-1", "ann" if visit % 2 else "ben"), ("till-1", "product"), ("till-1", "product"))
        world.wait(BETWEEN)
        if visit == VISITS // 2:
            world.kill()
            world.start(5.0)
    ended = 1000 * world.clocks.wall()
    world.broker.online = world.platform.online = True
    world.wait(120.0)

    told = [json.loads(body) for body in world.platform.events.values()]
    added = {event["id"]: event for event in told if event["type"].endswith("item_added.v1")}
    assert len(added) == world.products == 2 * VISITS
    seqs = [event["seq"] for event in told]
    assert seqs == sorted(seqs)
    pushed = set(world.broker.stored)
    assert pushed < added.keys()
    ages = {scan.gtin: (ended - scan.stamp[0]) / 1000 for scan in world.model.scans.values()}
    young = {gtin for gtin, age in ages.items() if age < MAX_AGE - 180.0}
    old = {gtin for gtin, age in ages.items() if age > MAX_AGE}
    assert {added[id]["data"]["gtin"] for id in pushed} >= young
    assert not {added[id]["data"]["gtin"] for id in pushed} & old
    assert len(young) > 90
    assert len(old) >= 10
    world.judge.last()
