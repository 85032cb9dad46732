"""Scanners on a serial line: codes out of bytes, and stories on a pty that is cut again and again."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import struct
import termios
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.serialport import LONGEST, SILENCE, Driver, Framing, Garbled, named
from edge import codes
from edge.model import Ready, Scan
from edge.ports import DeviceLost, Duration
from edge.settings import SettingsError
from edge.settings import driver as settings_driver
from peers.app import event_violations
from peers.gtin import gtin13, padded
from peers.line import Line, Uart
from peers.process import until
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from conftest import Platform
    from edge.model import Reading
    from peers.app import App

BAND, OTHER = "04A1B2C3D4E5F6", "04B1B2C3D4E5F6"
CODE = b"8801045600130"
RATES = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """Have a scanner that is not plugged in."""
    scanner = Line(tmp_path / "usb-Scanner-if00")
    yield scanner
    scanner.cut()


def cut(framing: Framing, *chunks: bytes | None) -> list[str]:
    """Return the codes of these chunks; None is a pause."""
    return [text for chunk in chunks for text in (framing.pause() if chunk is None else framing.feed(chunk))]


# framing


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"], ids=["CR", "LF", "CRLF"])
@pytest.mark.parametrize("size", [1, 2, 3, 14, 15, 100])
def test_every_line_end_however_it_is_split(end: bytes, size: int) -> None:
    sent = (CODE + end) * 3
    chunks = [sent[at : at + size] for at in range(0, len(sent), size)]
    assert cut(Framing(), *chunks) == [CODE.decode()] * 3


def test_a_pause_ends_a_code_that_has_no_line_end() -> None:
    framing = Framing(0.1)
    assert cut(framing, CODE[:5], CODE[5:], None, CODE, None, None) == [CODE.decode()] * 2
    assert cut(framing, CODE + b"\r\n", None) == [CODE.decode()], "one with a line end is not two"


def test_half_a_line_is_thrown_away_and_never_becomes_part_of_a_code(caplog: pytest.LogCaptureFixture) -> None:
    framing = Framing()
    assert cut(framing, CODE[:5], None, CODE + b"\r") == [CODE.decode()]
    assert framing.dropped == 1
    assert "no line end" in caplog.text
    assert CODE[:5].decode() not in caplog.text


def test_codes_that_are_no_numbers() -> None:
    texts = [
        "]d20108801045600130\x1d10A1",
        "[)>\x1e06\x1dP1\x1e\x04",
        "https://id.gs1.org/01/08801045600130",
        "안녕 ☕",
    ]
    sent = "\r".join([*texts, ""]).encode()
    assert cut(Framing(), *(sent[at : at + 1] for at in range(len(sent)))) == texts, "also split within a character"
    item = codes.item(codes.read(texts[0], None))
    assert item
    assert (item.gtin, item.symbology) == ("08801045600130", "DATAMATRIX")


def test_a_code_too_long_is_dropped_whole() -> None:
    framing = Framing()
    long = b"1" * LONGEST
    assert cut(framing, long + b"\r") == [long.decode()]
    assert cut(framing, long, b"1", b"1" * (LONGEST - 1), b"\r" + CODE + b"\r") == [CODE.decode()]
    assert framing.dropped == 1
    with pytest.raises(Garbled, match="longer than"):
        cut(framing, *[long] * 4)


@pytest.mark.parametrize(
    ("again", "what"),
    [
        ([b"\xb0\xb1\r"], "wrong baud rate or parity"),
        ([b"123", None], "no line end"),
        ([b"1" * (LONGEST + 1) + b"\r"], "longer than"),
    ],
)
def test_a_disturbance_is_dropped_and_a_second_one_at_once_is_a_fault(again: list[bytes | None], what: str) -> None:
    framing = Framing()
    for _ in range(3):
        assert cut(framing, *again, CODE + b"\r") == [CODE.decode()]
    assert cut(framing, *again) == []
    with pytest.raises(Garbled, match=what):
        cut(framing, *again)


@pytest.mark.parametrize("junk", [b"\x00", b"12\x00", b"\x80\xff\x00\x18", b"\x08", b"\x1b[A", b"\x7f"])
def test_bytes_that_no_code_holds_are_a_fault_at_once(junk: bytes) -> None:
    found = []
    with pytest.raises(Garbled, match="wrong baud rate"):
        for text in Framing().feed(CODE + b"\r" + junk + CODE + b"\r"):
            found.append(text)
    assert found == [CODE.decode()], "what came before was a code"


def heard(scanner: Uart, port: Uart, gap: float | None) -> tuple[int, list[str]]:
    """Scan one product after the other until the port complains; return how many that took, and its codes."""
    framing, found = Framing(gap), []
    for number in range(1, 30):
        sent = gtin13(number * 7919).encode() + b"\r\n"
        try:
            found += cut(framing, port.hear(scanner.wave(sent)), None)
        except Garbled:
            return number, found
    return 0, found


@pytest.mark.parametrize("gap", [None, 0.1])
def test_a_wrong_baud_rate_gives_an_error_and_no_product(gap: float | None) -> None:
    needed = []
    for scanner in RATES:
        for port in RATES:
            number, found = heard(Uart(scanner), Uart(port), gap)
            items = [text for text in found if codes.item(codes.read(text, None))]
            if scanner == port:
                assert (number, len(items)) == (0, 29)
            else:
                assert number, (scanner, port)
                assert items == [], (scanner, port)
                needed.append(number)
    assert sorted(needed)[len(needed) * 8 // 10] == 1, "most of them with the first scan"


@pytest.mark.parametrize("scanner", [Uart(9600, 7, "E"), Uart(9600, 7, "O"), Uart(9600, 8, "E"), Uart(9600, 8, "O")])
def test_a_wrong_parity_gives_an_error_and_no_product(scanner: Uart) -> None:
    number, found = heard(scanner, Uart(9600), None)
    assert 0 < number <= 2
    assert found == []


CHUNKS = st.lists(
    st.binary(max_size=40)
    | st.none()
    | st.sampled_from([CODE + b"\r\n", b"\r", b"\n", b"1" * (LONGEST + 1), "안녕".encode()[:4], b"\x1d"]),
    max_size=40,
)


def torture(chunks: list[bytes | None], gap: float | None) -> None:
    """Hold framing against what it promises, whatever comes."""
    framing, kept = Framing(gap), 0
    for chunk in chunks:
        try:
            for text in framing.pause() if chunk is None else framing.feed(chunk):
                assert 0 < len(text) <= LONGEST
                assert not set(text) & set("\r\n\x00\x08\x7f")
        except Garbled:
            framing = Framing(gap)
        kept = max(kept, len(framing._rest))
    assert kept <= LONGEST
    try:
        list(framing.pause())
        assert cut(framing, CODE + b"\r") == [CODE.decode()], "the next good one is read"
    except Garbled:
        assert framing.dropped


@settings(max_examples=250)
@given(CHUNKS, st.sampled_from([None, 0.1]))
def test_whatever_comes(chunks: list[bytes | None], gap: float | None) -> None:
    torture(chunks, gap)


def fuzz(inputs: int, seed: int) -> None:
    """Feed so many chunks: codes, broken ones, noise."""
    rng = random.Random(seed)
    pool = [CODE, b"\r", b"\n", b"\r\n", b"\x1d", b"]E0", "☕".encode(), b"\xff\x00", b"\x80", b"9" * 700]
    while inputs > 0:
        chunks: list[bytes | None] = []
        for _ in range(100):
            pick = rng.random()
            if pick < 0.1:
                chunks.append(None)
            elif pick < 0.2:
                chunks.append(rng.randbytes(rng.randrange(30)))
            else:
                chunks.append(b"".join(rng.choices(pool, [9, 4, 3, 4, 1, 1, 1, 0.1, 0.3, 1], k=rng.randrange(1, 6))))
        torture(chunks, rng.choice([None, 0.1]))
        inputs -= len(chunks)


def test_ten_thousand_chunks() -> None:
    fuzz(10_000, 1)


@pytest.mark.long
def test_a_million_chunks() -> None:
    fuzz(1_000_000, 2)


# the driver, on a pty


@asynccontextmanager
async def reading(driver: Driver) -> AsyncIterator[tuple[asyncio.Queue[Reading], asyncio.Task[None]]]:
    """Run the driver; it is ready."""
    readings: asyncio.Queue[Reading] = asyncio.Queue()
    running = asyncio.create_task(driver.run(readings.put))
    try:
        await asyncio.wait([asyncio.create_task(readings.get()), running], timeout=5, return_when="FIRST_COMPLETED")
        if running.done():
            await running
        yield readings, running
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=5)


async def scanned(readings: asyncio.Queue[Reading]) -> str:
    """Return the text of the next scan."""
    reading = await asyncio.wait_for(readings.get(), 5)
    assert isinstance(reading, Scan)
    assert (reading.read_point, reading.symbology) == ("till-1", None)
    return reading.text


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"], ids=["CR", "LF", "CRLF"])
async def test_a_scan_on_the_line(line: Line, end: bytes) -> None:
    line.plug()
    async with reading(Driver(read_point="till-1", path=line.path, baud=115200)) as (readings, _):
        assert line.rates == (termios.B115200, termios.B115200)
        assert line.input_flags & (termios.INPCK | termios.PARMRK) == termios.INPCK | termios.PARMRK
        line.send(CODE[:5])
        await asyncio.sleep(0)
        line.send(CODE[5:] + end + b"]E0" + CODE + end)
        assert [await scanned(readings) for _ in range(2)] == [CODE.decode(), f"]E0{CODE.decode()}"]


async def test_a_scan_without_a_line_end(line: Line) -> None:
    line.plug()
    async with reading(Driver(read_point="till-1", path=line.path, gap=Duration(0.1))) as (readings, _):
        for _ in range(3):
            begun = time.monotonic()
            line.send(CODE)
            assert await scanned(readings) == CODE.decode()
            assert time.monotonic() - begun >= 0.1


def busy(seconds: float) -> None:
    """Keep the loop from getting round."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def test_a_loop_that_is_busy_elsewhere_cuts_no_line(line: Line) -> None:
    line.plug()
    async with reading(Driver(read_point="till-1", path=line.path)) as (readings, _):
        line.send(CODE[:5])
        busy(0.4 * SILENCE)
        line.send(CODE[5:] + b"\r")
        busy(1.2 * SILENCE)
        assert await scanned(readings) == CODE.decode()


