"""The demo store as a visitor has it: `cartwire demo` as a child, and its page in a browser."""

from __future__ import annotations

import json
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from peers.browser import Terminal
from peers.process import Child, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Request, Response, Route, ViewportSize, WebSocketRoute

COMMAND = (str(Path(sys.executable).with_name("cartwire")), "demo", "--no-browser")
LAPTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
MINJI, ALEX = "c-1001", "c-1002"
CARTS = {MINJI: "cart-minji", ALEX: "cart-alex"}
BANDS = {MINJI: "04A1B2C3D4E501", ALEX: "04A1B2C3D4E502"}
FIGURES = ("lost", "doubled", "wrong")
STARTS = 60.0  # seconds; ten are aimed at, a machine that also runs other tests gets more
ARRIVES = 30.0
RUSH = """([product, cart]) => new Promise(resolve => {
  const phone = document.querySelector(`[data-phone=${cart}] ul`);
  const known = new Set([...phone.querySelectorAll('[data-state=app]')].map(item => item.dataset.item));
  const look = () => {
    for (const item of phone.querySelectorAll('[data-state=app]'))
      if (!known.has(item.dataset.item)) { watch.disconnect(); resolve(performance.now() - begun); return; }
  };
  const watch = new MutationObserver(look);
  watch.observe(phone, {childList: true, subtree: true, attributes: true});
  const begun = performance.now();
  document.querySelector(`[data-product="${product}"]`).click();
})"""


class Demo:
    """One run of the command, in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Start it, and wait until it says where its page is."""
        self.folder = folder / "tmp"
        self.folder.mkdir(exist_ok=True)
        begun = time.monotonic()
        self.child = Child(
            ["env", f"TMPDIR={self.folder}", *COMMAND, *options],
            folder / "said",
            folder / "errors",
        )
        self.url = self.child.line(r"^  (http://\S+)$", STARTS)[1]
        self.child.line(r"Ctrl-C", STARTS)
        self.started = time.monotonic() - begun
        self.staff, self.clerk, self.pin = self.child.line(r"(http://\S+)   (\S+), PIN (\d{6})$").groups()
        self.config = Path(self.child.line(r"--config (\S+)")[1])

    def play(self, **line: Any) -> None:
        """Put a reading into the gateway's FIFO that the demo knows nothing of."""
        with (self.config.parent / "readings").open("w") as fifo:
            fifo.write(json.dumps({"read_point": "table-1", **line}) + "\n")

    def processes(self) -> list[str]:
        """Return the command lines of all that belongs to this run, the demo itself included."""
        return list(running(self.folder).values())


