"""Who gets what is sent: a process of its own, the same for the floor, for us and for the peer.

`python -m bench.subscriber PORT TOPIC MARKER MARKS [ACKS]`: MQTT 3.1.1 by hand, QoS 1. An instant is noted when `recv`
has returned a message's last byte, as often as MARKER stands in it: a peer may put several readings into one. With
the topic ACKS it confirms each event by its id, as an app does, but in batches: as soon as nothing has come for 20 ms.
So a burst is measured without its confirmations, which nobody else has, and a sequence with them.
"""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.marks import Marks, now
from bench.runs import python
from peers.wire import PUBACK, PUBLISH, packets

if TYPE_CHECKING:
    from contextlib import ExitStack

QUIET = 0.02
KEEPALIVE = 20
_ID = b'"id":"'
_UUID = 36


def subscriber(stack: ExitStack, port: int, topic: str, marker: str, marks: Path, acks: str = "") -> Marks:
    """Start one; return what it notes as soon as it is subscribed."""
    command = python("bench.subscriber", str(port), topic, marker, str(marks), acks)
    child = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    stack.callback(child.kill)
    assert child.stdout
    assert child.stdout.readline() == b"subscribed\n"
    return Marks(marks)


def _packet(head: int, rest: bytes) -> bytes:
    size, length = len(rest), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([head]) + length + bytes([size]) + rest


def _text(text: bytes) -> bytes:
    return len(text).to_bytes(2) + text


def main(port: str, topic: str, marker: str, path: str, acks: str = "") -> None:
    """Subscribe, and note what comes until killed."""
    marks, wanted, answers = Marks(Path(path)), marker.encode(), acks.encode()
    broker = socket.create_connection(("127.0.0.1", int(port)))
    broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    broker.sendall(_packet(0x10, _text(b"MQTT") + b"\4\2" + KEEPALIVE.to_bytes(2) + _text(b"")))
    broker.sendall(_packet(0x82, b"\0\1" + _text(topic.encode()) + b"\1"))
    stream, ids = bytearray(), list[bytes]()
    while True:
        if not select.select([broker], [], [], QUIET if ids else KEEPALIVE / 2)[0]:
            broker.sendall(b"".join(_confirmed(answers, ids)) if ids else b"\xc0\0")
            ids.clear()
            continue
        data = broker.recv(1 << 20)
        at = now()
        if not data:
            return
        stream += data
        taken = b""
        for packet in packets(stream):
            if packet.type == PUBLISH:
                marks.add(at, packet.rest.count(wanted))
                taken += b"\x40\2" + packet.number.to_bytes(2)
                if answers:
                    start = packet.rest.index(_ID) + len(_ID)
                    ids.append(packet.rest[start : start + _UUID])
            elif packet.type == 9:
                print("subscribed", flush=True)
            elif packet.type not in (2, PUBACK, 13):
                sys.exit(f"packet {packet.type} was not expected")
        if taken:
            broker.sendall(taken)


def _confirmed(topic: bytes, ids: list[bytes]) -> list[bytes]:
    return [
        _packet(0x32, _text(topic) + (n % 65535 + 1).to_bytes(2) + b'{"id":"' + id + b'"}') for n, id in enumerate(ids)
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
