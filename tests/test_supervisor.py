"""Drivers are kept running, whatever they do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from edge.health import DriverHealth
from edge.model import Ready
from edge.ports import DeviceLost
from edge.supervisor import supervise

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.model import Reading
    from edge.ports import Emit


@dataclass
class Failing:
    """Fails once, then has its device, then is done."""

    error: BaseException
    read_point: str = "till-1"
    runs: list[None] = field(default_factory=list)

    async def run(self, emit: Emit) -> None:
        self.runs.append(None)
        if len(self.runs) == 1:
            raise self.error
        await emit(Ready(read_point=self.read_point))


@pytest.mark.parametrize("error", [DeviceLost("gone"), ValueError("a fault"), asyncio.CancelledError()], ids=repr)
async def test_a_driver_that_ends_is_started_again(error: BaseException) -> None:
    """Also if it was only what it waited for that somebody cancelled."""
    told: list[str] = []

    async def report(kind: str, _: str) -> None:
        told.append(kind)

    async def nothing(_: Reading | float) -> None:
        return

    driver, health = Failing(error), DriverHealth("kind@till-1", 0)
    await supervise(driver, health, nothing, report, lambda: 0, nothing)
    assert (told, health.state, len(driver.runs)) == (["device.lost", "device.recovered"], "done", 2)


@dataclass
class Plugged:
    """Has its device until it is cancelled, as long as it is `there`."""

    read_point: str = "till-1"
    there: bool = True
    open: bool = False
    runs: int = 0

    async def run(self, emit: Emit) -> None:
        assert not self.open, "the device is still taken"
        if not self.there:
            raise DeviceLost("gone")
        self.open, self.runs = True, self.runs + 1
        try:
            await emit(Ready(read_point=self.read_point))
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.open = False


async def turns(condition: Callable[[], object]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError(condition)


async def test_a_driver_is_started_again_when_staff_ask() -> None:
    """At once, with its device released; it is lost only if it does not come back, and no pause is waited for then."""
    told: list[str] = []

    async def report(kind: str, _: str) -> None:
        told.append(kind)

    async def emit(_: Reading) -> None:
        return

    async def for_ever(_: float) -> None:
        await asyncio.Event().wait()

    driver, health, restart = Plugged(), DriverHealth("kind@till-1", 0), asyncio.Event()
    task = asyncio.create_task(supervise(driver, health, emit, report, lambda: 7, for_ever, restart))
    for runs in (1, 2, 3):
        await turns(lambda runs=runs: driver.open and driver.runs == runs)  # type: ignore[misc]
        assert (told, health.state, health.since) == ([], "ok", 0)
        restart.set()
    await turns(lambda: driver.runs == 4)
    driver.there = False
    restart.set()
    await turns(lambda: health.state == "lost")
    assert (told, health.since, driver.open) == (["device.lost"], 7, False)
    driver.there = True
    restart.set()
    await turns(lambda: health.state == "ok")
    assert (told, driver.runs) == (["device.lost", "device.recovered"], 5)
    task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled()
    assert not driver.open
