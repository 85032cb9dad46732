"""Pseudonyms: the only form in which a band, a beacon or a loyalty code exists after the reading."""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from re import Pattern

from edge.model import Sighting, Tap

MIN_KEY = 32
"""Bytes a pseudonym key has at least."""


def pseudonym(key: bytes, type: str, value: str) -> str:
    """64 lower-case hex digits: HMAC-SHA256 of `type:value` under the chain's key."""
    mac = _keyed(key).copy()
    mac.update(f"{type}:{value}".encode(errors="surrogatepass"))
    return mac.hexdigest()


@lru_cache(4)
def _keyed(key: bytes) -> hmac.HMAC:
    return hmac.new(key, digestmod="sha256")


def veil(reading: Tap, key: bytes, forms: Mapping[str, Pattern[str]]) -> Tap:
    """The tap without its raw value: a pseudonym in its place, and whether the value has the form of ours.

    `forms`: what a value of each type of tap looks like.
    """
    if reading.others:
        reading = replace(reading, others=tuple(veil(other, key, forms) for other in reading.others))
    if not reading.value:
        return reading
    plausible = forms[reading.type].search(reading.value) is not None
    return replace(reading, value="", pseudonym=pseudonym(key, reading.type, reading.value), plausible=plausible)


def veiled(sighting: Sighting, key: bytes) -> Sighting:
    """The sighting without its raw value: a pseudonym in its place."""
    if not sighting.value:
        return sighting
    return replace(sighting, value="", pseudonym=pseudonym(key, sighting.type, sighting.value))


def uuid7() -> str:
    """A new UUIDv7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    bits = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    digits = f"{bits & ~(0xF << 76 | 0b11 << 62) | 0x7 << 76 | 0b10 << 62:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
