"""A day in a store with a whole machine: what fills a cart, what a stop keeps, what is copied, what can do harm."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bands import BAND, OTHER, gtins
from peers.process import until
from peers.store import pseudonym

if TYPE_CHECKING:
    from machine.shop import Shop

PATIENCE = 60.0


def test_a_tap_and_scans_reach_the_app(shop: Shop) -> None:
    """The reader is a CCID reader on USB, the scanners a keyboard and a serial line; the clock is the network's."""
    app = shop.app()
    shop.tap(BAND)
    shop.type(1, app)
    shop.scan(2)
    until(lambda: app.cart == gtins(1, 2), lambda: f"both items, not {app.cart}", PATIENCE)
    until(shop.settled, "all to be told", PATIENCE)
    events = shop.events("customer.identified", "cart.item_added", "cart.item_confirmed")
    assert [event["type"].split(".")[2] for event in events].count("item_added") == 2
    assert all(event["clockok"] for event in events)
    assert shop.platform.problems() == []
    assert app.problems == []
    assert shop.leaks() == []


def test_it_can_do_little_harm_as_it_runs(shop: Shop) -> None:
    """As systemd sees the units in force: with all drop-ins, those of others too."""
    say = shop.machine.say
    for unit, most in (("cartwire", 1.5), ("cartwire-backup", 1.5), ("mosquitto", 4.0), ("pcscd", 4.0)):
        said = say(f"systemd-analyze security --no-pager {unit}.service | tail -1")
        found = re.search(r"exposure level for \S+: ([0-9.]+)", said)
        assert found, said
        assert float(found[1]) <= most, said
    assert shop.unit("cartwire", "Type") == "notify"
    assert shop.unit("mosquitto", "User") == "mosquitto"
    assert shop.unit("mosquitto", "ActiveState") == shop.unit("pcscd", "ActiveState") == "active"
    assert "00000000" in say("grep CapEff /proc/$(systemctl show -p MainPID --value pcscd)/status")
    modes = say("stat -c '%n %U %a' /var/lib/cartwire /etc/cartwire/credentials/*").splitlines()
    assert {mode.split(maxsplit=1)[1] for mode in modes[1:]} == {"root 600"}
    assert modes[0].endswith("cartwire 700")


def test_a_stop_takes_what_is_in_flight_along_and_a_restart_keeps_who_stands_there(shop: Shop) -> None:
    app = shop.app()
    shop.tap(BAND)
    for number in range(10, 30):
        shop.scan(number)
    until(lambda: app.cart, "the first items", PATIENCE)
    seconds = float(
        shop.machine.say(
            "s=$(cut -d' ' -f1 /proc/uptime); systemctl stop cartwire; e=$(cut -d' ' -f1 /proc/uptime); echo $e - $s"
            " | awk '{print $1 - $3}'"
        )
    )
    assert seconds < 10, "5 s, and half of them is Python's end on an emulated processor"
    assert shop.unit("cartwire", "Result") == "success"
    before = shop.events("cart.item_added")
    shop.machine.say("systemctl start cartwire")
    shop.ready()
    shop.scan(30)
    until(lambda: gtins(30)[0] in app.cart, "what is scanned after it", PATIENCE)
    until(shop.settled, "all to be told", PATIENCE)
    after = shop.events("cart.item_added")
    assert after[: len(before)] == before
    assert {event["data"]["session"] for event in after} == {before[0]["data"]["session"]}
    assert sorted(app.cart) == sorted(event["data"]["gtin"] for event in after)
    assert len(set(app.cart)) == len(app.cart)


def test_the_copy_is_remade_when_somebody_was_erased(shop: Shop) -> None:
    say = shop.machine.say
    assert "cartwire-backup.timer" in say("systemctl list-timers --no-pager")
    copy = "/var/backups/cartwire/cartwire.db"
    say("systemctl start cartwire-backup.service")
    assert shop.machine.run(f"grep -q c-2 {copy}").code == 0
    shop.platform.change("identifier", pseudonym("nfc", OTHER), None)
    shop.platform.change("customer", "c-2", None)
    until(lambda: shop.events("customer.erased"), "the erasure", PATIENCE)
    # Looked for in there, and with rests: who asks on and on takes the processor from a copy that is made with nice 19.
    say(f"timeout 280 sh -c 'while grep -q c-2 {copy}; do sleep 2; done'", 300)
    assert say(f"stat -c '%U %a' {copy}").split() == ["cartwire", "600"]
    assert shop.unit("cartwire-backup.service", "Result") == "success"
