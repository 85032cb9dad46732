"""What a visitor of the demo's page may do: be a shopper, play the day, cut things and mend them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from edge.demo.hands import DOOR, Hands
from edge.demo.scene import READ_POINTS, Scene
from edge.demo.store import DARK, Store

_ReadPoint = Literal["table-1", "fitting-room", "till-1"]


class Impossible(Exception):
    """What cannot be done; the text says why."""


class Tap(Struct, tag="tap", tag_field="do"):
    read_point: _ReadPoint
    customer: str


class Stranger(Struct, tag="stranger", tag_field="do"):
    """Holds a card to the reader where the customer stands."""

    customer: str


class Scan(Struct, tag="scan", tag_field="do"):
    """Where the customer stands: the visitor's picture of that may be old."""

    customer: str
    text: Annotated[str, Meta(pattern=r"^[0-9]{8,14}\Z")]
    symbology: Literal["EAN13", "EAN8", "UPCA"] = "EAN13"


class Walk(Struct, tag="walk", tag_field="do"):
    customer: str


class Day(Struct, tag="day", tag_field="do"):
    on: bool


class Switch(Struct, tag="switch", tag_field="do"):
    """`on`: all is well there."""

    name: Literal["internet", "broker", "power", "disk"]
    on: bool


class Consent(Struct, tag="consent", tag_field="do"):
    customer: str
    on: bool


Act = Tap | Stranger | Scan | Walk | Day | Switch | Consent


class Answer(Struct):
    """`at`: where it was held to a reader, if it was; `read`: whether somebody reads there."""

    at: str | None = None
    read: bool = False


@dataclass(slots=True)
class Acts:
    """`customers`: the feed's change of each that has a phone here."""

    store: Store
    hands: Hands
    scene: Scene
    customers: dict[str, dict[str, Any]]
    on: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(("internet", "broker", "power", "disk"), True))
    consent: dict[str, bool] = field(default_factory=dict)
    _mending: asyncio.Task[None] | None = None
    _power: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Whoever presses three times at once starts one gateway."""

    def shown(self) -> dict[str, Any]:
        """For the page."""
        place = {customer: self.hands.place.get(customer, DOOR) for customer in self.customers}
        shown = {"on": self.on, "day": self.hands.playing, "place": place, "inside": sorted(self.hands.inside)}
        return shown | {"consent": {customer: self.consent.get(customer, True) for customer in self.customers}}

    async def do(self, act: Act) -> Answer:
        """Raises Impossible."""
        if (customer := getattr(act, "customer", None)) not in (None, *self.customers):
            raise Impossible(f"there is no customer {customer!r} here")
        answer = Answer()
        match act:
            case Day():
                self.hands.switch_day(on=act.on)
            case Consent():
                await self._tell_consent(act)
            case Switch():
                await self._switch(act)
            case _:
                answer = self._shop(act)
        self.scene.changed()
        return answer

    def _shop(self, act: Tap | Stranger | Scan | Walk) -> Answer:
        """What a shopper does; then the day plays no more."""
        place = self.hands.place.get(act.customer)
        if isinstance(act, Scan) and not place:
            return Answer()
        self.hands.switch_day(on=False)
        match act:
            case Tap():
                return Answer(act.read_point, self.hands.tap(act.read_point, act.customer))
            case Stranger():
                at = place or READ_POINTS[0]
                return Answer(at, self.hands.tap(at, None))
            case Scan():
                assert place
                return Answer(place, self.hands.scan(place, act.text, act.symbology))
            case Walk():
                self.hands.walk(act.customer)
                return Answer(DOOR, read=True)

    async def _tell_consent(self, act: Consent) -> None:
        at, change = time.time(), self.customers[act.customer]
        if not act.on:
            self.scene.judge.withdrew(at, act.customer)
        consents = change["value"]["consents"] if act.on else []
        await self.store.tell([{**change, "value": {**change["value"], "consents": consents}}])
        self.consent[act.customer] = act.on
        if act.on:
            self.scene.judge.consented(at, act.customer)

    async def _switch(self, act: Switch) -> None:
        self.on[act.name] = act.on
        match act.name:
            case "internet":
                self.store.lines["platform"].switch(on=act.on)
            case "broker":
                self.store.lines["broker"].switch(on=act.on)
            case "disk":
                self.store.fill(full=not act.on)
            case "power":
                if self._mending:
                    self._mending.cancel()
                    self._mending = None
                async with self._power:
                    if act.on:
                        return await self.store.restore_power()
                    await self.store.cut_power()
                    self.scene.judge.power_cut(time.time())
                    self.scene.answered(None, "", time.time())  # what it last said of itself is not so any more
                    self._mending = asyncio.create_task(self._mend())
        return None

    async def _mend(self) -> None:
        await asyncio.sleep(DARK)
        async with self._power:
            await self.store.restore_power()
        self.on["power"] = True
        self.scene.changed()

    def doubtful(self) -> bool:
        """Whether the gateway may refuse a tap now, for want of room or of a consent."""
        return not self.on["disk"] or bool(self.scene.trouble) or not all(self.consent.values())
