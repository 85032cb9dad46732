"""Events as a gateway sends them: every type of the contract, marked as a visit's own."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

GTIN = "09506000134352"
"""Of GS1's own demonstration prefix: nobody sells it."""


IN_STORE = "02800123000004"
"""The store's own label: prefix 28, item 00123."""


def encode(events: list[Json]) -> bytes:
    """A batch, the same bytes each time."""
    return json.dumps(events, ensure_ascii=False, separators=(",", ":")).encode()


def uuid7() -> str:
    """A new UUIDv7 (RFC 9562)."""
    bits = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return str(uuid.UUID(int=bits & ~(0xF << 76 | 0b11 << 62) | 0x7 << 76 | 0b10 << 62))


def moment(seconds: float) -> str:
    """UTC with three decimals and Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Gateway:
    """One whose events have the contract's form. Everything it names begins with its own name."""

    def __init__(self, store: str, name: str) -> None:
        self.name, self.source = name, f"/stores/{store}/gateways/{name}"
        self.boot, self.pseudonym = str(uuid.uuid4()), os.urandom(32).hex()
        self.journal, self.seq = uuid7(), 0

    def reopen(self) -> str:
        """Begins a new journal, as after a damaged disk; the old one's id."""
        previous, self.journal, self.seq = self.journal, uuid7(), 0
        return previous

    def event(self, kind: str, data: Json, **envelope: Any) -> Json:
        """The next one of its journal."""
        self.seq += 1
        subject = {"subject": f"customers/{data['customer']}"} if data.get("customer") else {}
        return {
            "specversion": "1.0",
            "id": uuid7(),
            "source": self.source,
            "type": f"cartwire.{kind}.v1",
            **subject,
            "time": moment(time.time()),
            "datacontenttype": "application/json",
            "journal": self.journal,
            "seq": self.seq,
            "bootid": self.boot,
            "clockok": True,
            "data": data,
            **envelope,
        }

    def item(self, **more: Any) -> Json:
        """An item that goes into a cart, the most frequent event."""
        data = {
            "customer": self.name,
            "cart": self.name,
            "session": uuid7(),
            "read_point": "verify",
            "gtin": GTIN,
            "quantity": 1,
            "symbology": "EAN13",
            "product": {"name": "cartwire verify", "price": {"amount": "12900", "currency": "KRW"}},
        }
        return self.event("cart.item_added", data | more)

    def items(self, count: int) -> list[Json]:
        return [self.item() for _ in range(count)]

    def every_type(self) -> list[Json]:
        """One of each type, in an order in which they can come about."""
        known, session, nameless = {"customer": self.name}, {"session": uuid7()}, {"session": uuid7()}
        at, veiled, staff = {"read_point": "verify"}, {"pseudonym": self.pseudonym}, {"staff": "verify"}
        driver = {"driver": "nfc@verify", "reason": "the reader was pulled"} | at
        opened = self.event("journal.opened", {"reason": "created", "previous": None, "rows_lost": 0})
        identified = self.event("customer.identified", known | session | at | {"method": "nfc"})
        added = self.item(**session)
        given = {name: added["data"][name] for name in ("customer", "cart", "session", "gtin", "quantity")}
        about = {"event": added["id"]}
        return [
            opened,
            identified,
            added,
            self.event("cart.item_confirmed", about),
            self.event("cart.item_removed", given | about | staff | at),
            self.event("tap.unknown", veiled | nameless | at | {"method": "nfc"}),
            self.event("customer.resolved", known | veiled | nameless | at),
            self.event("scan.unclaimed", {"gtin": GTIN, "symbology": "EAN13"} | at),
            self.event("session.ended", known | session | at | {"reason": "timeout"}),
            self.event("presence.entered", known | at),
            self.event("presence.left", known | at | {"dwell_seconds": 12.5}),
            self.event("band.bound", known | veiled | staff | at),
            self.event("band.unbound", known | veiled | staff | at),
            self.event("device.lost", driver),
            self.event("device.recovered", driver),
            self.event("clock.adjusted", {"bootid": self.boot, "offset_seconds": -3.25}),
            self.event("customer.erased", known | {"reason": "platform"}),
        ]

    def rarer_forms(self) -> Iterator[tuple[str, Json]]:
        """What a field may be besides its usual: in words, and the event."""
        at, ended = {"read_point": "verify"}, {"session": uuid7(), "customer": None, "reason": "replaced"}
        unclaimed = self.event("scan.unclaimed", {"gtin": GTIN, "symbology": None} | at)
        given = {"staff": "verify", "event": unclaimed["id"]}
        priced = {"gtin": IN_STORE, "in_store": {"kind": "price", "value": "12900"}}
        opened = {"reason": "salvaged", "previous": self.journal, "rows_lost": 3}
        yield "symbology null", unclaimed
        yield "an item given by staff, with event and staff", self.item(**given)
        yield "product null", self.item(product=None)
        yield "price null", self.item(product={"name": "x", "price": None})
        yield "amount with decimals", self.item(product={"name": "x", "price": {"amount": "9.95", "currency": "EUR"}})
        yield "in_store", self.item(**priced)
        yield "session.ended with customer null", self.event("session.ended", ended | at)
        yield (
            "time of 1970 with clockok false",
            self.event("scan.unclaimed", {"gtin": GTIN, "symbology": "EAN8"} | at, time=moment(12.345), clockok=False),
        )
        yield "journal.opened with previous", self.event("journal.opened", opened)