def running(folder: Path) -> dict[int, str]:
    """Return process ids and command lines of all whose temporary files are in that folder."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if line and f"TMPDIR={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = line
    return found


class Visitor(Terminal):
    """Somebody at the demo's page. Only the demo and the staff's page may be asked for anything."""

    def __init__(
        self,
        browser: Browser,
        demo: Demo,
        *,
        language: str = "en",
        scheme: Literal["light", "dark"] = "light",
        size: ViewportSize | None = None,
    ) -> None:
        """Switch a browser on that prefers this language."""
        home = urlsplit(demo.url)
        self._allowed = {f"{home.scheme}://{home.netloc}", f"ws://{home.netloc}", demo.staff}
        super().__init__(browser, home.port or 0, language=language, scheme=scheme, size=size or LAPTOP)
        self.demo = demo
        self._told: set[str] = set()
        """What the phones have told the counter."""
        self.page.on("response", self._answered)

    def visit(self, path: str = "/", *, quiet: bool = True) -> None:
        """Open the page, wait for its phones; `quiet`: stop the day, mend all, and wait until all has arrived."""
        self.page.goto(self.demo.url.rstrip("/") + path)
        phones = self.page.locator("[data-phone]")
        phones.first.wait_for(timeout=STARTS * 1000)
        for phone in phones.all():
            self.page.locator(f"[data-phone={phone.get_attribute('data-phone')}][data-state=on]").wait_for(
                timeout=STARTS * 1000
            )
        if quiet:
            self.stop_day()
            for name in self.page.locator(".switch [aria-pressed=true]").evaluate_all(
                "all => all.map(a => a.dataset.act)"
            ):
                self.switch(name, on=True)
            self.settled()

    def stop_day(self) -> None:
        """Let no shopper do anything by itself."""
        day = self.page.locator("[data-act=day]")
        if day.get_attribute("aria-pressed") == "true":
            day.click()
        self.page.locator("[data-act=day][aria-pressed=false]").wait_for()

    def be(self, customer: str) -> None:
        """Be this shopper from now on."""
        self.page.locator(f"[data-figure={customer}]").click()

    def tap(self, customer: str, read_point: str = "table-1") -> None:
        """Hold the band there; wait until the store has heard of it, and the page shows it."""
        self.be(customer)
        with self.page.expect_response(lambda answer: '"tap"' in (answer.request.post_data or "")):
            self.page.locator(f"[data-spot={read_point}]").click()
        self.page.locator(f"[data-figure={customer}][data-place={read_point}]").wait_for()

    def hold(self, number: int) -> str:
        """Hold up a product from the shelf; return its GTIN."""
        product = self.page.locator("[data-product]").nth(number)
        product.click()
        return product.get_attribute("data-product") or ""

    def rush(self, number: int, customer: str) -> float:
        """Hold up a product; return after how many seconds it stood in that shopper's app."""
        product = self.page.locator("[data-product]").nth(number).get_attribute("data-product")
        return float(self.page.evaluate(RUSH, [product, CARTS[customer]])) / 1000

    def cart(self, customer: str, state: str = "app") -> list[str]:
        """Return the ids that the shopper's phone shows as `app` or `saved`, the newest first."""
        found: list[str] = self.page.locator(f"[data-phone={CARTS[customer]}] [data-state={state}]").evaluate_all(
            "items => items.map(item => item.dataset.item)"
        )
        return found

    def gtins(self, customer: str) -> list[str]:
        """Return the products in the shopper's app, the newest first."""
        found: list[str] = self.page.locator(f"[data-phone={CARTS[customer]}] [data-state=app]").evaluate_all(
            "items => items.map(item => item.dataset.gtin)"
        )
        return found

    def count(self, name: str) -> int:
        """Return a figure of the counter, or of what waits in the gateway."""
        text = self.page.locator(f"[data-count={name}] dd, [data-queue={name}] dd").inner_text()
        return int(re.sub(r"\D", "", text) or -1)

    def counts(self) -> dict[str, int]:
        """Return the three figures."""
        return {name: self.count(name) for name in FIGURES}

    def settled(self, seconds: float = 90.0) -> None:
        """Wait until nothing is under way and nothing waits; of a gateway without power that is not known."""
        names = ("under_way", "apps", "platform", "held")
        runs = self.page.locator("[data-gateway]:not([data-gateway=off])")
        until(
            lambda: self.have_told() and runs.count() and not any(self.count(name) for name in names),
            lambda: f"not settled: {self.said()}",
            seconds,
        )

    def said(self) -> str:
        """Return all that the page says."""
        text: str = self.page.locator("body").inner_text()
        return text

    def switch(self, name: str, *, on: bool) -> None:
        """Cut something or mend it; wait until the page shows that it is so."""
        self.page.locator(f"[data-act={name}][aria-pressed={'true' if on else 'false'}]").click()
        self.page.locator(f"[data-act={name}][aria-pressed={'false' if on else 'true'}]").wait_for()

    def delay_taps(self) -> list[Route]:
        """Keep what the page says of taps from now on; each is to be let go on."""
        kept: list[Route] = []

        def meet(route: Route) -> None:
            if route.request.post_data_json["do"] == "tap":
                kept.append(route)
            else:
                route.continue_()

        self.page.route("**/acts", meet)
        return kept

    def refuse_first_subscription(self) -> list[bytes]:
        """Answer each phone's first SUBSCRIBE with a failure, in the broker's name; return them."""
        refused: list[bytes] = []
        self.page.route_web_socket(re.compile("/mqtt$"), lambda line: _refuse(line, refused))
        return refused

    def swallow_items(self) -> list[str]:
        """Lead the phones' line through hands that keep each item for themselves, and say that the app has it."""
        kept: list[str] = []
        self.page.route_web_socket(re.compile("/mqtt$"), lambda line: _swallow(line, kept))
        return kept

    def have_told(self) -> bool:
        """Return whether the phones have told all that is in them."""
        return {*self.cart(MINJI), *self.cart(ALEX)} <= self._told

    def _answered(self, answer: Response) -> None:
        if answer.ok and urlsplit(answer.url).path.startswith("/phones/"):
            self._told |= {event["id"] for event in answer.request.post_data_json["took"]}

    def _requested(self, request: Request) -> None:
        to = urlsplit(request.url)
        if to.scheme not in ("data", "blob") and f"{to.scheme}://{to.netloc}" not in self._allowed:
            self.faults.append(f"a request left the machine: {to.scheme}://{to.netloc}")

    def _said(self, message: ConsoleMessage) -> None:
        if not message.text.startswith("WebSocket connection to"):  # a broker that is cut is told there
            super()._said(message)


