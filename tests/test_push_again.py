"""What is pushed again, and what is not, in simulated time: for an app that came late, for staff, after too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from simulated.process import MAX_AGE
from sync.cart import Cart

if TYPE_CHECKING:
    from simulated.world import World


def confirmed(shop: World) -> list[tuple[int]]:
    """The confirmations in the journal."""
    return shop.gateway.reader.execute("SELECT seq FROM row WHERE kind = 'cart.item_confirmed'").fetchall()


@pytest.mark.parametrize("restarted", [False, True], ids=["a gateway at work", "one that starts without a broker"])
def test_an_app_that_comes_after_the_push(world: World, restarted: bool) -> None:
    shop = world
    shop.introduce()
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


def test_what_became_too_old_is_not_pushed_with_the_next_scan(world: World) -> None:
    """A weekend without a broker: memory still has what the database declines."""
    shop = world
    shop.introduce()
    shop.broker.online = False
    shop.broker.drop()
    shop.see(("till-1", "ann"), *[("till-1", "product")] * 3)
    shop.wait(MAX_AGE + 60.0)
    shop.broker.online = True
    shop.wait(120.0)
    assert not shop.broker.stored
    shop.see(("till-1", "ann"), ("till-1", "product"))
    shop.wait(10.0)
    assert len(shop.broker.stored) == 1
    shop.compare()


def test_a_scan_and_a_push_again_in_one_commit(world: World) -> None:
    """Each is published for the one, and for the other once more."""
    shop, broker = world, world.broker
    shop.introduce()
    broker.acking = False
    shop.see(("till-1", "ann"), ("till-1", "product"))
    (first,) = shop.broker.stored
    pushes: list[str] = []
    pushed = broker._pushed

    def push(event: dict[str, str], cart: str, properties: object) -> None:
        pushes.append(event["id"])
        pushed(event, cart, properties)

    broker._pushed = push
    (seq,) = shop.gateway.reader.execute("SELECT seq FROM open_push").fetchone()
    cart = shop.gateway._forwarders[1].sink
    assert isinstance(cart, Cart)
    shop.gateway.intake.committed.append(
        lambda rows: cart.push_again(seq) if any(row.kind == "cart.item_added" for row in rows) else None
    )
    shop.see(("till-1", "product"))
    shop.wait(10.0)
    (second,) = broker.stored.keys() - {first}
    assert sorted(pushes) == sorted([first, second])
