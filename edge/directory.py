"""The local cache of the platform's feed: pseudonym -> customer, GTIN -> product.

Only the feed writes it, but for bindings: bands that staff gave or took stay on top until the platform rejects that or
a later change of the feed names them. A page and its cursor are one transaction. A pull from the beginning fills a new
generation beside the one that is served, and replaces it with its last page: what it lacks is gone.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from edge import envelope, searchable
from edge.model import Customer

log = logging.getLogger(__name__)


class Page(Struct, frozen=True):
    """One answer of the feed. `changes` are taken one by one, so a bad one harms no other."""

    cursor: Annotated[str, Meta(min_length=1)]
    more: bool
    changes: list[Raw]


class _Change(Struct):
    kind: str
    op: Literal["upsert", "delete"]
    key: Annotated[str, Meta(min_length=1)]
    value: Raw | UnsetType = UNSET


_CART = re.compile(r"[A-Za-z0-9_-]{1,64}")


class _CustomerValue(Struct):
    cart: str = ""
    display: str | None = None
    language: str | None = None
    consents: list[Annotated[str, Meta(pattern=r"^\S+\Z")]] | None = None


class _IdentifierValue(Struct):
    type: str
    customer: str
    since: str | None = msgspec.field(name="from", default=None)


class _Price(Struct):
    amount: Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?\Z")]
    currency: str


_Name = Annotated[str, Meta(max_length=10_000)]  # longer events no broker takes


class _ProductValue(Struct):
    """What of a product goes into events; the rest is kept as it is, for staff to see."""

    name: _Name | dict[str, _Name]
    price: _Price | None = None


_PSEUDONYM = frozenset("0123456789abcdef")


@dataclass(slots=True)
class Effects:
    """What a page changed that the floor and the journal must hear of."""

    withdrawn: dict[str, bool] = field(default_factory=dict)
    """Customers that consent to `cart` no more; true: were deleted."""
    pseudonyms: dict[str, bool] = field(default_factory=dict)
    """The same of the identifiers they had."""
    reassigned: list[str] = field(default_factory=list)
    """Pseudonyms whose identifier was deleted or given to another, and for which something waits."""
    lost: list[str] = field(default_factory=list)
    """Pseudonyms whose identifier is not in the new generation, or is another's there."""


def owner(connection: sqlite3.Connection, pseudonym: str | None) -> Customer | None:
    """Whose the pseudonym is; None if the cache does not know."""
    found = connection.execute(
        "SELECT c.id, c.cart, c.language, c.consents FROM known k JOIN customer c"
        " ON c.generation = (SELECT value FROM meta WHERE key = 'generation') AND c.id = k.customer"
        " WHERE k.pseudonym = ?",
        (pseudonym,),
    ).fetchone()
    return _customer(found)


def customer(connection: sqlite3.Connection, id: str) -> Customer | None:
    found = connection.execute(
        "SELECT id, cart, language, consents FROM customer"
        " WHERE generation = (SELECT value FROM meta WHERE key = 'generation') AND id = ?",
        (id,),
    ).fetchone()
    return _customer(found)


def display(connection: sqlite3.Connection, id: str) -> str | None:
    """What staff may see of the customer."""
    found = connection.execute(
        "SELECT display FROM customer WHERE generation = (SELECT value FROM meta WHERE key = 'generation') AND id = ?",
        (id,),
    ).fetchone()
    return found[0] if found else None


def product(connection: sqlite3.Connection, gtin: str) -> Mapping[str, Any] | None:
    """`name` and `price` as an event carries them; the name still in all its languages."""
    found = connection.execute(
        "SELECT value FROM product WHERE generation = (SELECT value FROM meta WHERE key = 'generation') AND gtin = ?",
        (gtin,),
    ).fetchone()
    if not found:
        return None
    value = msgspec.json.decode(found[0], type=_ProductValue)
    return {"name": value.name, "price": msgspec.to_builtins(value.price)}


def valid_from(connection: sqlite3.Connection, pseudonym: str) -> int | None:
    """Milliseconds since 1970 from which the identifier is its customer's; None: from always."""
    found = connection.execute("SELECT since FROM known WHERE pseudonym = ?", (pseudonym,)).fetchone()
    return found[0] if found else None


