"""What several devices say while the loop stands still: nothing is lost, nothing overtaken, and the threads end."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from edge import beside
from edge.model import Reading, Ready, Scan
from edge.ports import DeviceLost
from peers.process import until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Wire:
    """A device that says a letter for each scan; each is read before the next is said."""

    def __init__(self, ended: ExitStack) -> None:
        self.read_end, self._write_end = os.pipe()
        ended.callback(os.close, self.read_end)
        ended.callback(self.unplug)
        self.said = 0

    def say(self, letter: str) -> None:
        """Say it, and wait until it is read."""
        before = self.said
        os.write(self._write_end, letter.encode())
        until(lambda: self.said > before, "the thread to read it")

    def unplug(self) -> None:
        """Pull the plug; more than once does no harm."""
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1

    def read(self, wait: beside.Wait) -> Iterator[Reading]:
        """As a driver does."""
        yield Ready(read_point="till")
        while True:
            wait(self.read_end, None)
            letter = os.read(self.read_end, 1)
            if not letter:
                raise DeviceLost("unplugged")
            yield Scan(read_point="till", text=letter.decode())
            self.said += 1


@contextmanager
def following(wire: Wire, emit: beside.Emit) -> Iterator[asyncio.Task[None]]:
    """Run it beside."""
    running = asyncio.create_task(beside.follow(wire.read, emit, "beside a test"))
    try:
        yield running
    finally:
        running.cancel()


async def test_what_comes_while_the_loop_stands_still_keeps_its_order_across_devices(ended: ExitStack) -> None:
    scanner, reader = Wire(ended), Wire(ended)
    heard: list[str] = []
    both = asyncio.Event()

    async def emit(reading: Reading, who: str) -> None:
        heard.append(f"{who} {reading.text if isinstance(reading, Scan) else 'ready'}")
        both.set()

    with following(scanner, partial(emit, who="scanner")), following(reader, partial(emit, who="reader")):
        while len(heard) < 2:
            both.clear()
            await asyncio.wait_for(both.wait(), 20)
        for letter in "abcd":  # the loop does not get round in all this
            scanner.say(letter)
            reader.say(letter)
            scanner.say(letter.upper())
        while len(heard) < 2 + 12:
            both.clear()
            await asyncio.wait_for(both.wait(), 20)
    assert heard[2:] == [said for n in "abcd" for said in (f"scanner {n}", f"reader {n}", f"scanner {n.upper()}")]


async def test_what_was_said_before_the_plug_was_pulled_is_taken(ended: ExitStack) -> None:
    wire = Wire(ended)
    heard: list[Reading] = []
    room = asyncio.Event()

    async def emit(reading: Reading) -> None:
        await room.wait()
        heard.append(reading)

    with following(wire, emit) as running:
        await asyncio.sleep(0)
        for letter in "xyz":
            wire.say(letter)
        wire.unplug()
        asyncio.get_running_loop().call_later(0.2, room.set)
        with pytest.raises(DeviceLost, match="unplugged"):
            await asyncio.wait_for(running, 20)
    assert [reading.text for reading in heard if isinstance(reading, Scan)] == ["x", "y", "z"]


@pytest.mark.parametrize("full", [False, True])
async def test_it_ends_when_it_is_cancelled(ended: ExitStack, monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    """Whether its thread waits for the device or, as nobody takes anything any more, for room."""
    monkeypatch.setattr(beside, "WAITING", 2)
    wire = Wire(ended)
    held = asyncio.Event()

    async def emit(_: Reading) -> None:
        await held.wait()

    with following(wire, emit) as running:
        await asyncio.sleep(0)
        wire.say("a")
        if full:
            os.write(wire._write_end, b"bc")
        running.cancel()
        await asyncio.wait_for(asyncio.wait([running]), 20)
    assert running.cancelled()
    until(lambda: not [one for one in threading.enumerate() if one.name == "beside a test"], "the thread to end")


async def test_what_a_thread_that_was_given_up_says_later_is_not_taken() -> None:
    """As one that hung until pcscd was started again: whoever tapped then has left."""
    heard: list[Reading] = []

    async def emit(reading: Reading) -> None:
        heard.append(reading)

    taking = beside.Taking(emit, lambda _: None)
    taking.take(Scan(read_point="till", text="a"))
    await taking.rest()
    taking.stop()
    taking.take(Scan(read_point="till", text="b"))
    await taking.rest()
    assert heard == [Scan(read_point="till", text="a")]


async def test_a_fault_of_who_takes_it_is_the_drivers(ended: ExitStack) -> None:
    async def emit(_: Reading) -> None:
        raise KeyError("a fault")

    with following(Wire(ended), emit) as running, pytest.raises(KeyError):
        await asyncio.wait_for(asyncio.shield(running), 20)
