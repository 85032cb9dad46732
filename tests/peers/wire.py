"""MQTT on the wire: packets out of the bytes of one direction of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PUBLISH, PUBACK = 3, 4


class Packet(NamedTuple):
    """Its type, its flags, and what follows the length."""

    type: int
    flags: int
    rest: bytes

    @property
    def number(self) -> int:
        """The packet identifier of a PUBLISH at QoS 1 or a PUBACK."""
        start = 2 + int.from_bytes(self.rest[:2]) if self.type == PUBLISH else 0
        return int.from_bytes(self.rest[start : start + 2])


def packets(stream: bytearray) -> Iterator[Packet]:
    """Take the whole packets off the front of the stream."""
    while len(stream) > 1:
        size, start = 0, 1
        for start, byte in enumerate(stream[1:5], 2):
            size |= (byte & 0x7F) << 7 * (start - 2)
            if not byte & 0x80:
                break
        else:
            return
        if len(stream) < start + size:
            return
        yield Packet(stream[0] >> 4, stream[0] & 0x0F, bytes(stream[start : start + size]))
        del stream[: start + size]
