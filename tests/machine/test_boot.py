"""A start with nothing there: no network, no clock, no broker, no reader. Each comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bands import BAND, gtins
from machine.progress import step
from peers.process import until

if TYPE_CHECKING:
    from machine.shop import Shop

PATIENCE = 90.0


def test_what_is_missing_may_come_later(shop: Shop) -> None:
    machine = shop.machine
    machine.say("systemctl disable --now mosquitto && sync")
    machine.kill()
    with step("a start with nothing there"):
        machine.boot(bare=True, clock="2020-01-01T00:00:00")
        until(lambda: machine.run("cartwire status").code == 0, "the daemon to answer", 240)
    assert shop.unit("cartwire", "ActiveState") == "active"
    assert not shop.status()["clock"]["ok"]

    with step("a reader"):
        machine.plug_reader()
        machine.plug_scanner()
        until(lambda: "nfc@till-1" in shop.named("device.recovered"), lambda: f"it: {shop.troubles()}", PATIENCE)
    shop.tap(BAND)
    shop.scan(60)
    until(lambda: shop.events("cart.item_added"), "an item", PATIENCE)
    (item,) = shop.events("cart.item_added")
    assert not item["clockok"]

    with step("a broker"):
        machine.say("systemctl enable --now mosquitto")
    with step("the network, and with it the clock"):
        machine.cable(plugged=True)
        shop.on_time()
    app = shop.app()
    shop.ready(2 * PATIENCE)
    until(lambda: app.cart == gtins(60), lambda: f"the item: {shop.status()}", PATIENCE)
    until(shop.settled, "all to be told", PATIENCE)
    (adjusted,) = shop.events("clock.adjusted")
    assert adjusted["data"]["bootid"] == item["bootid"]
    assert shop.events("cart.item_added") == [item]
    assert item in shop.platform.events()