async def test_two_codes_in_a_loop_that_is_busy_elsewhere_stay_two(line: Line) -> None:
    line.plug()
    async with reading(Driver(read_point="till-1", path=line.path, gap=Duration(0.2))) as (readings, _):
        for _ in range(2):
            line.send(CODE)
            busy(0.6)
        assert [await scanned(readings) for _ in range(2)] == [CODE.decode()] * 2


async def test_half_a_line_on_the_line_is_thrown_away(line: Line) -> None:
    line.plug()
    async with reading(Driver(read_point="till-1", path=line.path)) as (readings, _):
        line.send(CODE[:5])
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(readings.get(), SILENCE + 0.1)
        line.send(CODE + b"\r")
        assert await scanned(readings) == CODE.decode()


async def test_what_was_sent_before_the_opening_is_no_scan(line: Line) -> None:
    line.plug()
    line.send(CODE + b"\r" + CODE[:5])
    async with reading(Driver(read_point="till-1", path=line.path)) as (readings, _):
        line.send(CODE + b"\r")
        assert await scanned(readings) == CODE.decode()
        assert readings.empty()


async def test_a_code_cut_by_the_opening_is_no_scan(line: Line) -> None:
    line.plug()
    readings: asyncio.Queue[Reading] = asyncio.Queue()
    running = asyncio.create_task(Driver(read_point="till-1", path=line.path).run(readings.put))
    await asyncio.sleep(0)
    line.send(CODE[5:] + b"\r")  # its beginning went by before
    assert await asyncio.wait_for(readings.get(), 5) == Ready(read_point="till-1")
    line.send(CODE + b"\r")
    assert await scanned(readings) == CODE.decode()
    running.cancel()
    await asyncio.wait([running])


