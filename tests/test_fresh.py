"""What is pushed from memory: only what the database would have given as well, and nobody's who has just withdrawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.model import Moment, Row
from sync.fresh import MOST, Fresh

if TYPE_CHECKING:
    from simulated.world import World


def row(seq: int, kind: str = "cart.item_added", *, live: bool = True) -> Row:
    """A row as it stands in the journal."""
    return Row(kind, Moment(0.0, 0, ok=True, boot=""), {}, str(seq), live, seq)


def held(fresh: Fresh, cursor: int) -> list[int]:
    """The seqs of what is to be pushed after the cursor."""
    return [row.seq for _, row in fresh.after(cursor, MOST)]


def test_what_was_committed_since_is_there_in_its_order() -> None:
    fresh = Fresh()
    assert not held(fresh, 0)
    fresh.committed([row(4), row(5, "session.ended"), row(6)], 1.0)
    fresh.committed([row(7, "inside.note")], 2.0)
    fresh.committed([row(8)], 3.0)
    assert not held(Fresh(), 3)
    assert held(fresh, 3) == [4, 6, 8]
    assert fresh.after(3, 1)[0][0] == 1.0
    assert held(fresh, 4) == [6, 8]
    assert not held(fresh, 8)


def test_what_came_before_is_not_passed_over() -> None:
    fresh = Fresh()
    fresh.committed([row(4)], 1.0)
    assert not held(fresh, 2), "seq 3 may be to be pushed"


def test_it_does_not_grow() -> None:
    fresh = Fresh()
    for seq in range(1, 3 * MOST):
        fresh.committed([row(seq)], 1.0)
        assert len(fresh.after(0, 10 * MOST)) <= MOST
    assert held(fresh, 3 * MOST - 2) == [3 * MOST - 1]


def test_the_database_is_asked_after_anything_else() -> None:
    for other in (row(5, "customer.erased"), row(5, "cart.item_removed"), row(5, live=False)):
        fresh = Fresh()
        fresh.committed([row(4)], 1.0)
        fresh.committed([other], 1.0)
        assert not held(fresh, 3)
        fresh.committed([row(6)], 1.0)
        assert not held(fresh, 4), "5 may have to be pushed"
        assert held(fresh, 5) == [6]


def test_nothing_follows_a_withdrawal_that_came_while_the_broker_was_silent(world: World) -> None:
    shop, broker = world, world.broker
    shop.introduce()
    broker.acking, broker.faults = False, ["mute"]
    shop.see(("till-1", "ann"), ("till-1", "product"))
    first = list(broker.stored)
    assert len(first) == 1
    silent = broker._mid
    shop.see(("till-1", "product"))
    shop.change("customer", "c-1", ((),))
    broker.nudge()
    shop.wait(2.0)
    assert shop.gateway.reader.execute("SELECT 1 FROM row WHERE kind = 'customer.erased'").fetchone()
    assert broker._connection
    broker._connection.answered(silent, 0)
    shop.wait(30.0)
    assert list(broker.stored) == first
    shop.compare()


def test_an_item_is_published_at_its_commit_and_once(world: World) -> None:
    """The forwarder comes later, finds it, and waits for its answer only."""
    shop, broker, gateway = world, world.broker, world.gateway
    shop.introduce()
    order: list[str] = []
    pushed = broker._pushed

    def push(event: dict[str, object], cart: str, properties: object) -> None:
        order.append("pushed")
        pushed(event, cart, properties)

    broker._pushed = push
    gateway.intake.committed.append(lambda rows: order.extend("told" for row in rows if row.kind == "cart.item_added"))
    shop.see(("till-1", "ann"))
    for _ in range(3):
        shop.see(("till-1", "product"))
        shop.wait(1.0)
    assert order == ["pushed", "told"] * 3
    shop.compare()
