"""What the page says of each part, and what of the last hour."""

from __future__ import annotations

from typing import Any

import pytest

from edge.kiosk.condition import Condition
from edge.kiosk.history import MINUTES, History

THEN, NOW = "2026-11-27T09:00:00.000Z", 1_795_770_000_000


def report(**more: Any) -> dict[str, Any]:
    """A report of a store in which all is well, with what is `more`."""
    sink = {"state": "ok", "since": THEN, "reason": "", "queued": 0, "oldest_seconds": None}
    well = {
        "trouble": None,
        "refused": None,
        "clock": {"ok": True},
        "space": {"used": 10, "capacity": 100, "hours_left": None},
        "held": 0,
        "readings": {},
        "sinks": {"cart": sink, "platform": sink},
        "line": {"up": True, "since": THEN, "reason": ""},
        "drivers": [{"driver": "nfc@till-1", "state": "ok", "since": THEN, "reason": ""}],
    }
    return {**well, **more}


def sinks(name: str, state: str) -> dict[str, Any]:
    changed = {**report()["sinks"][name], "state": state, "reason": "why", "queued": 7, "oldest_seconds": 5.0}
    return {"sinks": {**report()["sinks"], name: changed}}


def levels(more: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Name: level and state, of all that is not well."""
    devices = Condition().of(report(**more), NOW)["devices"]
    assert [device["name"] for device in devices] == ["nfc@till-1", "broker", "platform", "disk", "clock"]
    return {d["name"]: (d["level"], d["state"]) for d in devices if d["level"] != "ok"}


@pytest.mark.parametrize(
    ("more", "found", "online"),
    [
        ({}, {}, True),
        (sinks("cart", "unavailable"), {"broker": ("warn", "unavailable")}, False),
        (sinks("cart", "connecting"), {"broker": ("warn", "connecting")}, False),
        (sinks("cart", "stopped"), {"broker": ("bad", "stopped")}, True),
        (sinks("platform", "refused"), {"platform": ("bad", "refused")}, False),
        ({"line": {"up": False, "since": THEN, "reason": "cut"}}, {"platform": ("warn", "unavailable")}, False),
        ({"line": {"up": None, "since": THEN, "reason": ""}}, {}, False),
        ({"clock": {"ok": False}}, {"clock": ("warn", "unsynchronised")}, True),
        ({"space": {"used": 81, "capacity": 100, "hours_left": None}}, {"disk": ("warn", "low")}, True),
        ({"space": {"used": 10, "capacity": 100, "hours_left": 23.9}}, {"disk": ("warn", "low")}, True),
        ({"refused": "no room"}, {"disk": ("bad", "full")}, True),
        (
            {"drivers": [{"driver": "nfc@till-1", "state": "lost", "since": THEN, "reason": "gone"}]},
            {"nfc@till-1": ("bad", "lost")},
            True,
        ),
    ],
)
def test_what_is_not_well_says_so(more: dict[str, Any], found: dict[str, tuple[str, str]], online: bool) -> None:
    assert levels(more) == found
    assert Condition().of(report(**more), NOW)["online"] is online


def test_the_longer_queue_counts() -> None:
    found = Condition().of(report(**sinks("cart", "unavailable")), NOW)
    assert (found["queued"], found["oldest_seconds"]) == (7, 5.0)
    assert Condition().of(report(sinks={}, line=None), NOW)["queued"] == 0, "and a store without sinks has none"


def test_since_when_the_clock_is_wrong() -> None:
    condition = Condition()
    for now, ok, since in ((0, True, 0), (1000, True, 0), (2000, False, 2000), (3000, False, 2000), (4000, True, 4000)):
        device = condition.of(report(clock={"ok": ok}), now)["devices"][-1]
        assert device["since"] == f"1970-01-01T00:00:0{since // 1000}.000Z"


def test_the_last_hour() -> None:
    """Each minute has what was read in it; where nobody looked there is no queue. Wall clocks may jump meanwhile."""
    history = History()
    for instant, queued, taps, scans in ((30, 0, 1, 2), (110, 5, 4, 4), (119, 3, 4, 5), (300, 1, 6, 9)):
        history.look(instant, queued, {"taps": taps, "scans": scans})
    found = history.report(330.0, 1_000_050.0)
    assert len(found["minutes"]) == MINUTES
    assert found["minutes"][-2:] == [999_960, 1_000_020]
    assert found["taps"][-6:] == [1, 3, 0, 0, 0, 2]
    assert found["scans"][-6:] == [2, 3, 0, 0, 0, 4]
    assert found["queue"][-6:] == [0, 5, None, None, None, 1]
    assert set(found["queue"][:-6]) == {None}
    history.look(7300.0, 2, {"taps": 8, "scans": 9})
    later = history.report(7300.0, 1_000_000.0)
    assert (later["queue"][-1], later["taps"][-1], sum(later["scans"])) == (2, 2, 0)
