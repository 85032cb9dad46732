"""The beginning: is it there, whom does it let in, and what does it say of itself?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edge.verify.check import Checks
from edge.verify.delivery import BATCH, PATH
from edge.verify.platform import Answer
from edge.verify.sample import encode
from edge.verify.verdict import Odd, Unseen, Wrong
from edge.verify.visit import Limits, Visit

check = Checks()

FORM = '{"batch":true,"maxBatch":500,"maxBytes":1048576}'
SMALL = 4096
"""Bytes below which one event with a product may not find room."""


@check("reachable")
async def reachable(visit: Visit) -> str:
    answer = await visit.platform.get("/v1/capabilities")
    if answer.status in (401, 403):
        token = "is the token right?" if visit.secured else "give --token-file"
        raise Wrong("to be let in", f"{answer}; {token}")
    return f"answers within {answer.seconds * 1000:.0f} ms"


@check("capabilities", "reachable")
async def capabilities(visit: Visit) -> str:
    answer = await visit.platform.get("/v1/capabilities")
    if answer.status == 404:
        raise Wrong(f"200 {FORM}", f"{answer}; is the address right? It is what comes before /v1")
    body = answer.json(f"200 {FORM}")
    if not isinstance(body, dict):
        raise Wrong(FORM, str(answer))
    batch, events, size = (body.get(name) for name in ("batch", "maxBatch", "maxBytes"))
    if not isinstance(batch, bool):
        raise Wrong("batch: true or false", f"{answer}")
    for name, value in (("maxBatch", events), ("maxBytes", size)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise Wrong(f"{name}: a whole number of 1 or more", f"{answer}")
    assert isinstance(events, int)
    assert isinstance(size, int)
    visit.limits = Limits(events if batch else 1, size)
    if size < SMALL:
        raise Odd(f"maxBytes {size}: an event has about 700 bytes, with a long product name some thousand")
    return f"batch {str(batch).lower()}, maxBatch {events}, maxBytes {size}"


@check("token.missing", "reachable")
async def token_missing(visit: Visit) -> str:
    if not visit.secured:
        raise Unseen("it lets in anybody; a platform in use asks for a bearer token: try with --token-file")
    return await _refused(visit, None, "a request without a token")


@check("token.wrong", "reachable")
async def token_wrong(visit: Visit) -> str:
    if not visit.secured:
        raise Unseen("there is no token to be compared with: try with --token-file")
    return await _refused(visit, f"{visit.name}-wrong", "a wrong token")


async def _refused(visit: Visit, token: str | None, what: str) -> str:
    ask = visit.platform
    event, stranger = encode([visit.another("stranger").item()]), b'{"pseudonym":"%s"}' % (b"0" * 64)
    calls: list[Callable[[], Awaitable[Answer]]] = [
        lambda: ask.get("/v1/capabilities", token=token),
        lambda: ask.post(PATH, event, BATCH, token=token),
        lambda: ask.get(visit.feed, token=token),
        lambda: ask.post("/v1/identifiers/resolve", stranger, "application/json", token=token),
    ]
    for call in calls:
        answer = await call()
        if answer.status not in (401, 403):
            raise Wrong(f"401 or 403 for {what}", str(answer))
    return f"each of the four calls answers 401 or 403 for {what}"
