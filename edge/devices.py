"""The drivers of one store: each kept running, with its health, its cues, and what staff may ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from edge.cues import Cues
from edge.health import DriverHealth
from edge.model import Outcome, Reading
from edge.places import Places
from edge.ports import Cueing, Driver, Emit, Skipping
from edge.supervisor import supervise

Report = Callable[[DriverHealth, str, str, str], Awaitable[None]]
"""Told the read point, `device.lost` or `device.recovered`, and the reason."""


@dataclass(frozen=True, slots=True)
class Device:
    """`cues`: None where it cannot beep or light up; `again`: set when it is to be started again."""

    driver: Driver
    health: DriverHealth
    cues: Cues | None
    again: asyncio.Event = field(default_factory=asyncio.Event)


class Devices:
    """`drivers`: kind and driver of each; `everywhere`: cues of all read points; `now`: milliseconds."""

    def __init__(
        self, drivers: Iterable[tuple[str, Driver]], everywhere: Iterable[Cues], now: Callable[[], int]
    ) -> None:
        self._now = now
        self._everywhere = list(everywhere)
        self.all = [_device(f"{kind}@{driver.read_point}", driver, now()) for kind, driver in drivers]

    @property
    def read_points(self) -> list[str]:
        return [device.driver.read_point for device in self.all]

    @property
    def beeping(self) -> frozenset[str]:
        """The names of those that can beep."""
        return frozenset(device.health.driver for device in self.all if device.cues)

    def healths(self) -> list[DriverHealth]:
        """How each is now, with what it has skipped."""
        return [
            replace(device.health, skipped=device.driver.skipped)
            if isinstance(device.driver, Skipping)
            else device.health
            for device in self.all
        ]

    def start(self, group: asyncio.TaskGroup, emit: Emit, report: Report) -> None:
        """Runs them all in the group."""
        places = Places(device.driver for device in self.all)
        for number, device in enumerate(self.all):
            told = partial(report, device.health, device.driver.read_point)
            taken = _emit(emit, places, number)
            group.create_task(supervise(device.driver, device.health, taken, told, self._now, restart=device.again))
        for cues in (*self._everywhere, *(device.cues for device in self.all)):
            if cues:
                group.create_task(cues.run())

    def cue(self, read_point: str, outcome: Outcome) -> None:
        """Shows it at the read point, and where it is heard of all."""
        for cues in (*self._everywhere, *(d.cues for d in self.all if d.driver.read_point == read_point)):
            if cues:
                cues.show(outcome)

    def restart(self, name: str) -> bool:
        """Starts the driver again; false: there is none of that name, or it is done."""
        found = [device for device in self.all if device.health.driver == name and device.health.state != "done"]
        for device in found:
            device.again.set()
        return bool(found)

    def beep(self, name: str) -> bool:
        """A test beep; false: there is no such driver, or it cannot."""
        found = [device.cues for device in self.all if device.health.driver == name and device.cues]
        for cues in found:
            cues.show("accepted")
        return bool(found)


def _device(name: str, driver: Driver, now: int) -> Device:
    return Device(driver, DriverHealth(name, now), Cues(name, driver) if isinstance(driver, Cueing) else None)


def _emit(emit: Emit, places: Places, number: int) -> Emit:
    async def entering(reading: Reading) -> None:
        places.enter(number, reading)
        await emit(reading)

    return entering
