"""Replay lines: whatever a program writes into the FIFO, the next good line is a reading."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import replay
from drivers.replay import LONGEST, Lines, parse
from edge.model import Lapse, Reading, Ready, Scan
from edge.places import Places
from edge.ports import Driver, Emit, Taken
from peers.day import SEED
from peers.fuzz import NUMBERS, mangled

if TYPE_CHECKING:
    from pathlib import Path

GOOD = b'{"kind":"scan","text":"8801045600130"}'


@pytest.mark.parametrize(
    "line",
    [
        {"at": 0.0, "kind": "tap", "type": "nfc", "value": "04A1B2C3D4E5F6"},
        {"at": 1.2, "kind": "scan", "text": "8801045600130", "symbology": "EAN13", "read_point": "till-1"},
        {"kind": "sighting", "type": "ibeacon", "value": "e2c5/1/258", "rssi": -61},
        {"at": 3, "kind": "tap", "type": "nfc", "pseudonym": "9f" * 32},
        {"kind": "tap", "type": "code", "value": "KR0123456789"},
    ],
)
def test_lines_there_are(line: dict[str, object]) -> None:
    parse(json.dumps(line).encode())


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"kind":"tap"}',
        b'{"kind":"tap","type":"nfc"}',
        b'{"kind":"tap","type":"ibeacon","value":"x"}',
        b'{"kind":"tap","type":"nfc","value":"a","pseudonym":"' + b"0" * 64 + b'"}',
        b'{"kind":"tap","type":"nfc","pseudonym":"9F"}',
        b'{"kind":"scan"}',
        b'{"kind":"scan","text":""}',
        b'{"kind":"scan","text":"1","symbology":"EAN14"}',
        b'{"kind":"scan","text":"1","readpoint":"till-2"}',
        b'{"kind":"scan","text":"1","at":-1}',
        b'{"kind":"scan","text":"1","at":NaN}',
        b'{"kind":"scan","text":1}',
        b'{"kind":"scan","text":"\xff"}',
        b'{"kind":"scan","text":"' + b"1" * LONGEST + b'"}',
        b'{"x":' + b"[" * 4000,
    ],
)
def test_lines_there_are_not(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"kind":"tap","type":"04A1B2C3D4E5F6","value":"nfc"}',
        b'{"kind":"04A1B2C3D4E5F6"}',
        b'{"kind":"tap","type":"nfc","04A1B2C3D4E5F6":1}',
    ],
)
def test_what_is_wrong_is_said_without_what_it_holds(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"is no reading") as error:
        parse(line)
    assert "04A1" not in str(error.value)


def test_what_is_no_line_is_counted_and_skipped() -> None:
    lines = Lines()
    cut = [
        *lines.feed(b"junk\n" + GOOD + b"\n\n" + b"y" * 9000),
        *lines.feed(b"y" * 9000 + b"\n" + GOOD + b"\n" + GOOD),
    ]
    assert len(cut) == 2
    assert (lines.number, lines.skipped) == (5, 2)
    assert list(lines.end(half=True)) == []
    assert lines.skipped == 3
    assert len(list(lines.feed(GOOD + b"\n"))) == 1


@given(st.lists(st.binary(max_size=200) | st.just(GOOD + b"\n") | st.just(b"z" * (LONGEST + 1)), max_size=30))
def test_a_good_line_is_always_read(chunks: list[bytes]) -> None:
    lines = Lines()
    for chunk in chunks:
        list(lines.feed(chunk))
    list(lines.feed(b"\n"))
    assert len(list(lines.feed(GOOD + b"\n"))) == 1


class Other:
    """Another driver, at a read point of its own."""

    read_point = "till-1"

    async def run(self, emit: Emit) -> None: ...


def line(read_point: str, at: float = 0) -> str:
    return json.dumps({"at": at, "kind": "scan", "text": "8801045600130", "read_point": read_point}) + "\n"


async def played(
    path: Path, others: list[Driver], seconds: float = 10.0, **fields: Any
) -> tuple[replay.Driver, list[Reading]]:
    """Play a file beside other drivers, to the end or for so long; the readings that were taken."""
    driver = replay.Driver(read_point="till-2", path=path, **fields)
    places, taken = Places([*others, driver]), list[Reading]()

    async def emit(reading: Reading) -> None:
        places.enter(len(others), reading)
        taken.append(reading)

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await driver.run(emit)
    return driver, taken


@pytest.mark.parametrize(("speed", "skipped"), [(0.0, 1), (2.0, 1), (1.0, 0)])
async def test_a_recording_out_of_time_takes_no_read_point_of_another_driver(
    tmp_path: Path, speed: float, skipped: int, caplog: pytest.LogCaptureFixture
) -> None:
    day = tmp_path / "day.jsonl"
    day.write_text(line("till-2") + line("till-1") + line("till-9"))
    driver, taken = await played(day, [Other()], speed=speed)
    assert driver.skipped == skipped
    assert [reading.read_point for reading in taken if isinstance(reading, Scan)] == (
        ["till-2", "till-9"] if skipped else ["till-2", "till-1", "till-9"]
    )
    assert {reading.read_point for reading in taken if isinstance(reading, Lapse)} == (
        {"till-2", "till-9"} if skipped else set()
    )
    assert (f"{day}: line 2 is skipped: its read point 'till-1' is another driver's" in caplog.text) == bool(skipped)


def test_nobody_gets_into_a_recording_out_of_time() -> None:
    places = Places([Other(), Other()])
    places.enter(1, Lapse(read_point="till-9"))
    places.enter(1, Scan(read_point="till-9", text="1"))
    with pytest.raises(Taken):
        places.enter(0, Scan(read_point="till-9", text="1"))


@pytest.mark.parametrize("text", ["", "no line\n", "\n\n"])
async def test_a_loop_over_nothing_takes_a_rest(tmp_path: Path, text: str) -> None:
    day = tmp_path / "day.jsonl"
    day.write_text(text)
    driver, taken = await played(day, [], 0.8, loop=True)
    assert [type(reading) for reading in taken] == [Ready]
    assert driver.skipped == (text == "no line\n")


@pytest.mark.parametrize("number", NUMBERS)
def test_whatever_is_in_a_recording(number: int, caplog: pytest.LogCaptureFixture) -> None:
    """Lines, and lines cut, joined and with other bytes in them, in any pieces; then a good one is read."""
    caplog.set_level("CRITICAL")
    chance, lines = random.Random(SEED), Lines()
    good = [
        GOOD.decode(),
        '{"at":1e999}',
        '"kind":"tap"',
        '{"kind":"tap","type":"nfc","value":"04A1B2C3D4E5F6"}',
        "[" * 999,
    ]
    good += ['{"kind":"sighting","type":"ibeacon","value":"e2c5/1/258","rssi":-61}', "\n", "\n", "\r\n", "9" * LONGEST]
    for _ in range(number):
        list(lines.feed(mangled(chance, good).encode("latin-1", "replace")))
        assert len(lines._rest) <= LONGEST
    assert lines.skipped
    assert list(lines.feed(b"\n" + GOOD + b"\n"))[-1] == parse(GOOD)
