"""The demo's counter counts what it says, and calls nothing wrong that is right."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from edge.demo.judge import ADDED, CONFIRMED, ERASED, GRACE, REMOVED, UNCLAIMED, Counts, Judge, Waiting

START = 1_800_000_000.0
CARTS = {"c-1": "k-1", "c-2": "k-2"}
SHOES, SOCKS = "08801046000007", "08801046000038"
ids = count(1)


class Shop:
    """A shop in which time is said; `at` is seconds since it opened."""

    def __init__(self) -> None:
        """Open it."""
        self.judge = Judge(CARTS)
        self.told: dict[tuple[str, str], int] = {}

    def event(self, kind: str, at: float, **data: Any) -> dict[str, Any]:
        time = datetime.fromtimestamp(START + at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"id": f"e-{next(ids)}", "type": kind, "time": time, "data": {"read_point": "till", **data}}

    def tap(self, at: float, who: str | None, *, sure: bool = True) -> None:
        self.judge.tapped(START + at, "till", who, sure=sure)

    def scan(self, at: float, gtin: str = SHOES) -> None:
        self.judge.scanned(START + at, "till", gtin)

    def item(self, at: float, who: str = "c-1", gtin: str = SHOES, **data: Any) -> dict[str, Any]:
        """The gateway shows an item that was read then."""
        event = self.event(ADDED, at, customer=who, cart=CARTS[who], gtin=gtin, **data)
        self.accept(event, at)
        return event

    def accept(self, event: dict[str, Any], at: float) -> dict[str, Any]:
        self.judge.accepted(event, START + at)
        return event

    def deliver(self, event: dict[str, Any], at: float, *, phone: bool = True, platform: bool = True) -> None:
        if phone:
            self.take([event], at)
        if platform:
            self.judge.at_platform(event, START + at)

    def take(
        self, events: list[dict[str, Any]], at: float, phone: str = "phone", cart: str = "", first: int | None = None
    ) -> None:
        """A phone reports them, as those that come after the `first` ones; left out: after all it has reported."""
        cart = cart or events[0]["data"]["cart"]
        place = self.told.get((cart, phone), 0) if first is None else first
        self.judge.took(cart, phone, place, events, START + at)
        self.told[cart, phone] = place + len(events)

    def waits(self, at: float, apps: int = 0, platform: int = 0) -> None:
        self.judge.waiting = Waiting(START + at, apps, platform)

    def counts(self, at: float) -> Counts:
        return self.judge.counts(START + at)

    def figures(self, at: float) -> tuple[int, int, int]:
        """Lost, doubled, wrong, after they have been looked at for long enough."""
        self.counts(at)
        counts = self.counts(at + GRACE)
        return counts.lost, counts.doubled, counts.wrong


@pytest.fixture
def shop() -> Shop:
    """A shop in which c-1 has tapped and scanned shoes, and the gateway has accepted them."""
    opened = Shop()
    opened.tap(0, "c-1")
    opened.scan(1)
    return opened


def test_what_arrives_is_at_its_end(shop: Shop) -> None:
    shop.deliver(shop.item(1), 2)
    shop.waits(3)
    assert shop.figures(3) == (0, 0, 0)
    assert shop.counts(9) == Counts(accepted=1, arrived=1, under_way=0, lost=0, doubled=0, wrong=0)


@pytest.mark.parametrize(
    ("phone", "platform", "apps", "queued", "lost"),
    [
        (False, False, 1, 1, 0),
        (False, True, 1, 0, 0),
        (True, False, 0, 1, 0),
        (False, True, 0, 0, 1),
        (True, False, 0, 0, 1),
        (True, False, 1, 0, 1),
        (False, True, 0, 1, 1),
    ],
)
def test_lost_is_what_nothing_waits_to_bring(
    shop: Shop, phone: bool, platform: bool, apps: int, queued: int, lost: int
) -> None:
    shop.deliver(shop.item(1), 2, phone=phone, platform=platform)
    shop.waits(3, apps, queued)
    assert shop.figures(3) == (lost, 0, 0)
    counts = shop.counts(9)
    assert (counts.under_way, counts.arrived) == (1 - lost, 0)


def test_what_the_app_confirmed_and_has_not_is_lost_whatever_waits(shop: Shop) -> None:
    item = shop.item(1)
    shop.deliver(item, 2, phone=False)
    shop.accept(shop.event(CONFIRMED, 2, event=item["id"]), 2)
    shop.waits(3, apps=5)
    assert shop.figures(3) == (1, 0, 0)


def test_what_waits_for_another_phone_hides_nothing(shop: Shop) -> None:
    """The gateway says one number for all apps: what is more than that is lost."""
    shop.tap(5, "c-2")
    for at in (6, 7):
        shop.scan(at, SOCKS)
    items = [shop.item(1), *(shop.item(at, "c-2", SOCKS) for at in (6, 7))]
    for item in items:
        shop.deliver(item, 8, phone=False)
    shop.waits(9, apps=3)
    assert shop.figures(9) == (0, 0, 0)
    shop.waits(20, apps=2)
    assert shop.figures(20) == (1, 0, 0)
    assert shop.counts(29).under_way == 2
    shop.deliver(items[0], 30)
    assert shop.figures(30) == (0, 0, 0), "it was only late to be seen"


def test_nothing_is_lost_while_the_gateway_is_dark_nor_at_once(shop: Shop) -> None:
    shop.deliver(shop.item(1), 2, phone=False)
    assert shop.figures(60) == (0, 0, 0)
    shop.waits(61)
    assert shop.counts(61).lost == 0
    shop.judge.waiting = None
    assert shop.counts(61 + GRACE).lost == 0
    shop.waits(70)
    assert shop.figures(70) == (1, 0, 0)


def test_an_answer_from_before_the_item_says_nothing_about_it(shop: Shop) -> None:
    shop.waits(0.5)
    shop.deliver(shop.item(1), 2, phone=False)
    assert shop.figures(60) == (0, 0, 0)


def test_what_staff_removed_or_a_withdrawn_consent_keeps_back_is_not_lost(shop: Shop) -> None:
    item = shop.item(1)
    shop.deliver(item, 2, phone=False)
    shop.waits(3)
    assert shop.figures(3) == (1, 0, 0)
    shop.accept(shop.event(REMOVED, 3, event=item["id"], customer="c-1"), 3)
    assert shop.figures(9) == (0, 0, 0)
    shop.scan(10, SOCKS)
    shop.deliver(shop.item(10, gtin=SOCKS), 10, phone=False)
    shop.accept(shop.event(ERASED, 11, customer="c-1", reason="platform"), 11)
    shop.waits(12)
    assert shop.figures(12) == (0, 0, 0)
    assert shop.counts(19) == Counts(accepted=2, arrived=0, under_way=0, lost=0, doubled=0, wrong=0), "both withheld"


def test_a_second_id_for_one_presentation_and_an_id_taken_twice_are_doubled(shop: Shop) -> None:
    shop.deliver(shop.item(1), 2)
    second = shop.item(1.1)
    shop.deliver(second, 2)
    shop.waits(3)
    assert shop.figures(3) == (0, 1, 0)
    shop.deliver(second, 4)
    assert shop.figures(4) == (0, 2, 0)
    shop.take([second], 5, "another phone")
    assert shop.figures(5) == (0, 2, 0), "a second phone of the cart has it once"


def test_the_same_product_held_up_twice_is_two_scans(shop: Shop) -> None:
    shop.scan(1.5)
    for at in (1, 1.5):
        shop.deliver(shop.item(at), 2)
    shop.waits(3)
    assert shop.figures(3) == (0, 0, 0)


def test_a_scan_that_nobody_claimed_is_that_presentation(shop: Shop) -> None:
    shop.accept(shop.event(UNCLAIMED, 1, gtin=SHOES), 12)
    shop.deliver(shop.item(1, staff="mina", event="e"), 13)
    shop.waits(14)
    assert shop.figures(14) == (0, 0, 0), "what staff give is no second scan"
    shop.accept(shop.event(UNCLAIMED, 1, gtin=SHOES), 15)
    assert shop.figures(15) == (0, 1, 0)


def test_an_item_of_somebody_who_did_not_hold_the_read_point(shop: Shop) -> None:
    shop.deliver(shop.item(1, "c-2"), 2)
    shop.waits(3)
    assert shop.figures(3) == (0, 0, 1)


def test_an_item_in_a_cart_that_is_not_its_customers(shop: Shop) -> None:
    item = shop.item(1)
    item["data"]["cart"] = "k-2"
    shop.deliver(item, 2)
    shop.waits(3)
    assert shop.figures(3) == (0, 0, 1)


def test_an_item_in_a_phone_of_another_cart_is_wrong_and_not_there(shop: Shop) -> None:
    item = shop.item(1)
    shop.take([item], 2, cart="k-2")
    shop.deliver(item, 2, phone=False)
    shop.waits(3, apps=1)
    assert shop.figures(3) == (0, 0, 1)
    assert (shop.counts(9).arrived, shop.counts(9).under_way) == (0, 1)
    assert shop.judge.under_way("k-1") == [item]
    shop.deliver(item, 10)
    assert shop.figures(10) == (0, 0, 1), "it stays in the wrong one"
    assert shop.counts(19).arrived == 1


def test_a_report_that_comes_twice_says_nothing_new_but_an_id_taken_twice_does(shop: Shop) -> None:
    shop.scan(1.5, SOCKS)
    shoes, socks = shop.item(1), shop.item(1.5, gtin=SOCKS)
    for _ in range(2):
        shop.take([shoes], 2, first=0)
    shop.take([shoes, socks], 3, first=0)
    for item in (shoes, socks):
        shop.deliver(item, 3, phone=False)
    shop.waits(4)
    assert shop.figures(4) == (0, 0, 0)
    assert shop.counts(9).arrived == 2
    for _ in range(2):
        shop.take([socks], 10, first=2)
    assert shop.figures(10) == (0, 1, 0)
    shop.take([shoes, socks, socks], 11, "another window", first=0)
    assert shop.figures(11) == (0, 2, 0)


@pytest.mark.parametrize(
    ("next_tap", "scanned", "who", "wrong"),
    [
        (4, 2, "c-1", 0),  # the holder's, although somebody else taps right after
        (4, 2, "c-2", 1),
        (62, 60, "c-2", 0),  # the session was over: of who taps next
        (62, 60, "c-1", 1),
        (80, 60, "c-2", 1),  # too late to claim it
        (49, 46, "c-1", 0),  # on the border of the session either may be right
        (49, 46, "c-2", 0),
    ],
)
def test_whose_a_scan_is(next_tap: float, scanned: float, who: str, wrong: int) -> None:
    shop = Shop()
    shop.tap(0, "c-1")
    shop.scan(scanned)
    shop.tap(next_tap, "c-2")
    shop.deliver(shop.item(scanned, who), next_tap)
    shop.waits(next_tap)
    assert shop.figures(next_tap) == (0, 0, wrong)


def test_what_was_tapped_just_before_a_power_cut_may_not_have_been_read(shop: Shop) -> None:
    shop.tap(10, "c-2")
    shop.judge.power_cut(START + 10.5)
    shop.scan(20)
    shop.deliver(shop.item(20, "c-1"), 21)
    shop.waits(22)
    assert shop.figures(22) == (0, 0, 0)


def test_but_what_was_tapped_long_before_it_was(shop: Shop) -> None:
    shop.tap(10, "c-2")
    shop.judge.power_cut(START + 15)
    shop.scan(20)
    shop.deliver(shop.item(20, "c-1"), 21)
    shop.waits(22)
    assert shop.figures(22) == (0, 0, 1)


def test_an_item_without_a_consent_is_in_the_wrong_cart_until_it_is_given_again(shop: Shop) -> None:
    shop.accept(shop.event(ERASED, 5, customer="c-1", reason="platform"), 5)
    for at, wrong in ((6, 1), (21, 1)):
        if at == 21:
            shop.judge.consented(START + 20, "c-1")
        shop.tap(at, "c-1")
        shop.scan(at + 1)
        shop.deliver(shop.item(at + 1), at + 2)
        shop.waits(at + 2)
        assert shop.figures(at + 2) == (0, 0, wrong)


def test_a_consent_given_again_before_the_gateway_noticed_ends_what_begins_later(shop: Shop) -> None:
    """It is pressed twice while the gateway hears nothing; then both come at once."""
    shop.judge.withdrew(START + 5, "c-1")
    shop.judge.consented(START + 6, "c-1")
    shop.accept(shop.event(ERASED, 7, customer="c-1", reason="platform"), 7)
    shop.tap(10, "c-1")
    shop.scan(11)
    shop.deliver(shop.item(11), 12)
    shop.waits(12)
    assert shop.figures(12) == (0, 0, 0)
    shop.judge.withdrew(START + 20, "c-1")
    shop.accept(shop.event(ERASED, 21, customer="c-1", reason="platform"), 21)
    shop.scan(22)
    shop.deliver(shop.item(22), 23)
    shop.waits(23)
    assert shop.figures(23) == (0, 0, 1), "a second one counts as the first"
    shop.judge.consented(START + 30, "c-1")
    shop.scan(31)
    shop.deliver(shop.item(31), 32)
    shop.waits(32)
    assert shop.figures(32) == (0, 0, 1), "and ends"


def test_an_event_that_makes_no_sense_leaves_no_trace(shop: Shop) -> None:
    item = shop.item(1)
    broken = item | {"id": "e-broken", "data": {"customer": "c-1"}}
    for _ in range(2):
        with pytest.raises(KeyError):
            shop.judge.accepted(broken, START + 2)
    shop.deliver(item, 2)
    shop.waits(3)
    assert shop.figures(3) == (0, 0, 0)


def test_what_was_right_stays_right_when_it_is_long_past(shop: Shop) -> None:
    shop.deliver(shop.item(1), 2)
    for at in range(2, 1000):
        shop.tap(at, "c-2")
        shop.counts(at)
    shop.waits(1001)
    assert shop.figures(1001) == (0, 0, 0)
