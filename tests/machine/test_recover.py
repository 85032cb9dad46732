"""What technicians do later, by the commands as they stand in docs; and a disk that fails."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from bands import BAND, gtins
from machine.image import ROOT
from machine.progress import step
from peers.process import until
from peers.store import pseudonym

if TYPE_CHECKING:
    from machine.shop import Shop

PATIENCE = 90.0
NEW = "the chain's next key, which has at least 32 bytes"


def commands(page: str, head: str) -> list[str]:
    """Return what is to be typed under a heading, as root."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8").split(f"\n## {head}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line.replace("sudo ", "") for block in blocks for line in block.splitlines()]


def test_the_copy_takes_the_place_of_a_damaged_database(shop: Shop) -> None:
    """What was accepted after the copy had been delivered: it is in the cart and on the platform, once."""
    app, say = shop.app(), shop.machine.say
    shop.tap(BAND)
    shop.scan(70)
    until(lambda: app.cart == gtins(70), "the item", PATIENCE)
    say("systemctl start cartwire-backup.service")
    shop.scan(71)
    until(lambda: app.cart == gtins(70, 71), "the next", PATIENCE)
    until(shop.settled, "all to be told", PATIENCE)
    typed = commands("recover.md", "A damaged database")
    assert typed[0] == "systemctl stop cartwire"
    for line in typed[:-1]:
        say(line)
    shop.ready()
    (restored,) = [event for event in shop.events("journal.opened") if event["data"]["reason"] == "restored"]
    assert restored["id"] in [event["id"] for event in shop.platform.events()]
    assert "restored" in say(typed[-1])
    shop.tap(BAND)
    shop.scan(72)
    until(lambda: app.cart == gtins(70, 71, 72), lambda: f"all three, once, not {app.cart}", PATIENCE)
    until(shop.settled, "all to be told", PATIENCE)
    assert shop.platform.problems() == []


def test_a_token_and_the_chains_key_are_changed(shop: Shop) -> None:
    """The folder of the keys is closed to the service; it sees what systemd copies for it, and that one is gone."""
    app, say = shop.app(), shop.machine.say
    say(f'cd /root && cp /media/gateway/token new.token && cp new.token newer.token && printf %s "{NEW}" > new.key')
    *begin, end, restart = commands("operate.md", "Certificates, tokens, passwords")
    assert (end, restart) == ("cartwire rotate-key --end", "systemctl restart cartwire")
    for line in begin:
        say(f"cd /root && {line}")
    shop.ready()
    shop.tap(BAND)  # the feed knows it by the old key alone
    shop.scan(80)
    until(lambda: app.cart == gtins(80), "the item", PATIENCE)
    until(lambda: "[platform]: read anew" in say("journalctl --no-pager -u cartwire"), "the newer token", PATIENCE)
    renamed = hmac.new(NEW.encode(), f"nfc:{BAND}".encode(), hashlib.sha256).hexdigest()
    shop.platform.band(renamed, "c-1")
    shop.platform.change("identifier", pseudonym("nfc", BAND), None)
    shop.platform.wait_pulled()
    say(end)
    say(restart)
    shop.ready()
    shop.tap(BAND)
    shop.scan(81)
    until(lambda: app.cart == gtins(80, 81), lambda: f"both, not {app.cart}", PATIENCE)
    assert "Traceback" not in say("journalctl --no-pager -u cartwire")


def test_a_data_disk_that_is_not_there(shop: Shop) -> None:
    """One can log in, and the gateway begins no second journal on the other disk; plugged in, it goes on."""
    app, machine = shop.app(), shop.machine
    shop.tap(BAND)
    shop.scan(73)
    until(lambda: app.cart == gtins(73), "the item", PATIENCE)
    until(shop.settled, "all to be told", PATIENCE)
    machine.say("sync")
    shop.leave()
    machine.kill()
    with step("a start without the disk"):
        machine.boot(data=False)
        until(
            lambda: "Dependency failed" in machine.say("journalctl --no-pager -u cartwire"),
            "systemd to give it up",
            2 * PATIENCE,
        )
    assert shop.unit("cartwire", "ActiveState") == "inactive"
    assert machine.say("ls -A /var/lib/cartwire") == ""
    machine.plug_data()
    machine.say("udevadm settle && systemctl start cartwire")
    app = shop.app()
    shop.ready(2 * PATIENCE)
    shop.tap(BAND)
    shop.scan(74)
    until(lambda: app.cart == gtins(73, 74), lambda: f"both, not {app.cart}", PATIENCE)
