"""What staff do, in simulated time on the real core, held against the model: once, in order, taken back in time."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import edge.database
from edge import aside, intents, salvage, staff
from edge.batch import Batch
from edge.database import Full
from edge.envelope import milliseconds
from edge.intake import Fault
from model import Boot
from peers.needles import words_in
from simulated.shoppers import IDENTIFIERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulated.world import World

DAN, EVE = IDENTIFIERS["dan"], IDENTIFIERS["eve"]


@pytest.fixture
def shop(world: World) -> World:
    """A shop that knows two customers, ann's band, and none of dan's."""
    for customer in ("c-1", "c-2"):
        world.change("customer", customer, (("cart", "presence"),))
    world.change("customer", "c-3", (("presence",),))
    world.change("identifier", "ann", ("c-1", None))
    world.change("identifier", "ben", ("c-2", None))
    pull(world)
    return world


def pull(world: World) -> None:
    world.broker.nudge()
    world.wait(2.0)


def restart(world: World) -> None:
    world.kill()
    world.start()
    world.wait(1.0)


def rows(world: World, kind: str) -> list[dict[str, Any]]:
    """The data of the rows of this kind, with `id` and `seq`."""
    found = world.gateway.reader.execute("SELECT body FROM row WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
    events = [json.loads(body) for (body,) in found]
    return [{**event["data"], "of": event["id"], "seq": event["seq"], "at": event["time"]} for event in events]


def last(world: World, kind: str) -> str:
    return str(rows(world, kind)[-1]["of"])


def notes(world: World) -> list[str]:
    return [row["action"] for row in rows(world, staff.NOTE)]


def refusal(world: World, work: Callable[[Batch], object]) -> str | None:
    """What staff are told: the code of the refusal, or None."""
    answers: list[str | None] = []

    async def ask() -> None:
        try:
            await staff.ask(world.gateway.intake, work)
            answers.append(None)
        except staff.Refused as refused:
            answers.append(refused.code)

    world.gateway.do(ask())
    (answer,) = answers
    return answer


def code(world: World, action: str, id: str, *about: str) -> str | None:
    """The same of what concerns an event."""
    seq = json.loads(world.witness.bodies[id])["seq"]
    return refusal(world, lambda batch: getattr(staff, action)(batch, seq, id, *about, "kim"))


def bought(world: World) -> str:
    """Ann buys something at till-1."""
    world.see(("till-1", "ann"), ("till-1", "product"))
    world.wait(1.0)
    return last(world, "cart.item_added")


def left_over(world: World) -> str:
    """A product that nobody claims."""
    world.see(("till-2", "product"))
    world.wait(11.0)
    return last(world, "scan.unclaimed")


def binding(world: World) -> list[tuple[str, str | None]]:
    return world.gateway.reader.execute("SELECT pseudonym, customer FROM binding").fetchall()


def test_an_item_is_taken_out_of_the_cart_once(shop: World) -> None:
    item = bought(shop)
    shop.staff("remove", id=item)
    assert code(shop, "remove", item) == "already-removed"
    (removed,) = rows(shop, "cart.item_removed")
    (added,) = rows(shop, "cart.item_added")
    assert removed["event"] == item
    same = ("customer", "cart", "session", "gtin", "quantity", "read_point")
    assert {name: removed[name] for name in same} == {name: added[name] for name in same}
    assert removed["staff"] == "kim"
    assert code(shop, "push_again", item) == "already-removed"
    assert last(shop, "cart.item_removed") in shop.broker.stored


def test_an_item_that_no_app_has_yet_is_not_pushed_after_its_removal(shop: World) -> None:
    shop.broker.online = False
    shop.broker.drop()
    item = bought(shop)
    shop.staff("remove", id=item)
    shop.broker.online = True
    shop.wait(60.0)
    assert [*shop.broker.stored] == [last(shop, "cart.item_removed")]
    shop.judge.last()


def test_what_was_removed_while_the_broker_refused_it_is_not_put_aside(shop: World) -> None:
    """Else it stands there as refused, and whoever has all of that tried again pushes it after its removal."""
    shop.broker.faults = ["mute"]
    item = bought(shop)
    mid = shop.broker._mid
    shop.staff("remove", id=item)
    assert shop.broker._connection
    shop.gateway.loop.call_soon(shop.broker._connection.answered, mid, 0x90)
    shop.wait(2.0)
    assert aside.listed(shop.gateway.reader) == []
    assert last(shop, "cart.item_removed") in shop.broker.stored
    shop.judge.last()


def test_an_unconfirmed_item_is_pushed_again_at_once(shop: World) -> None:
    shop.broker.acking = False
    item = bought(shop)
    shop.broker.stored.clear()
    shop.staff("push_again", id=item)
    assert [*shop.broker.stored] == [item]
    shop.broker.say({"id": item})
    shop.wait(2.0)
    assert code(shop, "push_again", item) == "confirmed"
    assert notes(shop) == ["push"]
    shop.wait(1.0)
    shop.judge.last()


def test_an_unclaimed_scan_is_given_once(shop: World) -> None:
    scan = left_over(shop)
    assert code(shop, "give", scan, "c-1") == "not-here"
    bought(shop)
    shop.see(("till-2", "ben"))
    assert code(shop, "give", scan, "c-3") == "no-consent"
    assert code(shop, "give", scan, "nobody") == "not-found"
    shop.staff("give", "c-1", id=scan)
    shop.staff("give", "c-1", id=scan)
    assert code(shop, "give", scan, "c-2") == "already-given"
    gift = rows(shop, "cart.item_added")[-1]
    assert (gift["event"], gift["customer"], gift["cart"], gift["read_point"]) == (scan, "c-1", "cart-of-c-1", "till-2")
    assert len(rows(shop, "cart.item_added")) == 2
    shop.staff("remove", id=gift["of"])
    assert code(shop, "give", scan, "c-2") == "already-given"
    shop.wait(60.0)
    shop.judge.last()


def test_what_the_platform_refused_is_not_given_again_when_the_gift_is_pruned(shop: World) -> None:
    """What is aside stays, however old; so does what was made of it."""
    scan = left_over(shop)
    shop.wait(2.0)
    refused = [(json.loads(shop.witness.bodies[scan])["seq"], "no")]
    assert refusal(shop, lambda batch: aside.put(batch.connection, "platform", refused)) is None
    shop.see(("till-1", "ann"), ("till-2", "ben"))
    shop.staff("give", "c-1", id=scan)
    shop.see(("till-3", "product"))
    shop.wait(2.0)
    assert refusal(shop, lambda batch: batch.journal.drop_delivered(batch.connection, 1e9)) is None
    assert code(shop, "give", scan, "c-2") == "already-given"


def test_a_gift_is_no_reading(shop: World) -> None:
    """It extends neither the session of whom it is given to, nor that of whoever stands where it was scanned."""
    scan = left_over(shop)
    shop.see(("till-1", "ann"), ("till-2", "ben"))
    shop.wait(40.0)
    shop.staff("give", "c-1", id=scan)
    restart(shop)
    shop.wait(5.0)
    assert [row["reason"] for row in rows(shop, "session.ended")] == ["timeout", "timeout"]


def test_a_band_is_given_and_its_scans_with_it(shop: World) -> None:
    shop.see(("till-1", "dan"), ("till-1", "product"))
    assert refusal(shop, lambda batch: staff.bind(batch, shop.gateway.attribution, "c-3", DAN, "kim")) == "no-consent"
    assert refusal(shop, lambda batch: staff.bind(batch, shop.gateway.attribution, "c-9", DAN, "kim")) == "not-found"
    shop.staff("bind", "c-1", DAN)
    shop.staff("bind", "c-1", DAN)
    assert refusal(shop, lambda batch: staff.bind(batch, shop.gateway.attribution, "c-2", DAN, "kim")) == "band-taken"
    (bound,) = rows(shop, "band.bound")
    assert (bound["customer"], bound["pseudonym"], bound["staff"]) == ("c-1", DAN, "kim")
    (item,) = rows(shop, "cart.item_added")
    assert item["customer"] == "c-1"
    restart(shop)
    shop.see(("till-1", "product"))
    shop.wait(60.0)
    assert len(rows(shop, "cart.item_added")) == 2
    shop.judge.last()


def test_a_lost_band_is_nobodys(shop: World) -> None:
    assert refusal(shop, lambda batch: staff.unbind(batch, "c-2", IDENTIFIERS["ann"], "kim")) == "not-found"
    shop.staff("unbind", "c-1", IDENTIFIERS["ann"])
    restart(shop)
    shop.see(("till-1", "ann"), ("till-1", "product"))
    shop.wait(60.0)
    assert not rows(shop, "cart.item_added")
    shop.staff("bind", "c-2", IDENTIFIERS["ann"])
    shop.wait(2.0)
    assert binding(shop) == [(IDENTIFIERS["ann"], "c-2")]
    assert rows(shop, "cart.item_added")[0]["customer"] == "c-2"
    shop.judge.last()


@pytest.mark.parametrize("how", ["upsert", "delete", "new generation"])
def test_a_later_change_decides(shop: World, how: str) -> None:
    shop.staff("bind", "c-1", DAN)
    shop.change("identifier", "eve", ("c-2", None))
    pull(shop)
    assert binding(shop) == [(DAN, "c-1")]
    shop.change("identifier", "dan", (None if how == "delete" else "c-2", None))
    if how == "new generation":
        shop.platform.anew(set())
    pull(shop)
    assert binding(shop) == []
    shop.see(("till-1", "dan"), ("till-1", "product"))
    shop.wait(1.0)
    assert [row["customer"] for row in rows(shop, "cart.item_added")] == ([] if how == "delete" else ["c-2"])


def test_a_new_generation_that_lacks_the_band_leaves_it(shop: World) -> None:
    shop.staff("bind", "c-1", DAN)
    shop.platform.anew(set())
    pull(shop)
    assert binding(shop) == [(DAN, "c-1")]


@pytest.mark.parametrize("what", ["bind", "unbind"])
def test_the_platform_decides_conflicts(shop: World, what: str) -> None:
    """What it rejects does not hold any more."""
    shop.platform.refusing = True
    band, name = (DAN, "dan") if what == "bind" else (IDENTIFIERS["ann"], "ann")
    shop.staff(what, "c-1", band)
    shop.wait(2.0)
    assert binding(shop) == []
    restart(shop)
    shop.see(("till-1", name), ("till-1", "product"))
    shop.wait(1.0)
    assert len(rows(shop, "cart.item_added")) == (what == "unbind")


def test_sessions_end(shop: World) -> None:
    shop.see(("till-1", "ann"), ("till-2", "ben"))
    shop.staff("end", "till-1")
    shop.staff("end", "till-1")
    shop.staff("close")
    ended = [(row["read_point"], row["customer"], row["reason"]) for row in rows(shop, "session.ended")]
    assert ended == [("till-1", "c-1", "staff"), ("till-2", "c-2", "staff")]
    assert notes(shop) == ["end", "close"]
    shop.compare()


def test_an_erased_shopper_leaves_nothing(shop: World) -> None:
    shop.staff("bind", "c-1", DAN)
    item = bought(shop)
    shop.intend("remove", id=item)
    shop.staff("erase", "c-1")
    shop.gateway.upkeep.stirred.set()
    shop.wait(20.0)
    shop.gateway.upkeep.stirred.set()
    shop.wait(20.0)
    assert rows(shop, "customer.erased")[0]["reason"] == "staff"
    reader = shop.gateway.reader
    tables = [name for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    left = [(name, row) for name in tables for row in reader.execute(f"SELECT * FROM {name}") if holds(row, "c-1")]
    assert left == []
    assert [row["reason"] for row in rows(shop, "session.ended")] == ["consent"]
    shop.see(("till-1", "ann"))
    assert len(rows(shop, "tap.unknown")) == 1


def test_of_a_band_that_was_given_and_taken_nothing_is_left_either(shop: World) -> None:
    shop.see(("till-1", "dan"), ("till-1", "product"))
    shop.staff("bind", "c-1", DAN)
    shop.staff("unbind", "c-1", DAN)
    shop.staff("erase", "c-1")
    for _ in range(2):
        shop.gateway.upkeep.stirred.set()
        shop.wait(60.0)
    reader = shop.gateway.reader
    tables = [name for (name,) in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert [(name, row) for name in tables for row in reader.execute(f"SELECT * FROM {name}") if holds(row, DAN)] == []
    shop.judge.last()


def holds(row: tuple[object, ...], text: str) -> bool:
    texts = [value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in row]
    return bool(words_in("\n".join(texts), text))


@pytest.mark.parametrize("then", ["", "restart", "reboot"])
def test_what_destroys_waits_ten_seconds(shop: World, then: str) -> None:
    item = bought(shop)
    shop.intend("remove", id=item)
    shop.intend("remove", id=item)
    assert len(shop.model.intents) == 1
    shop.wait(9.0)
    assert not rows(shop, "cart.item_removed")
    if then == "restart":
        restart(shop)
    shop.wait(1.5)
    (removed,) = rows(shop, "cart.item_removed")
    assert removed["event"] == item
    assert not shop.model.intents
    assert milliseconds(removed["at"]) - milliseconds(rows(shop, "cart.item_added")[0]["at"]) >= 10_000
    shop.wait(60.0)
    shop.judge.last()


def test_the_clock_becoming_right_in_the_same_commit_takes_no_time_away(shop: World) -> None:
    """A gap between two boots that is known then moves the clock that runs on across boots."""
    shop.kill()
    shop.clocks = shop.clocks.reboot(3600.0, ok=False)
    shop.model.reboot(Boot(shop.clocks.boot, gap=3600.0), shop.clocks.instant, ok=False)
    shop.start()
    shop.clocks.synchronise()
    shop.model.right(shop.clocks.at_zero - shop.clocks.base)
    shop.gateway.upkeep.stirred.set()
    shop.intend("close")
    (intent,) = shop.gateway.intents.pending(shop.gateway.reader)
    assert (intent.left, len(rows(shop, "clock.adjusted"))) == (10.0, 1)
    shop.wait(9.0)
    assert notes(shop) == []
    shop.wait(1.5)
    assert notes(shop) == ["close"]


def test_a_store_is_not_closed_the_day_after(shop: World) -> None:
    shop.intend("close")
    shop.kill()
    shop.start(down=71.0)
    shop.wait(2.0)
    assert notes(shop) == []
    assert shop.gateway.intents.pending(shop.gateway.reader) == []


def test_taken_back_is_not_done(shop: World) -> None:
    told: list[int] = []
    item = bought(shop)
    shop.gateway.intents.changed.append(lambda: told.append(len(shop.gateway.intents.pending(shop.gateway.reader))))
    shop.intend("remove", id=item)
    (intent,) = shop.gateway.intents.pending(shop.gateway.reader)
    shown = intent.shown()
    gtin = rows(shop, "cart.item_added")[0]["gtin"]
    assert {**shown, "id": ""} == {
        "id": "",
        "action": "remove",
        "staff": "kim",
        "left_seconds": 10.0,
        "customer": "c-1",
        "gtin": gtin,
    }
    shop.wait(9.0)
    shop.take_back(intent.id)
    shop.wait(5.0)
    assert not rows(shop, "cart.item_removed")
    assert told == [1, 0]
    assert refusal(shop, lambda batch: intents.take_back(batch, intent.id, "lee")) is None
    assert notes(shop) == ["take_back"]


def test_nobody_takes_back_their_own_dismissal(shop: World) -> None:
    def hire(batch: Batch) -> None:
        people = [("kim", "manager", ""), ("lee", "clerk", "")]
        batch.connection.executemany("INSERT INTO person VALUES (?, ?, ?)", people)

    assert refusal(shop, hire) is None
    shop.intend("dismiss", name="lee")
    (intent,) = shop.gateway.intents.pending(shop.gateway.reader)
    assert refusal(shop, lambda batch: intents.take_back(batch, intent.id, "lee")) == "forbidden"
    assert len(shop.gateway.intents.pending(shop.gateway.reader)) == 1
    assert refusal(shop, lambda batch: intents.take_back(batch, intent.id, "kim")) is None
    assert (notes(shop), shop.model.intents.pop(intent.id)[0]) == (["take_back"], "dismiss")


def test_what_cannot_be_done_any_more_is_not_done(shop: World) -> None:
    item = bought(shop)
    shop.intend("remove", id=item)
    shop.staff("remove", id=item)
    shop.wait(11.0)
    assert len(rows(shop, "cart.item_removed")) == 1
    assert not shop.model.intents


def test_what_waits_for_room_is_done_then(shop: World) -> None:
    item = bought(shop)
    shop.intend("remove", id=item)
    shop.gateway.disk.full = True
    shop.gateway.run_to(shop.clocks.instant + 30.0)
    assert not rows(shop, "cart.item_removed")
    shop.gateway.disk.full = False
    shop.wait(2.0)
    assert len(rows(shop, "cart.item_removed")) == 1
    shop.wait(2.0)
    shop.judge.last()


def test_a_fault_in_one_thing_ends_nothing_else(shop: World) -> None:
    """Such as what a newer version has left behind: it is given up, and what comes after it is done."""
    item = bought(shop)

    def left_behind(batch: Batch) -> None:
        batch.connection.execute("INSERT INTO intent VALUES ('1', 0, 'teleport', 'kim', x'7B7D')")

    assert refusal(shop, left_behind) is None
    shop.intend("remove", id=item)
    shop.gateway.run_to(shop.clocks.instant + 11.0)
    assert len(rows(shop, "cart.item_removed")) == 1
    assert shop.gateway.intents.pending(shop.gateway.reader) == []


def test_staff_are_not_told_that_the_disk_is_full_where_there_is_a_fault(shop: World) -> None:
    told: list[Exception] = []

    async def ask() -> None:
        try:
            await staff.ask(shop.gateway.intake, lambda batch: batch.floor["nowhere"])
        except Full as error:
            told.append(error)

    shop.gateway.do(ask())
    assert [type(error) for error in told] == [Fault]


def test_a_person_is_dismissed_but_not_the_last_manager(shop: World) -> None:
    def hire(batch: Batch) -> None:
        people = [("kim", "manager", ""), ("lee", "clerk", "")]
        batch.connection.executemany("INSERT INTO person VALUES (?, ?, ?)", people)

    assert refusal(shop, hire) is None
    assert refusal(shop, partial(staff.dismiss, name="kim", staff="kim")) == "last-manager"
    assert refusal(shop, partial(staff.dismiss, name="lee", staff="kim")) is None
    assert refusal(shop, partial(staff.dismiss, name="lee", staff="kim")) == "not-found"


def test_a_refusal_undoes_nothing_of_others(shop: World) -> None:
    """In the same commit."""
    shop.broker.online = False
    shop.broker.drop()
    item = bought(shop)

    async def both() -> list[object]:
        seq = json.loads(shop.witness.bodies[item])["seq"]
        wrong = staff.ask(shop.gateway.intake, lambda batch: staff.remove(batch, seq + 1, item, "kim"))
        right = staff.ask(shop.gateway.intake, lambda batch: staff.remove(batch, seq, item, "kim"))
        return [type(each) for each in await asyncio.gather(wrong, right, return_exceptions=True)]

    task = shop.gateway.do(both())
    assert task.result() == [staff.Refused, type(None)]
    assert len(rows(shop, "cart.item_removed")) == 1


def test_what_staff_did_survives_a_salvage(shop: World) -> None:
    """A removed item stays removed, a band stays given, what waits is done, and whoever may log in still may."""

    def hire(batch: Batch) -> None:
        batch.connection.execute("INSERT INTO person VALUES ('kim', 'manager', 'secret')")

    shop.broker.online = shop.platform.online = False
    shop.broker.drop()
    removed, left = bought(shop), bought(shop)
    shop.staff("remove", id=removed)
    shop.staff("bind", "c-1", DAN)
    assert refusal(shop, hire) is None
    shop.intend("close")
    shop.kill()
    path = shop._data / edge.database.FILE
    edge.database.suspect(path).write_text("damaged")
    salvage.opened(path).close()
    shop.start()
    reader = shop.gateway.reader
    assert reader.execute("SELECT * FROM person").fetchall() == [("kim", "manager", "secret")]
    assert binding(shop) == [(DAN, "c-1")]
    assert reader.execute("SELECT count(*) FROM customer").fetchone() == (3,)
    shop.wait(12.0)
    assert notes(shop) == ["close"]
    shop.broker.online = True
    shop.wait(60.0)
    assert {*shop.broker.stored} == {left, last(shop, "cart.item_removed")}
