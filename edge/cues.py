"""What a shopper hears or sees at one device: the newest cue wins, and whatever goes wrong with one harms nothing.

Of those that come before the loop gets round to play one, as after a slow commit, the worst wins: nobody is told that
all is well while it is not.
"""

from __future__ import annotations

import asyncio
import logging

from edge.floor import EMPTY, Floor
from edge.model import Outcome, Row
from edge.ports import Cueing

log = logging.getLogger(__name__)

LONGEST = 3.0
"""Seconds that a cue may take."""
_GRAVITY: dict[Outcome, int] = {"accepted": 0, "saved": 0, "unknown": 1, "cannot": 2}
"""What was saved may be accepted since."""


class Cues:
    """Shows cues one after the other while `run` runs; a newer one ends the one before."""

    def __init__(self, name: str, device: Cueing) -> None:
        self._name = name
        self._device = device
        self._newest: Outcome = "cannot"
        self._stirred = asyncio.Event()

    def show(self, outcome: Outcome) -> None:
        if self._stirred.is_set() and _GRAVITY[outcome] < _GRAVITY[self._newest]:
            return
        self._newest = outcome
        self._stirred.set()

    async def run(self) -> None:
        """Logs transitions only."""
        fine = True
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            trouble = await self._played(self._newest)
            if fine and trouble:
                log.warning("%s: a cue failed: %s", self._name, trouble)
            fine = not trouble

    async def _played(self, outcome: Outcome) -> str:
        """Why it failed, if it did."""
        playing = asyncio.create_task(self._play(outcome))
        newer = asyncio.create_task(self._stirred.wait())
        try:
            done, _ = await asyncio.wait((playing, newer), timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
        finally:
            newer.cancel()
            playing.cancel()
        await asyncio.wait((playing,))
        if playing.cancelled():
            return "" if done else f"it did not end within {LONGEST:.0f} s"
        return playing.result()

    async def _play(self, outcome: Outcome) -> str:
        try:
            await self._device.cue(outcome)
        except Exception as error:  # whoever wrote it, a failing cue harms nothing
            return str(error) or type(error).__name__
        return ""


def late_cue(row: Row, floor: Floor) -> Outcome | None:
    """What a row says to those whose scan was only saved: that nobody claimed it, or that they are known now."""
    if row.kind == "scan.unclaimed" and row.live:
        return "unknown"
    if row.kind == "customer.resolved":
        session = floor.get(row.data["read_point"], EMPTY).session
        return "accepted" if session and session.id == row.data["session"] else None
    return None
