"""A bare Debian machine, a stick and the commands of docs/install.md: at their end a band fills a cart."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from bands import BAND, gtins
from machine.progress import step
from machine.shop import Shop
from peers.process import until

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 120.0


def test_a_bare_machine_becomes_a_gateway(deb: Path, tmp_path: Path) -> None:
    """What else the package needs is taken from where apt keeps what it has downloaded: there is no internet."""
    with ExitStack() as ended:
        shop = Shop(tmp_path, deb, ended, bare=True)
        say = shop.machine.say
        with step("a bare machine boots"):
            shop.boot()
        with step("apt install"):
            say("cd /media && apt-get install -y -q --no-install-recommends ./cartwire_*.deb mosquitto", 1800)
        assert shop.unit("cartwire", "ActiveState") == "inactive"  # it waits for its configuration
        assert shop.unit("cartwire", "UnitFileState") == "enabled"
        with step("a technician sets it up"):
            shop.furnish()
            shop.ready(2 * PATIENCE)
            shop.on_time()
        say("cartwire check", PATIENCE)
        app = shop.app()
        shop.tap(BAND)
        shop.scan(1)
        until(lambda: app.cart == gtins(1), lambda: f"the item, not {app.cart}", PATIENCE)
        (item,) = shop.events("cart.item_added")
        assert item["clockok"]
