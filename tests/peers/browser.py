"""A member of the staff at the page: Debian's chromium, what it did that it must not, and what one does there."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

from peers.process import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Locator, Request, ViewportSize

    from peers.staff import Staff

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PAGES = ("floor", "shopper", "products", "sync", "devices", "people")
SMALL: ViewportSize = {"width": 1024, "height": 600}
"""The 7-inch screen at the counter, in CSS pixels."""
KEY_GAP = 0.004  # seconds between the keys of a scanner
AXE = (Path(__file__).parents[1] / "vendor" / "axe.min.js").read_text()
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
SEEN = """() => {
  const look = () => { for (const row of document.querySelectorAll('[data-row]'))
    seen[row.dataset.row] ??= performance.timeOrigin + performance.now() };
  const seen = window.firstSeen = {};
  look();
  new MutationObserver(look).observe(document.body, {childList: true, subtree: true, attributeFilter: ['data-row']});
}"""

FOCUS = """() => {
  const each = document.activeElement;
  if (!each.matches('a, button, input, select, textarea, summary')) return '';
  return each.ariaLabel ?? ([...(each.labels ?? [])].map(label => label.innerText).join() || each.innerText);
}"""


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """Start the browser, with more options if they are given; it ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*OPTIONS, *more])
        yield browser
        browser.close()


async def gathered(tasks: list[asyncio.Task[Any]]) -> None:
    """Wait for all of them; the first failure is raised."""
    await asyncio.gather(*tasks)


