"""Sightings of beacons: folded in memory as they come; only a change of place goes through the intake.

    Sighting ─► owner, if there is consent ─► presence.hear ─► presence.where ─► a change ─► one batch ─► the new stays

What is heard is never on the disk, and of a beacon that is nobody's, or whose owner does not consent, nothing is kept
anywhere, not even a count. Where a customer is stands in `Intake.stays` and in the table `present`, which change with
the commit of the rows alone. So a restart of the daemon goes on with the stays there are, silence counting from the
start, and after a reboot they end as of the last commit before it. A stay whose customer is deleted or takes the
consent back ends without an event. Where the store is full a change is refused, and is due again after CALM.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from math import inf

from edge import directory, presence
from edge.batch import Batch
from edge.database import Full
from edge.intake import Intake
from edge.model import Customer, Moment, Row, Sighting
from edge.presence import CALM, LEFT, Rules, Signal, Stay, Track

CONSENT = "presence"
TICK = 1.0
"""Seconds between two looks for stays that end by themselves."""
MOST = 50
"""Changes in one piece of work, so that no tap waits long for them."""
_WEAKEST, _STRONGEST = -126, 20
"""dBm a radio can say; 127 and -127 are words for unknown."""


@dataclass(frozen=True, slots=True)
class Change:
    """A customer is to be somewhere else, or nowhere."""

    customer: str
    stay: Stay | None
    to: str | None
    moment: Moment


class Zones:
    """`owner`: whose a pseudonym is, as the cache has it; `lately`: rows of the last CALM seconds before the start.

    `heard` are told of each beacon whose owner consents.
    """

    def __init__(
        self, intake: Intake, rules: Rules, owner: Callable[[str], Customer | None], lately: Iterable[Row] = ()
    ) -> None:
        self.heard: list[Callable[[Sighting, Moment], None]] = []
        self._intake = intake
        self._rules = rules
        self._owner = owner
        now = intake.clock.now()
        left = [row for row in lately if row.kind == LEFT and row.moment.boot == now.boot]
        self._tracks = {row.data["customer"]: Track(row.moment.instant) for row in left}
        self._tracks |= {who: _taken_up(stay, now.instant, rules) for who, stay in intake.stays.items()}
        self._waiting: dict[str, Change] = {}
        self._stirred = asyncio.Event()
        self._written = asyncio.Event()

    async def see(self, sighting: Sighting, moment: Moment) -> None:
        """Takes a sighting under its pseudonym; waits for nothing, but where time is a recording's for the commit."""
        owner = self._owner(sighting.pseudonym) if sighting.pseudonym else None
        if owner is None or CONSENT not in owner.consents or not _WEAKEST <= sighting.rssi <= _STRONGEST:
            return
        for tell in self.heard:
            tell(sighting, moment)
        if (track := self._tracks.get(owner.id)) is None:
            track = Track(-inf)
            self._stirred.set()  # somebody to look after
        now = max(moment.instant, track.latest)
        self._look(owner.id, replace(moment, instant=now))
        stay, at = self._intake.stays.get(owner.id), sighting.read_point
        self._tracks[owner.id] = presence.hear(track, stay, at, sighting.rssi, now, self._rules)
        self._look(owner.id, replace(moment, instant=now))
        if at in self._intake.own_time:
            await self._all_written()

    async def lapse(self, read_point: str, moment: Moment) -> None:
        """A recording says that time went by at its read point: inf for its end, when all it said is forgotten."""
        await self._all_written()
        there = [customer for customer, track in self._tracks.items() if read_point in track.signals]
        for customer in there:
            if (stay := self._intake.stays.get(customer)) and stay.read_point == read_point:
                self._look(customer, moment)
        await self._all_written()
        for customer in there if moment.instant == inf else ():
            self._tracks.pop(customer, None)
            if stay := self._intake.stays.get(customer):
                self._tracks[customer] = _taken_up(stay, self._intake.clock.instant(), self._rules)

    async def run(self) -> None:
        """Writes changes, and looks for what is due, until cancelled."""
        while True:
            self._stirred.clear()
            if not self._waiting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK if self._tracks else None):
                        await self._stirred.wait()
                self._tick()
            if self._waiting:
                await self._write(list(islice(self._waiting.values(), MOST)))

    def _tick(self) -> None:
        """What is due falls; of whom nothing is heard any more nothing is kept."""
        now, own_time = self._intake.clock.now(), self._intake.own_time
        for customer, track in list(self._tracks.items()):
            if own_time and not own_time.isdisjoint(track.signals):
                continue
            if customer in self._intake.stays:
                self._look(customer, now)
            elif customer not in self._waiting and now.instant - track.latest >= max(self._rules.silent, CALM):
                del self._tracks[customer]

    def _look(self, customer: str, moment: Moment) -> None:
        """Notes a change, if there is one at `moment`. A stay that ended by itself did so when it was due."""
        track, stay = self._tracks.get(customer), self._intake.stays.get(customer)
        if track is None or customer in self._waiting:
            return
        to = presence.where(track, stay, moment.instant, self._rules)
        if to == (stay.read_point if stay else None):
            return
        if stay and to is None:
            due = presence.due(track, stay, self._rules)
            recorded = stay.read_point in self._intake.own_time  # its instants say nothing of the time
            passed = 0 if recorded else round((moment.instant - due) * 1000)
            moment = replace(moment, instant=due, time=moment.time - passed)
        self._waiting[customer] = Change(customer, stay, to, moment)
        self._written.clear()
        self._stirred.set()

    async def _write(self, changes: list[Change]) -> None:
        """In one commit; what was refused is due again later."""
        read_points = {change.to for change in changes} | {change.stay.read_point for change in changes if change.stay}
        recorded = not self._intake.own_time.isdisjoint(read_points)
        with suppress(Full):
            patient = not recorded and len(changes) < MOST
            await (await self._intake.submit(partial(_write, changes=changes), small=True, patient=patient))
        for change in changes:
            del self._waiting[change.customer]
            if track := self._tracks.get(change.customer):
                self._tracks[change.customer] = presence.settled(track, change.moment.instant)
        if not self._waiting:
            self._written.set()

    async def _all_written(self) -> None:
        if self._waiting:
            await self._written.wait()


def _write(batch: Batch, changes: list[Change]) -> None:
    """The rows of those that are still so and whose customers consent."""
    for change in changes:
        customer = directory.customer(batch.connection, change.customer)
        if customer is None or CONSENT not in customer.consents:
            batch.forget(change.customer)
        elif batch.room and batch.stays.get(change.customer) == change.stay:
            batch.write(presence.rows(change.customer, change.stay, change.to, change.moment))


def _taken_up(stay: Stay, now: float, rules: Rules) -> Track:
    """At the start a stay goes on as if it had just been heard; one of an earlier boot was over when this one began."""
    heard = now if stay.since > 0 else -rules.silent
    return Track(min(stay.since, now), {stay.read_point: Signal(heard)})
