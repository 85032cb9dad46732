"""Stories of what should end nothing: stickers that are no links, odd products, a silent broker, a flipped bit."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from msgspec import Raw

from edge import directory
from edge.database import Database
from edge.directory import Page
from peers.process import until
from peers.proxy import Proxy
from peers.store import Store, pseudonym
from sync.backoff import Backoff
from sync.downlink import Downlink
from sync.platform import Answer

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from conftest import Platform
    from peers.app import App
    from peers.brokers import Mosquitto

BAND = "04A1B2C3D4E5F6"


@pytest.fixture
def known(platform: Platform) -> Platform:
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    return platform


def test_a_sticker_in_the_cameras_view(store: Store, known: Platform, app: App) -> None:
    store.start()
    store.ready()
    known.wait_pulled()
    store.tap(BAND)
    for text in ("https://[sticker", "https://a]b/01/1", "http://[::1/01/1", "]d2\x1d01" + "9" * 99):
        store.fifos["till-1"].write({"kind": "scan", "text": text, "symbology": "QR"})
    store.scan(1)
    until(lambda: app.received, "the product behind them")
    assert store.status()["readings"]["unknown"] == 4


@pytest.mark.parametrize("odd", [b'"stock":1e999', b'"image":"\xff"', b'"rating":' + b"[" * 2000 + b"]" * 2000])
def test_a_product_with_an_odd_field(tmp_path: Path, odd: bytes) -> None:
    """It is known with what is good of it, or not at all."""
    value = b'{"kind":"product","op":"upsert","key":"08801045600130","value":{"name":"n",%s}}' % odd
    database = Database(tmp_path / "cartwire.db")
    database.write_now(lambda connection: directory.apply(connection, Page("c", False, [Raw(value)]), None))
    found = database.write_now(lambda connection: directory.product(connection, "08801045600130"))
    assert found in ({"name": "n", "price": None}, None)
    database.close()


def test_a_broker_that_is_silent_at_first(
    known: Platform, broker: Mosquitto, app: App, tmp_path: Path, ended: ExitStack
) -> None:
    """What the first connection left behind must not make the next one deaf."""
    proxy = Proxy(broker.port)
    ended.callback(proxy.close)
    proxy.set("stall")
    store = Store(tmp_path / "shop", cart={"broker": f"mqtt://127.0.0.1:{proxy.port}"}, platform=known.table)
    ended.callback(store.close)
    store.start()
    store.ready()
    known.wait_pulled()
    store.tap(BAND)
    store.scan(1)
    until(lambda: "does not answer" in store.status()["sinks"]["cart"]["reason"], "the gateway to give up", 20)
    proxy.set("up")
    until(lambda: app.received, "the item", 60)


@pytest.mark.parametrize(("consents", "left"), [("[]", frozenset()), ('["cart"]', frozenset({"cart"}))])
def test_who_withdraws_has_withdrawn_whatever_the_cart(tmp_path: Path, consents: str, left: frozenset[str]) -> None:
    """A change with a cart that is none is refused, but not the loss of the consent to fill it."""
    value = '{"kind":"customer","op":"upsert","key":"c-1","value":{"cart":"%s","consents":%s}}'
    database = Database(tmp_path / "cartwire.db")
    pages = [value % ("k-1", '["cart"]'), value % ("", consents)]
    for cursor, change in zip((None, "c"), pages, strict=True):
        page = Page("c", False, [Raw(change.encode())])
        database.write_now(lambda connection, page=page, cursor=cursor: directory.apply(connection, page, cursor))
    found = database.write_now(lambda connection: directory.customer(connection, "c-1"))
    assert found
    assert (found.consents, found.cart) == (left, "k-1" if left else "")
    database.close()


def test_a_flipped_bit_in_a_row(store: Store, known: Platform, app: App) -> None:
    """No check of the tree sees it. The row is lost, and the shop goes on."""
    store.start()
    store.ready()
    known.wait_pulled()
    store.tap(BAND)
    store.scan(1)
    until(store.settled, "all to be delivered")
    store.stop()
    path = store.data / "cartwire.db"
    data = bytearray(path.read_bytes())
    at = data.rindex(b'{"specversion":"1.0"', 0, data.rindex(b"cartwire.cart.item_added"))
    data[at : at + 2] = b"[["
    path.write_bytes(data)
    store.start()
    store.ready()
    (opened,) = [event for event in store.of("journal.opened") if event["data"]["reason"] == "salvaged"]
    assert opened["data"]["rows_lost"] == 1
    store.scan(2)
    until(lambda: len(app.received) == 2, "the next item, in the same session")


def test_rows_go_also_where_nothing_is_ever_pushed(store: Store, platform: Platform) -> None:
    store.store["retention"] = "1s"
    store.floor["claim"] = "1s"
    store.configure()
    store.start()
    store.ready()
    for n in range(5):
        store.scan(n)
    until(lambda: len(platform.of("scan.unclaimed")) == 5, "five scans that nobody claims", 60)
    until(lambda: len(store.events()) <= 1, "old rows to go", 30)


class Forgetful:
    """A feed whose cursor is too old in the middle of two new generations."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    async def call(self, _method: str, _path: str, *, query: dict[str, str]) -> Answer:
        self.asked.append(query.get("since"))
        if query.get("since") is None:
            return Answer(200, b'{"cursor":"c1","more":true,"changes":[]}')
        return Answer(410, b"") if len(self.asked) < 6 else Answer(200, b'{"cursor":"c2","more":false,"changes":[]}')


async def test_a_feed_that_loses_its_cursor_again_and_again() -> None:
    cursor: list[str | None] = ["old"]

    async def apply(page: Page, _: str | None) -> None:
        cursor[0] = page.cursor

    async def restart() -> None:
        cursor[0] = None

    async def no_sleep(_: float) -> None:
        await asyncio.sleep(0)

    peer = Forgetful()
    downlink = Downlink(peer, "s", 3600.0, lambda: cursor[0], apply, restart, Backoff(no_sleep))  # type: ignore[arg-type]
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await downlink.run()
    assert peer.asked[:3] == ["old", None, "c1"]
    assert (peer.asked.count(None), cursor[0]) == (2, "c2")
