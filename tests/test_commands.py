"""What a technician sees at the terminal: what the commands print, and how the daemon ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge import readable
from edge.floor import _named
from peers.gtin import gtin13, padded
from peers.process import Child, until
from peers.store import Store, command, pseudonym

if TYPE_CHECKING:
    from contextlib import ExitStack

    from conftest import Platform
    from peers.app import App

BAND = "04A1B2C3D4E5F6"
NAME = "Tee\x1b[2J\x9b31m\u202e\n00000001  forged"
SEEN = r"Tee\x1b[2J\x9b31m\u202e\n00000001  forged"


def said(store: Store, verb: str, *more: str) -> tuple[int, str]:
    """Exit code and what stands on the terminal."""
    done = subprocess.run(
        [*command(verb, store.config), *more], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_what_is_printed(store: Store, platform: Platform, app: App) -> None:
    """Names and reasons are somebody else's text: no terminal obeys them."""
    platform.change("customer", "c-1", {"cart": "k-1", "language": "en-GB", "consents": ["cart"]})
    platform.band(pseudonym("nfc", BAND), "c-1")
    platform.change("product", padded(gtin13(1)), {"name": {"ko": "티", "en": NAME}})
    store.start()
    store.ready()
    platform.wait_pulled()
    platform.fault("/v1/events", "reject", 1, types=["cartwire.cart.item_added.v1"])
    store.tap(BAND)
    store.scan(1)
    until(lambda: app.cart, "the item")
    until(lambda: store.status()["sinks"]["platform"]["rejected"] == 1, "the refusal")
    until(store.settled, "all that is told")
    (added,) = store.of("cart.item_added")
    assert added["data"]["product"]["name"] == NAME

    code, text = said(store, "events")
    (line,) = [line for line in text.splitlines() if "item_added" in line]
    assert code == 0
    assert line.endswith(f"product={SEEN}")
    assert len(text.splitlines()) == len(store.events())

    code, text = said(store, "rejected", "list")
    line, count = text.splitlines()
    assert (code, count) == (0, "1 refused")
    for part in ("platform", added["id"], added["time"], "cart.item_added", padded(gtin13(1))):
        assert part in line
    (refused,) = store.rejected("list")
    assert (refused["time"], refused["gtin"]) == (added["time"], padded(gtin13(1)))

    code, text = said(store, "status")
    assert code == 0
    assert re.search(r"^gateway +takes taps and scans", text)
    assert re.search(r"^space +[0-9.]+ (kB|MB) of 2 GB$", text, re.MULTILINE)
    assert re.search(r"^cart +ok$", text, re.MULTILINE)
    assert re.search(r"^platform +ok\n +0 wait, 1 refused$", text, re.MULTILINE)
    assert re.search(r"^replay@till-1 +ok since 20", text, re.MULTILINE)
    assert all(line.isprintable() and line.strip() for line in text.splitlines())

    journal = added["journal"]
    assert said(store, "events", "--since", f"{journal}:0")[0] == 0
    for wrong in ("a:0", "-:0", f"{journal[:-1]}:0", "journal:0", ":0"):
        code, text = said(store, "events", f"--since={wrong}")
        assert (code, text.count("\n")) == (2, 1)
    store.stop()


def test_what_is_not_well_stands_out() -> None:
    sink = {
        "state": "unavailable",
        "reason": "gone",
        "queued": 3,
        "oldest_seconds": 7300.0,
        "unconfirmed": 0,
        "rejected": 2,
    }
    driver = {
        "driver": "nfc@till-1",
        "state": "lost",
        "since": "2026-11-21T09:12:45.123Z",
        "reason": "pulled",
        "skipped": 0,
    }
    text = readable.status(
        {
            "version": "1",
            "journal": "j",
            "seq": 7,
            "trouble": "the disk is full",
            "clock": {"ok": False, "bootid": "b"},
            "space": {"used": 999, "capacity": 2 * 10**9, "hours_left": 50.0},
            "held": 1,
            "readings": {"scans": 2},
            "sinks": {"platform": sink},
            "drivers": [driver],
        }
    )
    assert text.splitlines() == [
        "gateway     CANNOT take taps and scans: the disk is full (cartwire 1)",
        "clock       NOT synchronised; set up time synchronisation",
        "space       999 B of 2 GB, full in 2 d at this rate if nothing is delivered",
        "journal     j:7",
        "readings    2 scans since the start",
        "held        1 scans wait for their customer",
        "platform    UNAVAILABLE: gone",
        "            3 wait, the oldest for 2 h, 2 refused",
        "nfc@till-1  LOST since 2026-11-21T09:12:45.123Z: pulled",
    ]


@pytest.mark.parametrize(
    ("languages", "name"),
    [
        (("ko-KR", "en"), "티"),
        (("en-GB", "ko"), "Tee"),
        (("fr", "ko-KR"), "티"),
        (("pt-BR", "ko"), "Camiseta"),
        ((None, "x"), "Tee"),
    ],
)
def test_a_name_in_ones_language(languages: tuple[str | None, ...], name: str) -> None:
    named = _named({"name": {"en": "Tee", "ko": "티", "pt": "Camisola", "pt-BR": "Camiseta"}}, *languages)
    assert named == {"name": name}


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for it; see proc(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s+(\w+)", status, re.MULTILINE)
    assert caught
    return bool(int(caught[1], 16) >> (number - 1) & 1)


def test_a_stop_while_it_starts_is_clean(store: Store, tmp_path: Path, ended: ExitStack) -> None:
    """Here it waits for its key, which comes out of a FIFO."""
    key = store.folder / "pseudonym.key"
    key.unlink()
    os.mkfifo(key, 0o600)
    child = Child(command("run", store.config), tmp_path / "run.log")
    ended.callback(child.kill)
    until(lambda: catches(child.pid, signal.SIGTERM), "it to care for signals")
    assert (child.terminate(), child.text()) == (0, "")


def test_more_signals_change_nothing(store: Store) -> None:
    store.start()
    store.ready()
    until(lambda: not store.running or os.kill(store.pid, signal.SIGTERM), "the end", 60)
    store.stop()


@pytest.mark.parametrize(
    "call", ["demo", "sandbox-platform --listen 127.0.0.1:0 --data d", "verify-platform https://p"]
)
def test_every_command_takes_a_configuration(call: str, tmp_path: Path) -> None:
    """Also those which need none."""
    verb, *more = call.split()
    words = [*command(verb, tmp_path / "none.toml"), *more, "--no-such-option"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert re.search(r"(unknown|unrecognized arguments): --no-such-option$", done.stderr)
