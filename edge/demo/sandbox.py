"""A small central platform that keeps the public contract: for demos, for tests, for those who write the real one.

It is written from the contract alone and shares no code with the gateway, so that a misreading on either side shows.
All of it is one SQLite file in the data folder; what is answered `accepted` has been committed there. `--strict`
compares every request and event with what the contract names and lists what differs as a problem; it answers as usual
all the same, and keeps what it does not know. Where the contract is silent: other content under a known source and id
is `rejected` (409; a problem also without `--strict`), `resolve` looks through the feeds of all stores, and a page of
a feed has at most 1000 changes.

It is for machines: a page in a browser gets 403, and 421 who calls us by another name than an address, `localhost` or
that of `--listen`.

Beside `/v1/` there is a side for people and tests; a token, if there is one, guards both:

    POST   /sandbox/changes       {"store": "*" | id, "changes": [{kind, op, key, value}]} -> {"last", "keys"}; with
                                  `--key-file` an identifier's key may be `type:value`: its pseudonym is stored
    GET    /sandbox/events        ?since=N&wait=SECONDS -> {"events": [{"n", "event", "copies"}]}, events byte for byte
    GET    /sandbox/problems      {"problems": [{"n", "rule", "detail", "source", "id"}]}
    GET    /sandbox/carts         {"carts": {cart: [{"gtin", "id", "customer", "confirmed"}]}}
    GET    /sandbox/requests      {"requests": [{"method", "path", "status", "count"}]}; status 0: closed, no answer
    POST   /sandbox/faults        {"path": prefix, "do": ..., "times": n}, see `Fault`; DELETE forgets what is left
    POST   /sandbox/expire        every cursor given until now answers 410
    PUT    /sandbox/capabilities  {"batch", "maxBatch", "maxBytes"}: announced and kept to from now on
    PUT    /sandbox/configuration {"store", "gateway", "jws"}: for that gateway, as `sign-configuration` has printed it
    GET    /sandbox/configuration {"gateways": [{"store", "gateway", "told"}]}: what each says of those it was given
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import ipaddress
import json
import re
import signal
import sqlite3
import sys
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit
from uuid import uuid4

from aiohttp import web

from edge.demo.forms import DATA, ENVELOPE, fits, misfits

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Batch = list[tuple[str, dict[str, Any]]]  # each event with the very text it was sent as

BATCH = "application/cloudevents-batch+json"
LARGEST = 16 << 20  # bytes of a body, unpacked, that are looked at before it is refused
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS events(n INTEGER PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL, type TEXT,
  journal TEXT, about TEXT, seq INTEGER, body TEXT NOT NULL, copies INTEGER NOT NULL, UNIQUE(source, id)) STRICT;
CREATE INDEX IF NOT EXISTS events_seq ON events(source, journal, seq);
CREATE INDEX IF NOT EXISTS events_about ON events(about, type) WHERE about IS NOT NULL;
CREATE TABLE IF NOT EXISTS refused(source TEXT, id TEXT, PRIMARY KEY(source, id)) STRICT;
CREATE TABLE IF NOT EXISTS changes(n INTEGER PRIMARY KEY, store TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
  op TEXT NOT NULL, body TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS changes_key ON changes(kind, key, n);
CREATE TABLE IF NOT EXISTS stores(store TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS configurations(store TEXT, gateway TEXT, jws TEXT, told TEXT,
  PRIMARY KEY(store, gateway)) STRICT;
CREATE TABLE IF NOT EXISTS problems(n INTEGER PRIMARY KEY, rule TEXT, detail TEXT, source TEXT, id TEXT) STRICT;
"""
DELTAS = "SELECT n, body FROM changes WHERE n > :last AND store IN ('*', :store) ORDER BY n LIMIT :limit"
# The state at a moment: of each key the newest change up to then. The log is never cut, so every moment stays readable.
STATE = """SELECT n, body FROM changes c WHERE n > :last AND n <= :at AND store IN ('*', :store) AND op = 'upsert'
  AND n = (SELECT max(n) FROM changes WHERE kind = c.kind AND key = c.key AND n <= :at AND store IN ('*', :store))
  ORDER BY n LIMIT :limit"""