OURS = 0xFFFE
"""A packet id that no client of the tests gets to."""


def _refuse(line: WebSocketRoute, refused: list[bytes]) -> None:
    server, rest = line.connect_to_server(), bytearray()
    asked = False

    def from_phone(message: str | bytes) -> None:
        nonlocal asked
        assert isinstance(message, bytes)
        rest.extend(message)
        for packet in packets(rest):
            if packet[0] == 0x82 and not asked:
                asked = True
                refused.append(packet)
                line.send(b"\x90\x03" + packet[2:4] + b"\x80")
            else:
                server.send(packet)

    line.on_message(from_phone)


def _swallow(line: WebSocketRoute, kept: list[str]) -> None:
    server, rest = line.connect_to_server(), bytearray()

    def from_broker(message: str | bytes) -> None:
        assert isinstance(message, bytes)
        rest.extend(message)
        for packet in packets(rest):
            if packet[0] == 0x40 and packet[2:4] == OURS.to_bytes(2, "big"):
                continue  # for what was published in the app's name
            if packet[0] & 0xF0 != 0x30 or b"/items" not in packet:
                line.send(packet)
                continue
            at, _ = _header(packet) or (0, 0)
            topic = int.from_bytes(packet[at : at + 2], "big")
            number, payload = packet[at + 2 + topic : at + 4 + topic], packet[at + 4 + topic :]
            event = json.loads(payload)
            kept.append(event["id"])
            server.send(b"\x40\x02" + number)
            store, gateway = event["source"].split("/")[2::2]
            named = f"cartwire/v1/gateways/{store}/{gateway}/acks".encode()
            body = len(named).to_bytes(2, "big") + named + OURS.to_bytes(2, "big")
            body += json.dumps({"id": event["id"]}).encode()
            server.send(b"\x32" + _encoded(len(body)) + body)

    server.on_message(from_broker)


def packets(data: bytearray) -> Iterator[bytes]:
    """Take the whole MQTT packets out of what has come by now."""
    while header := _header(data):
        end = header[0] + header[1]
        if len(data) < end:
            return
        packet = bytes(data[:end])
        del data[:end]
        yield packet


def _header(data: bytes | bytearray) -> tuple[int, int] | None:
    """The lengths of a packet's fixed header and of the rest; None while the header is not whole."""
    length = 0
    for at, byte in enumerate(data[1:5]):
        length |= (byte & 0x7F) << 7 * at
        if not byte & 0x80:
            return at + 2, length
    return None


def _encoded(length: int) -> bytes:
    digits = bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(digits)
