"""How all parts are, as the page shows them: from what `cartwire status --json` prints."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

from edge.envelope import timestamp

Level = Literal["ok", "warn", "bad"]

LITTLE = 0.2
"""Share of the capacity that is left when the disk is to be looked after."""
SOON = 24.0
"""Hours until it is full, likewise."""
_AWAY = ("connecting", "unavailable", "refused")
_LEVELS: dict[str, Level] = {"ok": "ok", "done": "ok", "connecting": "warn", "unavailable": "warn"}


@dataclass(slots=True)
class Condition:
    """Remembers since when disk and clock are as they are. `beeping`: the drivers whose device can beep."""

    beeping: Collection[str] = ()
    _since: dict[str, tuple[str, str]] = field(default_factory=dict)

    def of(self, report: dict[str, Any], now: int) -> dict[str, Any]:
        """The OpenAPI document's `Status`. `now`: milliseconds since 1970."""
        sinks, line = report["sinks"], report.get("line")
        longest = max(sinks.values(), key=lambda sink: sink["queued"], default={"queued": 0, "oldest_seconds": None})
        away = [sink for sink in sinks.values() if sink["state"] in _AWAY]
        devices = [self._driver(driver) for driver in report["drivers"]]
        if "cart" in sinks:
            devices.append(_server("broker", sinks["cart"]))
        if "platform" in sinks:
            devices.append(_server("platform", sinks["platform"], line))
        return {
            "online": not away and (line is None or line["up"] is True),
            "queued": longest["queued"],
            "oldest_seconds": longest["oldest_seconds"],
            **{key: report[key] for key in ("trouble", "clock", "space", "held", "sinks", "readings")},
            "devices": [*devices, self._disk(report, now), self._clock(report["clock"], now)],
        }

    def _driver(self, driver: dict[str, Any]) -> dict[str, Any]:
        name, state = driver["driver"], driver["state"]
        can = {"can_beep": name in self.beeping, "can_restart": state != "done"}
        return {**_device(name, "driver", state, driver["since"], driver["reason"]), **can}

    def _disk(self, report: dict[str, Any], now: int) -> dict[str, Any]:
        space, refused = report["space"], report["refused"]
        hours, left = space["hours_left"], 1 - space["used"] / space["capacity"]
        little = left < LITTLE or (hours is not None and hours < SOON)
        state = "full" if refused else "low" if little else "ok"
        level: Level = "bad" if refused else "warn" if little else "ok"
        return _device("disk", "disk", state, self._at("disk", state, now), refused or "", level)

    def _clock(self, clock: dict[str, Any], now: int) -> dict[str, Any]:
        state = "ok" if clock["ok"] else "unsynchronised"
        return _device("clock", "clock", state, self._at("clock", state, now), "", "ok" if clock["ok"] else "warn")

    def _at(self, what: str, state: str, now: int) -> str:
        """Since when it has been seen in that state."""
        if self._since.get(what, ("", ""))[0] != state:
            self._since[what] = state, timestamp(now)
        return self._since[what][1]


def in_short(condition: dict[str, Any]) -> dict[str, Any]:
    """For those far away: whether all is well, and if not, what is in which state; nothing about anybody.

    That the broker is not reached would be told over the broker, so that stands in no list.
    """
    troubles = [
        f"{device['name']}:{device['state']}"
        for device in condition["devices"]
        if device["level"] == "bad" or (device["level"] == "warn" and device["kind"] != "broker")
    ]
    troubles += ["gateway:refuses"] if condition["trouble"] else []
    health = "trouble" if troubles else "ok"
    return {"health": health, "trouble": sorted(troubles), "queued": condition["queued"], "held": condition["held"]}


def _server(name: str, sink: dict[str, Any], line: dict[str, Any] | None = None) -> dict[str, Any]:
    """Broker or platform; where the sink has not noticed yet that the line is cut, the line says so."""
    if line and line["up"] is False and sink["state"] in ("ok", "connecting", "unavailable"):
        return _device(name, name, "unavailable", line["since"], line["reason"])
    return _device(name, name, sink["state"], sink["since"], sink["reason"])


def _device(name: str, kind: str, state: str, since: str, reason: str, level: Level | None = None) -> dict[str, Any]:
    known = {"name": name, "kind": kind, "level": level or _LEVELS.get(state, "bad"), "state": state}
    return {**known, "since": since, "reason": reason, "can_beep": False, "can_restart": False}