CARTS = """SELECT id, body, EXISTS(SELECT 1 FROM events WHERE about = e.id AND type = 'cartwire.cart.item_confirmed.v1')
  FROM events e WHERE type = 'cartwire.cart.item_added.v1'
  AND NOT EXISTS(SELECT 1 FROM events WHERE about = e.id AND type = 'cartwire.cart.item_removed.v1') ORDER BY n"""


TOLD = re.compile(
    r'applied=\d{1,15}(, trial=\d{1,15})?(, refused(;version=\d{1,15})?;reason="([ !#-\[\]-~]|\\["\\])*")?'
)


class UnusableError(Exception):
    """A setting that cannot work, as one line for standard error."""


class RefusedError(Exception):
    """An answer other than 200; `misuse`: the contract gives nobody a reason to ask so."""

    def __init__(self, status: int, detail: str, *, misuse: bool = False) -> None:
        """Say why in `detail`."""
        super().__init__(detail)
        self.status, self.detail, self.misuse = status, detail, misuse or status in (400, 415)


@dataclass
class Fault:
    """What the next `times` requests whose path begins with `path` meet; kept in memory, `/sandbox/` is spared.

    `status`: answered with `status`, `headers` and, if given, `body` · `reset`: closed without an answer · `swallow`:
    carried out, then closed without an answer · `stall`: carried out after `seconds` · `garbage`: 200 with the text
    `body` or some HTML · `reject`: events whose id is in `ids` or type in `types` are `rejected` with `status`
    and `body` as the detail.
    """

    path: str
    do: str
    times: int = 1
    status: int = 0  # 503, or 422 for `reject`
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    seconds: float = 0
    ids: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)


FAULT = "path do=status|reset|swallow|stall|garbage|reject times? status? headers? body? seconds? ids? types?"


def parse(data: bytes) -> Any:
    """Read JSON; refuse all else, also NaN and half surrogate pairs, which Python would read."""

    def no(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is no number")

    try:
        value = json.loads(data.decode(), parse_constant=no)
        canonical(value)
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"this is not JSON: {error}") from error
    return value


def canonical(value: Any) -> bytes:
    """The same for the same JSON."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()


async def read_body(request: web.Request) -> bytes:
    """The body, unpacked."""
    data, encoding = await request.read(), request.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity":
        return data
    if encoding != "gzip":
        raise RefusedError(415, "gzip is the only encoding")
    unpack = zlib.decompressobj(wbits=31)
    try:
        data = unpack.decompress(data, LARGEST)
    except zlib.error as error:
        raise RefusedError(400, f"this is not gzip: {error}") from error
    if unpack.unconsumed_tail:
        raise RefusedError(413, f"this unpacks to more than {LARGEST} bytes")
    if not unpack.eof or unpack.unused_data:
        raise RefusedError(400, "this is not one whole gzip stream")
    return data


async def read_object(request: web.Request, named: str) -> dict[str, Any]:
    """The body, an object of the fields named."""
    value = parse(await read_body(request))
    wrong = list(misfits(value, named)) if isinstance(value, dict) else ["this is no object"]
    if wrong:
        raise RefusedError(400, "; ".join(wrong))
    return dict(value)


async def read_batch(request: web.Request) -> tuple[int, Batch]:
    """How many bytes a batch has before gzip, and its events."""
    if request.content_type != BATCH:
        raise RefusedError(415, f"events come as {BATCH}")
    data = await read_body(request)
    events, text, at, batch = parse(data), data.decode(), 0, []
    if not isinstance(events, list) or not all(isinstance(e, dict) and isinstance(e.get("id"), str) for e in events):
        raise RefusedError(400, "this is no array of events, each with an id")
    for event in events:
        begin = text.index("{", at)
        at = json.JSONDecoder().raw_decode(text, begin)[1]
        batch.append((text[begin:at], event))
    return len(data), batch


def read_query(request: web.Request, name: str, default: int) -> int:
    """A whole number out of the query."""
    text = request.query.get(name, str(default))
    if not re.fullmatch("[0-9]{1,99}", text):
        raise RefusedError(400, f"{name} is no whole number")
    return min(int(text), 10**9)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer after RFC 9457."""
    body = {"type": "about:blank", "title": "refused by the sandbox", "status": status, "detail": detail}
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")


