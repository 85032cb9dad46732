"""What staff look up: products and shoppers by what is remembered of them, and codes that the catalogue lacks.

All functions read. Any text may be searched for: it is taken as it is, never as a pattern.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from edge import envelope, hangul, journal
from edge.floor import HELD
from edge.model import Row

DAY = 86_400.0
"""Seconds that one looks back at most: the journal has no index by customer or product."""
LISTED = 100
"""Codes that the catalogue lacks, at most."""
SCANS = ("cart.item_added", "scan.unclaimed", HELD)
"""Kinds of the rows of a scan, which may have several of one id."""

_TRIGRAM, _TRIGRAMS = 3, 24
_HITS, _BEST = 5000, 150
"""Of even more that have what is searched for only so many are looked at; the best of these may be shown."""
_GENERATION = "(SELECT value FROM meta WHERE key = 'generation')"


def product(connection: sqlite3.Connection, gtin: str) -> dict[str, Any] | None:
    """`gtin`, `names` by language ("" for one without), `price`, `stock`, `rating`, `reviews`; what lacks is None."""
    found = connection.execute(
        f"SELECT value FROM product WHERE generation = {_GENERATION} AND gtin = ?", (gtin,)
    ).fetchone()
    return _product(gtin, found[0]) if found else None


def name(connection: sqlite3.Connection, gtin: str, language: str) -> str | None:
    """The product's name in that language or else in any; None if the catalogue lacks it."""
    names: dict[str, str] = (product(connection, gtin) or {"names": {}})["names"]
    return names.get(language) or next(iter(names.values()), None)


def products(connection: sqlite3.Connection, q: str, limit: int = 50) -> list[dict[str, Any]]:
    """Those with all words of `q` in a name or the GTIN, or in the initials where it is initials; each as `product`.

    First the one with that GTIN, then those whose GTIN ends so, whose name begins so, the others; shorter names first.
    """
    q = hangul.plain(q)
    exact = product(connection, q.zfill(14)) if q.isdecimal() else None
    best = {exact["gtin"]: exact} if exact else {}
    for needles in _ways(q):
        if len(best) < limit:
            for gtin, value in _containing(connection, needles, q, limit):
                best.setdefault(gtin, _product(gtin, value))
    return list(best.values())[:limit]


def shoppers(
    connection: sqlite3.Connection, q: str, there: Mapping[str, Sequence[str]], limit: int = 50
) -> list[dict[str, Any]]:
    """`id`, `display`, `here`; the id begins with `q`, or the display name has all its words, or its initials.

    `there`: customer -> read points; those come first, and without `q` there are no others.
    """
    id, plain = q.strip().encode(errors="replace").decode(), hangul.plain(q)
    initials = "substr(found_by, instr(substr(found_by, 2), char(10)) + 1)"
    searched = initials if hangul.is_initials(plain) else "found_by"
    words = {f"word{n}": word for n, word in enumerate(plain.split())}
    named = " AND ".join(f"instr({searched}, :{key})" for key in words) or "FALSE"
    is_there = "id IN (SELECT value FROM json_each(:there))"
    found = connection.execute(
        f"SELECT id, display FROM customer WHERE generation = {_GENERATION}"
        f" AND {f'(substr(id, 1, length(:id)) = :id OR {named})' if id else is_there}"
        f" ORDER BY NOT {is_there}, instr(found_by, char(10) || :plain) = 0, length(found_by), id LIMIT :limit",
        {"id": id, "plain": plain, "limit": limit, "there": msgspec.json.encode(list(there)).decode(), **words},
    )
    return [{"id": id, "display": display, "here": list(there.get(id, ()))} for id, display in found]


def missing(connection: sqlite3.Connection, now: float) -> list[dict[str, Any]]:
    """`gtin`, `count`, `last` of codes scanned in the day before `now` (elapsed seconds), newest first."""
    found = connection.execute(
        "SELECT gtin, count(DISTINCT id), max(seq) FROM"
        " (SELECT seq, id, json_extract(CAST(body AS TEXT), '$.data.gtin') AS gtin FROM row"
        f" WHERE seq >= ? AND kind IN {SCANS} AND json_extract(CAST(body AS TEXT), '$.data.event') IS NULL) scanned"
        f" WHERE NOT EXISTS (SELECT 1 FROM product p WHERE p.generation = {_GENERATION} AND p.gtin = scanned.gtin)"
        " GROUP BY gtin ORDER BY max(seq) DESC LIMIT ?",
        (journal.first_since(connection, now - DAY), LISTED),
    ).fetchall()
    offsets = journal.offsets(connection)
    return [
        {"gtin": gtin, "count": count, "last": journal.shown_time(_row(connection, seq).moment, offsets)}
        for gtin, count, seq in found
    ]


def _row(connection: sqlite3.Connection, seq: int) -> Row:
    (body,) = connection.execute("SELECT body FROM row WHERE seq = ?", (seq,)).fetchone()
    return envelope.parse(body, None)


def _product(gtin: str, value: bytes) -> dict[str, Any]:
    known = msgspec.json.decode(value)
    names = {"": known["name"]} if isinstance(known["name"], str) else known["name"]
    return {"gtin": gtin, "names": names, **{key: known.get(key) for key in ("price", "stock", "rating", "reviews")}}


def _ways(q: str) -> Iterator[Sequence[str]]:
    """What a product's text has to contain, the best first; a single sign is not worth a search of its own for that."""
    if len(q) > 1 and q.isdecimal():
        yield (f"{q}\n",)
    if len(q) > 1:
        yield (f"\n{_joined(q)}",)
    if q:
        yield tuple(dict.fromkeys(q.split()))


def _joined(q: str) -> str:
    return q.replace(" ", "") if hangul.is_initials(q) else q


def _containing(
    connection: sqlite3.Connection, needles: Sequence[str], q: str, limit: int
) -> Iterator[tuple[str, bytes]]:
    """GTIN and value of products whose text has all needles: by their trigrams, or by a look at all texts.

    Read from the table of texts itself: through the index's own interface that takes half as long again.
    """
    text = "c1" if hangul.is_initials(q) else "c0"
    trigrams = list(dict.fromkeys(part for needle in needles for part in _trigrams(needle)))[:_TRIGRAMS]
    among = f"id IN (SELECT rowid FROM product_text WHERE product_text MATCH ? LIMIT {_HITS}) AND" if trigrams else ""
    has = " AND ".join(f"instr({text}, ?)" for _ in needles)
    hits = f"SELECT c0, {text} AS text FROM product_text_content WHERE {among} {has} LIMIT {_HITS}"
    yield from connection.execute(
        "SELECT gtin, value FROM (SELECT substr(c0, 2, 14) AS found, instr(text, char(10) || ?) = 0 AS inside,"
        f" length(c0) AS size FROM ({hits}) ORDER BY inside, size LIMIT {_BEST})"
        f" CROSS JOIN product ON generation = {_GENERATION} AND gtin = found ORDER BY inside, size LIMIT ?",
        (_joined(q), *([" AND ".join(trigrams)] if trigrams else []), *needles, limit),
    )


def _trigrams(needle: str) -> Iterator[str]:
    """As terms of a full-text query."""
    parts = (needle[at : at + _TRIGRAM] for at in range(len(needle) - _TRIGRAM + 1))
    return ('"{}"'.format(part.replace('"', '""')) for part in parts)
