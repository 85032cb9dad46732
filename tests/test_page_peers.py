"""The browser of the tests sees what is wrong with a page."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from peers.browser import Terminal
from peers.eyes import small_targets, too_high, too_wide, unseen_focus
from peers.process import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

HEAD = "<!doctype html><html lang=en><title>A page</title><link rel=icon href='data:,'>"
GOOD = """<style>button { min-width: 48px; min-height: 48px } :focus { outline: 3px solid }</style>
<main data-page=floor aria-busy=false><h1>Floor</h1><button>End</button>
<label>Search <input style="height:60px"></label></main>"""
BAD = """<style>button { outline: none } .wide { width: 1100px; height: 700px; background: #eee; color: #ddd }</style>
<main data-page=floor aria-busy=false><h1>Floor</h1><button style="width:40px;height:60px">x</button><input>
<img src="http://192.0.2.7/count.png"><p class=wide>hardly to be read</main>
<script>console.error("half done"); undefinedName()</script>"""


class Pages(BaseHTTPRequestHandler):
    """Answers with the page that its server has; a policy refuses what `strict` asks for."""

    def do_GET(self) -> None:
        """Answer."""
        body = (HEAD + self.server.body).encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if self.path == "/" and "strict" in self.server.body:  # type: ignore[attr-defined]
            self.send_header("Content-Security-Policy", "default-src 'self'; style-src 'unsafe-inline'; img-src data:")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def shown(chromium: Browser) -> Iterator[list[Terminal]]:
    """What was opened."""
    terminals: list[Terminal] = []
    yield terminals
    for terminal in terminals:
        terminal.close()


def show(chromium: Browser, shown: list[Terminal], body: str) -> Terminal:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.body = body  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    terminal = Terminal(chromium, server.server_port)
    shown.append(terminal)
    terminal.open()
    server.shutdown()
    server.server_close()
    return terminal


def test_nothing_is_wrong_with_a_good_page(chromium: Browser, shown: list[Terminal]) -> None:
    terminal = show(chromium, shown, GOOD)
    assert terminal.axe() == []
    assert small_targets(terminal.page) == []
    assert unseen_focus(terminal.page) == []
    assert (too_wide(terminal.page), too_high(terminal.page)) == (0, 0)
    assert terminal.faults == []


def test_all_is_seen_that_is_wrong_with_a_bad_page(chromium: Browser, shown: list[Terminal]) -> None:
    terminal = show(chromium, shown, BAD)
    rules = {found.partition(":")[0] for found in terminal.axe()}
    assert {"color-contrast", "image-alt", "label"} <= rules
    small = small_targets(terminal.page)
    assert small[0].startswith("40x60")
    assert "<button" in unseen_focus(terminal.page)[0]
    assert too_wide(terminal.page) > 50
    assert too_high(terminal.page) > 50
    kinds = {fault.partition(":")[0] for fault in terminal.faults}
    assert kinds == {"a request left the store", "console", "uncaught"}


def test_what_the_policy_refuses_is_seen(chromium: Browser, shown: list[Terminal]) -> None:
    terminal = show(chromium, shown, GOOD + "<script>document.title = 'strict'</script>")
    until(lambda: terminal.page.title() and terminal.faults, "a fault")
    assert "Content Security Policy" in terminal.faults[0]


def test_a_scanner_types_faster_than_anybody_and_types_what_it_reads(chromium: Browser, shown: list[Terminal]) -> None:
    terminal = show(chromium, shown, GOOD)
    terminal.page.locator("input").focus()
    script = "window.keys = []; addEventListener('keydown', e => keys.push([e.key, e.code, e.timeStamp]))"
    terminal.page.evaluate(script)
    terminal.wedge("8801Ab", end="Enter")
    keys = terminal.page.evaluate("keys")
    assert [key for key, _, _ in keys] == [*"8801Ab", "Enter"]
    assert [code for _, code, _ in keys][3:] == ["Digit1", "KeyA", "KeyB", "Enter"]
    assert keys[-1][2] - keys[0][2] < 100  # ms
    assert terminal.page.locator("input").input_value() == "8801Ab"
