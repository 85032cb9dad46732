"""Batches at the limits that a platform announces, and just over them."""

from __future__ import annotations

from collections.abc import Sequence

from edge.verify.check import Checks
from edge.verify.delivery import BATCH, KNOWN, PATH, deliver, send, settled
from edge.verify.platform import Answer
from edge.verify.sample import Json, encode
from edge.verify.verdict import Odd, Unseen, Wrong
from edge.verify.visit import Visit

check = Checks()

MOST, LARGEST = 10_000, 16 << 20
"""Events and bytes of the biggest batch that is tried; no gateway sends more events."""


@check("limits.full-batch", "capabilities", "events.batch")
async def full_batch(visit: Visit) -> str:
    events = visit.gateway.items(min(visit.limits.events, MOST))
    while len(events) > 1 and len(encode(events)) > visit.limits.size:
        del events[len(events) // 2 :]
    wants = f"accepted for a batch of {len(events)}, as announced"
    await deliver(visit, events, wants)
    return f"a batch of {len(events)} is accepted"


@check("limits.full-bytes", "capabilities", "events.one")
async def full_bytes(visit: Visit) -> str:
    size = _size(visit)
    events = visit.gateway.items(1)
    if len(encode(events)) > size:
        raise Wrong(f"room for one event, which may have {len(encode(events))} bytes", f"maxBytes is {size}")
    answer = await visit.platform.post(PATH, _padded(events, size), BATCH)
    if answer.status == 413:
        raise Wrong(f"200 for a batch of {size} bytes, as announced", f"{answer}; has a proxy a limit of its own?")
    settled(answer, events, f"200 for a batch of {size} bytes, as announced")
    return f"a batch of {size} bytes is accepted"


@check("limits.over-batch", "limits.full-batch")
async def over_batch(visit: Visit) -> str:
    most = visit.limits.events
    events = visit.gateway.items(most + 1) if most <= MOST else []
    if not events or len(encode(events)) > visit.limits.size:
        raise Unseen(f"maxBatch {most} is more than maxBytes or any gateway allows")
    over = _over(await send(visit, events), events, f"{most + 1} events")
    half = len(events) // 2
    for part in (events[:half], events[half:]):
        await deliver(visit, part, "accepted for the halves of a batch that was refused with 413", KNOWN)
    return f"{over}, and its halves are accepted"


@check("limits.over-bytes", "limits.full-bytes")
async def over_bytes(visit: Visit) -> str:
    size = _size(visit) + 1
    events = visit.gateway.items(1)
    return _over(await visit.platform.post(PATH, _padded(events, size), BATCH), events, f"{size} bytes")


@check("limits.over-bytes-gzip", "events.gzip", "limits.over-bytes")
async def over_bytes_gzip(visit: Visit) -> str:
    size = _size(visit) + 1
    events = visit.gateway.items(1)
    answer = await visit.platform.post(PATH, _padded(events, size), BATCH, zipped=True)
    return _over(answer, events, f"{size} bytes before gzip")


def _size(visit: Visit) -> int:
    if visit.limits.size > LARGEST:
        raise Unseen(f"maxBytes {visit.limits.size} is more than is tried here ({LARGEST})")
    return visit.limits.size


def _padded(events: Sequence[Json], size: int) -> bytes:
    """A batch of just so many bytes; the rest is white space."""
    body = encode(list(events))
    return body[:-1] + b" " * (size - len(body)) + b"]"


def _over(answer: Answer, events: Sequence[Json], what: str) -> str:
    if answer.status == 413:
        return f"{what} are answered 413"
    try:
        taken = all(outcome.status in KNOWN for outcome in settled(answer, events, ""))
    except Wrong as wrong:
        raise Wrong(f"413 for {what}", wrong.answered) from None
    if taken:
        raise Odd(f"{what} are taken, which is more than it announces; nobody is harmed")
    raise Wrong(f"413 for {what}", str(answer))
