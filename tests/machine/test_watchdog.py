"""A loop or a disk that hangs makes systemd start the service again, a sink that is dead does not; nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bands import BAND, gtins
from machine.progress import step
from peers.process import until

if TYPE_CHECKING:
    from machine.shop import Shop

WATCHDOG = 30.0
"""Seconds; as the unit has it."""
PATIENCE = 60.0
STUCK = """
import asyncio, pathlib, time
from dataclasses import dataclass
from edge.model import Ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    read_point: str

    async def run(self, emit):
        await emit(Ready(read_point=self.read_point))
        while not pathlib.Path("/var/lib/cartwire/stuck").exists():
            await asyncio.sleep(0.1)
        pathlib.Path("/var/lib/cartwire/stuck").unlink()
        while True:
            time.sleep(1)
"""
"""Somebody's first driver: it holds up the loop, and the loop alone."""


def restarts(shop: Shop) -> int:
    return int(shop.unit("cartwire", "NRestarts"))


def test_a_loop_that_hangs(shop: Shop) -> None:
    app = shop.app()
    say = shop.machine.say
    packages = say("dirname $(dirname $(find /opt/cartwire -path '*/drivers/replay.py'))").strip()
    say(f"cat > {packages}/drivers/stuck.py <<'END'{STUCK}END")
    say('printf \'[[driver]]\\nkind = "stuck"\\nread_point = "till-9"\\n\' >> /etc/cartwire/edge.toml')
    say("systemctl restart cartwire")
    shop.ready()
    shop.tap(BAND)
    shop.scan(50)
    until(lambda: app.cart == gtins(50), "the item", PATIENCE)
    say("touch /var/lib/cartwire/stuck")
    with step("the watchdog is waited for"):
        until(lambda: restarts(shop) == 1, "a restart", WATCHDOG + PATIENCE)
    assert "watchdog" in say("journalctl --no-pager -u cartwire").lower()
    shop.ready()
    shop.tap(BAND)  # their session is over by now
    shop.scan(51)
    until(lambda: app.cart == gtins(50, 51), lambda: f"both items, not {app.cart}", PATIENCE)


def test_a_disk_that_hangs(shop: Shop) -> None:
    """Nothing ends a process that waits for such a disk; when it comes back, so does the shop, with all it had."""
    app = shop.app()
    say = shop.machine.say
    shop.tap(BAND)
    shop.scan(52)
    until(lambda: app.cart == gtins(52), "the item", PATIENCE)
    until(shop.settled, "all to be told", PATIENCE)
    pid = shop.unit("cartwire", "MainPID")
    say("fsfreeze --freeze /var/lib/cartwire")
    shop.scan(53)
    with step("the watchdog is waited for"):
        until(lambda: "watchdog" in say("journalctl --no-pager -u cartwire").lower(), "it to act", WATCHDOG + PATIENCE)
    say("fsfreeze --unfreeze /var/lib/cartwire")
    until(lambda: shop.unit("cartwire", "MainPID") not in (pid, "0"), "another process", PATIENCE)
    shop.ready()
    shop.tap(BAND)
    shop.scan(54)
    until(lambda: gtins(54)[0] in app.cart, "the next item", PATIENCE)
    until(shop.settled, "all to be told", PATIENCE)
    # 53 was never accepted as long as the disk hung: it may be in the cart once, or not at all.
    assert sorted(app.cart) in (gtins(52, 54), gtins(52, 53, 54))
    assert [event["data"]["gtin"] for event in shop.events("cart.item_added")] == app.cart


def test_a_sink_that_is_dead(shop: Shop) -> None:
    app = shop.app()
    pid = shop.unit("cartwire", "MainPID")
    shop.machine.say("systemctl stop mosquitto")
    shop.platform.kill()
    shop.tap(BAND)
    shop.scan(55)
    until(lambda: len(shop.events("cart.item_added")) == 1, "the item in the journal", PATIENCE)
    with step("for longer than the watchdog waits"):
        shop.machine.say(f"sleep {WATCHDOG * 1.5}", WATCHDOG * 3)
    assert {trouble.split()[0] for trouble in shop.troubles()} == {"cart", "platform"}
    assert (restarts(shop), shop.unit("cartwire", "MainPID")) == (0, pid)
    shop.platform.start()
    shop.machine.say("systemctl start mosquitto")
    until(lambda: app.cart == gtins(55), "the item", PATIENCE)
    until(shop.settled, "all to be told", 2 * PATIENCE)
