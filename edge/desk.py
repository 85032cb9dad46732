"""The desk's reader: what is read there is looked up for staff, and kept nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

from edge import directory
from edge.attribution import Attribution
from edge.database import Database, DatabaseError
from edge.model import Outcome, Scan, Tap


@dataclass(frozen=True, slots=True)
class Desk:
    """`tell` hands what was read to the pages of clerks: false if none is open. `cue` sounds at the device."""

    attribution: Attribution
    database: Database
    tell: Callable[[dict[str, Any]], bool]
    cue: Callable[[str, Outcome], None]

    async def read(self, reading: Tap | Scan) -> None:
        """A reading without raw identifiers. With no page to show it the cue is *cannot*: nothing came of it."""
        cue: Outcome = "cannot"
        with suppress(DatabaseError):  # it cannot be looked up now
            found = await asyncio.to_thread(self.look_up, reading)
            if self.tell(found):
                cue = "unknown" if found["kind"] == "unknown" else "accepted"
        self.cue(reading.read_point, cue)

    def look_up(self, reading: Tap | Scan) -> dict[str, Any]:
        """What the reading is, as the page's `Desk`. Also a customer without consents may be helped."""
        with closing(self.database.reader()) as connection:
            named = self.attribution.named(connection, reading)
            if isinstance(named, tuple):
                gtin = named[1].gtin
                return {"kind": "product" if directory.product(connection, gtin) else "missing", "gtin": gtin}
            if named and (owner := directory.owner(connection, named.pseudonym)):
                return {"kind": "shopper", "customer": owner.id}
            if named and named.pseudonym and named.plausible:
                return {"kind": "band", "pseudonym": named.pseudonym}
            return {"kind": "unknown"}