def holder(connection: sqlite3.Connection, pseudonym: str) -> str | None:
    """The id of the customer whose it is, also of one whom the cache does not know."""
    found = connection.execute("SELECT customer FROM known WHERE pseudonym = ?", (pseudonym,)).fetchone()
    return found[0] if found else None


def bind(connection: sqlite3.Connection, pseudonym: str, customer: str | None, seq: int) -> None:
    """Staff gave it to the customer, or took it (None), as the event with that `seq` says."""
    found = connection.execute(
        "SELECT type FROM binding WHERE pseudonym = ? UNION ALL SELECT type FROM identifier WHERE pseudonym = ?"
        " AND generation = (SELECT value FROM meta WHERE key = 'generation')",
        (pseudonym, pseudonym),
    ).fetchone()
    values = (pseudonym, found[0] if found else "nfc", customer, seq)
    connection.execute("INSERT OR REPLACE INTO binding VALUES (?, ?, ?, ?, NULL)", values)
    _forget_void(connection)


def take_back(connection: sqlite3.Connection, seqs: Iterable[int]) -> dict[str, bool]:
    """Bindings are no more, by the `seq` of their events; for each pseudonym whether somebody lost it."""
    taken = {}
    for seq in seqs:
        found = connection.execute("DELETE FROM binding WHERE seq = ? RETURNING pseudonym, customer", (seq,)).fetchall()
        for pseudonym, customer in found:
            taken[pseudonym] = customer not in (None, holder(connection, pseudonym))
    return taken


def forget(connection: sqlite3.Connection, customer: str) -> list[str]:
    """The customer is gone from the cache, and all that is theirs; the pseudonyms that were."""
    found = connection.execute("SELECT pseudonym FROM known WHERE customer = ?", (customer,)).fetchall()
    connection.execute(
        "DELETE FROM binding WHERE customer = ?1 OR customer IS NULL AND pseudonym IN (SELECT pseudonym FROM identifier"
        " WHERE customer = ?1 AND generation = (SELECT value FROM meta WHERE key = 'generation'))",
        (customer,),
    )
    connection.execute("DELETE FROM identifier WHERE customer = ?", (customer,))
    connection.execute("DELETE FROM customer WHERE id = ?", (customer,))
    return [pseudonym for (pseudonym,) in found]


def position(connection: sqlite3.Connection) -> str | None:
    """The cursor to pull from; None: from the beginning."""
    found = connection.execute("SELECT value FROM meta WHERE key = 'feed_cursor'").fetchone()
    return found[0] if found else None


def up_to_date(connection: sqlite3.Connection, elapsed: float) -> None:
    """The feed has nothing more at `elapsed` seconds."""
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('up_to_date', ?)", (elapsed,))


def age(connection: sqlite3.Connection, elapsed: float) -> float | None:
    """Seconds since the feed had nothing more; None: it never had."""
    at = _meta(connection, "up_to_date")
    return None if at is None else max(0.0, elapsed - at)


def restart(connection: sqlite3.Connection) -> None:
    """The cursor is too old: the next pull begins anew, the cache serves on."""
    connection.execute("DELETE FROM meta WHERE key IN ('feed_cursor', 'filling')")


def filling(connection: sqlite3.Connection, since: str | None) -> bool:
    """Whether a page that was asked for with `since` belongs to a new generation."""
    return since is None or _meta(connection, "filling") is not None


def sweep(connection: sqlite3.Connection, step: int) -> bool:
    """Deletes some of what belongs to no generation in use; whether there may be more."""
    used = (_generation(connection), _meta(connection, "filling"))
    for table, key in _KEYS.items():
        gone = connection.execute(
            f"DELETE FROM {table} WHERE (generation, {key}) IN"
            f" (SELECT generation, {key} FROM {table} WHERE generation NOT IN (?, ifnull(?, -1)) LIMIT ?)"
            f" RETURNING {key}",
            (*used, step),
        ).fetchall()
        if table == "product":
            for (gtin,) in gone:
                searchable.forget(connection, gtin)
        if gone:
            return True
    return False