class Nudge:
    """Tells stores over MQTT to pull; what could not be told while the broker was away is told when it is back."""

    def __init__(self, url: str) -> None:
        """Begin to connect to `mqtt://HOST:PORT`, in a thread of paho's own."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        host, port = read_address(url.removeprefix("mqtt://"), f"--nudge {url}", "mqtt://HOST:PORT")
        self.waiting: set[str] = set()
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda *_: self.tell([])
        self.client.reconnect_delay_set(1, 5)
        self.client.connect_async(host, port, keepalive=10)
        self.client.loop_start()

    def tell(self, stores: Iterable[str]) -> None:
        """Tell these, and those that wait; called in both threads."""
        self.waiting.update(stores)
        while self.waiting and self.client.is_connected():
            with contextlib.suppress(KeyError):
                self.client.publish(f"cartwire/v1/stores/{self.waiting.pop()}/changes", "pull the changes now")

    def close(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()


class Platform:
    """The state in its SQLite file, and what is answered out of it.

    Statements run in the thread of the event loop, so that a request's rows are one transaction no other one enters.
    """

    def __init__(self, data: Path, host: str, token: bytes, key: bytes, nudge: Nudge | None, *, strict: bool) -> None:
        """Open or create the file; OSError or sqlite3.Error where that cannot be. `host`: a name of ours."""
        self.host = host
        self.bearer, self.key, self.nudge, self.strict = token and b"Bearer " + token, key, nudge, strict
        self.faults: list[Fault] = []
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.stopping, self.news = asyncio.Event(), asyncio.Event()
        self.broken: sqlite3.Error | None = None
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.db = sqlite3.connect(data / "platform.db", timeout=1)
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            self.db.execute(f"PRAGMA {pragma}")
        self.db.executescript(SCHEMA)
        with self.db:
            limits = json.dumps({"batch": True, "maxBatch": 500, "maxBytes": 1 << 20})
            first = [("feed", uuid4().hex), ("epoch", "0"), ("capabilities", limits)]
            self.db.executemany("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", first)
            self.db.execute("UPDATE meta SET value = value")  # a file that cannot be written shows at the start

    def app(self) -> web.Application:
        """All that is answered."""
        app = web.Application(middlewares=[self.turn_pages_away, self.gate], client_max_size=LARGEST)
        app.router.add_get("/v1/capabilities", self.get_capabilities, allow_head=False)
        app.router.add_post("/v1/events", self.post_events)
        app.router.add_get("/v1/stores/{store}/changes", self.get_changes, allow_head=False)
        app.router.add_post("/v1/identifiers/resolve", self.post_resolve)
        configuration = "/v1/stores/{store}/gateways/{gateway}/configuration"
        app.router.add_get(configuration, self.get_configuration, allow_head=False)
        app.router.add_post("/sandbox/changes", self.post_changes)
        app.router.add_get("/sandbox/events", self.get_events)
        app.router.add_get("/sandbox/problems", self.get_problems)
        app.router.add_get("/sandbox/carts", self.get_carts)
        app.router.add_get("/sandbox/requests", self.get_requests)
        app.router.add_post("/sandbox/faults", self.post_faults)
        app.router.add_delete("/sandbox/faults", self.delete_faults)
        app.router.add_post("/sandbox/expire", self.post_expire)
        app.router.add_put("/sandbox/capabilities", self.put_capabilities)
        app.router.add_put("/sandbox/configuration", self.put_configuration)
        app.router.add_get("/sandbox/configuration", self.get_told)
        return app

    def stop(self) -> None:
        """Let go of every request that waits."""
        self.stopping.set()
        self.news.set()

    def one(self, query: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.db.execute(query, values).fetchone()
        return row and row[0]

    def meta(self, name: str) -> str:
        """What is remembered under a name."""
        return str(self.one("SELECT value FROM meta WHERE name = ?", name))

    def head(self) -> int:
        """The number of the newest change."""
        return int(self.one("SELECT ifnull(max(n), 0) FROM changes"))

    def note(self, rule: str, detail: str, source: str | None = None, name: str | None = None) -> None:
        """Write down a problem; the caller commits."""
        self.db.execute("INSERT INTO problems VALUES (NULL, ?, ?, ?, ?)", (rule, detail, source, name))

    @web.middleware
    async def turn_pages_away(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let machines in, and no page of a browser, by whatever name it reaches us; a name of ours is an address."""
        host = request.headers.get("Host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name not in ("localhost", self.host):
                ipaddress.ip_address(name)
        except ValueError:
            return problem(421, "this is not a name of the sandbox")
        if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") != "none":
            return problem(403, "a page has nothing to ask here")
        return await handler(request)

    @web.middleware
    async def gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn what is raised into an answer, count it, note misuse."""
        outside, misuse = not request.path.startswith("/sandbox/"), list(self.unnamed(request))
        answer: web.StreamResponse | None = None
        try:
            answer = await self.answer(request, handler)
        except RefusedError as no:
            answer = problem(no.status, no.detail, {"WWW-Authenticate": "Bearer"} if no.status == 401 else None)
            misuse += [no.detail] if no.misuse else []
        except web.HTTPException as no:
            answer = problem(no.status, no.reason, {name: no.headers[name] for name in no.headers if name == "Allow"})
            misuse += [no.reason]
        except ConnectionError:
            answer = None
        except sqlite3.Error as error:
            answer = problem(503, "the sandbox cannot write", {"Retry-After": "5"})
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                self.broken = error  # after a failed sync nothing more may be believed: end, start again from the file
                self.stop()
        if outside:
            route = request.match_info.route.resource
            path = route.canonical if route else request.path
            self.requests[request.method, path, answer.status if answer else 0] += 1
        if outside and self.strict and not self.broken:
            with self.db:
                for detail in misuse:
                    self.note("request", f"{request.method} {request.path}: {detail}")
        if answer is None and request.transport is not None:
            request.transport.abort()
        return answer or web.Response()

    def unnamed(self, request: web.Request) -> Iterator[str]:
        """What the contract does not name in a query and in the headers."""
        names = ("since", "limit") if request.path.endswith("/changes") else ()
        yield from (f"{name[:80]} is not named" for name in request.query if name not in names)
        if self.bearer and not request.headers.get("Authorization", "").startswith("Bearer "):
            yield "no bearer token"

    def planned(self, request: web.Request) -> Fault | None:
        """The first fault for this request; it has one time less then."""
        for fault in [] if request.path.startswith("/sandbox/") else self.faults:
            if request.path.startswith(fault.path):
                fault.times -= 1
                self.faults = [each for each in self.faults if each.times]
                return fault
        return None

    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse | None:
        """Authorize, then meet the fault that is planned; None is a connection closed without an answer."""
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if self.bearer and not hmac.compare_digest(given, self.bearer):
            raise RefusedError(401, "the bearer token is missing or not the configured one")
        fault = self.planned(request)
        match fault:
            case Fault(do="status", headers=headers, body=body):
                status = fault.status or 503
                if status in (400, 413, 422) and request.path == "/v1/events":
                    self.put_aside((await read_batch(request))[1])
                if body is None:
                    return problem(status, "a planned fault", headers)
                return web.json_response(body, status=status, headers=headers)
            case Fault(do="garbage", body=body):
                return web.Response(text=str(body or "<html>Welcome to the network</html>"), content_type="text/html")
            case Fault(do="reset"):
                return None
            case Fault(do="swallow"):
                await handler(request)
                return None
            case Fault(do="stall", seconds=seconds):
                await request.read()  # so that it is carried out even if the caller does not wait
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stopping.wait(), seconds)
            case Fault(do="reject"):
                request["reject"] = fault
        return await handler(request)

    async def get_capabilities(self, _: web.Request) -> web.Response:
        """What is taken at once."""
        return web.json_response(text=self.meta("capabilities"))

    async def post_events(self, request: web.Request) -> web.Response:
        """Commit what is new, then say so."""
        size, batch = await read_batch(request)
        limits = json.loads(self.meta("capabilities"))
        if size > limits["maxBytes"] or len(batch) > (limits["maxBatch"] if limits["batch"] else 1):
            self.put_aside(batch)
            raise RefusedError(413, f"{len(batch)} events in {size} bytes are more than the capabilities allow")
        with self.db:
            results = [self.take(raw, event, request.get("reject")) for raw, event in batch]
        self.news.set()
        self.news = asyncio.Event()
        return web.json_response({"results": results})

    def put_aside(self, batch: Batch) -> None:
        """A batch refused as a whole comes again in smaller ones; one event alone is put aside by its sender."""
        if len(batch) == 1:
            with self.db:
                self.refuse(batch[0][1])

    def refuse(self, event: dict[str, Any]) -> None:
        """Remember that this one may come again late, and blanked by an erasure; the caller commits."""
        row = (str(event.get("source")), event["id"])
        self.db.execute("INSERT OR IGNORE INTO refused VALUES (?, ?)", row)

    def take(self, raw: str, event: dict[str, Any], reject: Fault | None) -> dict[str, Any]:
        """Store one event if it is new; its result."""
        source, name = event.get("source"), event["id"]
        known = self.one("SELECT body FROM events WHERE source = ? AND id = ?", str(source), name)
        if reject and (name in reject.ids or event.get("type") in reject.types):
            status, detail = reject.status or 422, reject.body or "a planned fault"
        elif not isinstance(source, str):
            status, detail = 422, "without a source this cannot be told from others"
        elif known is None:
            self.store(raw, event)
            return {"id": name, "status": "accepted"}
        elif canonical(json.loads(known)) == canonical(event):
            if self.strict and known != raw:
                self.note("resend", "the same JSON in other bytes", source, name)
            self.db.execute("UPDATE events SET copies = copies + 1 WHERE source = ? AND id = ?", (source, name))
            return {"id": name, "status": "duplicate"}
        else:
            status, detail = 409, "other content under a known source and id"
            self.note("resend", detail, source, name)
        self.refuse(event)
        why = {"type": "about:blank", "title": "event refused", "status": status, "detail": detail}
        return {"id": name, "status": "rejected", "problem": why}

    def store(self, raw: str, event: dict[str, Any]) -> None:
        """Write a new event, and what strict mode finds in it; the caller commits."""
        data = event["data"] if isinstance(event.get("data"), dict) else {}
        if self.strict:
            for rule, detail in self.compare(event, data):
                self.note(rule, detail, event["source"], event["id"])
        texts = (event["source"], event["id"], event.get("type"), event.get("journal"), data.get("event"))
        row = [text if isinstance(text, str) else None for text in texts]
        seq = event["seq"] if fits("seq", event.get("seq")) else None
        self.db.execute("INSERT INTO events VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, 1)", (*row, seq, raw))

    def compare(self, event: dict[str, Any], data: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """What the contract does not name in a new event: rule and detail."""
        source, kind, journal, seq = (
            event["source"],
            str(event.get("type")),
            str(event.get("journal")),
            event.get("seq"),
        )
        again = self.one("SELECT 1 FROM refused WHERE source = ? AND id = ?", source, event["id"]) is not None
        yield from (("envelope", detail) for detail in misfits(event, ENVELOPE))
        if kind in DATA:
            blank = ("customer", "cart", "pseudonym") if again else ()
            yield from (("data", f"{kind}: {detail}") for detail in misfits(data, DATA[kind], blank))
        else:
            yield "type", f"{kind[:80]} is not named"
        if kind == "cartwire.cart.item_added.v1" and ("event" in data) != ("staff" in data):
            yield "data", f"{kind}: event and staff go together"
        customer = data.get("customer")
        if event.get("subject") != (f"customers/{customer}" if isinstance(customer, str) else None):
            yield "subject", "subject and data do not name the same customer"
        last = self.one("SELECT max(seq) FROM events WHERE source = ? AND journal = ?", source, journal)
        if fits("seq", seq) and last is not None and seq <= last and not again:
            yield "seq", f"{seq} came after {last} of the same journal"
        if "event" in data and self.one("SELECT 1 FROM events WHERE about = ? AND type = ?", str(data["event"]), kind):
            yield "twice", f"there is another {kind} for the same event"

    async def get_changes(self, request: web.Request) -> web.Response:
        """A page of a store's feed: without `since` its state as of now, and after that what came since."""
        store, limit = request.match_info["store"], min(read_query(request, "limit", 500), 1000)
        if store == "*" or not fits("store", store) or not limit:
            raise RefusedError(400, "this is no store id, or no limit")
        with self.db:
            self.db.execute("INSERT OR IGNORE INTO stores VALUES (?)", (store,))
        at, last = self.position(store, request.query["since"]) if "since" in request.query else (self.head(), 0)
        page = {"store": store, "at": at, "last": last, "limit": limit + 1}
        told = at == last  # all of the state: go on with what came after
        rows = self.db.execute(DELTAS if told else STATE, page).fetchall()
        more, rows = len(rows) > limit, rows[:limit]
        if told:
            at = last = rows[-1][0] if more else self.head()
        elif more:
            last = rows[-1][0]
        else:
            last = at
            more = self.db.execute(DELTAS, page | {"last": at}).fetchone() is not None
        cursor = json.dumps([self.meta("feed"), self.meta("epoch"), store, at, last]).encode()
        body = {"cursor": base64.urlsafe_b64encode(cursor).decode(), "more": more}
        return web.json_response(body | {"changes": [json.loads(text) for _, text in rows]})

    def position(self, store: str, cursor: str) -> tuple[int, int]:
        """Where a cursor stands: the moment of the state that is told, and how much of it has been."""
        try:
            feed, epoch, whose, at, last = json.loads(base64.urlsafe_b64decode(cursor))
        except (ValueError, TypeError) as error:
            raise RefusedError(410, "this cursor was never given", misuse=True) from error
        if [feed, epoch, whose] != [self.meta("feed"), self.meta("epoch"), store]:
            raise RefusedError(410, "this cursor is too old, or another feed's: pull without since")
        return int(at), int(last)

    async def post_resolve(self, request: web.Request) -> web.Response:
        """Who has an identifier."""
        body = parse(await read_body(request))
        if not isinstance(body, dict) or not fits("pseudonym", body.get("pseudonym")):
            raise RefusedError(400, "this is no object with a pseudonym")
        if self.strict and (more := list(misfits(body, "pseudonym"))):
            with self.db:
                self.note("request", f"{request.method} {request.path}: {'; '.join(more)}")
        identifier = self.newest("identifier", body["pseudonym"])
        customer = self.newest("customer", identifier.get("customer"))
        return web.json_response({"customer": customer | {"id": identifier["customer"]}, "identifier": identifier})

    async def get_configuration(self, request: web.Request) -> web.Response:
        """What is there for a gateway, unless it has that already; what it says of those before is kept."""
        store, gateway = (request.match_info[name] for name in ("store", "gateway"))
        if store == "*" or not fits("store", store) or not fits("store", gateway):
            raise RefusedError(400, "these are no ids of a store and a gateway")
        told = request.headers.get("Cartwire-Configuration", "")
        with self.db:
            if self.strict and not TOLD.fullmatch(told):
                self.note("configuration", f"{told[:80]!r} does not say what is applied")
            row = "INSERT INTO configurations VALUES (?, ?, NULL, ?) ON CONFLICT DO UPDATE SET told = excluded.told"
            self.db.execute(row, (store, gateway, told))
        jws = self.one("SELECT jws FROM configurations WHERE store = ? AND gateway = ?", store, gateway)
        if jws is None:
            raise RefusedError(404, "there is none for this gateway")
        etag = f'"{hashlib.sha256(jws.encode()).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(text=jws, content_type="application/jose", headers={"ETag": etag})

    async def put_configuration(self, request: web.Request) -> web.Response:
        """Keep one, whatever it is, and nudge."""
        body = await read_object(request, "store gateway jws")
        row = "INSERT INTO configurations VALUES (?, ?, ?, '') ON CONFLICT DO UPDATE SET jws = excluded.jws"
        with self.db:
            self.db.execute(row, (body["store"], body["gateway"], body["jws"]))
        if self.nudge:
            self.nudge.tell([body["store"]])
        return web.json_response({})

    async def get_told(self, _: web.Request) -> web.Response:
        """The last word of each gateway."""
        rows = self.db.execute("SELECT store, gateway, told FROM configurations ORDER BY store, gateway").fetchall()
        return web.json_response(
            {"gateways": [dict(zip(("store", "gateway", "told"), row, strict=True)) for row in rows]}
        )

    def newest(self, kind: str, key: Any) -> dict[str, Any]:
        """The value a key was given last, in whatever feed."""
        query = "SELECT body FROM changes WHERE kind = ? AND key = ? ORDER BY n DESC LIMIT 1"
        change = json.loads(self.one(query, kind, str(key)) or '{"op": "delete"}')
        if change["op"] == "delete":
            raise RefusedError(404, f"this {kind} is not known")
        return dict(change["value"])

    async def post_changes(self, request: web.Request) -> web.Response:
        """Append all of them or none, then nudge."""
        body = await read_object(request, "store changes")
        store, rows = body["store"], []
        for change in body["changes"]:
            if not isinstance(change, dict) or not all(fits(name, change.get(name)) for name in ("kind", "key")):
                raise RefusedError(400, "a change is an object with the texts kind and key")
            if change.get("op") != "delete" and (change.get("op") != "upsert" or not fits("data", change.get("value"))):
                raise RefusedError(400, "op is delete, or upsert with an object as value")
            if change["kind"] == "identifier" and ":" in change["key"]:
                if not self.key:
                    raise RefusedError(400, "type:value as a key needs --key-file")
                change["key"] = hmac.new(self.key, change["key"].encode(), hashlib.sha256).hexdigest()
            rows.append((store, change["kind"], change["key"], change["op"], json.dumps(change)))
        with self.db:
            self.db.executemany("INSERT INTO changes VALUES (NULL, ?, ?, ?, ?, ?)", rows)
        if self.nudge:
            everyone = self.db.execute("SELECT store FROM stores")
            self.nudge.tell([name for (name,) in everyone] if store == "*" else [store])
        return web.json_response({"last": self.head(), "keys": [row[2] for row in rows]})

    async def get_events(self, request: web.Request) -> web.Response:
        """What is stored after `since`, in the order of arrival; with `wait` as soon as there is something."""
        now = asyncio.get_running_loop().time
        since, end = read_query(request, "since", 0), now() + read_query(request, "wait", 0)
        query = "SELECT n, body, copies FROM events WHERE n > ? ORDER BY n"
        while not (rows := self.db.execute(query, (since,)).fetchall()) and now() < end and not self.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), end - now())
        text = ",".join(f'{{"n":{n},"event":{body},"copies":{copies}}}' for n, body, copies in rows)
        return web.json_response(text=f'{{"events":[{text}]}}')

    async def get_problems(self, _: web.Request) -> web.Response:
        """All that was noted."""
        rows = self.db.execute("SELECT n, rule, detail, source, id FROM problems ORDER BY n").fetchall()
        names = ("n", "rule", "detail", "source", "id")
        return web.json_response({"problems": [dict(zip(names, row, strict=True)) for row in rows]})

    async def get_carts(self, _: web.Request) -> web.Response:
        """What an app would show: an addition counts unless its removal is here, whichever came first."""
        carts: dict[str, list[dict[str, Any]]] = {}
        for name, body, confirmed in self.db.execute(CARTS):
            data = json.loads(body).get("data")
            if isinstance(data, dict) and isinstance(data.get("cart"), str):
                item = {"gtin": data.get("gtin"), "id": name, "customer": data.get("customer")}
                carts.setdefault(data["cart"], []).append(item | {"confirmed": bool(confirmed)})
        return web.json_response({"carts": carts})

    async def get_requests(self, _: web.Request) -> web.Response:
        """What was asked since the start."""
        names = ("method", "path", "status", "count")
        rows = [dict(zip(names, (*key, count), strict=True)) for key, count in sorted(self.requests.items())]
        return web.json_response({"requests": rows})

    async def post_faults(self, request: web.Request) -> web.Response:
        """Plan one more."""
        self.faults.append(Fault(**await read_object(request, FAULT)))
        return web.json_response({"planned": len(self.faults)})

    async def delete_faults(self, _: web.Request) -> web.Response:
        """Forget those not met yet."""
        left, self.faults = sum(fault.times for fault in self.faults), []
        return web.json_response({"left": left})

    async def post_expire(self, _: web.Request) -> web.Response:
        """Make every cursor too old."""
        with self.db:
            self.db.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE name = 'epoch'")
        return web.json_response({})

    async def put_capabilities(self, request: web.Request) -> web.Response:
        """Take less, or more, at once."""
        limits = json.dumps(await read_object(request, "batch maxBatch maxBytes"))
        with self.db:
            self.db.execute("UPDATE meta SET value = ? WHERE name = 'capabilities'", (limits,))
        return web.json_response(text=limits)


