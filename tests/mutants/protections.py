"""The protections, each taken out in the smallest way that leaves the daemon running."""

from __future__ import annotations

from mutants import SAME, Edit, Mutant

NONE_MISSING = Mutant("none missing", (Edit("edge/database.py", "FILE = ", (SAME,)),))


def _synchronous(value: str, name: str, *more: str) -> Mutant:
    line = '_expect(connection, "synchronous", 2)'
    return Mutant(name, (Edit("edge/database.py", line, (f'connection.execute("PRAGMA synchronous={value}")', *more)),))


NO_SYNC = _synchronous("OFF", "nothing is synced")
NO_SYNC_AT_COMMIT = _synchronous("NORMAL", "a commit is not synced")
NO_SYNC_BUT_ASSERTED = _synchronous("OFF", "nothing is synced, but that is looked at", SAME)

DELIVER = "delivery = await self.sink.deliver("
ADVANCE = "self._intake.advance(self.sink.name, events[-1].seq)"
CURSOR_FIRST = Mutant(
    "the cursor on the disk moves before the delivery", (Edit("sync/forwarder.py", DELIVER, (ADVANCE, SAME)),)
)
CURSORS_FIRST = Mutant(
    "the cursor in memory and the one on the disk move before the delivery",
    (Edit("sync/forwarder.py", DELIVER, ("self.cursor = events[-1].seq", ADVANCE, SAME)),),
)

PUBLISH = (
    "    import contextlib, pathlib, sys, tomllib, paho.mqtt.publish as mqtt",
    "    broker = tomllib.loads(pathlib.Path(sys.argv[-1]).read_text())['cart']['broker']",
    "    with contextlib.suppress(OSError):",
    "        mqtt.single(f'cartwire/v1/carts/{data[\"cart\"]}/items', body, 1, port=int(broker.rpartition(':')[2]))",
)
PUBLISH_FIRST = Mutant(
    "an item is published inside the transaction, before its commit",
    (Edit("edge/journal.py", 'if row.kind in PUSHED and "cart" in self.sinks:', (SAME, *PUBLISH)),),
)

ACK_FIRST = Mutant(
    "an app's ack is acknowledged before its confirmation is committed",
    (
        Edit("sync/cart.py", "committed = await self._intake.submit(", ("connection.acknowledge(message)", SAME)),
        Edit(
            "sync/cart.py", "committed.add_done_callback(", ("committed.add_done_callback(asyncio.Future.exception)",)
        ),
    ),
)

GO_ON = Mutant(
    "after a disk error it goes on", (Edit("edge/intake.py", "except Broken:", ("except NotImplementedError:",)),)
)
DROP_REFUSED = Mutant(
    "a batch that met a 401 or 403 counts as delivered",
    (
        Edit(
            "sync/uplink.py",
            "if error.retry_after is not None:",
            ("if error.state == 'refused':", "    return Delivery(events[-1].seq)", SAME),
        ),
    ),
)
NEW_IDS = Mutant(
    "an event has another id each time it is sent",
    (
        Edit(
            "sync/uplink.py",
            "posting = asyncio.create_task(",
            (
                "import gzip, re, uuid",
                'other = lambda _: b\'"id":"%s"\' % str(uuid.uuid4()).encode()',
                'body = re.sub(rb\'"id":"[0-9a-f-]{36}"\', other, gzip.decompress(ready.body))',
                "ready = _Ready(ready.after, ready.events, gzip.compress(body), ready.more)",
                SAME,
            ),
        ),
        Edit(
            "sync/uplink.py",
            "results = {result.id: result",
            ("results = dict(zip((id_of(event.body) for event in events), answer.results))",),
        ),
    ),
)
LEFT_IN_TLS = Mutant(
    "what TLS has unpacked waits for more to come",
    (Edit("sync/mqtt.py", "while isinstance(sock, ssl.SSLSocket)", ("while False:",)),),
)

GIVEN_AGAIN = Mutant(
    "an unclaimed scan is given twice",
    (
        Edit(
            "edge/staff.py",
            'if given := _about(batch.connection, "cart.item_added"',
            ("given: Row | None = None", "if given:"),
        ),
    ),
)
REMOVED_AGAIN = Mutant(
    "an item is removed twice", (Edit("edge/staff.py", 'if _about(connection, "cart.item_removed"', ("if False:",)),)
)
PUSHED_ON = Mutant(
    "an item is pushed after its removal",
    (Edit("edge/staff.py", 'aside.drop(batch.connection, "cart", [seq])', ("pass",)),),
)
BINDING_STAYS = Mutant(
    "a binding stays though the platform rejected it", (Edit("sync/forwarder.py", "self._refused(batch", ("pass",)),)
)

_VERIFIED = "tls.minimum_version = ssl.TLSVersion.TLSv1_2"
UNVERIFIED = Mutant(
    "any certificate is believed",
    (Edit("sync/tls.py", _VERIFIED, (SAME, "tls.check_hostname = False", "tls.verify_mode = ssl.CERT_NONE")),),
)
OLD_TLS = Mutant(
    "TLS 1.1 will do",
    (
        Edit(
            "sync/tls.py",
            _VERIFIED,
            ("tls.minimum_version = ssl.TLSVersion.TLSv1", 'tls.set_ciphers("DEFAULT@SECLEVEL=0")'),
        ),
    ),
)
READ_ONCE = Mutant(
    "certificates are read at the start only",
    (Edit("edge/renewal.py", "if (seen := [_stat(file)", ("if not (seen := self._seen):",)),),
)
UNSIGNED = Mutant(
    "whoever signs is believed", (Edit("edge/signed.py", "public_key(key).verify(", ("public_key(key)",)),)
)
OVERREACHING = Mutant(
    "a remote configuration sets anything", (Edit("edge/overlay.py", "_judge(name, table)", ("pass",)),)
)
IN_PLACE = Mutant(
    "what is in force is written over", (Edit("edge/adopted.py", 'part = data / f"{FILE}', ("part = data / FILE",)),)
)
UNCOUNTED = Mutant(
    "starts on trial are not counted",
    (Edit("edge/standing.py", "state = msgspec.structs.replace(state, starts", ("pass",)),),
)
LOGGED = Mutant(
    "the log says what was read",
    (
        Edit(
            "edge/reception.py",
            "if isinstance(reading, Ready):",
            ("print(getattr(reading, 'value', ''), flush=True)", SAME),
        ),
    ),
)
