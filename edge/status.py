"""What the running daemon says of itself, in the form that `cartwire status --json` prints."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from edge import aside, journal
from edge.database import Database
from edge.envelope import timestamp
from edge.health import DriverHealth, SinkHealth
from edge.intake import Intake
from edge.space import Space, used

_HOURS = 24.0


def report(
    database: Database,
    space: Space,
    intake: Intake,
    sinks: dict[str, tuple[SinkHealth, int]],
    drivers: list[DriverHealth],
) -> dict[str, Any]:
    """`sinks`: health and cursor by name. Times are UTC.

    `left` (bytes) and `hours_left` are until taps and scans are refused; the latter is null for the first hour.
    """
    with closing(database.reader()) as connection:
        return _report(connection, space, intake, sinks, drivers)


def _report(
    connection: sqlite3.Connection,
    space: Space,
    intake: Intake,
    sinks: dict[str, tuple[SinkHealth, int]],
    drivers: list[DriverHealth],
) -> dict[str, Any]:
    clock = intake.clock
    now = intake.journal.elapsed(clock.instant())
    left = space.left(connection) - space.reserve
    claimed = sum(len(spot.held) for spot in intake.floor.values())
    return {
        "journal": intake.journal.id,
        "seq": journal.last_seq(connection),
        "clock": {"ok": clock.ok(), "bootid": clock.boot},
        "space": {
            "used": used(space.data),
            "capacity": space.capacity,
            "left": max(0, left),
            "hours_left": _hours_left(connection, now, left),
        },
        "writer": {
            "commits": intake.commits.count,
            "seconds": round(intake.commits.seconds, 3),
            "at_work_seconds": round(intake.commits.at_work(clock.instant()), 3),
        },
        "held": journal.held_scans(connection) + claimed,
        "sinks": {name: _sink(connection, name, now, *sink) for name, sink in sinks.items()},
        "drivers": [
            {
                "driver": d.driver,
                "state": d.state,
                "since": timestamp(d.since),
                "reason": d.reason,
                "skipped": d.skipped,
            }
            for d in drivers
        ],
    }


def _sink(connection: sqlite3.Connection, name: str, now: float, health: SinkHealth, cursor: int) -> dict[str, Any]:
    queued, oldest = journal.waiting(connection, name, cursor)
    return {
        "state": health.state,
        "since": timestamp(health.since),
        "reason": health.reason,
        "queued": queued,
        "oldest_seconds": None if oldest is None else round(max(0.0, now - oldest), 1),
        "unconfirmed": journal.unconfirmed(connection, cursor) if name == "cart" else 0,
        "rejected": aside.count(connection, name),
    }


def _hours_left(connection: sqlite3.Connection, now: float, room: float) -> float | None:
    """Hours until `room` bytes are used up at the last day's rate."""
    written, seconds = journal.rate(connection, now, _HOURS * 3600)
    if seconds < 3600 or not written:
        return None
    return round(max(0.0, room) / (written / seconds) / 3600, 1)