class Terminal:
    """One screen with its own cookies; everything is found by role and name, or by its `data-` hook."""

    def __init__(
        self,
        browser: Browser,
        port: int,
        *,
        language: str = "en",
        scheme: Literal["light", "dark"] = "light",
        size: ViewportSize | None = None,
        clock: bool = False,
    ) -> None:
        """Switch it on; `open` goes to the page on that loopback port. `clock`: `page.clock` is the screen's time."""
        self.faults: list[str] = []
        self._home = f"http://127.0.0.1:{port}"
        self._context = browser.new_context(color_scheme=scheme, viewport=size or SMALL, accept_downloads=True)
        self._context.set_default_timeout(30_000)
        kept = f"localStorage['cartwire.language'] ??= '{language}'"
        self._context.add_init_script(f"try {{ {kept} }} catch {{}}")  # a frame whose page is not there keeps nothing
        self.page = self._context.new_page()
        self.page.on("request", self._requested)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        if clock:
            self.page.clock.install()
        self.cdp = self._context.new_cdp_session(self.page)

    def settle(self) -> list[str]:
        """Return all that was wrong until now."""
        self.page.evaluate("1")
        return self.faults

    def close(self) -> None:
        """Switch it off."""
        self._context.close()

    def open(self, staff: Staff | None = None) -> None:
        """Go to the page; as whom `staff` is logged in, if given."""
        if staff:
            here = [{"name": name, "value": value, "url": self._home} for name, value in staff.cookies.items()]
            self._context.add_cookies(here)  # type: ignore[arg-type]
        self.page.goto(self._home)
        self.page.locator("main[data-page]").wait_for()
        self.filled()

    def filled(self) -> None:
        """Wait until the page has all that it is about."""
        self.page.locator("main[data-page][aria-busy=false]").wait_for()

    @property
    def at(self) -> str:
        """The page one is on."""
        return self.page.locator("main[data-page]").get_attribute("data-page") or ""

    def main(self, name: str) -> Locator:
        """Return this page's main part."""
        return self.page.locator(f"main[data-page={name}]")

    def hook(self, name: str, value: str | None = None, within: Locator | None = None) -> Locator:
        """Return what carries the hook `data-{name}`, of this value."""
        wanted = f"[data-{name}]" if value is None else f'[data-{name}="{value}"]'
        return (within or self.page).locator(wanted)

    def go(self, name: str) -> None:
        """Go to one of the pages by the navigation."""
        self.page.locator(f"nav a[href*={name}]").first.click()
        self.main(name).wait_for()
        self.filled()

    def log_in(self, name: str, secret: str) -> None:
        """Choose one's name, type the PIN."""
        self.page.get_by_role("button", name=name, exact=True).click()
        self.page.get_by_label("PIN or password").fill(secret)
        self.page.keyboard.press("Enter")
        self.main("login").wait_for(state="detached")
        self.filled()

    def press(self, name: str, within: Locator | None = None) -> None:
        """Press the button that is called so, in English."""
        (within or self.page).get_by_role("button", name=name).click()

    def tab_to(self, name: str) -> None:
        """Press Tab until what has the focus is called so."""
        for _ in range(100):
            self.page.keyboard.press("Tab")
            if name in self.focused():
                return
        message = f"Tab does not reach {name!r}"
        raise AssertionError(message)

    def focused(self) -> str:
        """Return what that is called which has the focus."""
        name: str = self.page.evaluate(FOCUS)
        return name

    def confirm(self, name: str) -> str:
        """Say yes to the one question that is asked; return the id of what waits for its 10 s."""
        before = set(self.waiting())
        self.press(name, self.page.get_by_role("dialog"))
        return until(lambda: set(self.waiting()) - before, "what can be undone").pop()

    def waiting(self) -> list[str]:
        """Return the ids of what can still be undone."""
        code = "[...document.querySelectorAll('[data-intent]')].map(bar => bar.dataset.intent)"
        ids: list[str] = self.page.evaluate(code)
        return ids

    def rows(self) -> list[str]:
        """Return the ids of the rows of the feed, from above."""
        ids: list[str] = self.page.evaluate("[...document.querySelectorAll('[data-row]')].map(row => row.dataset.row)")
        return ids

    def watch(self) -> None:
        """Note from now on when each row is there for the first time; `seen` tells."""
        self.page.evaluate(SEEN)

    def seen(self) -> dict[str, float]:
        """Return when each row was there first, in seconds since 1970."""
        return {id: at / 1000 for id, at in self.page.evaluate("window.firstSeen").items()}

    def wedge(self, text: str, end: str = "Enter", *, ime: bool = False, late: int = 0) -> Callable[[], None]:
        """Scan with a scanner that is a keyboard of this screen; `ime`: an input method hides what its keys mean.

        As many keys as are `late` were pressed with the others, and come when what is returned is called.
        """
        now = time.time()
        keys: list[dict[str, Any]] = []
        for number, sign in enumerate([*text, end] if end else text):
            key, char = (sign, sign) if len(sign) == 1 else (end, "\r" if end == "Enter" else "")
            code = f"Digit{key}" if key.isdigit() else f"Key{key.upper()}" if len(key) == 1 else key
            if ime and len(sign) == 1:
                key, char = "Process", ""
            virtual = {"Enter": 13, "Tab": 9, "Process": 229}.get(key) or ord(key.upper())
            keyed = {"key": key, "code": code, "windowsVirtualKeyCode": virtual, "timestamp": now + number * KEY_GAP}
            keys += [{"type": "keyDown", **keyed} | ({"text": char} if char else {}), {"type": "keyUp", **keyed}]
        in_time = len(keys) - 2 * late
        self._send(keys[:in_time])
        return lambda: self._send(keys[in_time:])

    def _send(self, keys: list[dict[str, Any]]) -> None:
        # One after the other each would wait for the answer to the one before: on a busy machine slower than a person.
        session, loop = self.cdp._impl_obj, self.cdp._loop
        sent = [loop.create_task(session.send("Input.dispatchKeyEvent", key, None)) for key in keys]
        self.cdp._sync(gathered(sent))

    def axe(self) -> list[str]:
        """Return what axe-core finds against WCAG 2.0-2.2 A, AA and best practice: the rule and where.

        What is in a frame is another page, and looked at by itself.
        """
        if not self.page.evaluate("!!window.axe"):
            self.page.evaluate(AXE)
        options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"], "iframes": False}
        found: list[dict[str, Any]] = self.page.evaluate(
            "async how => (await axe.run(document, how)).violations", options
        )
        return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]

    def heap(self) -> int:
        """Return the bytes of the page's JavaScript after its garbage was collected."""
        self.cdp.send("HeapProfiler.enable")
        self.cdp.send("HeapProfiler.collectGarbage")
        return int(self.cdp.send("Runtime.getHeapUsage")["usedSize"])

    def _requested(self, request: Request) -> None:
        to = urlsplit(request.url)
        if to.scheme not in ("data", "blob") and f"{to.scheme}://{to.netloc}" != self._home:
            self.faults.append(f"a request left the store: {to.scheme}://{to.netloc}")

    def _said(self, message: ConsoleMessage) -> None:
        # A refusal (401, 409) is an answer of the API like others; chromium writes it as an error all the same.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"console: {message.text[:300]}")
