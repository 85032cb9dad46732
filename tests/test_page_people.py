"""Stories of those who work with the page: the first of them, what each may see, wrong PINs, a screen left alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bands import BAND
from counter import PEOPLE
from peers.browser import Terminal
from peers.process import until
from peers.staff import Staff
from peers.store import Store

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from playwright.sync_api import Browser, Route

    from counter import Counter

SEES = {
    "viewer": ["floor", "products", "sync", "devices"],
    "clerk": ["floor", "shopper", "products", "sync", "devices"],
    "manager": ["floor", "shopper", "products", "sync", "devices", "people"],
}
"""The pages of each role."""
PLACES = """() => {
  window.places = ['login'];
  const look = () => {
    const place = document.querySelector('main[data-page]')?.dataset.page;
    if (place !== places.at(-1)) places.push(place);
  };
  new MutationObserver(look).observe(document.body, {childList: true, subtree: true, attributeFilter: ['data-page']});
}"""


def ways(terminal: Terminal) -> list[str]:
    """Return the pages one can go to."""
    links = terminal.page.locator("nav a").all()
    return [(link.get_attribute("href") or "").rpartition("/")[2] for link in links]


def test_the_setup_code_makes_one_manager(tmp_path: Path, chromium: Browser, ended: ExitStack) -> None:
    store = Store(tmp_path / "store")
    ended.callback(store.close)
    store.start()
    store.ready()
    code = store.setup_code()
    terminal = Terminal(chromium, store.port)
    ended.callback(terminal.close)
    terminal.open()
    assert terminal.at == "setup"
    terminal.page.get_by_label("Setup code").fill("0000 0000" if code != "0000 0000" else "1111 1111")
    terminal.page.get_by_label("Your name").fill("mina")
    terminal.page.get_by_label("New PIN").fill("258014")
    terminal.page.get_by_role("button", name="Set up").click()
    terminal.page.get_by_role("alert").filter(has_text=re.compile(r"\w")).wait_for()
    assert terminal.at == "setup"
    terminal.page.get_by_label("Setup code").fill(code)
    terminal.page.get_by_label("New PIN").fill("258014")
    terminal.page.get_by_role("button", name="Set up").click()
    terminal.main("floor").wait_for()
    assert ways(terminal) == SEES["manager"]
    assert terminal.settle() == []


def test_each_role_sees_its_pages_and_no_others(counter: Counter) -> None:
    counter.visit(BAND, 1)
    for role, pages in SEES.items():
        terminal = counter.terminal(role)
        assert ways(terminal) == pages
        assert terminal.page.get_by_role("button", name="Close the store").count() == (role == "manager")
        for page in set(SEES["manager"]) - set(pages):
            terminal.page.evaluate("page => { location.hash = `#/${page}` }", page)
            until(lambda terminal=terminal, page=page: terminal.at != page, f"{role} not on {page}")  # type: ignore[misc]


def test_five_tries_then_waiting(counter: Counter) -> None:
    terminal = counter.terminal(None)
    name, secret = PEOPLE["clerk"]
    terminal.page.get_by_role("button", name=name, exact=True).click()
    field = terminal.page.get_by_label("PIN or password")
    enter = terminal.page.get_by_role("button", name="Log in", exact=True)
    for _ in range(5):
        field.fill("000000")
        enter.click()
        until(lambda: field.input_value() == "", "a no")
    terminal.page.get_by_text("Too many wrong tries").wait_for()
    field.fill(secret)
    assert terminal.at == "login"
    assert enter.is_disabled()
    other = Staff(counter.store.port)
    other.log_in(*PEOPLE["viewer"])


def test_a_screen_left_alone_is_locked_and_goes_on_where_it_was(counter: Counter) -> None:
    terminal = counter.terminal("clerk", clock=True)
    terminal.go("products")
    seconds = counter.staff["clerk"].does("getSession")["lock_seconds"]
    assert seconds == 600
    terminal.page.clock.fast_forward(1000 * (seconds - 30))
    assert terminal.at == "products"
    terminal.page.clock.fast_forward(60_000)
    terminal.main("login").wait_for()
    assert "신라면" not in terminal.page.content()
    terminal.log_in(*PEOPLE["clerk"])
    terminal.main("products").wait_for()


def test_a_screen_stays_locked_though_the_gateway_does_not_hear_of_it(counter: Counter) -> None:
    terminal = counter.terminal("clerk", clock=True)
    counter.visit(BAND, 1)
    terminal.page.get_by_text("김민지").first.wait_for()
    refused: list[str] = []

    def cut(route: Route) -> None:
        if route.request.method == "DELETE":
            refused.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    terminal.page.route("**/api/session", cut)
    terminal.page.clock.fast_forward(601_000)
    terminal.main("login").wait_for()
    tried = len(refused)
    for _ in range(4):
        terminal.page.clock.run_for(1000)
        assert (terminal.at, "김민지" in terminal.page.content()) == ("login", False)
    assert len(refused) > tried
    assert counter.staff["clerk"].ask("getFloor").status == 200, "the gateway has heard nothing"
    terminal.page.unroute("**/api/session")
    until(lambda: counter.staff["clerk"].ask("getFloor").status == 401, "it to be told")
    terminal.log_in(*PEOPLE["clerk"])
    terminal.page.get_by_text("김민지").first.wait_for()


def test_an_answer_from_before_the_log_out_brings_nobody_back(counter: Counter) -> None:
    terminal = counter.terminal("clerk", clock=True)
    counter.visit(BAND, 1)
    terminal.page.get_by_text("김민지").first.wait_for()
    answer = terminal.page.request.get(f"http://127.0.0.1:{counter.store.port}/api/session")
    late: list[Route] = []

    def keep(route: Route) -> None:
        if route.request.method == "GET" and not late:
            late.append(route)
        else:
            route.continue_()

    terminal.page.route("**/api/session", keep)
    terminal.page.clock.fast_forward(61_000)
    terminal.press("Log out")  # the first touch for a minute, which the gateway is told of
    terminal.main("login").wait_for()
    terminal.page.evaluate(PLACES)
    with terminal.page.expect_response("**/api/session"):
        late[0].fulfill(response=answer)
    terminal.page.clock.run_for(3000)
    terminal.log_in(*PEOPLE["clerk"])
    assert terminal.page.evaluate("places") == ["login", "floor"]


def test_who_changes_their_own_pin_is_not_told_that_nothing_was_changed(counter: Counter) -> None:
    terminal = counter.terminal("manager")
    name, _ = PEOPLE["manager"]
    terminal.go("people")
    terminal.page.get_by_role("button", name=f"Role, PIN: {name}").click()
    terminal.page.get_by_label("New PIN").fill("600418")
    with terminal.page.expect_response(lambda answer: answer.url.endswith("/api/people") and answer.status == 401):
        terminal.press("Save")
    terminal.main("login").wait_for()
    terminal.page.wait_for_load_state("networkidle")
    assert "Nothing was changed" not in terminal.page.inner_text("body")
    terminal.log_in(name, "600418")
    terminal.main("people").wait_for()


def test_who_logs_out_is_out(counter: Counter) -> None:
    terminal = counter.terminal("clerk")
    counter.visit(BAND, 1)
    terminal.page.get_by_text("김민지").first.wait_for()
    terminal.press("Log out")
    terminal.main("login").wait_for()
    assert "김민지" not in terminal.page.content()
    assert counter.staff["clerk"].ask("getFloor").status == 401
    terminal.page.reload()
    terminal.main("login").wait_for()


def test_a_manager_adds_and_removes_a_person(counter: Counter) -> None:
    manager = counter.staff["manager"]
    manager.does("putPerson", {"role": "clerk", "secret": "771204"}, name="sora")
    terminal = counter.terminal("manager")
    terminal.go("people")
    terminal.main("people").get_by_text("sora").first.wait_for()
    sora = Staff(counter.store.port)
    sora.log_in("sora", "771204")
    remove = terminal.page.get_by_role("button", name=re.compile(r"Remove.*sora"))
    remove.click()
    terminal.press("Undo", terminal.hook("intent", terminal.confirm("Remove")))
    until(lambda: not terminal.waiting(), "nothing to be undone any more")
    remove.click()
    terminal.confirm("Remove")
    assert sora.ask("getFloor").status == 200
    until(lambda: sora.ask("getFloor").status == 401, "the session to end", 60)
    assert sora.try_in("sora", "771204").code == "wrong-secret"
    until(lambda: "sora" not in terminal.main("people").inner_text(), "the page to know")
    assert manager.ask("deletePerson", name=PEOPLE["manager"][0]).code == "last-manager"
    assert sora.problems == []
