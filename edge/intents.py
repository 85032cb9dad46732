"""What staff want and may still take back: it waits ten seconds in the database, then it is done, also after a restart.

It is looked at when it is asked for and again when it falls due; what cannot be done by then is not done.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import msgspec

from edge import staff as staffs
from edge.batch import Batch
from edge.database import Database
from edge.identity import uuid7
from edge.intake import Intake
from edge.model import Row
from edge.staff import Refused

log = logging.getLogger(__name__)

WAIT = 10.0
"""Seconds in which it can be taken back."""
_TURNS = 20
"""Of the loop, before it is done: who took it back while the loop stood still is heard in three or four."""
_SHOWN = ("customer", "gtin", "name")
_ORIGIN = "(SELECT origin FROM boot ORDER BY n DESC LIMIT 1)"
"""Of this boot, see `edge.journal.Boot`, also in the commit in which the clock becomes right and it moves."""


@dataclass(frozen=True, slots=True)
class Intent:
    """`left`: seconds until it is done. `arguments`: of the action, and what a page shows of it besides."""

    id: str
    action: str
    staff: str
    left: float
    arguments: Mapping[str, Any]

    def shown(self) -> dict[str, Any]:
        """As the page's OpenAPI has it."""
        about = {name: self.arguments[name] for name in _SHOWN if name in self.arguments}
        return {"id": self.id, "action": self.action, "staff": self.staff, "left_seconds": round(self.left, 3), **about}


@dataclass(frozen=True, slots=True)
class _Action:
    """`takes`: names of its arguments; `look` raises Refused or says what is shown; `do` takes the staff's name too.

    `lapses`: seconds after it was due from which it is not what was wanted any more.
    """

    takes: tuple[str, ...]
    look: Callable[..., dict[str, Any]]
    do: Callable[..., None]
    lapses: float = inf


_ACTIONS = {
    "remove": _Action(("seq", "id"), staffs.removable, staffs.remove),
    "unbind": _Action(("customer", "pseudonym"), staffs.unbindable, staffs.unbind),
    "erase": _Action(("customer",), staffs.erasable, staffs.erase),
    "close": _Action((), lambda _: {}, staffs.close, lapses=60.0),  # else it might end the next day's sessions
    "drop": _Action(("ids",), staffs.droppable, staffs.drop),
    "dismiss": _Action(("name",), staffs.dismissable, staffs.dismiss),
}


def put(batch: Batch, action: str, arguments: Mapping[str, Any], staff: str) -> Intent:
    """Does the action with these arguments in WAIT seconds; one that waits already is the same. Raises Refused."""
    asked = {**arguments, **_ACTIONS[action].look(batch.connection, **arguments)}
    now = batch.now.instant
    for intent in pending(batch.connection, now):
        if (intent.action, intent.arguments) == (action, asked):
            return intent
    id = uuid7()
    values = (id, now + WAIT, action, staff, msgspec.json.encode(asked))
    batch.connection.execute(f"INSERT INTO intent VALUES (?, {_ORIGIN} + ?, ?, ?, ?)", values)
    return Intent(id, action, staff, WAIT, asked)


def take_back(batch: Batch, id: str, staff: str) -> bool:
    """It is not done; false if it was done already. Raises Refused: forbidden, to whoever others dismiss by it."""
    others = [each for each in pending(batch.connection, 0.0) if each.id == id and each.staff != staff]
    if ("dismiss", {"name": staff}) in [(each.action, each.arguments) for each in others]:
        raise Refused("forbidden")
    intent = _taken(batch, id)
    if intent:
        about = {"customer": intent.arguments["customer"]} if "customer" in intent.arguments else {}
        staffs.note(batch, staff, "take_back", what=intent.action, **about)
    return intent is not None


def pending(connection: sqlite3.Connection, now: float) -> list[Intent]:
    """What waits, the next first; `now` on this boot's CLOCK_BOOTTIME."""
    found = connection.execute(
        f"SELECT id, action, staff, due - {_ORIGIN} - ?, arguments FROM intent ORDER BY due, id", (now,)
    )
    return [_intent(row) for row in found]


class Intents:
    """Does what is due. `changed` are told when something comes, is taken back, or is done."""

    def __init__(self, database: Database, intake: Intake) -> None:
        self.changed: list[Callable[[], None]] = []
        self._database = database
        self._intake = intake
        self._committed = asyncio.Event()
        intake.committed.append(self._look)

    def pending(self, connection: sqlite3.Connection) -> list[Intent]:
        """What waits now, the next first."""
        return pending(connection, self._intake.clock.instant())

    async def run(self) -> None:
        """For ever. What the disk does not take is tried again until it does."""
        reader = self._database.reader()
        known: list[str] = []
        try:
            while True:
                self._committed.clear()
                waiting = self.pending(reader)
                if (ids := [intent.id for intent in waiting]) != known:
                    known = ids
                    for tell in self.changed:
                        tell()
                if waiting and waiting[0].left <= 0:
                    for _ in range(_TURNS):
                        await asyncio.sleep(0)
                    await self._finish(waiting[0])
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(waiting[0].left if waiting else None):
                        await self._committed.wait()
        finally:
            reader.close()

    async def _finish(self, intent: Intent) -> None:
        """One with a fault is given up: it is not to keep those after it waiting."""
        if not await self._intake.insist(partial(_do, id=intent.id)):
            log.error("staff: %s is given up, there is a fault in it", intent.action)
            await self._intake.insist(partial(_give_up, id=intent.id))

    def _look(self, _: list[Row]) -> None:
        self._committed.set()


def _do(batch: Batch, id: str) -> None:
    """With the end of the waiting, so that it is done once."""
    intent = _taken(batch, id)
    if intent is None:
        return
    action = _ACTIONS[intent.action]
    if -intent.left > action.lapses:
        log.warning("staff: %s is not done: it is too late for it", intent.action)
        return
    try:
        action.do(batch, **{name: intent.arguments[name] for name in action.takes}, staff=intent.staff)
    except Refused as refused:
        log.warning("staff: %s is not done after all: %s", intent.action, refused.code)


def _give_up(batch: Batch, id: str) -> None:
    _taken(batch, id)


def _taken(batch: Batch, id: str) -> Intent | None:
    """It waits no more."""
    found = batch.connection.execute(
        f"DELETE FROM intent WHERE id = ? RETURNING id, action, staff, due - {_ORIGIN} - ?, arguments",
        (id, batch.now.instant),
    ).fetchall()
    return _intent(found[0]) if found else None


def _intent(found: tuple[str, str, str, float, bytes]) -> Intent:
    id, action, staff, left, arguments = found
    return Intent(id, action, staff, left, msgspec.json.decode(arguments))
