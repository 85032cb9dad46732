"""Training: the shop's own rules on a rehearsal, of which nothing is kept; in simulated time, on the real journal."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from edge.floor import EMPTY, Rules
from edge.model import Outcome, Row, Scan, Tap
from edge.reception import Reception
from edge.training import LONGEST, Training, clear
from model import CLAIM, SESSION
from peers.gtin import gtin13
from peers.needles import found_in
from simulated.process import FORMS
from simulated.shoppers import BANDS, IDENTIFIERS

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import Reading
    from simulated.world import World

TILL = "till-1"


@dataclass
class Class:
    """A store with a reception that trains; `ann` is a customer, and a product is known."""

    world: World
    shown: list[Row] = field(default_factory=list)
    turns: list[bool] = field(default_factory=list)
    cues: list[Outcome] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        gateway = self.world.gateway
        rules, attribution = Rules(SESSION, CLAIM), gateway.attribution
        told = self.shown.extend, lambda: self.turns.append(TILL in self.training)
        self.training = Training(gateway.intake, attribution, rules, gateway.reader, *told)
        parts = gateway.intake, attribution, FORMS, lambda _, cue: self.cues.append(cue), self.asked.append
        kept = gateway._unwritten, gateway.zones, gateway.reader
        self.reception = Reception(*parts, *kept, training=self.training)
        gateway.loop.create_task(self.training.run())

    def read(self, reading: Reading) -> None:
        self.world.gateway.do(self.reception.emit(reading))

    def tap(self, name: str) -> None:
        self.read(Tap(read_point=TILL, value=BANDS[name]))

    def scan(self, number: int) -> None:
        self.read(Scan(read_point=TILL, text=gtin13(number)))

    def begin(self) -> None:
        self.training.begin(TILL)
        self.world.gateway.do(self.world.gateway.intake.insist(partial(clear, read_point=TILL)))

    def wait(self, seconds: float) -> None:
        self.world.gateway.run_to(self.world.clocks.instant + seconds)

    def kinds(self) -> list[str]:
        return [kind for (kind,) in self.world.gateway.reader.execute("SELECT kind FROM row ORDER BY seq")]

    def told(self) -> list[str]:
        told = [row.kind for row in self.shown]
        self.shown.clear()
        return told


@pytest.fixture
def shop(world: World) -> Class:
    """Open it to ann, who has a cart."""
    world.change("customer", "c-1", (("cart",),))
    world.change("identifier", "ann", ("c-1", None))
    world.broker.nudge()
    world.gateway.run_to(world.clocks.instant + 1)
    world.broker.acking = False  # the world's judge knows nothing of what is read here
    return Class(world)


def test_a_rehearsal_leaves_nothing(shop: Class, tmp_path: Path) -> None:
    """Neither in the journal nor anywhere in the files; what it shows is what would have been, timeouts too."""
    shop.begin()
    before, counts = shop.kinds(), dict(shop.reception.counts)
    shop.scan(700)
    shop.tap("ann")
    shop.scan(701)
    shop.wait(4)
    shop.tap("ann")
    ids = [row.id for row in shop.shown if row.id]
    added = ["cart.item_added", "cart.item_added"]
    assert shop.told() == ["inside.scan_held", "customer.identified", *added, "inside.session_extended"]
    shop.tap("eve")
    shop.scan(702)
    assert shop.told() == ["session.ended", "tap.unknown", "inside.scan_held"]
    shop.wait(SESSION + 1)
    assert shop.told() == ["session.ended"]
    shop.scan(703)
    shop.wait(CLAIM + 1)
    assert shop.told() == ["inside.scan_held", "scan.unclaimed"]
    assert shop.cues == ["unknown"] * 7
    assert (shop.kinds(), shop.reception.counts, shop.asked) == (before, counts, [])
    secrets = [*(gtin13(n) for n in range(700, 704)), *(id for id in ids), IDENTIFIERS["eve"]]
    assert found_in(tmp_path, *secrets, "journal.opened") == {"journal.opened"}


def test_what_is_real_ends_when_training_begins(shop: Class) -> None:
    """The session of who stands there, and what waits for a tap; what is read meanwhile has nothing to do with it."""
    shop.tap("ann")
    shop.scan(1)
    shop.begin()
    assert shop.kinds()[-3:] == ["customer.identified", "cart.item_added", "session.ended"]
    body = shop.world.gateway.reader.execute("SELECT body FROM row ORDER BY seq DESC LIMIT 1").fetchone()[0]
    assert b'"reason":"staff"' in body
    shop.training.end(TILL)
    shop.scan(2)
    shop.begin()
    assert shop.kinds()[-2:] == ["inside.scan_held", "scan.unclaimed"]
    assert shop.world.gateway.intake.floor[TILL] == EMPTY
    shop.tap("ann")
    assert shop.training.floor[TILL].session
    assert shop.world.gateway.intake.floor[TILL] == EMPTY


def test_training_ends_by_itself(shop: Class) -> None:
    shop.begin()
    shop.wait(LONGEST - 10)
    shop.tap("ann")
    assert shop.training.left(TILL) == pytest.approx(10, abs=0.1)
    shop.wait(11)
    assert (shop.training.left(TILL), shop.turns[-1], shop.training.floor) == (None, False, {})
    before = len(shop.kinds())
    shop.tap("ann")
    assert shop.kinds()[before:] == ["customer.identified"], "and then a tap counts again"
    assert shop.cues[-1] == "accepted"


def test_elsewhere_the_shop_goes_on(shop: Class) -> None:
    shop.begin()
    shop.read(Tap(read_point="till-2", value=BANDS["ann"]))
    shop.read(Scan(read_point="till-2", text=gtin13(5)))
    assert shop.kinds()[-2:] == ["customer.identified", "cart.item_added"]
    assert shop.shown == []
