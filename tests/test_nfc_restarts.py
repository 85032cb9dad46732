"""pcscd goes and comes, again and again, and cards are laid all the while: each is one tap, each loss is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bands import BAND, OTHER, READER, gtins, seen, settle
from peers.clock import Synchronisation
from peers.process import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Platform
    from peers.app import App
    from peers.card import Pcscd
    from peers.store import Store

HOUR = 3600
SIZES = [
    pytest.param(1, 2, id="short"),
    pytest.param(20, 100, id="long", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
]


@pytest.mark.parametrize(("restarts", "cards"), SIZES)
def test_pcscd_starts_again_and_again_while_cards_are_laid(
    pcscd: Pcscd,
    opened: Callable[..., Store],
    platform: Platform,
    app: App,
    app_of: Callable[[str], App],
    restarts: int,
    cards: int,
) -> None:
    other = app_of("k-2")
    pcscd.start()
    store = opened(READER)
    every = cards // restarts
    for number in range(1, cards + 1):
        card = pcscd.lay((OTHER, BAND)[number % 2])
        seen(store, "customer.identified", number=number)
        store.scan(number)
        wanted = (other, app)[number % 2]
        until(lambda cart=wanted, n=number: cart.cart[-1:] == gtins(n), f"item {number}", 30)  # type: ignore[misc]
        if number % every:
            pcscd.pull(card)
            continue
        pcscd.kill()
        seen(store, "device.lost", number=number // every)
        pcscd.start()
        seen(store, "device.recovered", number=number // every)
    told = settle(store, platform, app, other)
    assert (app.cart, other.cart) == (gtins(*range(1, cards + 1, 2)), gtins(*range(2, cards + 1, 2)))
    counts = [told.count(kind) for kind in ("customer.identified", "session.ended", "device.lost", "device.recovered")]
    assert counts == [cards, cards - 1, restarts, restarts]


@pytest.mark.long
def test_a_clock_that_is_set_back_does_not_take_the_reader_away(
    pcscd: Pcscd, opened: Callable[..., Store], platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pcscd's library waits by the wall clock: without help for that hour."""
    clock = Synchronisation(tmp_path / "clock")
    monkeypatch.setenv("CARTWIRE", clock.daemon)
    pcscd.start()
    store = opened(READER)
    card = pcscd.lay(BAND)
    seen(store, "customer.identified")
    clock.is_wrong_by(-HOUR)
    enough = card.polls + 150  # a minute: twice the silence that counts as hung
    until(lambda: card.polls > enough, "the band rests there", 240)
    pcscd.pull(card)
    pcscd.lay(OTHER)
    seen(store, "customer.identified", number=2)
    assert [kind for kind in settle(store, platform) if kind.startswith("device.")] == []
