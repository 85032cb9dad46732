"""A push that nobody was there for comes again after a minute, in simulated time: nobody has to do anything for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from simulated.world import World


def confirmed(shop: World) -> list[tuple[int]]:
    """The confirmations in the journal."""
    return shop.gateway.reader.execute("SELECT seq FROM row WHERE kind = 'cart.item_confirmed'").fetchall()


@pytest.mark.parametrize("restarted", [False, True], ids=["a gateway at work", "one that starts without a broker"])
def test_an_app_that_comes_after_the_push(world: World, restarted: bool) -> None:
    shop = world
    shop.change("customer", "c-1", (("cart", "presence"),))
    shop.change("identifier", "ann", ("c-1", None))
    shop.broker.nudge()
    shop.wait(10.0)
    if restarted:
        shop.kill()
        shop.broker.online = False
        shop.start()
    shop.broker.acking = False
    shop.see(("till-1", "ann"), ("till-1", "product"))
    shop.wait(5.0)
    shop.broker.online = True
    for _ in range(70):
        if not shop.broker.stored:
            shop.wait(1.0)
    assert len(shop.broker.stored) == 1
    assert not confirmed(shop)
    shop.broker.acking = True
    shop.wait(75.0)
    assert confirmed(shop), "it was pushed again"
    shop.compare()
