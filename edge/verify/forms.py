"""What the changes of a feed look like: customers, identifiers, products."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from edge.verify.check import Checks
from edge.verify.platform import field, plain, shown
from edge.verify.verdict import Odd, Open, Wrong
from edge.verify.visit import Json, Visit

check = Checks()

CONSENTS = ("cart", "presence", "personalisation")
TYPES = ("nfc", "ibeacon", "eddystone-uid", "altbeacon", "code")
KINDS = ("customer", "identifier", "product")
Misfit = tuple[str, str]
"""What is wanted, and what there is."""

_BYTES = r"[0-9A-Fa-f]{2}"
_RAW = re.compile(
    rf"(?:[a-z-]+:)?(?:{_BYTES}(?:[:\- ]?{_BYTES}){{3}}(?:(?:[:\- ]?{_BYTES}){{2,3}}|(?:[:\- ]?{_BYTES}){{6}})?"
    r"|[0-9A-Fa-f-]{36}/[0-9]+/[0-9]+|[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|KR[0-9]{10})"
)
"""A UID of 4, 7 or 10 bytes, a MAC, a beacon's id, a loyalty code, with or without its type before it."""


@check("feed.changes", "feed.first")
async def changes(visit: Visit) -> str:
    def misfits(change: Json) -> Iterator[Misfit]:
        if not isinstance(change.get("kind"), str):
            yield "kind: a text", field(change, "kind")
        if change.get("op") not in ("upsert", "delete"):
            yield "op: upsert or delete", field(change, "op")
        elif change["op"] == "upsert" and not isinstance(change.get("value"), dict):
            yield "value: an object in an upsert", field(change, "value")
        if not isinstance(change.get("key"), str) or not change["key"]:
            yield "key: a text, not empty", field(change, "key")

    if not visit.changes:
        raise Open(
            f"the feed of store {visit.store} is empty: put a customer, an identifier and a product into it,"
            " or name a store that has some with --store"
        )
    _judge([(shown(change, 80), misfit) for change in visit.changes for misfit in misfits(change)])
    kinds = Counter(change["kind"] for change in visit.changes)
    if others := sorted(set(kinds) - set(KINDS)):
        raise Odd(f"kinds that no gateway knows: {plain(', '.join(others))}; they are passed over")
    return ", ".join(f"{kinds[kind]} {kind}" for kind in KINDS)


@check("feed.customers", "feed.changes")
async def customers(visit: Visit) -> str:
    def misfits(key: str, value: Json) -> Iterator[Misfit]:
        cart, consents = value.get("cart"), value.get("consents")
        if not _fits(r"[A-Za-z0-9_-]{1,64}", cart):
            yield "cart: [A-Za-z0-9_-]{1,64}", field(value, "cart")
        elif cart == key:
            yield "cart: an opaque reference, as the topic an app listens on", "the customer's own id"
        for name in ("display", "language"):
            if not isinstance(value.get(name), str | None):
                yield f"{name}: a text", field(value, name)
        if not isinstance(consents, list | None) or any(each not in CONSENTS for each in consents or ()):
            yield f"consents: a list out of {', '.join(CONSENTS)}", field(value, "consents")

    found = _judged(visit, "customer", misfits)
    carts = Counter(value["cart"] for value in found.values())
    if shared := [cart for cart, count in carts.items() if count > 1]:
        raise Wrong("a cart of its own for each customer", f"{carts[shared[0]]} customers have cart {shared[0]}")
    return f"{len(found)} have the right form"


