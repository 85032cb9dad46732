"""A reader and a scanner are pulled out and plugged in again while the hardened service runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bands import BAND, gtins
from peers.process import until

if TYPE_CHECKING:
    from machine.shop import Shop

PATIENCE = 60.0


def test_what_is_plugged_in_again_works_again(shop: Shop) -> None:
    """Each loss is told, with its return; the service never ends for it. What comes back is another device file."""
    app = shop.app()
    machine = shop.machine
    for name in ("reader", "scanner"):
        machine.unplug(name)
    machine.unplug_line()
    drivers = {"nfc@till-1", "hid@till-1", "serialport@till-1"}
    until(lambda: shop.named("device.lost") == drivers, lambda: f"three losses: {shop.troubles()}", PATIENCE)
    machine.plug_reader()
    machine.plug_scanner()
    machine.plug_line()
    until(lambda: shop.named("device.recovered") == drivers, lambda: f"three returns: {shop.troubles()}", PATIENCE)
    shop.ready()
    shop.tap(BAND)
    shop.type(40, app)
    shop.scan(41)
    until(lambda: app.cart == gtins(40, 41), lambda: f"both items, not {app.cart}", PATIENCE)
    assert shop.unit("cartwire", "NRestarts") == "0"


def test_pcscd_may_die(shop: Shop) -> None:
    """It is started by its socket again, under the same drop-in."""
    app = shop.app()
    shop.machine.say("systemctl kill --signal=KILL pcscd.service")
    until(lambda: "nfc@till-1" in shop.named("device.recovered"), "the reader to be back", PATIENCE)
    shop.tap(BAND)
    shop.scan(42)
    until(lambda: app.cart == gtins(42), "the item", PATIENCE)
