"""Keeps drivers running: each in its own task, started again with growing pauses, others never notice.

The one place that catches `Exception`: a driver is somebody's first file here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from edge.health import DriverHealth
from edge.journald import about
from edge.model import Reading, Ready
from edge.ports import DeviceLost, Driver, Emit

log = logging.getLogger(__name__)
_T = TypeVar("_T")

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
    restart: asyncio.Event | None = None,
) -> None:
    """Runs `driver` until it is done. `now`: milliseconds since 1970.

    When `restart` is set its device is released and the driver started again at once; it is lost only if it then fails.
    """
    pause = FIRST
    restart = restart or asyncio.Event()

    async def passing(reading: Reading) -> None:
        nonlocal pause
        if not isinstance(reading, Ready):
            await emit(reading)
            return
        pause = FIRST
        if health.state == "lost":
            reason, health.reason = health.reason, ""
            health.state, health.since = "ok", now()
            log.warning("%s: recovered", health.driver, extra=about(driver=health.driver, state="ok"))
            await report("device.recovered", reason)

    while True:
        if not await _first(running := asyncio.ensure_future(_ended(driver, health, passing)), restart):
            log.info("%s: is started again", health.driver, extra=about(driver=health.driver))
            pause = FIRST
            continue
        reason = running.result()
        if reason is None:
            health.state, health.since, health.reason = "done", now(), ""
            log.info("%s: done", health.driver, extra=about(driver=health.driver, state="done"))
            return
        if health.state != "lost":
            health.state, health.since, health.reason = "lost", now(), reason
            log.warning("%s: lost: %s", health.driver, reason, extra=about(driver=health.driver, state="lost"))
            await report("device.lost", reason)
        await _first(asyncio.ensure_future(sleep(pause)), restart)
        pause = min(pause * 2, LONGEST)


async def _first(work: asyncio.Future[_T], restart: asyncio.Event) -> bool:
    """Whether `work` ended before it was to give way to a restart. It has ended in any case."""
    asked = asyncio.ensure_future(restart.wait())
    try:
        await asyncio.wait((work, asked), return_when=asyncio.FIRST_COMPLETED)
        return work.done()
    finally:
        restart.clear()
        asked.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait((work,))


async def _ended(driver: Driver, health: DriverHealth, emit: Emit) -> str | None:
    """Runs it until it ends; why it did, None if it is done. Of a fault where it was, but not at each try again."""
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
        if health.state != "lost":
            log.exception("%s: a fault in the driver", health.driver, extra=about(driver=health.driver))
        return f"fault: {type(error).__name__}"
    return None