async def test_the_line_is_cut(line: Line) -> None:
    line.plug()
    async with reading(Driver(read_point="till-1", path=line.path)) as (_, running):
        line.send(CODE[:5])
        line.cut()
        with pytest.raises(DeviceLost, match="is gone; plug"):
            await asyncio.wait_for(running, 5)


async def test_rubbish_is_an_error_and_no_scan(line: Line) -> None:
    line.plug()
    async with reading(Driver(read_point="till-1", path=line.path)) as (readings, running):
        line.send(Uart(9600).hear(Uart(4800).wave(CODE + b"\r\n")))
        with pytest.raises(DeviceLost, match="read with 9600 8N1: no text; wrong baud rate"):
            await asyncio.wait_for(running, 5)
        assert readings.empty()


async def test_what_cannot_be_opened(line: Line, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    for path, why in (
        ("nothing", "is not there; plug"),
        ("file", "is no serial port"),
        ("fifo", "is no serial port"),
        (".", "Is a directory"),
        ("/dev/null", "is no serial port"),
    ):
        with pytest.raises(DeviceLost, match=why):
            await Driver(read_point="till-1", path=tmp_path / path).run(nobody)


async def nobody(_: Reading) -> None:
    """Take a reading that must not come."""
    raise AssertionError


async def test_a_port_is_had_by_one_alone(line: Line) -> None:
    line.plug()
    driver = Driver(read_point="till-1", path=line.path)
    async with reading(driver):
        assert exclusive(line.path)
        with pytest.raises(DeviceLost, match="in use by another program"):
            await driver.run(nobody)
    assert not exclusive(line.path)
    async with reading(driver) as (readings, _):
        line.send(CODE + b"\r")
        assert await scanned(readings) == CODE.decode()


def exclusive(path: Path) -> bool:
    """Whether others than root are kept out (TIOCGEXCL)."""
    port = os.open(path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return struct.unpack("i", fcntl.ioctl(port, 0x80045440, b"1234"))[0] == 1
    finally:
        os.close(port)


async def test_another_user_is_told_of_the_group(line: Line, tmp_path: Path) -> None:
    line.plug()
    driver = Driver(read_point="till-1", path=line.path.resolve())
    driver.path.chmod(0)
    me = os.geteuid()
    if me == 0:  # who may all
        os.seteuid(65534)
    try:
        with pytest.raises(DeviceLost, match="permission denied; add the daemon's user to the group dialout"):
            await driver.run(nobody)
    finally:
        os.seteuid(me)


def descriptors() -> int:
    """Count what this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_cancelling_releases_the_port(line: Line) -> None:
    line.plug()
    before = descriptors()
    for _ in range(3):
        async with reading(Driver(read_point="till-1", path=line.path)):
            assert descriptors() > before
        assert descriptors() == before


async def test_a_flood_is_an_error_until_it_ends(line: Line) -> None:
    line.plug()
    driver = Driver(read_point="till-1", path=line.path)
    sent, flooding = 0, True

    async def flood() -> None:
        nonlocal sent
        while flooding:
            sent += line.pour(b"7" * 100)
            await asyncio.sleep(0)

    async with reading(driver) as (readings, running):
        pouring = asyncio.create_task(flood())
        with pytest.raises(DeviceLost, match="longer than"):
            await asyncio.wait_for(running, 5)
    with pytest.raises(DeviceLost, match="never falls silent"):
        await asyncio.wait_for(driver.run(nobody), 5)
    flooding = False
    await pouring
    assert readings.empty()
    assert sent > 2 * LONGEST
    async with reading(driver) as (readings, _):
        line.send(CODE + b"\r")
        assert await scanned(readings) == CODE.decode()


def test_the_ports_there_are(tmp_path: Path) -> None:
    device, bare = tmp_path / "ttyACM0", tmp_path / "ttyS0"
    for path in (device, bare):
        path.touch()
    (tmp_path / "by-id").mkdir()
    link = tmp_path / "by-id" / "usb-Scanner-if00"
    link.symlink_to("../ttyACM0")
    ports = [(str(bare), "n/a"), (str(device), "Scanner")]
    assert named(ports, tmp_path / "by-id") == [
        (f"serial port {device}, Scanner", {"path": str(link)}),
        (f"serial port {bare}, n/a", {"path": str(bare)}),
    ]
    assert named([], tmp_path / "none") == []


def test_the_settings(tmp_path: Path) -> None:
    table = {"kind": "serialport", "read_point": "till-1", "path": "/dev/ttyACM0"}
    driver = settings_driver({**table, "gap": "250ms"}, Driver, "[[driver]] 1", tmp_path)
    assert (driver.path, driver.baud, driver.gap) == (Path("/dev/ttyACM0"), 9600, 0.25)
    for wrong, why in (
        ({"baud": 9601}, r"\[\[driver\]\] 1 baud: "),
        ({"gap": "0s"}, r"\[\[driver\]\] 1 gap: must be longer"),
        ({"gap": 0.1}, r"\[\[driver\]\] 1 gap: .*duration"),
        ({"speed": 1}, r"\[\[driver\]\] 1 speed: unknown key"),
    ):
        with pytest.raises(SettingsError, match=why):
            settings_driver({**table, **wrong}, Driver, "[[driver]] 1", tmp_path)


# the store


@pytest.fixture
def opened(store: Store, platform: Platform, line: Line) -> Store:
    """Open the store with a FIFO at till-1, a scanner on a line at till-2, and two shoppers."""
    for number, uid in enumerate((BAND, OTHER), 1):
        platform.customer(f"c-{number}", f"k-{number}", "cart")
        platform.band(pseudonym("nfc", uid), f"c-{number}")
    store.configure([{"kind": "serialport", "read_point": "till-2", "path": str(line.path)}])
    store.start()
    store.ready()
    platform.wait_pulled()
    return store


def tap(store: Store, uid: str, read_point: str) -> None:
    """Hold a band to the reader of any read point."""
    store.fifos["till-1"].write({"kind": "tap", "type": "nfc", "value": uid, "read_point": read_point})


def test_the_line_is_cut_twenty_times_and_heals(
    opened: Store, platform: Platform, line: Line, app: App, app_of: Callable[[str], App]
) -> None:
    other = app_of("k-2")

    def logged(word: str, number: int) -> None:
        until(lambda: opened.log.read_text().count(f"serialport@till-2: {word}") == number, f"{number} × {word}", 20)

    def carts(number: int) -> None:
        until(lambda: len(other.cart) == len(app.cart) == number, f"{number} items each", 20)

    logged("lost: ", 1)
    slowest, names = 0.0, set()
    opened.tap(BAND)
    for number in range(1, 22):
        plugged = time.monotonic()
        line.plug()
        names.add(line.path.resolve())
        logged("recovered", number)
        slowest = max(slowest, time.monotonic() - plugged)
        if number == 1:
            tap(opened, OTHER, "till-2")
            until(lambda: len(opened.of("customer.identified")) == 2, "both shoppers")
        line.send(gtin13(number).encode() + b"\r\n")
        opened.scan(100 + number)
        carts(number)
        if number < 21:
            line.send(b"88010456")
            line.cut()
            logged("lost: ", number + 1)
    assert len(names) > 1, "another device under the same name"
    assert slowest < 15
    line.send(Uart(9600).hear(Uart(19200).wave(CODE + b"\r\n")))
    logged("recovered", 22)
    line.send(gtin13(22).encode() + b"\r\n")
    until(lambda: other.cart == [padded(gtin13(n)) for n in range(1, 23)], "all that was scanned on the line")
    assert app.cart == [padded(gtin13(n)) for n in range(101, 122)], "the other driver's"
    until(opened.settled, "nothing waits", 30)
    events = opened.events()
    until(lambda: platform.events() == events, "the platform has the journal")
    assert [problem for event in events for problem in event_violations(event)] == []
    told = [event for event in events if event["type"].startswith("cartwire.device.")]
    assert [event["type"].split(".")[2] for event in told] == ["lost", "recovered"] * 22
    assert {event["data"]["driver"] for event in told} == {"serialport@till-2"}
    reasons = [event["data"]["reason"].removeprefix(str(line.path)) for event in told[::2]]
    assert reasons == [
        ": is not there; plug the scanner in, or copy the path that `cartwire devices` prints",
        *[": is gone; plug the scanner in again"] * 20,
        ", read with 9600 8N1: no text; wrong baud rate or parity?",
    ]
    drivers = {driver["driver"]: driver["state"] for driver in opened.status()["drivers"]}
    assert drivers == {"replay@till-1": "ok", "serialport@till-2": "ok"}
    print(f"\nslowest recovery {slowest:.1f} s, {len(names)} devices")
