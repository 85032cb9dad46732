"""That the gateway lives, and how it is in few words: on its status topic, each minute and when that changes.

At QoS 0: one that is lost is replaced by the next, and none takes a place among the pushes in flight. It is retained,
so that whoever comes later sees the newest; one that is minutes old is of a gateway or broker in trouble.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from edge.database import DatabaseError

EVERY = 60.0
"""Seconds between two, while nothing changes."""
LOOK = 5.0
"""Seconds between two looks for a change, and so between two at least."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is asked: `states` costs nothing and changes with what people are to see; `health` is what is told."""

    states: Callable[[], object]
    health: Callable[[], Awaitable[dict[str, Any]]]


async def beat(
    pulse: Pulse, say: Callable[[dict[str, Any]], None], sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> None:
    """Says it, for ever."""
    while True:
        states = pulse.states()
        with suppress(DatabaseError, sqlite3.Error, OSError):  # nothing can be read now: that no beat comes tells of it
            say(await pulse.health())
        for _ in range(round(EVERY / LOOK)):
            await sleep(LOOK)
            if pulse.states() != states:
                break
