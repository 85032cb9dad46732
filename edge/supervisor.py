"""Keeps drivers running: each in its own task, started again with growing pauses, others never notice.

The one place that catches `Exception`: a driver is somebody's first file here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edge.health import DriverHealth
from edge.model import Reading, Ready
from edge.ports import DeviceLost, Driver, Emit

log = logging.getLogger(__name__)

FIRST, LONGEST = 0.5, 5.0
"""Seconds of the first and of the longest pause before a driver is started again."""

Report = Callable[[str, str], Awaitable[None]]
"""Told `device.lost` or `device.recovered` and the reason, once each time."""


async def supervise(
    driver: Driver,
    health: DriverHealth,
    emit: Emit,
    report: Report,
    now: Callable[[], int],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Runs `driver` until it is done. `now`: milliseconds since 1970."""
    pause = FIRST

    async def passing(reading: Reading) -> None:
        nonlocal pause
        if not isinstance(reading, Ready):
            await emit(reading)
            return
        pause = FIRST
        if health.state == "lost":
            reason, health.reason = health.reason, ""
            health.state, health.since = "ok", now()
            log.warning("%s: recovered", health.driver)
            await report("device.recovered", reason)

    while True:
        reason = await _ended(driver, health.driver, passing)
        if reason is None:
            health.state, health.since, health.reason = "done", now(), ""
            log.info("%s: done", health.driver)
            return
        if health.state != "lost":
            health.state, health.since, health.reason = "lost", now(), reason
            log.warning("%s: lost: %s", health.driver, reason)
            await report("device.lost", reason)
        await sleep(pause)
        pause = min(pause * 2, LONGEST)


async def _ended(driver: Driver, name: str, emit: Emit) -> str | None:
    """Runs it until it ends; why it did, None if it is done."""
    try:
        await driver.run(emit)
    except DeviceLost as error:
        return str(error)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task and task.cancelling():
            raise
        return "fault: what it waited for was cancelled"
    except Exception as error:  # a driver is somebody's first file here
        log.exception("%s: a fault in the driver", name)
        return f"fault: {type(error).__name__}"
    return None
