"""A scanner that is a keyboard of the screen works wherever the focus is, and types into no field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bands import BAND
from counter import PEOPLE, gtin
from peers.gtin import gtin13
from peers.process import until

if TYPE_CHECKING:
    from counter import Counter
    from peers.browser import Terminal

WOULD_BE = ("customer.identified", "tap.unknown", "cart.item_added", "scan.unclaimed")
"""What a tap or a scan makes anywhere else."""


def product_opens(terminal: Terminal, number: int) -> None:
    terminal.main("products").wait_for()
    terminal.hook("product", gtin(number)).first.wait_for()


@pytest.mark.parametrize("end", ["Enter", "Tab", ""], ids=["enter", "tab", "silence"])
def test_in_a_search_field(shared: Counter, end: str) -> None:
    terminal = shared.terminal("clerk")
    terminal.go("shopper")
    field = terminal.page.get_by_role("searchbox")
    field.fill("김민")
    terminal.page.evaluate("window.typed = []; addEventListener('change', event => typed.push(event.target.value))")
    terminal.wedge(gtin13(1), end)
    product_opens(terminal, 1)
    assert [text for text in terminal.page.evaluate("typed") if text != "김민"] == []
    terminal.go("shopper")
    assert gtin13(1)[:5] not in terminal.page.get_by_role("searchbox").input_value()


def test_the_field_stays_as_it_was(shared: Counter) -> None:
    terminal = shared.terminal("clerk")
    terminal.go("shopper")
    field = terminal.page.get_by_role("searchbox")
    field.fill("김민")
    terminal.wedge("NOBODYS-7")
    terminal.hook("desk", "unknown").first.wait_for()
    assert (terminal.at, field.input_value()) == ("shopper", "김민")
    terminal.page.keyboard.type("지", delay=60)
    assert field.input_value() == "김민지"


@pytest.mark.parametrize("end", ["Enter", ""], ids=["enter", "silence"])
def test_keys_that_a_busy_machine_brings_late(shared: Counter, end: str) -> None:
    terminal = shared.terminal("clerk")
    terminal.go("shopper")
    field = terminal.page.get_by_role("searchbox")
    field.fill("김민")
    rest = terminal.wedge(gtin13(1), end, late=6)
    terminal.hook("desk", "unknown").first.wait_for()
    rest()
    product_opens(terminal, 1)
    terminal.go("shopper")
    assert terminal.page.get_by_role("searchbox").input_value() in ("", "김민")


def test_with_a_korean_input_method(shared: Counter) -> None:
    terminal = shared.terminal("clerk")
    terminal.go("shopper")
    terminal.page.get_by_role("searchbox").focus()
    terminal.wedge(gtin13(1), ime=True)
    product_opens(terminal, 1)


def test_on_a_button(shared: Counter) -> None:
    terminal = shared.terminal("clerk")
    pause = terminal.page.get_by_role("button", name="Pause")
    pause.focus()
    terminal.wedge(gtin13(2))
    product_opens(terminal, 2)
    terminal.go("floor")
    assert terminal.page.get_by_role("button", name="Pause").get_attribute("aria-pressed") == "false"


def test_in_a_dialog(shared: Counter) -> None:
    terminal = shared.terminal("manager")
    shared.visit(BAND)
    terminal.press("Close the store")
    dialog = terminal.page.get_by_role("dialog")
    dialog.get_by_role("button", name="Close the store").focus()
    terminal.wedge(gtin13(3))
    product_opens(terminal, 3)
    assert not dialog.is_visible()
    assert terminal.waiting() == []
    assert shared.staff["manager"].does("getIntents")["intents"] == []


def test_in_the_field_for_the_pin(shared: Counter) -> None:
    terminal = shared.terminal(None)
    name, secret = PEOPLE["clerk"]
    terminal.page.get_by_role("button", name=name, exact=True).click()
    field = terminal.page.get_by_label("PIN or password")
    field.fill(secret[:3])
    terminal.wedge(gtin13(1))
    assert field.input_value() == secret[:3]
    assert terminal.at == "login"
    field.press_sequentially(secret[3:], delay=80)
    field.press("Enter")
    terminal.main("floor").wait_for()


@pytest.mark.parametrize("late", [6, 1])
def test_keys_that_come_late_are_no_pin(shared: Counter, late: int) -> None:
    terminal = shared.terminal(None)
    name, secret = PEOPLE["clerk"]
    terminal.page.get_by_role("button", name=name, exact=True).click()
    field = terminal.page.get_by_label("PIN or password")
    tries: list[str] = []
    terminal.page.on("request", lambda request: tries.append(request.url) if request.method == "POST" else None)
    field.fill(secret)
    rest = terminal.wedge(gtin13(1), late=late)
    until(lambda: "PIN" in terminal.focused(), "the scan seemed over")
    rest()
    until(lambda: "PIN" in terminal.focused(), "the scan is over")
    assert (terminal.at, field.input_value()) == ("login", secret)
    assert terminal.settle() == tries == []


def test_who_types_slowly_types(shared: Counter) -> None:
    terminal = shared.terminal("viewer")
    terminal.go("products")
    field = terminal.page.get_by_role("searchbox")
    field.press_sequentially(gtin13(1), delay=60)
    assert field.input_value() == gtin13(1)
    terminal.hook("product", gtin(1)).wait_for()


def test_korean_text_stays_as_it_is_typed(shared: Counter) -> None:
    terminal = shared.terminal("viewer")
    terminal.go("products")
    field = terminal.page.get_by_role("searchbox")
    field.focus()
    for syllable in "서울우유":
        terminal.page.keyboard.insert_text(syllable)
    assert field.input_value() == "서울우유"
    until(lambda: terminal.hook("product").count() == 1, "one product")
    assert terminal.hook("product").get_attribute("data-product") == gtin(2)


def test_a_product_that_the_catalogue_lacks_and_what_is_nobody_s(shared: Counter) -> None:
    terminal = shared.terminal("clerk")
    terminal.wedge(gtin13(77))
    terminal.hook("desk", "missing").first.wait_for()
    terminal.wedge("NOBODYS-7")
    terminal.hook("desk", "unknown").first.wait_for()
    assert shared.of("cart.item_added", "scan.unclaimed") == []


def test_a_scan_by_the_desk_s_own_scanner_opens_the_product(shared: Counter) -> None:
    terminal = shared.terminal("clerk")
    before = shared.of(*WOULD_BE)
    shared.store.scan(2, "desk")
    product_opens(terminal, 2)
    shared.store.tap(BAND, "desk")
    terminal.hook("shopper", "c-1").wait_for()
    assert shared.of(*WOULD_BE) == before
