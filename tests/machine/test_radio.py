"""A beacon, heard through the real bluetoothd by the service as it is shipped; the radio alone is played."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peers.process import until
from peers.store import pseudonym

if TYPE_CHECKING:
    from machine.shop import Shop

PATIENCE = 90.0
UUID = "e2c56db5-dffb-48d2-b060-d0f5a71096e0"
DRIVER = '[[driver]]\nkind = "ble"\nread_point = "door"\n'


def test_a_beacon_comes_and_goes(shop: Shop) -> None:
    say = shop.machine.say
    shop.platform.customer("c-1", "k7f3a9", "cart", "presence")
    value = {"type": "ibeacon", "customer": "c-1"}
    shop.platform.change("identifier", pseudonym("ibeacon", f"{UUID}/1/258"), value)
    say(f"cat >> /etc/cartwire/edge.toml <<'END'\n{DRIVER}END\nsystemctl restart cartwire")
    until(lambda: shop.troubles() == ["ble@door lost"], lambda: f"no radio, but {shop.troubles()}", PATIENCE)
    say("modprobe hci_vhci && systemctl start bluetooth")
    say(f"systemd-run --quiet --collect --unit=radio python3 /media/radio.py {UUID} 1 258 -60")
    until(lambda: shop.events("presence.entered"), lambda: f"an entry: {shop.troubles()}", PATIENCE)
    shop.ready()
    say("systemctl stop radio")
    until(lambda: shop.events("presence.left"), lambda: f"a leaving: {shop.troubles()}", PATIENCE)
    until(lambda: "ble@door" in shop.named("device.lost"), "the radio to be missed", PATIENCE)
    assert {event["data"]["customer"] for event in shop.events("presence.entered", "presence.left")} == {"c-1"}