@check("feed.identifiers", "feed.changes")
async def identifiers(visit: Visit) -> str:
    def misfits(key: str, value: Json) -> Iterator[Misfit]:
        if not re.fullmatch("[0-9a-f]{64}", key) and not _raw(key):
            yield "a pseudonym as key: 64 lower-case hex digits", "that key"
        if value.get("type") not in TYPES:
            yield f"type: one of {', '.join(TYPES)}", field(value, "type")
        if not isinstance(value.get("customer"), str) or not value["customer"]:
            yield "customer: a customer's id", field(value, "customer")
        if value.get("from") is not None and not _is_time(value["from"]):
            yield "from: a time with its offset, as 2026-11-21T09:12:45.123Z", field(value, "from")

    found, known = _judged(visit, "identifier", misfits), visit.state("customer")
    strays = [key for key, value in found.items() if value["customer"] not in known]
    if strays and visit.complete:
        whose = plain(found[strays[0]]["customer"])
        raise Odd(f"{len(strays)} of a customer whom the feed has not, the first of {whose!r}: unknown in the stores")
    return f"{len(found)} have the right form"


@check("feed.raw-identifiers", "feed.changes")
async def raw_identifiers(visit: Visit) -> str:
    wants = "pseudonyms only: hex(HMAC-SHA256(key, type + ':' + value)); a raw UID never leaves its reader"
    seen = 0
    for change in visit.changes:
        if change["kind"] == "identifier":
            seen += 1
            for where, text in [("a key", change["key"]), *(("a value", text) for text in _texts(change.get("value")))]:
                if _raw(text):
                    raise Wrong(wants, f"{where} of an identifier looks like one: {plain(text)[:4]}…")
    if not seen:
        raise _none(visit, "identifier")
    return f"none of {seen} holds what looks like a UID"


@check("feed.products", "feed.changes")
async def products(visit: Visit) -> str:
    def misfits(key: str, value: Json) -> Iterator[Misfit]:
        name, price = value.get("name"), value.get("price")
        if not re.fullmatch("[0-9]{14}", key, re.ASCII):
            yield "a GTIN-14 as key: 14 digits, shorter ones with zeros before them", "that key"
        elif sum(int(digit) * (3, 1)[i % 2] for i, digit in enumerate(key)) % 10:
            yield "a GTIN-14 as key, with the right check digit", "that key"
        names = list(name.values()) if isinstance(name, dict) else [name]
        if not names or not all(isinstance(each, str) and each for each in names):
            yield "name: a text, or an object of texts by language", field(value, "name")
        if price is None:
            return
        if not isinstance(price, dict) or not _fits(r"-?[0-9]+(\.[0-9]+)?", price.get("amount")):
            yield 'price: {"amount":"12900","currency":"KRW"}, the amount a text of decimals', field(value, "price")
        elif not _fits("[A-Z]{3}", price.get("currency")):
            yield "currency: three letters (ISO 4217)", field(price, "currency")

    return f"{len(_judged(visit, 'product', misfits))} have the right form"


def _judged(visit: Visit, kind: str, misfits: Any) -> dict[str, Json]:
    """All upserts of a kind judged; what holds of it. Raises Wrong, or Open if there are none."""
    upserts = [each for each in visit.changes if each["kind"] == kind and each["op"] == "upsert"]
    _judge(
        [
            (f"{kind} {plain(each['key'], 80)}", misfit)
            for each in upserts
            for misfit in misfits(each["key"], each["value"])
        ]
    )
    if not upserts:
        raise _none(visit, kind)
    return visit.state(kind)


def _judge(found: list[tuple[str, Misfit]]) -> None:
    """Raises the first, and says how many are like it."""
    if found:
        where, (wants, there) = found[0]
        like = sum(misfit[0] == wants for _, misfit in found) - 1
        more = f" (and {like} more like it)" if like else ""
        raise Wrong(wants, f"{where} has {there}{more}")


def _none(visit: Visit, kind: str) -> Open:
    return Open(f"the feed of store {visit.store} has no {kind}: put one into it")


def _texts(value: object) -> Iterator[object]:
    """What an identifier says besides the fields of the contract, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("type", "customer", "from"):
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    else:
        yield value


def _raw(text: object) -> bool:
    return isinstance(text, str) and _RAW.fullmatch(text) is not None and not text.isdecimal()


def _fits(form: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(form, value, re.ASCII) is not None


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
