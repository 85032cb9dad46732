"""Platforms that keep the contract but for one step, and the check that has to say so.

Each is what somebody's first version does. `FAULTS`: the check that finds it bad, `ODDITIES`: or odd.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

from aiohttp import web

from peers.platform import Json, Platform, upsert

if TYPE_CHECKING:
    from collections.abc import Callable

FAULTS: list[tuple[str, type[Platform]]] = []
ODDITIES: list[tuple[str, type[Platform]]] = []
RESTARTS: list[tuple[str, type[Platform]]] = []
OVERLAP = 0.05  # seconds in which two requests meet


def bad(check: str, among: list[tuple[str, type[Platform]]] = FAULTS) -> Callable[[type[Platform]], type[Platform]]:
    """Say which check has to find this one."""

    def add(platform: type[Platform]) -> type[Platform]:
        among.append((check, platform))
        return platform

    return add


def announcing(check: str, name: str, **limits: object) -> None:
    """Add a platform with other capabilities."""

    async def get_capabilities(self: Platform, _: web.Request) -> web.StreamResponse:
        return self.json(self.limits | limits)

    bad(check)(type(name, (Platform,), {"get_capabilities": get_capabilities}))


def telling(check: str, name: str, *changes: Json, among: list[tuple[str, type[Platform]]] = FAULTS) -> None:
    """Add a platform whose feed has these as well."""

    def page(self: Platform, at: int, limit: int) -> Json:
        if not hasattr(self, "told"):
            self.told = True  # type: ignore[attr-defined]
            self.log += changes
        return Platform.page(self, at, limit)

    bad(check, among)(type(name, (Platform,), {"page": page}))


def broken() -> NoReturn:
    """End as an exception that nobody caught does."""
    raise web.HTTPInternalServerError(text="Traceback (most recent call last): …")


async def within(seconds: float, event: asyncio.Event) -> None:
    """Wait for it, but not longer."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


# who is let in


@bad("reachable")
class LetsNobodyIn(Platform):
    token = "another"


@bad("token.missing")
class TakesEventsOfAnybody(Platform):
    def allowed(self, request: web.Request, authorization: str) -> bool:
        return (request.path == "/v1/events" and not authorization) or super().allowed(request, authorization)


@bad("token.wrong")
class TakesAnyToken(Platform):
    def allowed(self, request: web.Request, authorization: str) -> bool:
        return authorization.startswith("Bearer ")


@bad("token.wrong")
class Answers404ToAWrongToken(Platform):
    def allowed(self, request: web.Request, authorization: str) -> bool:
        if authorization and not super().allowed(request, authorization):
            raise web.HTTPNotFound
        return super().allowed(request, authorization)


# capabilities

announcing("capabilities", "StringsForNumbers", maxBatch="40", maxBytes="65536")
announcing("capabilities", "BatchIsOne", batch=1)
announcing("capabilities", "MaxBatchZero", maxBatch=0)
announcing("capabilities", "MaxBytesIsNull", maxBytes=None)
announcing("capabilities", "MaxBatchIsInfinite", maxBatch=float("inf"))


@bad("capabilities")
class Redirects(Platform):
    """All would be well for somebody who follows."""

    async def get_capabilities(self, request: web.Request) -> web.StreamResponse:
        if request.query:
            return await super().get_capabilities(request)
        raise web.HTTPFound("/v1/capabilities?all=1")


