"""The forms of the public contract as the sandbox platform reads it: which fields there are, and how they look."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# What the contract names. `x?` may be left out, `x~` may be null, `x=a|b` is one of these.
ENVELOPE = "specversion id source type subject? time datacontenttype journal seq bootid clockok data"
DATA = {
    "cartwire.customer.identified.v1": "customer session method=nfc|code read_point",
    "cartwire.tap.unknown.v1": "pseudonym session method=nfc|code read_point",
    "cartwire.customer.resolved.v1": "customer pseudonym session read_point",
    "cartwire.cart.item_added.v1": "customer cart session gtin quantity symbology~ product~ read_point in_store? "
    "event? staff?",
    "cartwire.cart.item_confirmed.v1": "event read_point?",
    "cartwire.cart.item_removed.v1": "event customer cart session gtin quantity staff read_point? in_store?",
    "cartwire.scan.unclaimed.v1": "gtin symbology~ read_point in_store?",
    "cartwire.session.ended.v1": "session customer~ reason=timeout|replaced|staff|consent read_point",
    "cartwire.presence.entered.v1": "customer read_point",
    "cartwire.presence.left.v1": "customer dwell_seconds read_point",
    "cartwire.band.bound.v1": "customer pseudonym staff read_point?",
    "cartwire.band.unbound.v1": "customer pseudonym staff read_point?",
    "cartwire.customer.erased.v1": "customer reason=platform|staff",
    "cartwire.device.lost.v1": "driver reason read_point?",
    "cartwire.device.recovered.v1": "driver reason read_point?",
    "cartwire.clock.adjusted.v1": "bootid offset_seconds",
    "cartwire.journal.opened.v1": "reason=created|salvaged|restored previous~ rows_lost",
}
PARTS = {
    "product": "name price?~ stock? rating? reviews? image?",
    "price": "amount currency",
    "in_store": "kind=price|weight value",
}
ENCODE = json.JSONEncoder(ensure_ascii=False).encode
TEXT = r'"(?:[^"\\]|\\.)+"'
# The JSON of a field matches this; a field that is not here is text.
FORMS = {
    name: re.compile(form, re.ASCII | re.DOTALL)
    for names, form in (
        ("specversion", '"1.0"'),
        ("id event journal previous", '"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"'),
        ("session bootid", '"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}"'),
        ("source", '"/stores/[a-z0-9-]{1,32}/gateways/[a-z0-9-]{1,32}"'),
        ("subject", '"customers/.+"'),
        ("time", r'"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z"'),
        ("datacontenttype", '"application/json"'),
        ("seq rows_lost", r"0|[1-9]\d{0,17}"),
        ("clockok batch", "true|false"),
        ("data product price in_store", r"\{.*\}"),
        ("cart", '"[A-Za-z0-9_-]{1,64}"'),
        ("pseudonym", '"[0-9a-f]{64}"'),
        ("gtin", r'"\d{14}"'),
        ("quantity", "1"),
        ("symbology", '"(EAN13|EAN8|UPCA|UPCE|ITF14|CODE128|GS1-128|DATABAR(-LIMITED|-EXPANDED)?|QR|DATAMATRIX)"'),
        ("amount value", r'"\d+(\.\d+)?"'),
        ("currency", '"[A-Z]{3}"'),
        ("stock rating reviews image body", ".*"),
        ("driver", '"[a-z0-9_]+@.+"'),
        ("dwell_seconds offset_seconds seconds", r"-?\d+(\.\d+)?(e[+-]?\d+)?"),
        ("store", r'"(\*|[a-z0-9-]{1,32})"'),
        ("changes", r"\[.*\]"),
        ("ids types", rf"\[({TEXT}(, )?)*\]"),
        ("times maxBatch maxBytes", r"[1-9]\d{0,6}"),
        ("headers", r'\{("[\w-]+": "[^"\\]*"(, )?)*\}'),
        ("status", r"[2-5]\d\d"),
        ("text", TEXT),
    )
    for name in names.split()
}


def fits(name: str, value: Any) -> bool:
    """Whether a field has the form that is named for it."""
    if FORMS.get(name, FORMS["text"]).fullmatch(ENCODE(value)) is None:
        return False
    return name != "gtin" or sum(int(digit) * (3, 1)[i % 2] for i, digit in enumerate(value)) % 10 == 0


def misfits(value: Mapping[str, Any], named: str, blank: Sequence[str] = (), path: str = "") -> Iterator[str]:
    """What is missing, malformed or not named in an object; fields in `blank` may be null or missing."""
    rest = set(value)
    for name, may_miss, may_null, choices in re.findall(r"(\w+)(\??)(~?)=?([\w|]*)", named):
        rest.discard(name)
        if name not in value:
            if not may_miss and name not in blank:
                yield f"{path}{name} is missing"
        elif value[name] is None and (may_null or name in blank):
            continue
        elif name in PARTS and isinstance(value[name], dict):
            yield from misfits(value[name], PARTS[name], path=f"{path}{name}.")
        elif value[name] not in choices.split("|") if choices else not fits(name, value[name]):
            yield f"{path}{name} has another form: {json.dumps(value[name])[:80]}"
    yield from (f"{path}{name[:80]} is not named" for name in sorted(rest))
