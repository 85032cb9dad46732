"""Loyalty codes written on cards: stories with the real pcscd, and whatever may stand in a card's memory."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from bands import BAND, OTHER, RANDOM, READER, seen, settle
from drivers.nfc.card import LONGEST, TEXTS, message, texts
from peers.card import text_record, written
from peers.day import SEED
from peers.store import pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Platform
    from peers.card import Pcscd
    from peers.store import Store

CODE = "KR0123456789"
NEW_CODE = "KR0000000001"  # its owner is not in the cache yet
LINK = "https://gw.example/b/7"
OF_A_LINK = "0313d1010f550467772e6578616d706c652f622f37fe"
FOREIGN = "0A1B2C3D"  # a UID that no band has
STRANGER = "04C1B2C3D4E5F6"
COUNTS = [
    pytest.param(10_000, id="10^4"),
    pytest.param(1_000_000, id="10^6", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
]


def test_a_card_is_its_band_or_the_code_on_it(pcscd: Pcscd, opened: Callable[..., Store], platform: Platform) -> None:
    for number, text in ((3, CODE), (4, LINK)):
        platform.customer(f"c-{number}", f"k-{number}", "cart")
        identifier = {"type": "code", "customer": f"c-{number}"}
        platform.change("identifier", pseudonym("code", text), identifier)
    pcscd.start()
    store = opened(READER)
    code, link, new = written(text_record(CODE)), bytes.fromhex(OF_A_LINK), written(text_record(NEW_CODE))
    story = (
        (FOREIGN, code, "c-3", "code"),
        (BAND, code, "c-1", "nfc"),  # the UID of a known band wins
        (STRANGER, code, "c-3", "code"),  # a UID that may be a band's, but nobody's yet: a known code wins
        (RANDOM, link, "c-4", "code"),
        (STRANGER, new, pseudonym("nfc", STRANGER), "nfc"),
        (FOREIGN, new, pseudonym("code", NEW_CODE), "code"),
        (OTHER, b"", "c-2", "nfc"),
    )
    for number, (uid, memory, who, method) in enumerate(story, 1):
        card = pcscd.lay(uid, memory=memory)
        data = seen(store, "customer.identified", "tap.unknown", number=number)[-1]["data"]
        assert (data.get("customer") or data["pseudonym"], data["method"]) == (who, method)
        pcscd.pull(card)
    pcscd.lay(FOREIGN, memory=written(text_record("a shopping list")))
    seen(store, "session.ended", number=len(story))
    told = settle(store, platform)
    begun = sum(told.count(kind) for kind in ("customer.identified", "tap.unknown"))
    assert (begun, told.count("session.ended")) == (len(story), len(story)), "one laying-on is one tap"
    assert len(told) == 2 * len(story), "a text of nobody on a card of nobody leaves none"


@pytest.mark.parametrize(
    ("memory", "found"),
    [
        ("03", None),
        ("0300FE", b""),
        ("0302D101", b"\xd1\1"),
        ("0302D1", None),
        ("000000000000", b""),
        ("0000000302D101", b"\xd1\1"),
        ("0103A00C340302D101", b"\xd1\1"),
        ("FD01FF0302D101FE", b"\xd1\1"),
        ("03FF0002D101", b"\xd1\1"),
        ("03FF", None),
        ("03FFFFFF", b""),
        ("03FF00FE", b""),
        ("FE0302D101", b""),
        ("E0110600", b""),
        ("FDFF7FFF", b""),
    ],
)
def test_where_the_message_stands(memory: str, found: bytes | None) -> None:
    assert message(bytes.fromhex(memory)) == found


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ("", ()),
        (text_record(CODE).hex(), (CODE,)),
        ("d1010f550467772e6578616d706c652f622f37", (LINK,)),
        ("d1010d55004b5230313233343536373839", (CODE,)),  # a URI without a prefix
        ("d1011d5482656e" + "\ufeffKR0123456789".encode("utf-16-be").hex(), (CODE,)),
        ("d101015401", ()),
        ("d101", ()),
        ("ffff", ()),
        ("d20a016170706c69636174696f6e00", ()),
    ],
)
def test_what_the_message_says(record: str, found: tuple[str, ...]) -> None:
    assert texts(bytes.fromhex(record)) == found


@pytest.mark.parametrize("count", COUNTS)
def test_whatever_is_on_a_card_is_read_within_bounds(count: int) -> None:
    dice = random.Random(SEED)
    good = [text_record(CODE), bytes.fromhex(OF_A_LINK)[2:-1], text_record(CODE)[:-1] + b"\xff", b"\x91\1\1U\0" * 40]
    longest = 0
    for _ in range(count):
        base = dice.choice([dice.randbytes(dice.randrange(40)), written(dice.choice(good)), dice.choice(good)])
        memory = bytearray(base)
        for _ in range(dice.randrange(4)):
            if memory:
                memory[dice.randrange(len(memory))] = dice.randrange(256)
        found = message(bytes(memory[:LONGEST]))
        assert found is None or len(found) <= LONGEST
        for said in (texts(found or b""), texts(bytes(memory))):
            assert len(said) <= TEXTS
            longest = max(longest, *(len(text) for text in said), 0)
    assert 0 < longest <= LONGEST + len("https://www.")
