"""What a reading is made of, one by one, by the product's own modules as the daemon uses them, on databases in turn."""

from __future__ import annotations

import json
import random
import sqlite3
import uuid
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from bench.grown import KINDS, known
from bench.marks import now
from bench.sides import PRODUCTS
from edge import directory, envelope
from edge.clock import Clock, boot_id
from edge.database import Database
from edge.directory import Page
from edge.journal import last_seq, open_journal
from peers.gtin import gtin13, padded

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

LOOKS = 200
"""In one look-up sample, each for another key."""
CHANGES = 100
"""Customers in a page, and as many identifiers."""


def pieces(stack: ExitStack, path: Path, identifiers: int) -> dict[str, Callable[[], float]]:
    """Return what can be timed, by its name; each returns seconds."""
    database = Database(path)
    stack.callback(database.close)
    reader = stack.enter_context(closing(database.reader()))
    clock = Clock(boot_id(), 0.0)
    source = "/stores/gangnam/gateways/gw-1"
    journal = database.write_now(
        lambda connection: open_journal(connection, source, clock.now(), clock.wall(), ["cart", "platform"])
    )
    (body,) = reader.execute(f"SELECT body FROM row WHERE kind = '{KINDS[0]}' ORDER BY seq DESC LIMIT 1").fetchone()
    row = envelope.parse(body, clock.instant())
    chosen = random.Random(0)
    count = 0

    def timed(work: Callable[[], object]) -> float:
        began = now()
        work()
        return now() - began

    def append() -> float:
        new = replace(row, id="")

        def work(connection: sqlite3.Connection) -> None:
            journal.append(connection, [new], clock.now(), last_seq(connection))

        return timed(lambda: database.write_now(work))

    def owner() -> float:
        keys = [known(chosen.randrange(identifiers)) for _ in range(LOOKS)]
        return timed(lambda: [directory.owner(reader, key) for key in keys])

    def product() -> float:
        keys = [padded(gtin13(chosen.randrange(PRODUCTS))) for _ in range(LOOKS)]
        return timed(lambda: [directory.product(reader, key) for key in keys])

    def page() -> float:
        nonlocal count
        changes = []
        for _ in range(CHANGES):
            count += 1
            customer = f"c-p{chosen.getrandbits(64)}"
            value = {"cart": f"k-p{count}", "display": "민준", "consents": ["cart"]}
            changes += [
                {"kind": "customer", "op": "upsert", "key": customer, "value": value},
                {
                    "kind": "identifier",
                    "op": "upsert",
                    "key": f"{chosen.getrandbits(256):064x}",
                    "value": {"type": "nfc", "customer": customer},
                },
            ]
        since = directory.position(reader)
        answer = json.dumps({"cursor": str(uuid.uuid4()), "more": False, "changes": changes}).encode()
        read = msgspec.json.decode(answer, type=Page)
        return timed(lambda: database.write_now(lambda connection: directory.apply(connection, read, since)))

    return {
        "append of an item, committed": append,
        "look-up of an identifier": owner,
        "look-up of a product": product,
        f"feed page of {2 * CHANGES} changes, committed": page,
    }
