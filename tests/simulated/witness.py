"""Reads the journal, forgets no row, and says in the model's words what is written there."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

from peers.app import event_violations
from simulated.process import SOURCE

OPENING = {"customer.identified": ("customer", "method"), "tap.unknown": ("pseudonym", "method")}
SCANS = {"cart.item_added": ("gtin", "customer", "cart"), "scan.unclaimed": ("gtin",)}
ENDING = {"customer.resolved": ("customer", "pseudonym"), "session.ended": ("customer", "reason")}
TOLD = {**OPENING, **SCANS, **ENDING}


class Witness:
    """`effects`: how many events a product has, `ids`: which ids it had, also while it was held.

    `keys`: which of the model's items an event is that goes to an app; `band`: the newest event of a band.
    """

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.told: Counter[tuple[Any, ...]] = Counter()
        self.effects: Counter[str] = Counter()
        self.ids: defaultdict[str, set[str]] = defaultdict(set)
        self.confirmed: Counter[str] = Counter()
        self.problems: list[str] = []
        self._sessions: dict[str, int] = {}
        self._opened: Counter[str] = Counter()
        self.keys: dict[str, tuple[str, str]] = {}
        self.band = ""
        self._seq = 0

    def look(self, reader: sqlite3.Connection) -> None:
        found = reader.execute("SELECT seq, kind, body FROM row WHERE seq > ? ORDER BY seq", (self._seq,))
        for self._seq, kind, body in found.fetchall():
            row = json.loads(body or b"{}")
            data = row.get("data", {})
            if (gtin := data.get("gtin")) and "staff" not in data:
                self.ids[gtin].add(row["id"])
            if not kind.startswith("inside."):
                self._check(kind, row)
                self.bodies[row["id"]] = bytes(body)
                self._tell(kind, row, row["data"])

    def _check(self, kind: str, event: dict[str, Any]) -> None:
        wrong = [v for v in event_violations(event) if not v.endswith("s ahead")]  # its clock is not this one
        said = event["seq"], event["type"], event["source"]
        if wrong or event["id"] in self.bodies or said != (self._seq, f"cartwire.{kind}.v1", SOURCE):
            self.problems.append(f"row {self._seq} holds {event}: {wrong}")

    def _tell(self, kind: str, event: dict[str, Any], data: dict[str, Any]) -> None:
        if kind in OPENING:
            self._opened[data["read_point"]] += 1
            self._sessions.setdefault(data["session"], self._opened[data["read_point"]])
        if "staff" in data:
            self._tell_staff(event["id"], "gift" if kind == "cart.item_added" else kind, data)
            return
        if kind == "cart.item_added":
            self.keys[event["id"]] = "added", data["gtin"]
        if kind in SCANS:
            self.effects[data["gtin"]] += 1
        if kind == "cart.item_confirmed":
            self.confirmed[data["event"]] += 1
        if kind == "clock.adjusted":
            self.told[kind, data["bootid"], data["offset_seconds"]] += 1
        if kind in TOLD:
            time = round(datetime.fromisoformat(event["time"]).timestamp() * 1000)
            stamp = () if kind in ENDING else ((time, event["clockok"], event["bootid"]),)
            session = self._sessions.get(data.get("session"))
            self.told[kind, data["read_point"], session, *(data[name] for name in TOLD[kind]), *stamp] += 1

    def _tell_staff(self, id: str, kind: str, data: dict[str, Any]) -> None:
        """What staff did; a scan is given once, and an item removed once."""
        if kind.startswith("band."):
            self.band = id
            self.told[kind, data["customer"], data["pseudonym"]] += 1
            return
        self.effects[f"{kind} {data['event']}"] += 1
        of = kind if kind == "gift" else f"removal of {self.keys[data['event']][0]}"
        self.keys[id] = of, data["gtin"]
        session = self._sessions[data["session"]]
        self.told[kind, data["read_point"], session, data["gtin"], data["customer"], data["cart"]] += 1
