"""Stories of a shopper who is helped: in three touches, and what was done by mistake can be taken back for 10 s."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bands import BAND, OTHER
from counter import gtin
from peers.needles import words_in
from peers.process import until
from peers.store import pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Route

    from counter import Counter
    from peers.app import App
    from peers.browser import Terminal

NEW = "04D1B2C3D4E5F6"
UNDO = 10.0  # seconds


def at_the_counter(counter: Counter, *numbers: int) -> tuple[Terminal, App, list[dict[str, Any]]]:
    """Have c-1 shop these, come to the desk and tap there; return the screen, the app and what was added."""
    app = counter.app_of("k-1")
    terminal = counter.terminal("clerk")
    added = counter.visit(BAND, *numbers)
    until(lambda: app.cart == [gtin(number) for number in numbers], "the cart")
    counter.store.tap(BAND, "desk")
    terminal.hook("shopper", "c-1").wait_for()
    return terminal, app, added


def test_a_wrong_scan_is_undone_in_three_touches(counter: Counter) -> None:
    terminal, app, (wrong, right) = at_the_counter(counter, 1, 2)
    item = terminal.hook("item", wrong["id"])
    until(lambda: item.get_attribute("data-state") == "confirmed", "in the app")
    item.get_by_role("button", name="Remove").click()
    asked = time.monotonic()
    terminal.confirm("Remove")
    assert app.cart == [gtin(1), gtin(2)]
    until(lambda: app.cart == [gtin(2)], "the removal", UNDO + 60)
    assert time.monotonic() - asked > UNDO - 1
    until(lambda: item.get_attribute("data-state") == "removed", "taken out")
    (removed,) = counter.of("cart.item_removed")
    assert removed["data"]["event"] == wrong["id"]
    assert removed["data"]["staff"] == "jun"
    assert terminal.waiting() == []
    assert terminal.hook("item", right["id"]).get_attribute("data-state") == "confirmed"
    until(counter.store.settled, "all to be confirmed")
    assert app.problems + counter.platform.problems() == []


def test_undone_in_time_nothing_was_done(counter: Counter) -> None:
    terminal, app, (item,) = at_the_counter(counter, 1)
    terminal.hook("item", item["id"]).get_by_role("button", name="Remove").click()
    waiting = terminal.confirm("Remove")
    terminal.press("Undo", terminal.hook("intent", waiting))
    until(lambda: not terminal.waiting(), "nothing to be undone any more")
    answer = counter.staff["clerk"].ask("takeBack", id=waiting)
    assert (answer.status, answer.code) == (404, "not-found")
    terminal.hook("item", item["id"]).get_by_role("button", name="Remove").click()
    terminal.press("Cancel", terminal.page.get_by_role("dialog"))
    counter.store.tap(BAND)
    counter.store.scan(2)
    time_is_over = time.monotonic() + UNDO + 2
    until(lambda: time.monotonic() > time_is_over, "12 s", UNDO + 60)
    assert app.cart == [gtin(1), gtin(2)]
    assert counter.of("cart.item_removed") == []


def test_an_undo_that_comes_too_late_does_not_say_that_nothing_was_changed(counter: Counter) -> None:
    terminal, _, (item,) = at_the_counter(counter, 1)
    terminal.hook("item", item["id"]).get_by_role("button", name="Remove").click()
    waiting = terminal.confirm("Remove")

    def overtaken(route: Route) -> None:
        counter.staff["manager"].does("takeBack", id=waiting)
        route.continue_()

    terminal.page.route("**/api/intents/*", overtaken)
    terminal.press("Undo", terminal.hook("intent", waiting))
    terminal.page.get_by_text("It cannot be taken back any more.").wait_for()
    assert "Nothing was changed" not in terminal.page.locator("body").inner_text()


def test_who_touches_twice_acts_once(counter: Counter) -> None:
    terminal, app, (item,) = at_the_counter(counter, 1)
    terminal.hook("item", item["id"]).get_by_role("button", name="Remove").dblclick()
    terminal.page.get_by_role("dialog").get_by_role("button", name="Remove").dblclick()
    until(lambda: len(terminal.waiting()) == 1, "one thing to be undone")
    body = {"id": item["id"]}
    again = counter.staff["clerk"].does("removeItem", body, seq=item["seq"])
    assert [again["id"]] == terminal.waiting()
    until(lambda: app.cart == [], "the removal", UNDO + 60)
    answer = counter.staff["clerk"].ask("removeItem", body, seq=item["seq"])
    assert (answer.status, answer.code) == (409, "already-removed")
    assert len(counter.of("cart.item_removed")) == 1


def test_what_no_app_has_confirmed_is_pushed_again(counter: Counter) -> None:
    app = counter.app_of("k-1")
    app.acking = False
    terminal = counter.terminal("clerk")
    (added,) = counter.visit(BAND, 1)
    until(lambda: app.cart == [gtin(1)], "the push")
    counter.store.tap(BAND, "desk")
    item = terminal.hook("item", added["id"])
    until(lambda: item.get_attribute("data-state") == "pushed", "pushed")
    app.acking = True
    item.get_by_role("button", name="Push again").click()
    until(lambda: app.repeats >= 1, "the same again")
    until(lambda: item.get_attribute("data-state") == "confirmed", "in the app")
    assert app.cart == [gtin(1)]
    assert app.problems == []


def test_an_unclaimed_scan_is_given_once(open_counter: Callable[..., Counter]) -> None:
    counter = open_counter(floor={"claim": "1s"})
    app = counter.app_of("k-2")
    counter.store.scan(3)
    until(lambda: counter.of("scan.unclaimed"), "a scan that nobody claims")
    (scan,) = counter.of("scan.unclaimed")
    body = {"id": scan["id"], "customer": "c-2"}
    refused = counter.staff["clerk"].ask("giveScan", body, seq=scan["seq"])
    assert (refused.status, refused.code) == (409, "not-here")
    terminal = counter.terminal("clerk")
    counter.visit(OTHER)
    counter.store.tap(OTHER, "desk")
    terminal.hook("shopper", "c-2").wait_for()
    terminal.press("Give a scan")
    terminal.hook("unclaimed", scan["id"]).get_by_role("button", name="Give").dblclick()
    until(lambda: app.cart == [gtin(3)], "the gift")
    answer = counter.staff["clerk"].ask("giveScan", body, seq=scan["seq"])
    assert (answer.status, answer.code) in ((409, "already-given"), (204, ""))
    (added,) = counter.of("cart.item_added")
    assert added["id"] != scan["id"]
    assert (added["data"]["event"], added["data"]["staff"], added["data"]["customer"]) == (scan["id"], "jun", "c-2")
    assert counter.staff["clerk"].does("getUnclaimed")["scans"] == []


def test_a_new_band_is_bound_with_the_platform_away_and_its_scans_arrive(counter: Counter) -> None:
    app = counter.app_of("k-1")
    terminal = counter.terminal("clerk")
    counter.platform.kill()
    counter.store.tap(NEW)
    counter.store.scan(1)
    counter.store.scan(2)
    until(lambda: counter.store.status()["held"] == 2, "two scans to be held")
    terminal.hook("read-point", "till-1").get_by_role("button", name="Whose band?").click()
    terminal.page.get_by_role("searchbox").fill("ㄱㅁㅈ")
    terminal.hook("shopper", "c-1").get_by_role("button").click()
    until(lambda: app.cart == [gtin(1), gtin(2)], "the held scans")
    (resolved,) = counter.of("customer.resolved")
    assert (resolved["data"]["customer"], resolved["data"]["pseudonym"]) == ("c-1", pseudonym("nfc", NEW))
    (bound,) = counter.of("band.bound")
    assert bound["data"] == {"customer": "c-1", "pseudonym": pseudonym("nfc", NEW), "staff": "jun"}
    counter.platform.start()
    until(counter.store.settled, "all to be delivered", 30)
    assert [event["data"] for event in counter.platform.of("band.bound")] == [bound["data"]]
    assert counter.platform.problems() == []


def test_a_new_band_at_the_desk_and_a_lost_one(counter: Counter) -> None:
    terminal, app, _ = at_the_counter(counter, 1)
    terminal.press("Bind a new band")
    counter.store.tap(OTHER, "desk")
    terminal.hook("desk", "shopper").wait_for()
    assert terminal.hook("shopper", "c-1").is_visible()
    counter.store.tap(NEW, "desk")
    terminal.hook("band", pseudonym("nfc", NEW)).wait_for()
    terminal.hook("band", pseudonym("nfc", BAND)).get_by_role("button", name="Unbind").click()
    terminal.confirm("Unbind")
    until(lambda: counter.of("band.unbound"), "the end of the old band", UNDO + 60)
    until(lambda: not terminal.hook("band", pseudonym("nfc", BAND)).count(), "one band")
    counter.store.tap(BAND, "till-2")
    counter.store.scan(2, "till-2")
    counter.store.tap(NEW)
    counter.store.scan(3)
    until(lambda: app.cart == [gtin(1), gtin(3)], "the cart")
    assert "till-2" not in {event["data"]["read_point"] for event in counter.of("customer.identified")}


def test_what_the_store_holds_is_handed_over_and_nothing_of_others(counter: Counter) -> None:
    counter.visit(BAND, 1)
    counter.visit(OTHER, 2, read_point="till-2")
    terminal = counter.terminal("manager")
    terminal.go("shopper")
    terminal.hook("shopper", "c-1").get_by_role("link").click()
    terminal.page.get_by_role("heading", name="What the store holds").wait_for()
    with terminal.page.expect_download() as download:
        terminal.press("Export")
    text = Path(download.value.path()).read_text()
    export = json.loads(text)
    assert export["customer"]["display"] == "김민지"
    assert [row for row in export["rows"] if "item_added" in str(row)] != []
    others = ("c-2", "k-2", "박서준", pseudonym("nfc", OTHER), gtin(2))
    assert words_in(text, *others) == []
    assert counter.staff["manager"].does("exportShopper", id="c-1")["customer"] == export["customer"]
    assert counter.staff["clerk"].ask("exportShopper", id="c-1").status == 403


def test_an_erasure_leaves_nothing(counter: Counter) -> None:
    who, band = "c-leaves-soon", pseudonym("nfc", NEW)
    value = {"cart": "k-leaves-soon", "display": "이하늘", "language": "ko", "consents": ["cart"]}
    counter.platform.change("customer", who, value)
    counter.platform.band(band, who)
    counter.platform.wait_pulled()
    app = counter.app_of("k-leaves-soon")
    counter.visit(NEW, 1, 2)
    until(lambda: app.cart == [gtin(1), gtin(2)], "the cart")
    until(counter.store.settled, "all to be delivered")
    names = (who, "k-leaves-soon", "이하늘", band)
    assert counter.store.found(*names) == set(names)
    terminal = counter.terminal("manager")
    terminal.go("shopper")
    terminal.hook("shopper", who).get_by_role("link").click()
    terminal.press("Erase")
    terminal.confirm("Erase")
    until(lambda: counter.platform.of("customer.erased"), "the erasure to be told", UNDO + 10)
    (erased,) = counter.platform.of("customer.erased")
    assert erased["data"] == {"customer": who, "reason": "staff"}
    until(lambda: not counter.store.found(*names), lambda: f"nothing to be left but {counter.store.found(*names)}", 20)
    assert counter.staff["manager"].ask("getShopper", id=who).status == 404
    until(lambda: "이하늘" not in terminal.page.locator("body").inner_text(), "the page to forget as well")
