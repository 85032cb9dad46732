"""What customers and products are found by: kept beside them, written and deleted with them.

Of a product there is one text, whatever generations of the directory have it: that of the last upsert. So a new
generation writes texts only where names have changed, and what is shown comes from the generation that is served.
Customers are not in the full-text index: SQLite 3.40 leaves deleted words in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from edge import hangul

_USED = "(SELECT value FROM meta WHERE key IN ('generation', 'filling'))"

LONGEST = 200
"""Signs of a name by which it is found; what is said after takes room and is not searched for."""


class _Named(msgspec.Struct):
    name: str | dict[str, str]


def found_by(display: str | None) -> str | None:
    """Of a customer: a line of the display name, a line of its initials, a line end before each."""
    return None if display is None else "".join(hangul.lines(display[:LONGEST]))


def keep(connection: sqlite3.Connection, gtin: str, name: str | Mapping[str, str]) -> None:
    """The product goes by this name, or by these; written only if it went by others."""
    each = [name] if isinstance(name, str) else name.values()
    names, initials = hangul.lines(*(text[:LONGEST] for text in each))
    text = (f"\n{gtin}{names}", initials)
    # Straight from the table of texts, as through the index that takes several times as long.
    before = connection.execute("SELECT c0, c1 FROM product_text_content WHERE id = ?", (int(gtin),)).fetchone()
    if before != text:
        put = "INSERT" if before is None else "REPLACE"
        connection.execute(f"{put} INTO product_text (rowid, names, initials) VALUES (?, ?, ?)", (int(gtin), *text))


def forget(connection: sqlite3.Connection, gtin: str) -> None:
    """The product was deleted from a generation: its text goes, unless another in use has it."""
    connection.execute(
        "DELETE FROM product_text WHERE rowid = ?"
        f" AND NOT EXISTS (SELECT 1 FROM product WHERE generation IN {_USED} AND gtin = ?)",
        (int(gtin), gtin),
    )


def fill(connection: sqlite3.Connection) -> None:
    """All of it anew, from customers and products that were written without."""
    connection.create_function("found_by", 1, found_by, deterministic=True)
    connection.execute("UPDATE customer SET found_by = found_by(display)")
    products = f"SELECT gtin, value FROM product WHERE generation IN {_USED} ORDER BY generation"
    for gtin, value in connection.execute(products).fetchall():
        with suppress(msgspec.MsgspecError):
            keep(connection, gtin, msgspec.json.decode(value, type=_Named).name)
