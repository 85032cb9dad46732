"""A platform that drops what it is sent, or its answers, and may begin its feed anew."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import msgspec

from edge.ports import Unavailable
from sync.platform import Answer


class Platform:
    """`events` are the bytes it has accepted, `problems` what should not have come.

    `refusing`: what staff say of bands is `refused`.
    """

    def __init__(self) -> None:
        self.online, self.refusing = True, False
        self.faults: list[str] = []
        self.events: dict[str, bytes] = {}
        self.problems: list[str] = []
        self.refused: set[str] = set()
        self._feed: list[dict[str, Any]] = []
        self._generation = self._seq = 0

    def change(self, kind: str, key: str, value: dict[str, Any] | None) -> None:
        op = {"op": "delete"} if value is None else {"op": "upsert", "value": value}
        self._feed.append({"kind": kind, "key": key, **op})

    def anew(self, lacking: set[str]) -> None:
        """The feed begins anew, without these; cursors of before are gone."""
        self._generation += 1
        latest = {(change["kind"], change["key"]): change for change in self._feed}
        self._feed = [change for change in latest.values() if "value" in change and change["key"] not in lacking]

    async def call(
        self, _method: str, path: str, *, query: dict[str, str] | None = None, body: bytes = b"", **_: object
    ) -> Answer:
        await asyncio.sleep(0)
        if not self.online:
            raise Unavailable("the platform is down", connected=False)
        match path.split("/")[-1]:
            case "capabilities":
                return _json({"batch": True, "maxBatch": 7, "maxBytes": 4000})
            case "changes":
                return self._changes((query or {}).get("since", f"{self._generation}:0"))
            case "resolve":
                known = [change for change in self._feed if change["key"] == json.loads(body)["pseudonym"]]
                return _json({}) if known else Answer(404, b"")
            case _:
                return self._post(gzip.decompress(body))

    def _changes(self, cursor: str) -> Answer:
        generation, at = map(int, cursor.split(":"))
        if generation != self._generation:
            return Answer(410, b"")
        rest = self._feed[at:]
        return _json({"cursor": f"{generation}:{at + len(rest[:2])}", "more": len(rest) > 2, "changes": rest[:2]})

    def _post(self, body: bytes) -> Answer:
        fault = self.faults.pop(0) if self.faults else ""
        events = [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
        if fault == "half":
            events = events[: (len(events) + 1) // 2]
        results = [self._keep(event) for event in events] if fault != "swallow" else []
        if fault in ("swallow", "lose answer"):
            raise Unavailable("the platform does not answer")
        return _json({"results": results})

    def _keep(self, raw: bytes) -> dict[str, str]:
        event = json.loads(raw)
        if self.refusing and event["type"].startswith("cartwire.band.") and event["id"] not in self.events:
            self.refused.add(event["id"])
            return {"id": event["id"], "status": "rejected"}
        known = event["id"] in self.events or event["id"] in self.refused
        if self.events.setdefault(event["id"], raw) != raw or (not known and event["seq"] <= self._seq):
            self.problems.append(f"other bytes, or not in order: {event}, after {self._seq}")
        self._seq = max(self._seq, event["seq"])
        return {"id": event["id"], "status": "duplicate" if known else "accepted"}


def _json(value: object) -> Answer:
    return Answer(200, json.dumps(value).encode())