@bad("capabilities")
class AnswersWithAPage(Platform):
    async def get_capabilities(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>Welcome</html>", content_type="text/html")


# events


@bad("events.one")
class RedirectsEvents(Platform):
    async def post_events(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPPermanentRedirect("/v2/events")


@bad("events.one")
class AnswersEventsWithAPage(Platform):
    async def post_events(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>Saved</html>", content_type="text/html")


@bad("events.one")
class AnswersNothing(Platform):
    async def post_events(self, request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.abort()
        return web.Response()


@bad("events.one")
class ResultsById(Platform):
    async def results(self, batch: list[Json]) -> Any:
        return {event["id"]: "accepted" for event in batch}


@bad("events.one")
class SaysOk(Platform):
    def result(self, event: Json) -> Json:
        return {"id": event["id"], "status": "ok"}


@bad("events.one")
class Answers201(Platform):
    async def post_events(self, request: web.Request) -> web.StreamResponse:
        await super().post_events(request)
        return web.json_response({}, status=201)


@bad("events.batch")
class ForgetsAResult(Platform):
    async def results(self, batch: list[Json]) -> list[Json]:
        return [self.result(event) for event in batch][: max(1, len(batch) - 1)]


@bad("events.batch")
class ContradictsItself(Platform):
    async def results(self, batch: list[Json]) -> list[Json]:
        results = await super().results(batch)
        return results + [{"id": results[0]["id"], "status": "rejected"}] * (len(results) > 1)


@bad("events.types")
class KnowsNoBands(Platform):
    def misfit(self, event: Json) -> str:
        return "no such event" if "band." in event.get("type", "") else super().misfit(event)


@bad("events.types")
class WholeSecondsOnly(Platform):
    def misfit(self, event: Json) -> str:
        return broken() if event.get("data", {}).get("dwell_seconds", 0) % 1 else super().misfit(event)


@bad("events.types")
class OneEventASession(Platform):
    """The second of a session is called a duplicate, and is lost."""

    def key(self, event: Json) -> tuple[str, str]:
        known = event["type"] in ("cartwire.customer.identified.v1", "cartwire.session.ended.v1")
        return (event["source"], event["data"]["session"]) if known else super().key(event)


@bad("events.rarer-forms")
class NotNull(Platform):
    def misfit(self, event: Json) -> str:
        data = event.get("data", {})
        return "customer must not be null" if data.get("customer", "") is None else super().misfit(event)


@bad("events.rarer-forms")
class WantsClocksSet(Platform):
    def misfit(self, event: Json) -> str:
        return "too old" if event.get("time", "").startswith("1970") else super().misfit(event)


@bad("events.again")
class AnotherWordTheSecondTime(Platform):
    def known(self, event: Json) -> Json:
        return {"id": event["id"], "status": "already there"}


@bad("events.again")
class UniqueConstraint(Platform):
    def known(self, event: Json) -> Json:
        broken()


@bad("events.again")
class Answers409(Platform):
    def known(self, event: Json) -> Json:
        raise web.HTTPConflict


@bad("events.again")
class RejectsWhatItHas(Platform):
    def known(self, event: Json) -> Json:
        return {"id": event["id"], "status": "rejected", "problem": {"title": "seen before"}}


@bad("events.again-among-new")
class AllOrNothing(Platform):
    """One known event makes the batch a duplicate, and the new ones are lost."""

    async def results(self, batch: list[Json]) -> list[Json]:
        if any(self.misfit(event) == "" and self.key(event) in self.kept for event in batch):
            return [self.known(event) for event in batch]
        return await super().results(batch)


@bad("events.source-and-id")
class IdAlone(Platform):
    def key(self, event: Json) -> tuple[str, str]:
        return "", event["id"]


@bad("events.new-journal")
class SourceAndSeq(Platform):
    def key(self, event: Json) -> tuple[str, str]:
        return event["source"], event["seq"]


@bad("events.holes")
class SmallIntegers(Platform):
    def misfit(self, event: Json) -> str:
        return broken() if event["seq"] >= 1 << 31 else super().misfit(event)


@bad("events.holes")
class WaitsForWhatIsMissing(Platform):
    """An event after a hole has no result."""

    last: dict[str, int]

    async def results(self, batch: list[Json]) -> list[Json]:
        self.last = getattr(self, "last", {})
        ready = []
        for event in batch:
            if event["seq"] <= self.last.setdefault(event["journal"], event["seq"]) + 20:
                self.last[event["journal"]] = max(self.last[event["journal"]], event["seq"])
                ready.append(event)
        return await super().results(ready)


@bad("events.late")
class RisingSeqOnly(Platform):
    def misfit(self, event: Json) -> str:
        if why := super().misfit(event):
            return why
        here = [
            e["seq"] for e in self.kept.values() if (e["source"], e["journal"]) == (event["source"], event["journal"])
        ]
        return "too late" if self.key(event) not in self.kept and event["seq"] < max(here, default=0) else ""


@bad("events.gzip")
class NoGzip(Platform):
    async def unpacked(self, request: web.Request) -> bytes:
        return broken() if "Content-Encoding" in request.headers else await super().unpacked(request)


@bad("events.gzip")
class Answers415ToGzip(Platform):
    async def unpacked(self, request: web.Request) -> bytes:
        if "Content-Encoding" in request.headers:
            raise web.HTTPUnsupportedMediaType
        return await super().unpacked(request)


@bad("events.unknown-type")
class KnownTypesOnly(Platform):
    def misfit(self, event: Json) -> str:
        return "no such type" if "invented" in event.get("type", "") else super().misfit(event)


@bad("events.unknown-type")
class NoResultForUnknownTypes(Platform):
    async def results(self, batch: list[Json]) -> list[Json]:
        return await super().results([event for event in batch if "invented" not in event.get("type", "")])


@bad("events.unknown-fields")
class AdditionalPropertiesFalse(Platform):
    def misfit(self, event: Json) -> str:
        return "additional properties" if "verifynew" in event else super().misfit(event)


@bad("events.unknown-fields")
class NoNewFieldsInData(Platform):
    def misfit(self, event: Json) -> str:
        return "additional properties" if "verify_new" in event.get("data", {}) else super().misfit(event)


@bad("events.unicode")
class ThreeByteCharacters(Platform):
    async def unpacked(self, request: web.Request) -> bytes:
        raw = await super().unpacked(request)
        return broken() if any(ord(c) > 0xFFFF for c in raw.decode()) else raw


@bad("events.unicode")
class Varchar255(Platform):
    """A longer name is cut, and the same bytes then look like another event under a known id."""

    def known(self, event: Json) -> Json:
        if len(str((event["data"].get("product") or {}).get("name"))) > 255:
            return {"id": event["id"], "status": "rejected", "problem": {"title": "other content"}}
        return super().known(event)


@bad("events.malformed")
class TakesAnything(Platform):
    def misfit(self, event: Json) -> str:
        return ""

    def key(self, event: Json) -> tuple[str, str]:
        return event.get("source", ""), event["id"]


@bad("events.malformed")
class RejectsTheGoodOnes(Platform):
    async def results(self, batch: list[Json]) -> list[Json]:
        if any(self.misfit(event) for event in batch):
            return [{"id": event["id"], "status": "rejected", "problem": {"title": "a bad batch"}} for event in batch]
        return await super().results(batch)


@bad("events.malformed")
class SaysNotWhy(Platform):
    def result(self, event: Json) -> Json:
        return {name: value for name, value in super().result(event).items() if name != "problem"}


@bad("events.malformed")
class ProblemIsAText(Platform):
    def result(self, event: Json) -> Json:
        result = super().result(event)
        return result | {"problem": "missing source"} if "problem" in result else result


@bad("events.malformed")
class KeyError500(Platform):
    def misfit(self, event: Json) -> str:
        return broken() if super().misfit(event) else ""


@bad("events.malformed")
class LeavesOutTheMalformed(Platform):
    async def results(self, batch: list[Json]) -> list[Json]:
        return await super().results([event for event in batch if not self.misfit(event)])


@bad("events.malformed")
class RefusesTheRestForEver(Platform):
    refused: frozenset[str] = frozenset()

    def parsed(self, raw: bytes) -> list[Json]:
        batch = super().parsed(raw)
        ids = {event["id"] for event in batch}
        if any(self.misfit(event) for event in batch):
            self.refused |= ids
        if self.refused & ids:
            raise web.HTTPUnprocessableEntity
        return batch


@bad("events.broken-json")
class BrokenJson500(Platform):
    def parsed(self, raw: bytes) -> list[Json]:
        try:
            return super().parsed(raw)
        except web.HTTPBadRequest:
            broken()


@bad("events.broken-json")
class BrokenJsonIsNothing(Platform):
    def parsed(self, raw: bytes) -> list[Json]:
        try:
            return super().parsed(raw)
        except web.HTTPBadRequest:
            return []


class Meeting(Platform):
    """Requests that come at the same time find each other in work."""

    def __init__(self) -> None:
        super().__init__()
        self.working: list[list[Json]] = []
        self.met = asyncio.Event()

    async def results(self, batch: list[Json]) -> list[Json]:
        self.working.append(batch)
        try:
            if len(self.working) > 1:
                self.met.set()
                self.met = asyncio.Event()
            else:
                await within(OVERLAP, self.met)
            return await self.meet(batch)
        finally:
            self.working.remove(batch)

    async def meet(self, batch: list[Json]) -> list[Json]:
        return await super().results(batch)


@bad("events.two-gateways")
class OneAtATime(Meeting):
    async def meet(self, batch: list[Json]) -> list[Json]:
        return broken() if len({each[0]["source"] for each in self.working}) > 1 else await super().meet(batch)


@bad("events.race")
class LooksThenWrites(Meeting):
    """Two who look at the same time both find nothing, and both write."""

    async def meet(self, batch: list[Json]) -> list[Json]:
        if sum(each[0]["id"] == batch[0]["id"] for each in self.working) > 1:
            return [{"id": event["id"], "status": "accepted"} for event in batch]
        return await super().meet(batch)


@bad("events.race")
class SerializationFailure(Meeting):
    async def meet(self, batch: list[Json]) -> list[Json]:
        twice = sum(each[0]["id"] == batch[0]["id"] for each in self.working) > 1
        return broken() if twice else await super().meet(batch)


# limits


@bad("limits.full-batch")
class AnnouncesMoreEvents(Platform):
    async def results(self, batch: list[Json]) -> list[Json]:
        if len(batch) > 20:
            raise web.HTTPRequestEntityTooLarge(20, len(batch))
        return await super().results(batch)


@bad("limits.full-bytes")
class BehindAProxy(Platform):
    async def unpacked(self, request: web.Request) -> bytes:
        raw = await super().unpacked(request)
        if len(raw) > 50_000:
            raise web.HTTPRequestEntityTooLarge(50_000, len(raw))
        return raw


@bad("limits.over-batch")
class TooMany500(Platform):
    def too_many(self, batch: list[Json]) -> web.Response:
        broken()


@bad("limits.over-batch")
class CutsOff(Platform):
    def too_many(self, batch: list[Json]) -> web.Response:
        return self.json({"results": [self.result(event) for event in batch[: self.limits["maxBatch"]]]})


@bad("limits.over-bytes")
class TooLarge400(Platform):
    def too_large(self, request: web.Request, batch: list[Json]) -> web.Response:
        return web.Response(status=400)


@bad("limits.over-bytes-gzip")
class UnpacksTooMuch(Platform):
    def too_large(self, request: web.Request, batch: list[Json]) -> web.Response:
        return broken() if "Content-Encoding" in request.headers else super().too_large(request, batch)


# feed


@bad("feed.first")
class KnowsNoSuchStore(Platform):
    async def get_changes(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound


@bad("feed.first")
class CursorIsANumber(Platform):
    def cursor(self, at: int) -> Any:
        return at


@bad("feed.first")
class BareList(Platform):
    def page(self, at: int, limit: int) -> Any:
        return super().page(at, limit)["changes"]


@bad("feed.first")
class MoreIsLeftOut(Platform):
    def page(self, at: int, limit: int) -> Json:
        return {name: value for name, value in super().page(at, limit).items() if name != "more"}


@bad("feed.first")
class NeverEnds(Platform):
    def page(self, at: int, limit: int) -> Json:
        return super().page(at, limit) | {"more": True}


@bad("feed.end")
class InclusiveCursor(Platform):
    def page(self, at: int, limit: int) -> Json:
        return super().page(at - 1 if at == len(self.log) else at, limit)


@bad("feed.paging")
class IgnoresLimit(Platform):
    def page(self, at: int, limit: int) -> Json:
        return super().page(at, 500)


@bad("feed.paging")
class SaysThatIsAll(Platform):
    def page(self, at: int, limit: int) -> Json:
        return super().page(at, limit) | {"more": False}


@bad("feed.paging")
class LosesOneBetweenPages(Platform):
    def position(self, cursor: str) -> int:
        at = super().position(cursor)
        return at + 1 if at == 4 else at


@bad("feed.cursor")
class CursorsWorkOnce(Platform):
    used = 0
    gone: frozenset[str] = frozenset()

    def cursor(self, at: int) -> str:
        self.used += 1
        return f"{self.used}.{super().cursor(at)}"

    def position(self, cursor: str) -> int:
        if cursor in self.gone:
            raise web.HTTPGone
        self.gone |= {cursor}
        return super().position(cursor.partition(".")[2])


@bad("feed.cursor")
class RemembersWhereOneStood(Platform):
    at = 0

    def position(self, cursor: str) -> int:
        super().position(cursor)
        return self.at

    def page(self, at: int, limit: int) -> Json:
        self.at = min(at + limit, len(self.log))
        return super().page(at, limit)


@bad("feed.made-up-cursor")
class UnknownCursor400(Platform):
    def position(self, cursor: str) -> int:
        try:
            return super().position(cursor)
        except web.HTTPGone:
            raise web.HTTPBadRequest from None


@bad("feed.made-up-cursor")
class UnknownCursorFromTheStart(Platform):
    def position(self, cursor: str) -> int:
        try:
            return super().position(cursor)
        except web.HTTPGone:
            return 0


@bad("feed.made-up-cursor")
class NumbersBeyondTheEnd(Platform):
    """After a restore its numbers begin again below the stores' cursors, and they hear of nothing."""

    def cursor(self, at: int) -> str:
        return str(at)

    def position(self, cursor: str) -> int:
        if not cursor.isdecimal():
            raise web.HTTPGone
        return min(int(cursor), len(self.log))


# what the feed says

telling("feed.changes", "Update", {"kind": "product", "op": "update", "key": "08801045600130", "value": {"name": "x"}})
telling("feed.changes", "UpsertWithoutValue", {"kind": "product", "op": "upsert", "key": "08801045600130"})
telling("feed.changes", "KeyIsANumber", {"kind": "customer", "op": "delete", "key": 17})
telling("feed.customers", "CartWithASlash", upsert("customer", "c-9", cart="carts/9"))
telling("feed.customers", "CartIsTheCustomer", upsert("customer", "c-9", cart="c-9"))
telling("feed.customers", "ACartForTwo", upsert("customer", "c-9", cart="k7f3a9"))
telling("feed.customers", "ConsentsByName", upsert("customer", "c-9", cart="k9", consents={"cart": True}))
telling("feed.customers", "AnotherConsent", upsert("customer", "c-9", cart="k9", consents=["marketing"]))
telling("feed.customers", "ConsentIsAList", upsert("customer", "c-9", cart="k9", consents=[["cart"]]))
telling("feed.identifiers", "UpperCase", upsert("identifier", "AB" * 32, type="nfc", customer="c-1"))
telling("feed.identifiers", "AnotherType", upsert("identifier", "12" * 32, type="rfid", customer="c-1"))
telling("feed.identifiers", "CustomerIsANumber", upsert("identifier", "12" * 32, type="nfc", customer=1))
telling(
    "feed.identifiers",
    "FromWithoutOffset",
    upsert("identifier", "12" * 32, type="nfc", customer="c-1", **{"from": "2026-11-21 09:12"}),
)
telling("feed.raw-identifiers", "RawKey", upsert("identifier", "04A1B2C3D4E5F6", type="nfc", customer="c-1"))
telling("feed.raw-identifiers", "TypeAndValue", upsert("identifier", "nfc:04A1B2C3D4E5F6", type="nfc", customer="c-1"))
telling(
    "feed.raw-identifiers",
    "UidBesides",
    upsert("identifier", "12" * 32, type="nfc", customer="c-1", uid="04:A1:B2:C3:D4:E5:F6"),
)
telling(
    "feed.raw-identifiers",
    "BeaconBesides",
    upsert("identifier", "12" * 32, type="ibeacon", customer="c-1", raw="e2c56db5-dffb-48d2-b060-d0f5a71096e0/1/258"),
)
telling("feed.products", "Gtin13", upsert("product", "8801045600130", name="Ramyun"))
telling("feed.products", "CheckDigit", upsert("product", "08801045600131", name="Ramyun"))
telling("feed.products", "NoName", upsert("product", "08801045600130", name=None))
telling("feed.products", "PriceIsANumber", upsert("product", "08801045600130", name="Ramyun", price=12900))
telling(
    "feed.products",
    "AmountIsANumber",
    upsert("product", "08801045600130", name="Ramyun", price={"amount": 12900, "currency": "KRW"}),
)
telling(
    "feed.products",
    "CurrencyIsASign",
    upsert("product", "08801045600130", name="Ramyun", price={"amount": "12900", "currency": "₩"}),
)


# resolve


@bad("resolve.unknown")
class Finds200Nobody(Platform):
    def resolved(self, pseudonym: str) -> Any:
        try:
            return super().resolved(pseudonym)
        except web.HTTPNotFound:
            return {"customer": None, "identifier": None}


@bad("resolve.known")
class FindsNobody(Platform):
    def resolved(self, pseudonym: str) -> Any:
        raise web.HTTPNotFound


@bad("resolve.known")
class FindsAnother(Platform):
    def resolved(self, pseudonym: str) -> Any:
        found = super().resolved(pseudonym)
        return found | {"customer": found["customer"] | {"id": "c-2"}}


@bad("resolve.known")
class LeavesOutTheId(Platform):
    def resolved(self, pseudonym: str) -> Any:
        found = super().resolved(pseudonym)
        del found["customer"]["id"]
        return found


# configuration


@bad("configuration")
class ConfiguresAnotherGateway(Platform):
    def configuration(self, store: str, gateway: str) -> Json:
        return super().configuration(store, "gw-1")


@bad("configuration")
class ConfiguresUnsigned(Platform):
    async def get_configuration(self, request: web.Request) -> web.StreamResponse:
        return self.json(self.configuration(**request.match_info))


@bad("configuration")
class BreaksAtWhatItDoesNotKnow(Platform):
    async def get_configuration(self, request: web.Request) -> web.StreamResponse:
        return broken()


@bad("json.content-type")
class CallsItText(Platform):
    def json(self, value: Any) -> web.Response:
        answer = super().json(value)
        answer.content_type = "text/plain"
        return answer


# odd: a gateway can live with it


@bad("capabilities", ODDITIES)
class TakesLittle(Platform):
    limits = {"batch": True, "maxBatch": 40, "maxBytes": 3000}  # noqa: RUF012


@bad("events.again", ODDITIES)
class AcceptsAgain(Platform):
    def known(self, event: Json) -> Json:
        return {"id": event["id"], "status": "accepted"}


@bad("limits.over-batch", ODDITIES)
class TakesMore(Platform):
    def too_many(self, batch: list[Json]) -> web.Response:
        return self.json({"results": [self.result(event) for event in batch]})


@bad("limits.over-bytes-gzip", ODDITIES)
class CountsPackedBytes(Platform):
    def too_large(self, request: web.Request, batch: list[Json]) -> web.Response:
        if "Content-Encoding" in request.headers:
            return self.json({"results": [self.result(event) for event in batch]})
        return super().too_large(request, batch)


@bad("resolve.speed", ODDITIES)
class TakesItsTime(Platform):
    async def post_resolve(self, request: web.Request) -> web.StreamResponse:
        await within(0.35, asyncio.Event())
        return await super().post_resolve(request)


telling("feed.changes", "ANewKind", {"kind": "offer", "op": "upsert", "key": "o-1", "value": {}}, among=ODDITIES)
telling(
    "feed.identifiers",
    "ACustomerTheyNeverHearOf",
    upsert("identifier", "12" * 32, type="nfc", customer="c-9"),
    among=ODDITIES,
)


@bad("configuration", ODDITIES)
class SendsItEachTime(Platform):
    async def get_configuration(self, request: web.Request) -> web.StreamResponse:
        plain = {name: value for name, value in request.headers.items() if name != "If-None-Match"}
        return await super().get_configuration(request.clone(headers=plain))


@bad("configuration", ODDITIES)
class ForbidsToAsk(Platform):
    async def get_configuration(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed("GET", ["PUT"])


# after a restart


@bad("durable", RESTARTS)
class InMemory(Platform):
    def restart(self) -> None:
        self.kept.clear()


@bad("durable", RESTARTS)
class AnswersBeforeItSyncs(Platform):
    def restart(self) -> None:
        self.kept.popitem()


@bad("durable.cursor", RESTARTS)
class CursorsBreak(Platform):
    broken = False

    def restart(self) -> None:
        self.broken = True

    def position(self, cursor: str) -> int:
        return broken() if self.broken else super().position(cursor)
