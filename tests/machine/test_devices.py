"""A reader and a scanner are pulled out and plugged in again while the hardened service runs."""

from __future__ import annotations

import base64
import textwrap
from typing import TYPE_CHECKING

import cv2

from bands import BAND, gtins
from peers.bars import ean13, printed, seen
from peers.gtin import gtin13
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


def test_what_is_heavy_runs_under_the_unit(shop: Shop) -> None:
    """OpenCV and the embedded broker, a program in Go: neither asks for memory that is written and executed."""
    picture = cv2.imencode(".png", seen(printed(ean13(gtin13(43)))))[1].tobytes()
    say = shop.machine.say
    say("mkdir -p /srv/till")
    for number, piece in enumerate(textwrap.wrap(base64.b64encode(picture).decode(), 60_000)):
        say(f"echo {piece} {'>>' if number else '>'} /srv/till/picture")
    say("base64 --decode --ignore-garbage /srv/till/picture > /srv/till/picture.png")
    camera = '[[driver]]\\nkind = "camera"\\nread_point = "till-2"\\nsource = "/srv/till/picture.png"\\n'
    say(f"printf '{camera}' >> /etc/cartwire/edge.toml")
    say(
        'sed -i -e \'s|^broker = .*|broker = "embedded"|; s|^protocol = .*|protocol = "3.1.1"|\''
        " -e '/^\\[cart\\]/,/^broker/{/_file/d}' /etc/cartwire/edge.toml"
    )
    say("systemctl restart cartwire")
    until(lambda: shop.events("scan.unclaimed"), lambda: f"the scan: {shop.troubles()}", 2 * PATIENCE)
    (scan,) = shop.events("scan.unclaimed")
    assert scan["data"]["gtin"] == gtins(43)[0]
    until(lambda: shop.troubles() == ["camera@till-2 done"], lambda: f"all is well, but {shop.troubles()}", PATIENCE)
    assert "nats-server" in say("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert shop.unit("cartwire", "MemoryDenyWriteExecute") == "yes"
    assert shop.unit("cartwire", "NRestarts") == "0"
