"""Durable before visible, read out of a trace: a row is written, synced, and only then told to anybody."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from peers.crash import Disk, lay, memory
from peers.evidence import held, told
from peers.trace import SENDS
from peers.wire import PUBACK, PUBLISH, packets
from recording import SCANS, Recording, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peers.trace import Call

pytestmark = pytest.mark.faults
EVENT = "cartwire."
ADDED = "cartwire.cart.item_added.v1"
CONFIRMED = "cartwire.cart.item_confirmed.v1"
IDENTIFIED = "cartwire.customer.identified.v1"
ACK = re.compile(rb'\{"id": ?"([0-9a-f-]{36})"\}$')
CONNECT = b"\x10"
"""The first byte of an MQTT connection; no HTTP begins with it."""
BEEP = b"cue at till-1: accepted"
"""The daemon's log says so when a shopper is told; a device that beeps gets it in the same moment."""


class Replay:
    """The recorded calls in turn, and what the disk holds for certain at each of them."""

    def __init__(self, recording: Recording, folder: Path) -> None:
        """`folder` is where the disk is looked into."""
        self.safe: dict[str, dict[str, Any]] = {}
        self._recording = recording
        self._disk = Disk(recording.data)
        self._folder = folder

    def others(self) -> Iterator[Call]:
        """Carry out what happens to the disk; yield all other calls in between."""
        for call in self._recording.calls:
            if not self._disk.concerns(call):
                yield call
                continue
            self._disk.take(call)
            if call.name == "fdatasync" and call.path.endswith("-wal"):
                lay(self._disk.synced(), self._folder)
                for name, (_, body) in held(self._folder).rows.items():
                    self.safe.setdefault(name, json.loads(body))

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of that type that are safe by now."""
        return [event for event in self.safe.values() if event["type"].startswith(kind)]


@pytest.fixture
def replay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replay]:
    """Begin the recorded run again."""
    recording = recorded(tmp_path_factory.getbasetemp() / "recording")
    with memory() as folder:
        yield Replay(recording, folder)


def test_an_event_is_written_and_synced_before_anybody_is_told(replay: Replay) -> None:
    """To the app, to the platform, to `cartwire events --follow`."""
    sent: defaultdict[str, set[str]] = defaultdict(set)
    early = []
    for call in replay.others():
        for name, _ in told(call) if call.name in SENDS else ():
            sent[name].add(call.path)
            if name not in replay.safe:
                early.append(f"{name} told by {call.name} to {call.path} before the WAL was synced")
    assert not early, f"{len(early)} too early: {early[0]}"
    events = replay.of(EVENT)
    assert sent.keys() == {event["id"] for event in events}
    assert all(len(sent[event["id"]]) >= (3 if event["type"] == ADDED else 2) for event in events)


def test_an_ack_is_acknowledged_after_its_confirmation_is_synced(replay: Replay) -> None:
    """Or the broker forgets an ack that we forget as well."""
    heard: dict[str, bytearray] = {}
    said: dict[str, bytearray] = {}
    waiting: dict[tuple[str, int], str] = {}
    early, acknowledged = [], set()
    for call in replay.others():
        if call.name == "sendto" and call.data.startswith(CONNECT):
            heard[call.path], said[call.path] = bytearray(), bytearray()
        if call.path not in heard:
            continue
        stream = (heard if call.name == "recvfrom" else said)[call.path]
        stream += call.data
        for packet in packets(stream):
            if packet.type == PUBLISH and call.name == "recvfrom" and (ack := ACK.search(packet.rest)):
                waiting[call.path, packet.number] = ack[1].decode()
            elif packet.type == PUBACK and call.name != "recvfrom":
                name = waiting.pop((call.path, packet.number))
                acknowledged.add(name)
                if name not in {event["data"]["event"] for event in replay.of(CONFIRMED)}:
                    early.append(f"the ack of {name} acknowledged before its confirmation was synced")
    assert not early, f"{len(early)} too early: {early[0]}"
    assert acknowledged == {event["id"] for event in replay.of(ADDED)}


def test_a_shopper_is_told_after_the_row_is_synced(replay: Replay) -> None:
    """One tap and the scans: never more beeps than rows that cannot be lost."""
    beeps = 0
    early = []
    for call in replay.others():
        if call.name == "write" and BEEP in call.data:
            beeps += 1
            safe = len(replay.of(ADDED)) + len(replay.of(IDENTIFIED))
            if beeps > safe:
                early.append(f"beep {beeps} when {safe} rows were safe")
    assert not early, f"{len(early)} too early: {early[0]}"
    assert beeps == SCANS + 1
