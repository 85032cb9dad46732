"""`POST /v1/events`: whatever a gateway may send is kept, once, and each event is answered for."""

from __future__ import annotations

import asyncio
from typing import Any

from edge.verify.check import Checks
from edge.verify.delivery import BATCH, KNOWN, PATH, deliver, fitting, send, settled
from edge.verify.platform import Answer
from edge.verify.sample import Json, encode
from edge.verify.verdict import Odd, Wrong
from edge.verify.visit import Visit

check = Checks()

_ROUNDS, _AT_ONCE = 4, 5
"""Batches and events a batch of each of two gateways that send at the same time."""
_HANGUL = (
    '가나다라마바사 뷁햏쀍 한국어 상품명, 옛한글 ᄒᆞᆫ글, 결합 e\u0301, 漢字, 🛒👩🏽‍🔧🇰🇷, \u200bא ب, \\ " / <b>&amp;</b> '
)


@check("events.one", "reachable")
async def one(visit: Visit) -> str:
    await deliver(visit, [visit.gateway.item()], "accepted for an item_added, alone in its batch")
    return "a batch of one is accepted"


@check("events.batch", "events.one")
async def batch(visit: Visit) -> str:
    await deliver(visit, visit.gateway.items(3), "accepted for each of three in a batch")
    return "a batch of three has three results"


@check("events.types", "events.batch")
async def types(visit: Visit) -> str:
    events = visit.gateway.every_type()
    wants = "accepted for every type of event"
    try:
        await deliver(visit, events, wants)
    except Wrong as wrong:
        raise await _one_by_one(visit, events, wants) or wrong from None
    visit.sent = events
    return f"all {len(events)} types are accepted"


async def _one_by_one(visit: Visit, events: list[Json], wants: str) -> Wrong | None:
    """Which of them is it?"""
    found: list[tuple[str, str]] = []
    for event in events:
        try:
            await deliver(visit, [event], wants, KNOWN)
        except Wrong as wrong:
            found.append((event["type"], wrong.answered))
    if not found:
        return None
    others = f" (and so {', '.join(type for type, _ in found[1:])})" if found[1:] else ""
    type, answered = found[0]
    return Wrong(wants, f"{answered if type in answered else f'{type}: {answered}'}{others}")


@check("events.rarer-forms", "events.one")
async def rarer_forms(visit: Visit) -> str:
    forms = list(visit.gateway.rarer_forms())
    for words, event in forms:
        await deliver(visit, [event], f"accepted for {words}")
    return f"{len(forms)} rarer forms are accepted: nulls, decimals, a time of 1970, …"


@check("events.again", "events.types")
async def again(visit: Visit) -> str:
    outcomes = await deliver(visit, visit.sent, "duplicate (or accepted) for what was accepted before", KNOWN)
    statuses = {outcome.status for outcome in outcomes}
    visit.forgets = "accepted" in statuses
    if visit.forgets:
        raise Odd("an event that comes again is accepted again: is it kept once? `duplicate` would say so")
    return "each is a duplicate"


@check("events.again-among-new", "events.again")
async def again_among_new(visit: Visit) -> str:
    wants = "duplicate for the known, accepted for the new events of one batch"
    new = visit.gateway.item()
    for outcome in await deliver(visit, [visit.sent[0], new, visit.sent[-1]], wants, KNOWN):
        if outcome.event is new and outcome.status == "duplicate":
            raise Wrong(wants, f"{outcome}, though it was never sent before: it is lost")
    return "new events beside known ones are accepted"


@check("events.source-and-id", "events.one")
async def source_and_id(visit: Visit) -> str:
    event = visit.gateway.item()
    namesake = event | {"source": visit.another("namesake").source}
    await deliver(visit, [event])
    await deliver(visit, [namesake], "accepted for a known id from another source: source + id name an event")
    return "the same id from another gateway is another event"


@check("events.new-journal", "events.batch")
async def new_journal(visit: Visit) -> str:
    gateway = visit.another("mended")
    before = gateway.items(2)
    await deliver(visit, before)
    previous = gateway.reopen()
    opened = {"reason": "salvaged", "previous": previous, "rows_lost": 1}
    events = [gateway.event("journal.opened", opened), *gateway.items(2)]
    await deliver(visit, events, "accepted for events of a new journal, whose seq begins anew")
    return "a gateway whose journal begins anew is understood"


@check("events.holes", "events.batch")
async def holes(visit: Visit) -> str:
    gateway = visit.another("holes")
    events = []
    for gateway.seq in (0, 1, 40, 1_000, 3_000_000_000):
        events.append(gateway.item())
    await deliver(visit, events, "accepted for a seq with holes, also beyond 32 bits")
    return "holes in seq, and a seq beyond 32 bits, are accepted"


@check("events.late", "events.batch")
async def late(visit: Visit) -> str:
    first, second = visit.gateway.items(2)
    await deliver(visit, [second])
    await deliver(visit, [first], "accepted for a lower seq after a higher one, as after `cartwire rejected retry`")
    return "an event that comes late is accepted"


