"""`POST /v1/identifiers/resolve`: who is that band?"""

from __future__ import annotations

import json
import os
from statistics import median

from edge.verify.check import Checks
from edge.verify.platform import Answer, shown
from edge.verify.verdict import Odd, Open, Wrong
from edge.verify.visit import Visit

check = Checks()

FORM = '200 {"customer":{"id":…,…},"identifier":{…}}'
SOON, TIMES = 0.3, 5
"""Seconds a gateway waits; how often it is measured."""


async def ask(visit: Visit, pseudonym: str) -> Answer:
    body = json.dumps({"pseudonym": pseudonym}).encode()
    return await visit.platform.post("/v1/identifiers/resolve", body, "application/json")


@check("resolve.unknown", "reachable")
async def unknown(visit: Visit) -> str:
    answer = await ask(visit, os.urandom(32).hex())
    if answer.status != 404:
        raise Wrong("404 for a pseudonym it does not know", str(answer))
    return "404 for a pseudonym it does not know"


@check("resolve.known", "reachable", "feed.identifiers", "feed.customers", "feed.raw-identifiers")
async def known(visit: Visit) -> str:
    pseudonym, whose = _somebody(visit)
    answer = await ask(visit, pseudonym)
    body = answer.json(f"{FORM} for a pseudonym of the feed")
    customer, identifier = (body.get(name) if isinstance(body, dict) else None for name in ("customer", "identifier"))
    if not isinstance(customer, dict) or not isinstance(identifier, dict):
        raise Wrong(FORM, str(answer))
    value = visit.state("customer")[whose]
    for name, there, wanted in (
        ("customer.id", customer.get("id"), whose),
        ("customer.cart", customer.get("cart"), value.get("cart")),
        ("identifier.customer", identifier.get("customer"), whose),
        ("identifier.type", identifier.get("type"), visit.state("identifier")[pseudonym]["type"]),
    ):
        if there != wanted:
            raise Wrong(f"{name} {shown(wanted)}, as in the feed", f"{answer.asked} has {shown(there)}")
    return "a pseudonym of the feed is its customer's"


@check("resolve.speed", "resolve.unknown")
async def speed(visit: Visit) -> str:
    pseudonym = os.urandom(32).hex()
    took = median([(await ask(visit, pseudonym)).seconds for _ in range(TIMES)]) * 1000
    if took > SOON * 1000:
        raise Odd(f"answers within {took:.0f} ms; a gateway waits {SOON * 1000:.0f} ms and goes on without")
    return f"answers within {took:.0f} ms, connection and all; a gateway waits {SOON * 1000:.0f} ms"


def _somebody(visit: Visit) -> tuple[str, str]:
    """A pseudonym of the feed, and the id of its customer, who is in the feed as well."""
    customers = visit.state("customer")
    for pseudonym, value in visit.state("identifier").items():
        if value["customer"] in customers:
            return pseudonym, value["customer"]
    raise Open(f"the feed of store {visit.store} has no identifier of a customer whom it has: put both into it")
