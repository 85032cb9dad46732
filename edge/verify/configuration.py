"""`GET …/configuration`, which a platform may leave out: who has it, has it in a form that a gateway can take."""

from __future__ import annotations

import base64
from typing import Any

from edge.verify.check import Checks
from edge.verify.platform import Answer, parse, shown
from edge.verify.verdict import Odd, Wrong
from edge.verify.visit import Visit

check = Checks()

FORM = '200 application/jose with an ETag: a JWS of the type "cartwire-configuration"; or 404 for none'
NONE = 'applied=0, refused;version=1;reason="a \\"reason\\" of cartwire verify-platform"'


@check("configuration", "reachable")
async def configuration(visit: Visit) -> str:
    gateway = visit.gateway.name
    path = f"/v1/stores/{visit.store}/gateways/{gateway}/configuration"
    headers = {"Accept": "application/jose", "Cartwire-Configuration": NONE}
    answer = await visit.platform.get(path, headers=headers)
    if answer.status == 404:
        return "404, as from a platform that has none for this gateway, or that configures nobody from afar"
    if 400 <= answer.status < 500:
        raise Odd(f"{answer}; a gateway that is configured from afar takes only a 404 for none")
    if answer.status != 200 or answer.content_type != "application/jose":
        raise Wrong(FORM, str(answer))
    _judge(answer, visit.store, gateway)
    again = await visit.platform.get(path, headers={**headers, "If-None-Match": answer.etag})
    if again.status != 304:
        raise Odd(f"does not answer 304 to If-None-Match: {shown(answer.etag)}, so each poll transfers all of it")
    return "a JWS for this gateway, and 304 to its ETag; only a gateway can tell who has signed it"


def _judge(answer: Answer, store: str, gateway: str) -> None:
    try:
        head, payload, _ = answer.body.strip().split(b".")
        header, signed = _part(head), _part(payload)
    except ValueError:
        raise Wrong(FORM, str(answer)) from None
    if header.get("typ") != "cartwire-configuration" or header.get("alg") not in ("EdDSA", "Ed25519"):
        raise Wrong(f"{FORM}, signed with EdDSA", f"{answer.asked} has the header {shown(header)}")
    for name, wanted in (("store", store), ("gateway", gateway)):
        if signed.get(name) != wanted:
            raise Wrong(f"{name} {shown(wanted)}, who has asked", f"{answer.asked} has {shown(signed.get(name))}")
    if not answer.etag:
        raise Wrong(FORM, f"{answer.asked} has no ETag")


def _part(text: bytes) -> dict[str, Any]:
    """Raises ValueError."""
    found = parse(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)))
    return found if isinstance(found, dict) else {}
