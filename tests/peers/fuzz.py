"""Bad input in any amount: ten thousand in `make test`, a million at length."""

from __future__ import annotations

import random

import pytest

NUMBERS = [
    pytest.param(10_000, id="10^4"),
    pytest.param(1_000_000, id="10^6", marks=[pytest.mark.long, pytest.mark.timeout(1800)]),
]


def mangled(chance: random.Random, good: list[str]) -> str:
    """Return some of what is good, joined, cut, and with a few other characters in it."""
    text = list("".join(chance.choices(good, k=chance.choice((1, 1, 1, 2, 3)))))
    for _ in range(chance.choice((0, 0, 1, 2, 5))):
        if text:
            text[chance.randrange(len(text))] = chr(chance.choice((chance.randrange(128), chance.randrange(0x3000))))
    start, end = sorted(chance.choices(range(len(text) + 1), k=2))
    return "".join(text if chance.random() < 0.7 else text[start:end]) * chance.choice((1,) * 30 + (40,))
