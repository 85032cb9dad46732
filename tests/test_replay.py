"""Replay lines: whatever a program writes into the FIFO, the next good line is a reading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.replay import LONGEST, Lines, parse

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
    lines = Lines(Path("fifo"))
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
    lines = Lines(Path("fifo"))
    for chunk in chunks:
        list(lines.feed(chunk))
    list(lines.feed(b"\n"))
    assert len(list(lines.feed(GOOD + b"\n"))) == 1
