"""Power cuts, simulated: whatever the disk kept, nothing that anybody had been told of is gone."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest

from peers.crash import Disk, lay, memory
from peers.day import SEED
from peers.evidence import held, told
from peers.trace import SENDS
from recording import Recording, recorded
from tally import tally

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peers.crash import Image
    from peers.trace import Call

pytestmark = pytest.mark.faults
IMAGES = int(os.environ.get("CARTWIRE_IMAGES", "120"))
"""At one moment of the run, about."""
SYNCS = frozenset({"fdatasync", "fsync"})
DUE = {"cart": b'"type":"cartwire.cart.item_added.v1"', "platform": b'"type":"cartwire.'}
"""What the events for a sink have in them, in the recorded run."""
PUBLISH = 0x30
"""The packet type of MQTT; no HTTP begins with it."""


class Findings:
    """What was wrong with images: how often each thing, and the first example of it."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.images: Counter[str] = Counter(dict.fromkeys(["broken", "lost", "changed", "doubled", "ahead"], 0))
        self.examples: dict[str, str] = {}

    def add(self, kind: str, problems: list[str], where: str) -> None:
        """Count an image with these problems."""
        if problems:
            self.images[kind] += 1
            self.examples.setdefault(kind, f"{problems[0]} ({len(problems)} such) {where}")

    def line(self) -> str:
        """Return the figures."""
        return " · ".join(f"{kind} {count}" for kind, count in self.images.items())


class Judge:
    """Holds images against all that had been told when the power went."""

    def __init__(self, folder: Path) -> None:
        """`folder` takes one image at a time."""
        self.findings = Findings()
        self.told: dict[str, bytes | None] = {}
        self.to: defaultdict[str, set[str]] = defaultdict(set)
        self._folder = folder

    def hear(self, call: Call) -> None:
        """Take in what a send tells."""
        events = dict(told(call))
        self.told.update(events)
        if call.path.startswith("socket:"):
            self.to["cart" if call.data[0] & 0xF0 == PUBLISH else "platform"].update(events)

    def judge(self, image: Image, where: str) -> None:
        """Open the image as the next start would, and compare."""
        lay(image, self._folder)
        try:
            rows, cursors = held(self._folder)
        except sqlite3.DatabaseError as error:
            self.findings.add("broken", [str(error)], where)
            return
        add = self.findings.add
        add("lost", [name for name in self.told if name not in rows], where)
        bodies = {name: body for name, body in self.told.items() if body and name in rows}
        add("changed", [name for name, body in bodies.items() if rows[name][1] != body], where)
        said = Counter(json.loads(body)["seq"] for _, body in rows.values())
        add("doubled", [f"seq {seq}" for seq, n in said.items() if n > 1], where)
        for sink, cursor in cursors.items():
            due = {name for name, (seq, body) in rows.items() if seq <= cursor and DUE[sink] in body}
            add("ahead", [f"{sink} has no {name}" for name in due - self.to[sink]], where)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Record a run, or take the one that is there."""
    return recorded(tmp_path_factory.getbasetemp() / "recording")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Make a place for images."""
    with memory() as place:
        yield place


@pytest.mark.timeout(900)  # a slow disk makes more of them
def test_every_crash_image_has_all_that_was_told(
    recording: Recording, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The power is cut before every sync, at every send, and at the end."""
    dice = random.Random(SEED)
    disk, judge = Disk(recording.data), Judge(folder)
    images: set[int] = set()
    moments = 0
    for n, call in enumerate(recording.calls):
        if call.name in SENDS and len(call.data) > 1:  # a single byte wakes another thread of the daemon
            judge.hear(call)
        elif not disk.concerns(call):
            continue
        if call.name in SENDS | SYNCS:
            moments += 1
            for image in disk.images(dice, IMAGES):
                images.add(hash(frozenset(image.items())))
                judge.judge(image, f"at call {n}, {call.name} {call.path}")
        if disk.concerns(call):
            disk.take(call)
    judge.judge(disk.synced(), "at the end")
    tally.add(crash_images=len(images))
    figures = judge.findings.line()
    with capsys.disabled():
        sys.stdout.write(f"\n{len(images)} distinct crash images of {moments + 1} moments: {figures} (seed {SEED})\n")
    assert judge.findings.examples == {}, f"{figures}; {judge.findings.examples}"
    journal = {name for name, (_, body) in held(folder).rows.items() if DUE["platform"] in body}
    assert journal - judge.told.keys() == journal - judge.to["platform"] == set(), "missing: never told"
    assert {event["id"] for event in recording.app} == judge.to["cart"]
    assert not (recording.data / "cartwire.db-wal").exists(), "the run did not end with a checkpoint"
