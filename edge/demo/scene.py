"""What the demo's page shows: all that is known from outside, as one JSON object.

It hears the events that `cartwire events` prints and those that the platform has, and what the gateway says of itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edge.demo.judge import ADDED, ENDED, Judge, Waiting

READ_POINTS = ("table-1", "fitting-room", "till-1")
_IDENTIFIED, _UNKNOWN, _RESOLVED = (
    f"cartwire.{what}.v1" for what in ("customer.identified", "tap.unknown", "customer.resolved")
)
_ENTERED, _LEFT = "cartwire.presence.entered.v1", "cartwire.presence.left.v1"
_RECEIVED = 40
"""Events of the platform that are shown."""
_NAMED = ("customer", "read_point", "reason", "dwell_seconds", "driver", "gtin", "product")
"""What is shown of an event's data."""


@dataclass(slots=True)
class Scene:
    """`changed` is called after each change."""

    judge: Judge
    changed: Callable[[], None]
    status: dict[str, Any] | None = None
    """As `cartwire status --json` prints it; None while the gateway does not answer."""
    trouble: str = ""
    """Why the gateway takes no readings, as it says at `/healthz`."""
    received: int = 0
    _received: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=_RECEIVED))
    _holders: dict[str, dict[str, Any]] = field(default_factory=dict)
    _zones: dict[str, str] = field(default_factory=dict)
    _last: tuple[str, int] = ("", 0)

    def accepted(self, event: Mapping[str, Any], now: float) -> None:
        """An event that `cartwire events` has printed."""
        self.judge.accepted(event, now)
        data, kind = event["data"], event["type"]
        if kind in (_IDENTIFIED, _UNKNOWN):
            self._holders[data["read_point"]] = {"session": data["session"], "customer": data.get("customer")}
        elif kind == _RESOLVED:
            for holder in self._holders.values():
                if holder["session"] == data["session"]:
                    holder["customer"] = data["customer"]
        elif kind == ENDED:
            held = self._holders.items()
            self._holders = {at: holder for at, holder in held if holder["session"] != data["session"]}
        elif kind == _ENTERED:
            self._zones[data["customer"]] = data["read_point"]
        elif kind == _LEFT:
            self._zones.pop(data["customer"], None)
        self.changed()

    def at_platform(self, number: int, event: Mapping[str, Any], now: float) -> None:
        """An event that the platform has, and which it was there."""
        self.judge.at_platform(event, now)
        self.received += 1
        shown = {key: event["data"][key] for key in _NAMED if event["data"].get(key) is not None}
        kind = event["type"].removeprefix("cartwire.").removesuffix(".v1")
        self._received.appendleft({"n": number, "type": kind, "time": event["time"], **shown})
        self.changed()

    def answered(self, status: dict[str, Any] | None, trouble: str, asked: float) -> None:
        """What the gateway has said of itself, if it has."""
        self.status, self.trouble = status, trouble
        self.judge.waiting = None
        if status:
            apps, platform = status["sinks"]["cart"], status["sinks"]["platform"]
            self.judge.waiting = Waiting(
                asked,
                apps["queued"] + apps["unconfirmed"] + apps["rejected"],
                platform["queued"] + platform["rejected"],
            )
        self.changed()

    def shown(self, now: float) -> dict[str, Any]:
        """For the page."""
        carts = self.judge.carts.values()
        return {
            "counts": asdict(self.judge.counts(now)),
            "gateway": self._gateway(),
            "holders": {point: self._holders[point]["customer"] for point in READ_POINTS if point in self._holders},
            "zones": self._zones,
            "under_way": {cart: [_item(event) for event in self.judge.under_way(cart)] for cart in carts},
            "received": self.received,
            "platform": list(self._received),
        }

    def _gateway(self) -> dict[str, Any]:
        if self.status is None:
            return {"state": "off", "apps": 0, "platform": 0, "held": 0, "refused": 0}
        waiting = self.judge.waiting
        assert waiting
        state = "full" if self.trouble else "on"
        held, refused = self.status["held"], self.status["readings"]["cannot"]
        return {"state": state, "apps": waiting.apps, "platform": waiting.platform, "held": held, "refused": refused}


def _item(event: Mapping[str, Any]) -> dict[str, Any]:
    """As a phone shows it that does not have it yet."""
    assert event["type"] == ADDED
    return {"id": event["id"], "time": event["time"], **{key: event["data"][key] for key in ("gtin", "product")}}
