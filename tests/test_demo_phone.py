"""The demo's phones keep an app's duties, and import nothing of the rest; the camera is the browser's own."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from locales import EDGE
from peers.browser import chromium as started_chromium
from peers.process import until
from peers.staff import Staff
from visitor import ALEX, ARRIVES, MINJI, Demo, Visitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

STATIC = EDGE / "demo" / "static"
TAKE = """async events => {
  const { open } = await import('/static/shelf.js');
  const shelf = await open('cartwire-demo-test', crypto.randomUUID());
  const fresh = [];
  for (const event of events) fresh.push(event === 'pay' ? await shelf.pay() : await shelf.take(event));
  return [fresh, (await shelf.items()).map(item => [item.event.id, item.state])];
}"""
FORGET = """async () => {
  const { open } = await import('/static/shelf.js');
  const event = {id: 'a', type: 'cartwire.cart.item_added.v1', data: {}};
  const shelf = await open('cartwire-demo-test', crypto.randomUUID());
  await shelf.take(event);
  await shelf.forget(Date.now() - 7 * 86400e3);
  const kept = await shelf.take(event);
  await shelf.forget(Date.now() + 1);
  return [kept, await shelf.take(event)];
}"""
DETECTOR = """() => { window.BarcodeDetector = class {
  constructor({ formats }) { this.formats = formats; }
  async detect(video) {
    window.looks = (window.looks ?? 0) + 1;
    if (!video.videoWidth || !this.formats.includes('ean_13')) throw new Error('no picture');
    return window.held ? [{ rawValue: window.held, format: 'ean_13' }] : [];
  }
}; }"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Open one store for the module."""
    with ExitStack() as ended:
        opened = Demo(tmp_path_factory.mktemp("demo"))
        ended.callback(opened.child.kill)
        yield opened


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start a browser with a camera, whose pictures it makes itself."""
    with started_chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as browser:
        yield browser


@pytest.fixture
def page(demo: Demo, chromium: Browser, ended: ExitStack) -> Iterator[Visitor]:
    """Somebody who looks at the phones."""
    visitor = Visitor(chromium, demo)
    ended.callback(visitor.close)
    visitor.visit()
    yield visitor
    assert visitor.settle() == []


def test_the_phone_is_written_from_the_contract() -> None:
    imported = {
        name: set(re.findall(r'(?:from|import) "([^"]+)"', (STATIC / name).read_text()))
        for name in ("phone.js", "shelf.js")
    }
    assert imported == {"phone.js": {"./vendor/mqtt/mqtt.esm.js", "./shelf.js"}, "shelf.js": set()}


def added(id: str) -> dict[str, Any]:
    return {"id": id, "type": "cartwire.cart.item_added.v1", "data": {"gtin": "08801046000007"}}


def removed(id: str, of: str) -> dict[str, Any]:
    return {"id": id, "type": "cartwire.cart.item_removed.v1", "data": {"event": of}}


@pytest.mark.parametrize(
    ("events", "fresh", "items"),
    [
        ([added("a"), added("b")], [True, True], [["a", "cart"], ["b", "cart"]]),
        ([added("a"), added("a")], [True, False], [["a", "cart"]]),
        ([added("a"), removed("r", "a"), removed("r", "a")], [True, True, False], [["a", "removed"]]),
        ([removed("r", "a"), added("a"), added("b")], [True, False, True], [["b", "cart"]]),
        ([added("a"), "pay", added("a")], [True, None, False], [["a", "paid"]]),
    ],
    ids=["two", "a repeat", "a removal", "a removal that is first", "a repeat after the checkout"],
)
def test_what_a_phone_makes_of_what_comes(
    page: Visitor, events: list[object], fresh: list[object], items: list[list[str]]
) -> None:
    assert page.page.evaluate(TAKE, events) == [fresh, items]


def test_ids_are_known_for_seven_days(page: Visitor) -> None:
    assert page.page.evaluate(FORGET) == [False, True]


def test_a_phone_that_was_not_subscribed_asks_again(demo: Demo, chromium: Browser, ended: ExitStack) -> None:
    """The broker says once that it could not, and then nothing: the phone would be connected and hear of no item."""
    visitor = Visitor(chromium, demo)
    ended.callback(visitor.close)
    refused = visitor.refuse_first_subscription()
    visitor.visit()
    assert len(refused) >= 2
    visitor.tap(ALEX, "table-1")
    visitor.rush(4, ALEX)
    visitor.settled()
    assert visitor.counts() == {"lost": 0, "doubled": 0, "wrong": 0}
    assert visitor.settle() == []


def test_what_staff_take_out_goes_from_the_phone_and_is_not_lost(page: Visitor, demo: Demo) -> None:
    page.tap(MINJI, "table-1")
    page.rush(0, MINJI)
    (item,) = page.cart(MINJI)[:1]
    staff = Staff(int(demo.staff.rpartition(":")[2]))
    staff.log_in(demo.clerk, demo.pin)
    shopper = staff.does("getShopper", id=MINJI)
    seq = next(each["seq"] for each in shopper["items"] if each["id"] == item)
    staff.does("removeItem", {"id": item}, seq=seq)
    until(lambda: item not in page.cart(MINJI), "the removal", 60)
    page.settled()
    assert page.counts() == {"lost": 0, "doubled": 0, "wrong": 0}
    assert staff.problems == []


def test_a_camera_that_cannot_be_used_is_said_to_be(
    demo: Demo, chromium: Browser, page: Visitor, ended: ExitStack
) -> None:
    """Whether the browser refuses it or it gives no picture."""
    for broken in ("MediaDevices.prototype.getUserMedia", "HTMLMediaElement.prototype.play"):
        eyes = Visitor(chromium, demo)
        ended.callback(eyes.close)
        eyes.page.add_init_script(f"({DETECTOR})(); {broken} = () => Promise.reject(new Error('no'));")
        eyes.visit()
        eyes.page.get_by_role("button", name="Camera").click()
        eyes.page.get_by_text("The camera cannot be used.").wait_for()
        eyes.page.get_by_role("button", name="Camera", pressed=False).wait_for()
        assert eyes.settle() == []
        eyes.close()


def test_a_code_held_to_the_camera_is_scanned_once_while_it_is_held(
    demo: Demo, chromium: Browser, page: Visitor, ended: ExitStack
) -> None:
    """Where the browser reads codes; elsewhere there is no button. Pictures do not leave it: nothing is asked for."""
    assert page.page.get_by_role("button", name="Camera").count() == 0
    eyes = Visitor(chromium, demo)
    ended.callback(eyes.close)
    eyes.page.add_init_script(f"({DETECTOR})()")
    eyes.visit()
    eyes.tap(ALEX, "till-1")
    before = len(eyes.cart(ALEX))
    eyes.page.get_by_role("button", name="Camera").click()
    eyes.page.get_by_role("button", name="Camera", pressed=True).wait_for()
    for code in ("8801046000090", "8801046000106"):
        eyes.page.evaluate("code => { window.held = code; }", code)
        until(lambda code=code: eyes.gtins(ALEX)[:1] == [f"0{code}"], f"{code} on the phone", ARRIVES)  # type: ignore[misc]
        looks = eyes.page.evaluate("window.looks")
        eyes.page.wait_for_function("looks => window.looks > looks + 5", arg=looks)
        eyes.page.evaluate("() => { for (const end = performance.now() + 2000; performance.now() < end;); }")  # a stall
        eyes.page.wait_for_function("looks => window.looks > looks + 10", arg=looks)
    eyes.page.get_by_role("button", name="Camera").click()
    eyes.page.get_by_role("button", name="Camera", pressed=False).wait_for()
    eyes.settled()
    assert len(eyes.cart(ALEX)) == before + 2
    assert eyes.counts() == {"lost": 0, "doubled": 0, "wrong": 0}
    assert eyes.settle() == []
