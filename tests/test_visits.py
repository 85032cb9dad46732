"""What staff see of a shopper's visit, in a shop in simulated time; and what is handed over."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge import aside, catalogue, directory, journal, visits
from edge.database import FILE, Database
from edge.envelope import milliseconds
from edge.model import Moment, Row
from peers.gtin import gtin13, padded
from peers.needles import words_in
from simulated.clock import EPOCH
from simulated.shoppers import IDENTIFIERS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

    from edge.batch import Batch
    from simulated.world import World

MILK = padded(gtin13(1))
HOUR = 3600.0


@pytest.fixture
def shop(world: World) -> World:
    """Two shoppers with a band each, and one product that the catalogue knows."""
    for id, display, band in (("c-1", "김하늘", "ann"), ("c-2", "박바다", "ben")):
        value = {"cart": f"cart-of-{id}", "display": display, "language": "ko", "consents": ["cart", "presence"]}
        world.platform.change("customer", id, value)
        world.change("identifier", band, (id, None))
    price = {"amount": "2900", "currency": "KRW"}
    world.platform.change("product", MILK, {"name": {"ko": "우유", "en": "milk"}, "price": price})
    world.broker.nudge()
    world.wait(20.0)
    return world


def now(world: World) -> float:
    """Elapsed seconds."""
    return world.gateway.intake.journal.elapsed(world.clocks.instant)


def wait(world: World, seconds: float) -> None:
    """Time passes, and no model is asked what must come of it: it knows nothing of staff."""
    world.gateway.run_to(world.clocks.instant + seconds)


def shown(world: World, id: str = "c-1") -> dict[str, Any]:
    """The shopper as staff see them."""
    reader, pending = world.gateway.reader, world.gateway.intake.cursor("cart")
    cursor = journal.cursor_of(reader, "cart") if pending is None else pending
    found = visits.shopper(reader, id, cursor, now(world))
    assert found is not None
    return found


def states(world: World) -> list[str]:
    """Of the items, newest first."""
    return [item["state"] for item in shown(world)["items"]]


def work(world: World, work: Callable[[Batch], object]) -> None:
    """Do it as all is done that changes what is known."""
    world.gateway.do(world.gateway.intake.submit(work))


def remove(world: World, item: dict[str, Any]) -> None:
    """Staff undo a scan."""
    world.staff("remove", id=item["id"])


def test_what_becomes_of_an_item(shop: World) -> None:
    shop.broker.online = False
    shop.broker.drop()
    shop.see(("till-1", "ann"), ("till-1", "product"), ("till-1", "product"))
    assert states(shop) == ["saved", "saved"]
    newest, oldest = shown(shop)["items"]
    assert (oldest["gtin"], oldest["product"], oldest["price"]["amount"]) == (MILK, "우유", "2900")
    assert (newest["product"], newest["price"], newest["read_point"]) == (None, None, "till-1")
    assert milliseconds(oldest["time"]) == round((EPOCH + shop.clocks.instant) * 1000)

    shop.broker.online, shop.broker.acking = True, False
    wait(shop, 40.0)
    assert states(shop) == ["pushed", "pushed"]
    shop.broker.say({"id": oldest["id"]})
    wait(shop, 2.0)
    assert states(shop) == ["pushed", "confirmed"]
    remove(shop, oldest)
    assert states(shop) == ["pushed", "removed"]
    work(shop, lambda batch: aside.put(batch.connection, "cart", [(newest["seq"], "0x87")]))
    assert states(shop) == ["refused", "removed"]
    work(shop, lambda batch: aside.again(batch.connection, "cart", [newest["seq"]], aside.ASKED))
    assert states(shop)[0] in ("saved", "pushed")
    wait(shop, 5.0)
    assert states(shop)[0] == "pushed"
    work(shop, lambda batch: batch.journal.drop_old(batch.connection, now(shop), 0.0, HOUR))
    assert states(shop) == ["expired", "removed"]


def test_a_visit_ends_where_nothing_happened_for_an_hour(shop: World) -> None:
    shop.see(("till-1", "ann"), ("till-1", "product"))
    shop.wait(HOUR - 10.0)
    shop.see(("till-2", "ann"), ("till-2", "product"))
    assert len(shown(shop)["items"]) == 2
    shop.wait(HOUR + 10.0)
    remove(shop, shown(shop)["items"][0])
    assert [item["state"] for item in shown(shop)["items"]] == ["removed", "confirmed"]
    shop.see(("till-1", "ann"))
    assert shown(shop)["items"] == []
    assert shown(shop)["held"]["rows"] > 0
    assert shown(shop, "c-2")["held"] == {"rows": 0, "oldest": None}
    assert visits.shopper(shop.gateway.reader, "c-3", 0, now(shop)) is None


def test_bands_also_those_that_staff_gave(shop: World) -> None:
    given, lost = IDENTIFIERS["cho"], IDENTIFIERS["ben"]
    shop.staff("bind", "c-1", given)
    shop.staff("unbind", "c-2", lost)
    bands = {band["pseudonym"]: band["by_staff"] for band in shown(shop)["bands"]}
    assert bands == {given: True, IDENTIFIERS["ann"]: False}
    assert shown(shop, "c-2")["bands"] == []


def test_times_are_shown_by_the_clock_as_it_was_set_right_later(shop: World) -> None:
    shop.see(("till-1", "product"))
    shop.kill()
    shop.clocks = shop.clocks.reboot(30.0, ok=False)
    shop.start()
    shop.see(("till-1", "ann"), ("till-1", "product"))
    truth = shop.clocks.truth + shop.clocks.instant
    assert shown(shop)["items"][0]["time"].startswith("2000-01-01T")
    wait(shop, 5.0)
    shop.clocks.synchronise()
    wait(shop, 700.0)
    shop.see(("till-1", "ann"), ("till-1", "product"))
    later, before = shown(shop)["items"]
    assert abs(milliseconds(before["time"]) - truth * 1000) < 2
    assert milliseconds(later["time"]) == round((shop.clocks.truth + shop.clocks.instant) * 1000)
    assert abs(milliseconds(shown(shop)["held"]["oldest"]) - truth * 1000) < 2


def test_unclaimed_scans_until_they_are_given(shop: World) -> None:
    for _ in range(3):
        shop.see(("till-1", "product"))
    shop.see(("till-2", "ann"))
    shop.wait(11.0)
    scans = visits.unclaimed(shop.gateway.reader, now(shop), "en")
    assert [scan["product"] for scan in scans] == [None, None, "milk"]
    assert [scan["read_point"] for scan in scans] == ["till-1"] * 3
    assert [line["gtin"] for line in catalogue.missing(shop.gateway.reader, now(shop))] == [
        scan["gtin"] for scan in scans[:2]
    ]
    shop.see(("till-2", "ann"))
    shop.staff("give", "c-1", id=scans[0]["id"])
    assert visits.unclaimed(shop.gateway.reader, now(shop)) == [
        replaced | {"product": name} for replaced, name in zip(scans[1:], (None, "우유"), strict=True)
    ]
    counts = [line["count"] for line in catalogue.missing(shop.gateway.reader, now(shop))]
    assert counts == [1, 1]
    assert shown(shop)["items"][0]["gtin"] == scans[0]["gtin"]


def test_what_the_catalogue_lacks_until_it_has_it(shop: World) -> None:
    shop.see(("till-1", "ann"), ("till-1", "product"), ("till-1", "product"))
    (lacking,) = catalogue.missing(shop.gateway.reader, now(shop))
    assert (lacking["gtin"], lacking["count"]) == (padded(gtin13(2)), 1)
    assert milliseconds(lacking["last"]) == round((EPOCH + shop.clocks.instant) * 1000)
    shop.products = 1
    wait(shop, 1.0)
    shop.see(("till-1", "product"))
    (lacking,) = catalogue.missing(shop.gateway.reader, now(shop))
    assert lacking["count"] == 2
    shop.platform.change("product", lacking["gtin"], {"name": "빵"})
    shop.broker.nudge()
    wait(shop, 2.0)
    assert catalogue.missing(shop.gateway.reader, now(shop)) == []


def test_the_export_has_all_of_one_and_nothing_of_others(shop: World) -> None:
    shop.see(("till-1", "ann"), ("till-1", "product"), ("till-1", "ben"), ("till-1", "product"))
    shop.see(("till-2", "dan"), ("till-2", "product"))
    shop.wait(5.0)
    shop.broker.online = False
    shop.broker.drop()
    shop.change("identifier", "dan", ("c-1", None))
    shop.wait(1900.0)
    stay = {"customer": "c-1", "read_point": "door"}
    work(shop, lambda batch: batch.write([Row("presence.entered", batch.now, stay)]))
    work(shop, lambda batch: batch.write([Row("presence.entered", batch.now, stay | {"customer": "c-2"})]))

    export = visits.export(shop.gateway.reader, "c-1", "2026-11-27T00:00:00.000Z")
    assert export is not None
    assert export["customer"] == {
        "id": "c-1",
        "cart": "cart-of-c-1",
        "display": "김하늘",
        "language": "ko",
        "consents": ["cart", "presence"],
    }
    assert {band["pseudonym"] for band in export["identifiers"]} == {IDENTIFIERS["ann"], IDENTIFIERS["dan"]}
    assert [stay["read_point"] for stay in export["presence"]] == ["door"]
    assert export["waiting"] == {"pushes": 1, "scans": 0}
    kinds = [row["type"].removeprefix("cartwire.").removesuffix(".v1") for row in export["rows"]]
    assert kinds[:3] == ["customer.identified", "cart.item_added", "session.ended"]
    assert {"tap.unknown", "inside.scan_held", "customer.resolved", "presence.entered"} <= set(kinds)
    assert kinds.count("cart.item_added") == 2
    assert [row["seq"] for row in export["rows"]] == sorted(row["seq"] for row in export["rows"])
    text = json.dumps(export, ensure_ascii=False)
    assert words_in(text, "c-2", "박바다", IDENTIFIERS["ben"]) == []
    assert visits.export(shop.gateway.reader, "c-3", "") is None


def test_what_a_band_did_before_it_was_theirs_is_not_in_the_export(shop: World) -> None:
    shop.platform.faults = ["swallow"] * 100
    shop.see(("till-1", "dan"), ("till-1", "product"))
    shop.wait(60.0)
    shop.change("identifier", "dan", ("c-1", -5.0))
    shop.broker.nudge()
    wait(shop, 5.0)
    export = visits.export(shop.gateway.reader, "c-1", "")
    assert export is not None
    assert IDENTIFIERS["dan"] in {band["pseudonym"] for band in export["identifiers"]}
    of_dan = "SELECT count(*) FROM row WHERE who = ?"
    assert shop.gateway.reader.execute(of_dan, (IDENTIFIERS["dan"],)).fetchone() == (2,)
    assert export["rows"] == []


def test_without_a_cart_sink_an_item_is_saved(tmp_path: Path, ended: ExitStack) -> None:
    database = Database(tmp_path / FILE)
    ended.callback(database.close)
    at = Moment(10.0, 1_764_000_000_000, True, "boot-1")
    data = {"customer": "c-1", "cart": "k", "session": "s", "read_point": "till-1", "gtin": MILK, "product": None}
    page = directory.Page("1", False, [])

    def work(connection: Any) -> None:
        opened = journal.open_journal(connection, "/stores/a/gateways/b", at, 1_764_000_000.0, ["platform"])
        directory.apply(connection, page, None)
        connection.execute("INSERT INTO customer VALUES (1, 'c-1', 'k', NULL, NULL, ' cart ', NULL)")
        opened.append(
            connection, [Row("cart.item_added", at, data)], replace(at, instant=11.0), journal.last_seq(connection)
        )

    database.write_now(work)
    with closing(database.reader()) as reader:
        found = visits.shopper(reader, "c-1", None, 12.0)
    assert found is not None
    assert [item["state"] for item in found["items"]] == ["saved"]
