"""Sessions of unknown bands that get, lose or change their name, in simulated time and held against the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from simulated.world import World


@pytest.fixture
def shop(world: World) -> World:
    """A shop that knows two customers and none of dan's bands."""
    for customer in ("c-1", "c-2"):
        world.change("customer", customer, (("cart",),))
    world.broker.nudge()
    world.wait(10.0)
    return world


def learn(world: World, customer: str | None, since: float | None = None) -> None:
    """The feed says whose dan's band is, since how many seconds from now."""
    world.change("identifier", "dan", (customer, since))
    world.broker.nudge()
    world.wait(2.0)


def restart(world: World) -> None:
    world.kill()
    world.start()
    world.wait(2.0)


def added(world: World) -> int:
    """How many items are in the cart that is dan's now."""
    world.compare()
    return len(world.model.of("added", customer="c-1"))


@pytest.mark.parametrize(("since", "mine"), [(-5.0, 2), (-1.0, 1)], ids=["before the scan", "after it"])
def test_a_band_that_is_bound_during_the_visit(shop: World, since: float, mine: int) -> None:
    """The tap is older than the identifier: whoever stands there is its customer all the same, from then on."""
    shop.see(("till-1", "dan"))
    shop.wait(5.0)
    shop.see(("till-1", "product"))
    shop.wait(3.0)
    learn(shop, "c-1", since)
    restart(shop)
    shop.see(("till-1", "product"))
    assert added(shop) == mine
    shop.wait(60.0)
    shop.judge.last()


def test_a_visit_that_was_over_before_the_band_was_theirs(shop: World) -> None:
    shop.see(("till-1", "dan"), ("till-1", "product"))
    shop.wait(60.0)
    learn(shop, "c-1", -5.0)
    assert added(shop) == 0
    assert shop.model.of("unclaimed")


def test_a_long_nameless_visit_goes_on_though_its_rows_have_lost_the_band(shop: World) -> None:
    """Its tap is long past when the daemon looks back; the scans since were blanked with the identifier."""
    shop.see(("till-1", "dan"))
    for _ in range(10):
        shop.wait(30.0)
        shop.see(("till-1", "product"))
    learn(shop, "nobody we know")
    learn(shop, None)
    shop.gateway.upkeep.stirred.set()
    shop.wait(30.0)
    restart(shop)
    shop.see(("till-1", "product"))
    learn(shop, "c-1")
    assert added(shop) == 1
    shop.wait(60.0)
    shop.judge.last()
