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

GIVEN = {"cart.item_added": "added", "gift": "gift"}
FIGURES = ("lost", "doubled", "wrong cart")


class Judge:
    """Raises at anything that is not as agreed, the three figures first."""

    def __init__(self, model: Model, witness: Witness, broker: Broker, platform: Platform) -> None:
        self._model, self._witness, self._broker, self._platform = model, witness, broker, platform
        self._pushes: list[tuple[str, object]] = []

    def pushed(self, event: dict[str, Any], cart: str, properties: Any) -> None:
        """A push leaves the gateway: who consents now, and how old is it?"""
        scan = self._model.items.get(self._witness.keys.get(event["id"], ("", "")))
        if scan is None:
            self._pushes.append(("wrong cart", f"{event} was pushed before its commit"))
            return
        if scan.removed:
            self._pushes.append(("other", f"{scan} was pushed after its removal"))
        left = MAX_AGE - self._model.age(scan.since)
        if cart != scan.cart or scan.stopped or not self._model.consents(scan.customer):
            self._pushes.append(("wrong cart", f"{scan} was pushed to {cart}"))
        if not 0 < properties.MessageExpiryInterval <= left + 1:
            self._pushes.append(("other", f"{scan} was pushed with {left:.0f} s left, {properties}"))

    def confirmed(self, id: str) -> None:
        """The broker may forget an app's ack: only when its confirmation is on the disk."""
        scan = self._model.items[self._witness.keys[id]]
        if (
            not scan.stopped
            and not scan.removed
            and self._model.age(scan.since) < MAX_AGE
            and id not in self._witness.confirmed
        ):
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
            scan = model.items.get((GIVEN[event[0]], event[3])) if event[0] in GIVEN else None
            astray = event[0] in GIVEN and (scan is None or (scan.customer, scan.cart) != event[4:6])
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
        arrived = {self._witness.keys[id]: id for id in self._broker.stored}
        wanted = {key: item for key, item in self._model.items.items() if not item.stopped and not item.removed}
        young = {key: item for key, item in wanted.items() if self._model.age(item.since) < MAX_AGE}
        lost: list[object] = [young[key] for key in young if arrived.get(key) not in self._witness.confirmed]
        told = [id for id in self._witness.bodies if id not in self._platform.refused]
        lost += [id for id in told if id not in self._platform.events]
        lost += [("an intent", intent) for intent in self._model.intents.values()]
        _insist([("lost", ("never arrived", what)) for what in lost])
        events = [id for id in self._platform.events if id not in self._platform.refused]
        assert events == told, "the platform has another order"


def _insist(wrong: list[tuple[str, Any]]) -> None:
    figures = " · ".join(f"{name} {sum(figure == name for figure, _ in wrong)}" for name in FIGURES)
    assert not wrong, "\n".join([figures, *(f"{figure}: {what}" for figure, what in wrong)])
