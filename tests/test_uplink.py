"""What the platform may answer: halving, putting aside, standing still after three, and taking them back."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import dataclass, field, replace

import pytest
from msgspec import Struct

from edge.aside import ASKED, TAKEN_BACK
from edge.journal import Stored
from edge.ports import Unavailable
from sync.backoff import Backoff
from sync.forwarder import Delivery
from sync.platform import Answer, _seconds
from sync.uplink import Uplink


@dataclass
class Peer:
    """A platform that refuses some events, alone or with whatever is in their batch."""

    refuses: set[str] = field(default_factory=set)
    whole: int | None = None
    batches: list[list[str]] = field(default_factory=list)

    async def call(self, method: str, path: str, *, body: bytes = b"", **_: object) -> Answer:
        if method == "GET":
            return Answer(200, b'{"batch":true,"maxBatch":100,"maxBytes":1000000}')
        ids = [event["id"] for event in json.loads(gzip.decompress(body))]
        self.batches.append(ids)
        if self.whole and self.refuses.intersection(ids):
            return Answer(self.whole, b'{"title":"no","detail":"not this"}')
        status = {id: "rejected" if id in self.refuses else "accepted" for id in ids}
        return Answer(200, json.dumps({"results": [{"id": id, "status": status[id]} for id in ids]}).encode())


def events(*seqs: int) -> list[Stored]:
    return [Stored(seq, json.dumps({"id": str(seq)}).encode()) for seq in seqs]


async def no_sleep(_: float) -> None:
    pass


async def opened(peer: Peer) -> Uplink:
    uplink = Uplink(peer, 100, 0, 0.0, sleep=no_sleep, instant=lambda: 0.0)  # type: ignore[arg-type]
    async with uplink.connected(asyncio.Event()):
        pass
    return uplink


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refused_batch_is_halved_down_to_the_one_event(status: int) -> None:
    peer = Peer({"3"}, status)
    uplink, seq, aside = await opened(peer), 0, []
    while seq < 5:
        delivery = await uplink.deliver(events(*range(seq + 1, 6)))
        seq, aside = max(seq, delivery.seq), aside + list(delivery.aside)
    assert aside == [(3, "no: not this")]
    assert {id for ids in peer.batches if "3" not in ids for id in ids} == {"1", "2", "4", "5"}


async def test_two_in_a_row_are_put_aside_and_the_rest_goes_on() -> None:
    delivery = await (await opened(Peer({"1", "2"}))).deliver(events(1, 2, 3))
    assert delivery == Delivery(3, ((1, "rejected without a reason"), (2, "rejected without a reason")))


async def test_three_in_a_row_stand_still_and_are_taken_back() -> None:
    peer = Peer({"2", "3", "4"})
    uplink = await opened(peer)
    delivery = await uplink.deliver(events(1, 2, 3, 4, 5))
    assert delivery.seq == 4
    assert [seq for seq, _ in delivery.aside] == list(delivery.back) == [2, 3, 4]
    with pytest.raises(Unavailable) as error:
        await uplink.deliver(events(2, 3, 4))
    assert (error.value.state, error.value.retry_after) == ("stopped", 60.0)
    back = [replace(event, again=TAKEN_BACK) for event in events(2, 3, 4)]
    assert (await uplink.deliver(back)).back == (2, 3, 4)
    with pytest.raises(Unavailable):
        await uplink.deliver(back)
    peer.refuses = {"3"}
    assert await uplink.deliver(back) == Delivery(4, ((3, "rejected without a reason"),), (), (2, 4))
    assert (await uplink.deliver(events(5))).seq == 5


async def test_what_people_have_tried_again_stops_nothing() -> None:
    uplink = await opened(Peer({"1", "2", "3", "4"}))
    asked = [replace(event, again=ASKED) for event in events(1, 2, 3, 4)]
    delivery = await uplink.deliver(asked)
    assert ([seq for seq, _ in delivery.aside], delivery.back) == ([1, 2, 3, 4], ())
    assert (await uplink.deliver(events(5))).seq == 5


async def test_an_event_without_a_result_was_not_accepted() -> None:
    class Partial(Peer):
        async def call(self, method: str, path: str, *, body: bytes = b"", **more: object) -> Answer:
            answer = await super().call(method, path, body=body, **more)
            if method == "GET":
                return answer
            return Answer(200, json.dumps({"results": json.loads(answer.body)["results"][:1]}).encode())

    assert (await (await opened(Partial())).deliver(events(1, 2, 3))).seq == 1


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"<html>", b'{"results":[{"id":"1"}]}', b'{"results":[]}', b'{"x":' + b"[" * 9000]
)
async def test_a_200_that_makes_no_sense_is_unavailable(body: bytes) -> None:
    class Garbage(Peer):
        async def call(self, method: str, path: str, **more: object) -> Answer:
            return await super().call(method, path) if method == "GET" else Answer(200, body)

    uplink = await opened(Garbage())
    with pytest.raises(Unavailable):
        await uplink.deliver(events(1))


async def test_no_answer_makes_a_hot_loop() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    backoff = Backoff(sleep)
    for error in (Unavailable("a", retry_after=0), Unavailable("b", connected=False), Unavailable("c", retry_after=9)):
        await backoff.wait(error)
    assert 0.5 <= waits[0] <= 1.5
    assert 0.5 <= waits[1] <= 1.5
    assert waits[2] == 9


@pytest.mark.parametrize(("asked", "slept"), [(60.0, 0), (3600.0, 0), (None, 1)])
async def test_jitter_is_for_those_who_got_no_answer(asked: float | None, slept: int) -> None:
    """A 401 or a `Retry-After` was one: what was asked for is waited elsewhere, and nothing on top of it."""

    class Slow(Peer):
        tried = 0

        async def call(self, method: str, path: str, **more: object) -> Answer:
            if method == "GET":
                return Answer(200, b'{"batch":true,"maxBatch":100,"maxBytes":100}')
            self.tried += 1
            if self.tried == 1:
                raise Unavailable("not now", retry_after=asked)
            return await super().call(method, path, **more)  # type: ignore[arg-type]

    now, waits = [1000.0], list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    uplink = Uplink(Slow(), 100, 0, 60.0, sleep=sleep, instant=lambda: now[0])  # type: ignore[arg-type]
    async with uplink.connected(asyncio.Event()):
        with pytest.raises(Unavailable):
            await uplink.deliver(events(*range(1, 10)))
        now[0] += 61.0 if asked is None else asked + 1.0
        await uplink.deliver(events(*range(1, 10)))
    assert len(waits) == slept


async def test_a_nudge_during_an_attempt_ends_the_next_backoff() -> None:
    """But not one from before the last success, nor the one after."""
    backoff = Backoff(lambda _: asyncio.Event().wait())
    backoff.nudge()
    async with asyncio.timeout(5):
        await backoff.wait(Unavailable("it failed, and meanwhile there was a nudge"))
    backoff.nudge()
    backoff.succeeded()
    for _ in range(2):
        waiting = asyncio.create_task(backoff.wait(Unavailable("again")))
        await asyncio.sleep(0)
        assert not waiting.done()
        backoff.nudge()
        async with asyncio.timeout(5):
            await waiting


def test_half_an_emoji_is_no_reason_to_stand_still() -> None:
    class Named(Struct):
        name: str

    assert Answer(200, b'{"name":"\\ud83d!"}').read(Named).name == "?!"
    with pytest.raises(Unavailable):
        Answer(200, b'{"name":').read(Named)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30.0),
        ({"Retry-After": "99999"}, 3600.0),
        ({"Retry-After": "Fri, 21 Nov 2025 10:00:30 GMT", "Date": "Fri, 21 Nov 2025 10:00:00 GMT"}, 30.0),
        ({"Retry-After": "Fri, 21 Nov 2008 10:00:30 GMT", "Date": "Fri, 21 Nov 2025 10:00:00 GMT"}, 0.0),
        ({"Retry-After": "Fri, 21 Nov 99999999999999999999 10:00:30 GMT"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_an_answer_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert _seconds(headers) == seconds
