"""Compares what is written and was sent with what must have come out: lost, doubled, in the wrong cart."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from model import Model
from simulated.broker import Broker
from simulated.platform import Platform
from simulated.process import MAX_AGE
from simulated.witness import SCANS, Witness

FIGURES = ("lost", "doubled", "wrong cart")


class Judge:
    """Raises at anything that is not as agreed, the three figures first."""

    def __init__(self, model: Model, witness: Witness, broker: Broker, platform: Platform) -> None:
        self._model, self._witness, self._broker, self._platform = model, witness, broker, platform
        self._pushes: list[tuple[str, object]] = []

    def pushed(self, event: dict[str, Any], cart: str, properties: Any) -> None:
        """A push leaves the gateway: who consents now, and how old is it?"""
        scan = self._model.scans.get(event["data"]["gtin"])
        if scan is None:
            self._pushes.append(("wrong cart", f"{event} was pushed before its commit"))
            return
        left = MAX_AGE - self._model.age(scan.since)
        if cart != scan.cart or scan.stopped or not self._model.consents(scan.customer):
            self._pushes.append(("wrong cart", f"{scan} was pushed to {cart}"))
        if not 0 < properties.MessageExpiryInterval <= left + 1:
            self._pushes.append(("other", f"{scan} was pushed with {left:.0f} s left, {properties}"))

    def confirmed(self, id: str) -> None:
        """The broker may forget an app's ack: only when its confirmation is on the disk."""
        scan = self._model.scans[json.loads(self._broker.stored[id])["data"]["gtin"]]
        if not scan.stopped and self._model.age(scan.since) < MAX_AGE and id not in self._witness.confirmed:
            self._pushes.append(("other", f"the ack of {id} is taken, and not kept"))

    def compare(self, held: int) -> None:
        """At any time; `held` scans are on the disk."""
        model, witness, broker, platform = self._model, self._witness, self._broker, self._platform
        wrong = [*self._pushes, *(("other", problem) for problem in (*witness.problems, *platform.problems))]
        expected = model.events
        for event in expected - witness.told:
            lost = event[0] in SCANS and not witness.effects[event[3]]
            wrong.append(("lost" if lost else "other", ("is missing", event)))
        for event in witness.told - expected:
            scan = model.scans.get(event[3]) if event[0] == "cart.item_added" else None
            astray = scan and (scan.customer, scan.cart) != event[4:6]
            wrong.append(("wrong cart" if astray else "other", ("should not be", event)))
        if held != (rightly := len(model.of("held") + model.of("waiting"))):
            wrong.append(("lost" if held < rightly else "other", f"{held} held, not {rightly}"))
        more = [*witness.effects.items(), *witness.confirmed.items(), *((g, len(i)) for g, i in witness.ids.items())]
        wrong += [("doubled", found) for found in more if found[1] > 1]
        carts: defaultdict[str, list[int]] = defaultdict(list)
        for event in map(json.loads, broker.stored.values()):
            carts[event["data"]["cart"]].append(event["seq"])
        wrong += [("other", ("order", c)) for c in carts.items() if c[1] != sorted(c[1]) and not broker.forgot]
        arrived = [*broker.stored.items(), *platform.events.items()]
        wrong += [("other", ("other bytes", id, body)) for id, body in arrived if witness.bodies.get(id) != body]
        _insist(wrong)

    def last(self) -> None:
        """At the end: what can arrive has arrived, and is confirmed."""
        arrived = {json.loads(body)["data"]["gtin"]: id for id, body in self._broker.stored.items()}
        young = [s for s in self._model.of("added", stopped=False) if self._model.age(s.since) < MAX_AGE]
        lost: list[object] = [scan for scan in young if arrived.get(scan.gtin) not in self._witness.confirmed]
        lost += [id for id in self._witness.bodies if id not in self._platform.events]
        _insist([("lost", ("never arrived", what)) for what in lost])
        assert [*self._platform.events] == [*self._witness.bodies], "the platform has another order"


def _insist(wrong: list[tuple[str, Any]]) -> None:
    figures = " · ".join(f"{name} {sum(figure == name for figure, _ in wrong)}" for name in FIGURES)
    assert not wrong, "\n".join([figures, *(f"{figure}: {what}" for figure, what in wrong)])
