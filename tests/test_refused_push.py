"""A broker that ends the connection over a push: which one it meant is found out, though writes failed meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulated.world import World


def test_it_is_found_by_pushing_one_by_one(world: World) -> None:
    shop = world
    shop.introduce()
    shop.broker.denying = True
    shop.see(("till-1", "ann"), *[("till-1", "product")] * 3)
    shop.wait(120.0)
    aside = "SELECT count(*) FROM aside WHERE sink = 'cart'"
    assert shop.gateway.reader.execute(aside).fetchone() == (3,)
    assert not shop.broker.stored
    shop.broker.denying = False
    shop.see(("till-1", "ann"), ("till-1", "product"))
    shop.wait(10.0)
    assert len(shop.broker.stored) == 1, "the next goes on"
