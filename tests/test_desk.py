"""What is read at the desk is looked up for staff, and leaves no trace: on the real cache, in simulated time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.desk import Desk
from edge.model import Outcome, Scan, Tap
from edge.reception import Reception
from peers.gtin import gtin13, padded
from peers.needles import found_in
from simulated.process import FORMS
from simulated.shoppers import BANDS, CODES, IDENTIFIERS

if TYPE_CHECKING:
    from pathlib import Path

    from edge.model import Reading
    from simulated.world import World

PRODUCT, LACKING = gtin13(1), gtin13(2)


class Counter:
    """A desk with a reader; `open`: whether a clerk has the page."""

    def __init__(self, world: World) -> None:
        gateway = world.gateway
        self.world, self.open = world, True
        self.told: list[dict[str, Any]] = []
        self.cues: list[tuple[str, Outcome]] = []
        self.desk = Desk(gateway.attribution, gateway.database, self.tell, lambda *cue: self.cues.append(cue))
        parts = gateway.intake, gateway.attribution, FORMS, lambda *_: None, lambda _: None
        kept = gateway._unwritten, gateway.zones, gateway.reader
        self.reception = Reception(*parts, *kept, "desk", lambda r: world.gateway.loop.create_task(self.desk.read(r)))

    def tell(self, found: dict[str, Any]) -> bool:
        self.told.append(found)
        return self.open

    def read(self, reading: Reading) -> tuple[dict[str, Any], Outcome]:
        """Return what the page is told, and what is heard."""
        self.world.gateway.do(self.reception.emit(reading))
        at, cue = self.cues[-1]
        assert at == "desk"
        return self.told[-1], cue


@pytest.fixture
def counter(world: World) -> Counter:
    """Ann has a cart, ben has taken all consents back, nobody has the others' bands."""
    world.change("customer", "c-1", (("cart",),))
    world.change("customer", "c-2", ((),))
    for name, customer in (("ann", "c-1"), ("ben", "c-2"), ("ann's code", "c-1")):
        world.platform.change("identifier", IDENTIFIERS[name], {"type": "nfc", "customer": customer})
    world.platform.change("product", padded(PRODUCT), {"name": "milk"})
    world.broker.nudge()
    world.gateway.run_to(world.clocks.instant + 1)
    return Counter(world)


@pytest.mark.parametrize(
    ("reading", "found"),
    [
        (Tap(read_point="desk", value=BANDS["ann"]), {"kind": "shopper", "customer": "c-1"}),
        (Tap(read_point="desk", value=BANDS["ben"]), {"kind": "shopper", "customer": "c-2"}),
        (Tap(read_point="desk", value=BANDS["eve"]), {"kind": "band", "pseudonym": IDENTIFIERS["eve"]}),
        (Tap(read_point="desk", value=BANDS["some card"]), {"kind": "unknown"}),
        (Tap(read_point="desk", value=BANDS["unreadable"]), {"kind": "unknown"}),
        (Scan(read_point="desk", text=CODES["ann's code"]), {"kind": "shopper", "customer": "c-1"}),
        (Scan(read_point="desk", text=CODES["eve's code"]), {"kind": "band", "pseudonym": IDENTIFIERS["eve's code"]}),
        (Scan(read_point="desk", text=PRODUCT), {"kind": "product", "gtin": padded(PRODUCT)}),
        (Scan(read_point="desk", text=LACKING), {"kind": "missing", "gtin": padded(LACKING)}),
        (Scan(read_point="desk", text="no code"), {"kind": "unknown"}),
    ],
)
def test_what_it_may_be(counter: Counter, reading: Tap | Scan, found: dict[str, Any]) -> None:
    cue = "unknown" if found["kind"] == "unknown" else "accepted"
    assert counter.read(reading) == (found, cue)
    if isinstance(reading, Scan):
        assert counter.desk.look_up(reading) == found, "typed into the page it is the same"


def test_nothing_of_it_is_kept(counter: Counter, tmp_path: Path) -> None:
    gateway = counter.world.gateway
    before = gateway.reader.execute("SELECT max(seq) FROM row").fetchone()
    for name in ("ann", "eve"):
        counter.read(Tap(read_point="desk", value=BANDS[name]))
        counter.read(Scan(read_point="desk", text=LACKING))
    counter.world.wait(60)
    assert gateway.reader.execute("SELECT max(seq) FROM row").fetchone() == before
    assert (gateway.intake.floor, counter.reception.counts) == ({}, dict.fromkeys(counter.reception.counts, 0))
    assert found_in(tmp_path, LACKING, IDENTIFIERS["eve"]) == set()


def test_without_a_page_nothing_came_of_it(counter: Counter) -> None:
    counter.open = False
    assert counter.read(Tap(read_point="desk", value=BANDS["ann"]))[1] == "cannot"


def test_what_cannot_be_looked_up_now_ends_nothing(counter: Counter) -> None:
    path = counter.world.gateway.database.path
    path.rename(away := path.with_name("away"))
    counter.told.append({})
    assert counter.read(Tap(read_point="desk", value=BANDS["ann"])) == ({}, "cannot")
    away.rename(path)
    assert counter.read(Tap(read_point="desk", value=BANDS["ann"]))[1] == "accepted"
