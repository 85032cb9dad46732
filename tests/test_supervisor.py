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