def apply(connection: sqlite3.Connection, page: Page, since: str | None) -> Effects:
    """Applies a page that was asked for with `since`, changes in their order, and keeps its cursor."""
    if since is None:
        # Never a number that was used before: what is left of those is swept step by step.
        _keep(connection, "filling", max(_generation(connection), int(_meta(connection, "newest") or 0)) + 1)
        _keep(connection, "newest", _meta(connection, "filling"))
    filling = _meta(connection, "filling")
    effects = Effects()
    generation = _generation(connection) if filling is None else int(filling)
    for number, raw in enumerate(page.changes, 1):
        try:
            _apply(connection, generation, raw, effects, serving=filling is None)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            log.warning("feed: change %d of the page with the cursor %s is refused: %s", number, page.cursor, error)
    if filling is not None and not page.more:
        _replace(connection, generation, effects)
    _keep(connection, "feed_cursor", page.cursor)
    return effects


def _apply(connection: sqlite3.Connection, generation: int, raw: Raw, effects: Effects, *, serving: bool) -> None:
    change = msgspec.json.decode(raw, type=_Change)
    if change.kind not in ("customer", "identifier", "product"):
        return
    where = f"{change.kind} WHERE generation = ? AND {_KEYS[change.kind]} = ?"
    key = (generation, change.key)
    if change.op == "delete":
        values: tuple[Any, ...] | None = None
    elif change.value is UNSET:
        raise ValueError(f"an upsert of a {change.kind} without a value")
    else:
        values = _values(change.kind, change.key, change.value)
    if serving and change.kind == "customer":
        before = _customer(connection.execute(f"SELECT id, cart, language, consents FROM {where}", key).fetchone())
        consents = values[3].split() if values else ()
        if (before and "cart" in before.consents and "cart" not in consents) or (before and values is None):
            _withdraw(connection, [(change.key, values is None)], effects)
    if serving and change.kind == "identifier":
        was = holder(connection, change.key)
        if values is None or (was and was != values[1]):
            effects.reassigned.append(change.key)
        connection.execute("DELETE FROM binding WHERE pseudonym = ?", (change.key,))
    elif change.kind == "identifier":
        connection.execute("UPDATE binding SET named = ? WHERE pseudonym = ?", (generation, change.key))
    _write(connection, change.kind, key, values)


def _write(connection: sqlite3.Connection, kind: str, key: tuple[int, str], values: tuple[Any, ...] | None) -> None:
    """The record of that generation and key, without values none; and what it is found by."""
    if values is None:
        gone = connection.execute(f"DELETE FROM {kind} WHERE generation = ? AND {_KEYS[kind]} = ?", key).rowcount
        if gone and kind == "product":
            searchable.forget(connection, key[1])
        return
    marks = ", ".join("?" * (2 + len(values)))
    connection.execute(f"INSERT OR REPLACE INTO {kind} VALUES ({marks})", (*key, *values))
    if kind == "product":
        searchable.keep(connection, key[1], msgspec.json.decode(values[0], type=_ProductValue).name)


_KEYS = {"customer": "id", "identifier": "pseudonym", "product": "gtin"}


def _values(kind: str, key: str, raw: Raw) -> tuple[Any, ...]:
    """The columns of a change's value after generation and key. Raises for what does not keep the contract."""
    match kind:
        case "customer":
            c = msgspec.json.decode(raw, type=_CustomerValue)
            if not _CART.fullmatch(c.cart) and "cart" in (c.consents or []):  # without that consent it serves nobody
                raise ValueError("a customer whose cart is no cart reference")
            consents = f" {' '.join(sorted(c.consents or []))} "
            return c.cart, c.display, c.language, consents, searchable.found_by(c.display)
        case "identifier":
            if len(key) != 64 or not _PSEUDONYM.issuperset(key):
                raise ValueError("an identifier whose key is no pseudonym")
            i = msgspec.json.decode(raw, type=_IdentifierValue)
            return i.type, i.customer, envelope.milliseconds(i.since) if i.since else None
        case _:
            if len(key) != 14 or not key.isdecimal():
                raise ValueError(f"a product whose key is no GTIN-14: {key!r}")
            msgspec.json.decode(raw, type=_ProductValue)
            msgspec.json.decode(raw)  # the rest too: staff are shown it
            return (bytes(raw),)