@check("events.gzip", "events.batch")
async def zipped(visit: Visit) -> str:
    await deliver(visit, visit.gateway.items(3), "accepted for a batch with Content-Encoding: gzip", zipped=True)
    return "gzip is accepted"


@check("events.unknown-type", "events.one")
async def unknown_type(visit: Visit) -> str:
    event = visit.gateway.event("verify.invented", {"note": "types may come within v1"})
    await deliver(visit, [event], "accepted for a type it does not know: new ones may come within v1")
    return "a type it does not know is accepted (whether it is kept cannot be seen)"


@check("events.unknown-fields", "events.one")
async def unknown_fields(visit: Visit) -> str:
    new = {"verify_new": {"nested": [1, None, "x"]}}
    event = visit.gateway.item(**new)
    event["data"]["product"] |= new
    event["verifynew"] = "an extension attribute"
    await deliver(visit, [event], "accepted for fields it does not know: new ones may come within v1")
    return "fields it does not know are accepted (whether they are kept cannot be seen)"


@check("events.unicode", "events.again")
async def unicode(visit: Visit) -> str:
    product = {"name": _HANGUL * 8, "price": {"amount": "12900", "currency": "KRW"}}
    events = [visit.gateway.item(product=product), visit.gateway.item(read_point="계산대-1")]
    await deliver(visit, events, "accepted for Korean, emoji and other text, 600 characters of it")
    await deliver(visit, events, "duplicate (or accepted) for the same text again", KNOWN)
    return "Korean, emoji and other text is accepted, and known again"


@check("events.malformed", "events.batch")
async def malformed(visit: Visit) -> str:
    good = visit.gateway.items(4)
    bad = {name: value for name, value in visit.gateway.item().items() if name not in ("source", "type", "data")}
    batch = [*good[:2], bad, *good[2:]]
    if len(list(fitting(visit, batch))) > 1:
        batch = [bad]
    answer = await send(visit, batch)
    if answer.status in (400, 422):
        return await _halved(visit, good, answer)
    wants = "rejected for an event without source, type and data, and for this one only (or 400, 422 for the batch)"
    if answer.status != 200:
        raise Wrong(wants, str(answer))
    for outcome in settled(answer, batch, wants):
        if outcome.event is not bad and outcome.status not in KNOWN:
            raise Wrong(wants, f"a good one beside it: {outcome}")
        if outcome.event is bad and outcome.status != "rejected":
            raise Wrong(wants, str(outcome))
        if outcome.event is bad and not _is_problem(outcome.problem):
            problem = '"problem" with a title or a detail (RFC 9457), so that staff can read why'
            raise Wrong(f"{problem}, in a rejected result", str(outcome))
    return "a malformed event is rejected alone, with its problem"


async def _halved(visit: Visit, good: list[Json], answer: Answer) -> str:
    wants = f"accepted for the good events of a batch that was refused with {answer.status}, when they come again"
    await deliver(visit, good, wants, KNOWN)
    return f"a malformed event: {answer.status} for the batch, and the others are accepted when they come again"


def _is_problem(problem: Any) -> bool:
    if not isinstance(problem, dict):
        return False
    texts = [problem.get(name) for name in ("type", "title", "detail")]
    return all(isinstance(text, str | None) for text in texts) and any(texts[1:])


@check("events.broken-json", "events.one")
async def broken_json(visit: Visit) -> str:
    whole = encode([visit.gateway.item()])
    answer = await visit.platform.post(PATH, whole[: len(whole) // 2], BATCH)
    if answer.status not in (400, 422):
        raise Wrong("400 or 422 for half a batch", str(answer))
    return "half a batch is refused with 400 or 422"


@check("events.two-gateways", "events.batch")
async def two_gateways(visit: Visit) -> str:
    async def of(letter: str) -> None:
        gateway = visit.another(letter)
        for _ in range(_ROUNDS):
            await deliver(visit, gateway.items(_AT_ONCE), "accepted for two gateways that send at the same time")

    await _together(of("b"), of("c"))
    return "two gateways can send at the same time"


@check("events.race", "events.again")
async def race(visit: Visit) -> str:
    events = visit.gateway.items(5)
    wants = "accepted or duplicate for a batch sent again while the first is still in work, as after a time-out"
    first, second = await _together(deliver(visit, events, wants, KNOWN), deliver(visit, events, wants, KNOWN))
    for one, other in zip(first, second, strict=True):
        if one.status == other.status == "accepted" and not visit.forgets:
            raise Wrong(wants, f"{one} twice: two requests at the same time keep an event twice")
    return "the same batch twice at the same time is kept once" if not visit.forgets else "both are answered"


async def _together(*work: Any) -> list[Any]:
    """All of them, to their ends; the first thing wrong is raised then."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each
    return done