def read_address(text: str, where: str, form: str) -> tuple[str, int]:
    """HOST:PORT, an IPv6 host in brackets."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port is not None and parts.netloc == text and parts.username is None:
            return parts.hostname, parts.port
    raise UnusableError(f"{where}: this is no address; give {form}")


def read_file(name: str | None, option: str) -> bytes:
    """The bytes of a file that an option names; none if it names none."""
    try:
        return b"" if name is None else Path(name).read_bytes()
    except OSError as error:
        raise UnusableError(f"{option} {name}: {error.strerror}; name a file that can be read") from error


async def serve(options: argparse.Namespace) -> int:
    """Answer until SIGTERM or SIGINT."""
    host, port = read_address(options.listen, f"--listen {options.listen}", "HOST:PORT")
    token = read_file(options.token_file, "--token-file").rstrip(b"\r\n")
    key = read_file(options.key_file, "--key-file")
    if options.token_file is not None and not token:
        raise UnusableError(f"--token-file {options.token_file}: it is empty; write the token into it")
    if options.key_file is not None and len(key) < 32:
        raise UnusableError(f"--key-file {options.key_file}: it has {len(key)} bytes; a key has 32 or more")
    async with contextlib.AsyncExitStack() as stack:
        nudge = Nudge(options.nudge) if options.nudge else None
        if nudge:
            stack.callback(nudge.close)
        try:
            platform = Platform(Path(options.data), host, token, key, nudge, strict=options.strict)
        except (OSError, sqlite3.Error) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UnusableError(
                f"--data {options.data}: {why}; name a folder of its own that can be written"
            ) from error
        stack.callback(platform.db.close)
        runner = web.AppRunner(platform.app(), access_log=None, shutdown_timeout=2, auto_decompress=False)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            why = (error.strerror or str(error)).rpartition(": ")[2]
            raise UnusableError(f"--listen {options.listen}: {why}; choose another address or port") from error
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, platform.stop)
        print(f"listening on http://{options.listen.rpartition(':')[0]}:{runner.addresses[0][1]}", flush=True)
        await platform.stopping.wait()
    if platform.broken:
        print(f"cartwire sandbox-platform: --data {options.data}: {platform.broken}; start it again", file=sys.stderr)
    return 1 if platform.broken else 0


class Options(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise it."""
        raise UnusableError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the platform until it is stopped; the exit code."""
    options = Options(prog="cartwire sandbox-platform", description="A small platform that keeps the public contract.")
    options.add_argument("--listen", metavar="HOST:PORT", required=True, help="port 0: any free one, which is printed")
    options.add_argument("--data", metavar="DIR", required=True, help="folder of its own for what it keeps")
    options.add_argument("--token-file", metavar="F", help="ask for this bearer token")
    options.add_argument("--strict", action="store_true", help="list what the contract does not name as problems")
    options.add_argument("--key-file", metavar="F", help="the chain's pseudonym key: changes may name raw identifiers")
    options.add_argument("--nudge", metavar="mqtt://HOST:PORT", help="tell stores about changes through this broker")
    try:
        return asyncio.run(serve(options.parse_args(argv)))
    except UnusableError as error:
        print(f"cartwire sandbox-platform: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
