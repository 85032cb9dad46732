"""Is what was `accepted` still there after a restart? Only someone who can restart the platform can tell."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import time

from edge.verify.check import Checks
from edge.verify.delivery import KNOWN, deliver
from edge.verify.feed import pull
from edge.verify.platform import plain
from edge.verify.verdict import Unseen, Wrong
from edge.verify.visit import Visit

check = Checks()

COMMAND, BACK, LOOK = 120.0, 60.0, 0.25
"""Seconds for the command, until it answers again, and between two looks."""


@check("durable", "events.again")
async def durable(visit: Visit) -> str:
    if not visit.restart:
        raise Unseen(
            "is what it accepts on the disk before it answers? Cannot be seen from outside; try with"
            ' --restart-command "docker kill -s KILL platform && docker start platform"'
        )
    last = visit.gateway.items(5)
    await deliver(visit, last)
    await _restart(visit.restart)
    await _back(visit)
    events = [*visit.sent, *last]
    for outcome in await deliver(visit, events, "duplicate for what was accepted before a restart", KNOWN):
        if outcome.status == "accepted" and not visit.forgets:
            wants = "duplicate for what was accepted before a restart, as it is kept"
            raise Wrong(wants, f"{outcome} anew: it has been lost")
    if visit.forgets:
        raise Unseen("it answers again after the restart, but says `accepted` to events it has: is it all there?")
    return f"{len(events)} events outlived the restart"


@check("durable.cursor", "durable", "feed.cursor")
async def cursor(visit: Visit) -> str:
    answer = await visit.platform.get(visit.feed, {"since": visit.cursor, "limit": "500"})
    if answer.status == 410:
        return "after the restart a cursor is answered 410: all stores pull anew"
    await pull(visit, visit.cursor)
    return "a cursor outlives the restart"


async def _restart(command: str) -> None:
    wants = "a restart command that works"
    with tempfile.TemporaryFile() as errors:  # no pipe: a platform left in the background would hold it open
        process = await asyncio.create_subprocess_shell(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(COMMAND):
                await process.wait()
        except TimeoutError:
            raise Wrong(wants, f"{plain(command)} takes more than {COMMAND:.0f} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        errors.seek(0)
        said = plain(errors.read(4096).decode(errors="replace")) or "nothing"
    if process.returncode:
        raise Wrong(wants, f"{plain(command)} ended with {process.returncode} and says: {said}")


async def _back(visit: Visit) -> None:
    end = time.monotonic() + BACK
    while True:
        try:
            answer = await visit.platform.get("/v1/capabilities")
        except Wrong as wrong:
            said = wrong.answered
        else:
            if answer.status == 200:
                return
            said = str(answer)
        if time.monotonic() > end:
            raise Wrong(f"an answer within {BACK:.0f} s after the restart", said)
        await asyncio.sleep(LOOK)
