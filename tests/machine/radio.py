"""A Bluetooth radio that is not there, with one beacon near it; runs inside the machine, on its kernel's /dev/vhci.

    python3 radio.py UUID MAJOR MINOR RSSI

A controller for low energy alone (Bluetooth Core 4.0, volume 2, part E): what it is asked it grants, and while it is
to scan it hears an iBeacon ten times a second, until it is ended.
"""

from __future__ import annotations

import os
import select
import struct
import sys
import uuid

COMMAND, EVENT, VENDOR = 1, 4, 0xFF
COMPLETE, LE_META, REPORT = 0x0E, 0x3E, 0x02
SCAN_ENABLE = 0x200C
NONCONNECTABLE, RANDOM = 3, 1
ADDRESS = bytes.fromhex("c0ffee000001")
EVERY = 0.1
ANSWERS = {
    0x1001: struct.pack("<BHBHH", 6, 0, 6, 0xFFFF, 0),  # version 4.0, of nobody
    0x1003: bytes((0, 0, 0, 0, 0x60, 0, 0, 0)),  # low energy, and nothing else
    0x1009: bytes.fromhex("010000c0ffee"),
    0x2002: struct.pack("<HB", 27, 4),
    0x200F: b"\x08",
    0x201C: b"\xff" * 8,
}
"""What is said beside success; to all other questions a row of zeros."""


def beacon(arguments: list[str]) -> bytes:
    """Return the report of an iBeacon that was heard."""
    which, major, minor, rssi = arguments
    own = b"\x02\x15" + uuid.UUID(which).bytes + struct.pack(">HHb", int(major), int(minor), -59)
    data = b"\x02\x01\x06" + bytes((len(own) + 3, 0xFF)) + b"\x4c\x00" + own
    head = struct.pack("<BBBB", REPORT, 1, NONCONNECTABLE, RANDOM) + ADDRESS[::-1]
    return event(LE_META, head + bytes((len(data),)) + data + struct.pack("b", int(rssi)))


def event(code: int, payload: bytes) -> bytes:
    """Return an event as it goes over the wire."""
    return bytes((EVENT, code, len(payload))) + payload


def main() -> None:
    """Be the radio."""
    heard, scanning = beacon(sys.argv[1:]), False
    wire = os.open("/dev/vhci", os.O_RDWR)
    os.write(wire, bytes((VENDOR, 0)))
    while True:
        if select.select([wire], [], [], EVERY if scanning else None)[0]:
            packet = os.read(wire, 1024)
            if packet[0] == COMMAND:
                code = int.from_bytes(packet[1:3], "little")
                scanning = bool(packet[4]) if code == SCAN_ENABLE else scanning
                answer = ANSWERS.get(code, b"").ljust(248, b"\0")
                os.write(wire, event(COMPLETE, struct.pack("<BHB", 1, code, 0) + answer))
        elif scanning:
            os.write(wire, heard)


if __name__ == "__main__":
    main()