def _replace(connection: sqlite3.Connection, generation: int, effects: Effects) -> None:
    """The filled generation takes over; those whom it lacks or who consent no more have withdrawn."""
    old = _generation(connection)
    gone = connection.execute(
        "SELECT o.id, n.id IS NULL FROM customer o LEFT JOIN customer n ON n.generation = ? AND n.id = o.id"
        " WHERE o.generation = ? AND (n.id IS NULL OR instr(o.consents, ' cart ') AND NOT instr(n.consents, ' cart '))",
        (generation, old),
    ).fetchall()
    if _meta(connection, "doubted"):
        gone += _unheard_of(connection, generation, old, effects)
    _withdraw(connection, [(id, bool(deleted)) for id, deleted in gone], effects)
    changed = connection.execute(
        "SELECT o.pseudonym, EXISTS (SELECT 1 FROM held h WHERE h.pseudonym = o.pseudonym) FROM known o"
        " LEFT JOIN identifier n ON n.generation = ? AND n.pseudonym = o.pseudonym"
        " WHERE (n.customer IS NULL OR n.customer <> o.customer)"
        " AND o.pseudonym NOT IN (SELECT pseudonym FROM binding WHERE named IS NOT ?)",
        (generation, generation),
    ).fetchall()
    effects.reassigned += [pseudonym for pseudonym, held in changed if held]
    effects.lost += [pseudonym for pseudonym, _ in changed]
    connection.execute("DELETE FROM binding WHERE named = ?", (generation,))
    _keep(connection, "generation", generation)
    connection.execute("DELETE FROM meta WHERE key IN ('filling', 'doubted')")
    _forget_void(connection)


def _forget_void(connection: sqlite3.Connection) -> None:
    """That staff took a band means nothing where the feed gives it to nobody; it would outlive whoever had the band."""
    connection.execute(
        "DELETE FROM binding WHERE customer IS NULL AND NOT EXISTS (SELECT 1 FROM identifier i WHERE i.generation IN"
        " (SELECT value FROM meta WHERE key IN ('generation', 'filling')) AND i.pseudonym = binding.pseudonym)"
    )


def _unheard_of(connection: sqlite3.Connection, generation: int, old: int, effects: Effects) -> list[tuple[str, bool]]:
    """After a salvage: customers whom rows name and no cache knows, for what it had of them may be lost."""
    found = connection.execute(
        "SELECT who, json_extract(CAST(body AS TEXT), '$.data.pseudonym') FROM row"
        " WHERE who = json_extract(CAST(body AS TEXT), '$.data.customer')"
        " AND who NOT IN (SELECT id FROM customer WHERE generation IN (?, ?))",
        (generation, old),
    ).fetchall()
    effects.pseudonyms.update((pseudonym, True) for _, pseudonym in found if pseudonym)
    return [(who, True) for who in dict(found)]


def _withdraw(connection: sqlite3.Connection, customers: list[tuple[str, bool]], effects: Effects) -> None:
    """Notes them and their identifiers, before these go with the generation; what staff gave the deleted goes."""
    for id, deleted in customers:
        effects.withdrawn[id] = deleted or effects.withdrawn.get(id, False)
    found = connection.execute(
        "SELECT pseudonym, customer FROM known WHERE customer IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode([id for id, _ in customers]).decode(),),
    )
    effects.pseudonyms.update((pseudonym, effects.withdrawn[id]) for pseudonym, id in found)
    connection.executemany("DELETE FROM binding WHERE customer = ?", [(id,) for id, deleted in customers if deleted])


def learnable(connection: sqlite3.Connection) -> list[str]:
    """Pseudonyms for which something waits and whose customer the cache knows by now."""
    found = connection.execute("SELECT DISTINCT pseudonym FROM held").fetchall()
    return [pseudonym for (pseudonym,) in found if owner(connection, pseudonym)]


def _customer(found: tuple[Any, ...] | None) -> Customer | None:
    return Customer(found[0], found[1], found[2], frozenset(found[3].split())) if found else None


def _generation(connection: sqlite3.Connection) -> int:
    return int(_meta(connection, "generation") or 0)


def _meta(connection: sqlite3.Connection, key: str) -> Any:
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return found[0] if found else None


def _keep(connection: sqlite3.Connection, key: str, value: str | int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
