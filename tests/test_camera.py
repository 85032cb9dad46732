"""The camera: what is held up is one scan, whatever the light, the machine and the cable do."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import camera
from drivers.camera import Driver, decode
from drivers.camera.capture import SILENT
from drivers.camera.engines import Code
from drivers.camera.presence import REARMED, Presence
from edge.model import SYMBOLOGIES, Reading, Ready, Scan
from edge.ports import DeviceLost, Source
from peers.app import event_violations
from peers.bars import Picture, code128, ean8, ean13, itf, printed, qr, seen, upce
from peers.film import SMALL, Stream, film, sequence, shots
from peers.gtin import gtin13, padded
from peers.process import until
from peers.store import Store, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Platform
    from peers.app import App

BAND = "04A1B2C3D4E5F6"
GTIN = gtin13(1)
LABEL = printed(ean13(GTIN), module=2, height=80)
OTHER = printed(ean8("96385074"), module=3, height=80)

# Which codes are held up, and what is made of them

Film = list[tuple[float, set[Code]]]
A, B = ("8801000000012", "EAN13"), ("8801000000012", "QR")


def presences(frames: Film) -> list[tuple[float, Code]]:
    presence = Presence()
    return [(at, code) for at, codes in frames for code in presence.see(at, codes)]


@st.composite
def films(draw: st.DrawFn) -> Film:
    """Frames on whole hundredths of a second, about as long as the two limits apart."""
    gaps = draw(st.lists(st.sampled_from([0, 4, 30, 49, 50, 51, 79, 80, 81, 200]), max_size=30))
    start = draw(st.integers(0, 10**7))
    codes = st.sets(st.sampled_from([A, B]))
    return [((start + sum(gaps[: n + 1])) / 100, draw(codes)) for n in range(len(gaps))]


def seconds(one: float, other: float) -> float:
    return round(other - one, 6)


@given(films())
def test_one_code_is_scanned_twice_only_after_it_was_out_of_sight(frames: Film) -> None:
    scans = presences(frames)
    for code in (A, B):
        times = [at for at, codes in frames if code in codes]
        first = [at for at, scanned in scans if scanned == code]
        for one, other in pairwise(first):
            between = [at for at in times if one <= at <= other]
            assert max(map(seconds, between, between[1:])) >= REARMED


@given(films())
def test_each_time_a_code_is_in_sight_the_first_pair_of_sightings_is_the_scan(frames: Film) -> None:
    scans = presences(frames)
    for code in (A, B):
        times = [at for at, codes in frames if code in codes]
        away = [n for n, pair in enumerate(pairwise(times), 1) if seconds(*pair) >= 0.8]
        stays = [times[start:end] for start, end in pairwise([0, *away, len(times)])]
        pairs = [[other for one, other in pairwise(stay) if seconds(one, other) <= 0.5] for stay in stays]
        assert [at for at, found in scans if found == code] == [first for first, *_ in filter(None, pairs)]


@given(films())
def test_codes_do_not_bear_on_each_other(frames: Film) -> None:
    for code in (A, B):
        alone = [(at, codes & {code}) for at, codes in frames]
        assert presences(alone) == [(at, found) for at, found in presences(frames) if found == code]


@pytest.mark.parametrize(
    ("times", "scans"),
    [
        ([0.0], []),  # a flicker
        ([0.0, 0.6, 1.2], []),
        ([0.0, 0.5], [0.5]),
        ([0.0, 0.1, 0.2, 0.9, 1.6], [0.1]),  # held up, and read now and then
        ([0.0, 0.4, 1.2], [0.4]),  # away for 0.8 s, and a flicker
        ([0.0, 0.4, 1.2, 1.3], [0.4, 1.3]),
        ([0.0, 0.4, 1.19, 1.3], [0.4]),
    ],
)
def test_presences_of_one_code(times: list[float], scans: list[float]) -> None:
    assert [at for at, _ in presences([(at, {A}) for at in times])] == scans


# What is in a frame

LOT = "010880104560013010AB\x1d3103001750"
PRINTED: list[tuple[Picture, str, str]] = [
    (printed(ean13(GTIN)), GTIN, "EAN13"),
    (printed(ean13("9780441014989")), "9780441014989", "EAN13"),  # a book
    (printed(ean13("0036000291452")), "036000291452", "UPCA"),
    (printed(upce("01234565")), "01234565", "UPCE"),
    (printed(ean8("96385074")), "96385074", "EAN8"),
    (printed(itf("18801045600137"), 2), "18801045600137", "ITF14"),
    (printed(code128("KR0123456789"), 2), "KR0123456789", "CODE128"),
    (printed(code128("0108801045600130"), 2), "0108801045600130", "CODE128"),
    (printed(code128(LOT, gs1=True), 2, 200), LOT, "GS1-128"),
    (qr("https://id.gs1.org/01/08801045600130"), "https://id.gs1.org/01/08801045600130", "QR"),
    (qr("물 2L"), "물 2L", "QR"),
    (qr("Café"), "Café", "QR"),
]


@pytest.mark.parametrize("angle", [0, 5, 45, 180, 270])
@pytest.mark.parametrize(
    ("label", "text", "symbology"), PRINTED, ids=[f"{name}-{text[:8]}" for *_, text, name in PRINTED]
)
def test_what_is_held_up_is_read(label: Picture, text: str, symbology: str, angle: int) -> None:
    assert decode(seen(label, angle, seed=angle, size=(840, 840))) == [(text, symbology)]


@pytest.mark.parametrize("angle", range(0, 360, 15))
def test_a_product_is_read_however_it_is_turned(angle: int) -> None:
    assert decode(seen(printed(ean13(GTIN)), angle, seed=angle)) == [(GTIN, "EAN13")]


def test_two_products_at_once() -> None:
    both = np.concatenate([seen(LABEL, size=SMALL), seen(OTHER, size=SMALL), seen(LABEL, size=SMALL)])
    assert sorted(decode(both)) == [(GTIN, "EAN13"), ("96385074", "EAN8")]


@pytest.mark.parametrize(
    "label",
    [
        printed(itf("123456")),
        printed(itf("18801045600130"), 2),  # a wrong check digit
        printed(ean13(GTIN)[:60]),
        qr(""),
    ],
    ids=["itf-6", "itf-14", "half", "empty"],
)
def test_what_is_no_code_of_a_shop(label: Picture) -> None:
    assert decode(seen(label)) == []


@pytest.mark.parametrize(("lines", "codes"), [(3, []), (8, [(GTIN, "EAN13")])])
def test_a_few_lines_are_not_enough_to_be_sure(lines: int, codes: list[Code]) -> None:
    strip = np.pad(printed(ean13(GTIN), height=lines), 20, constant_values=255)
    assert decode(np.repeat(strip[:, :, None], 3, axis=2)) == codes


def test_nobody_is_there() -> None:
    assert decode(seen(None)) == []


def test_any_layout_of_a_frame_will_do() -> None:
    frame = seen(printed(ean13(GTIN)))
    before = frame.copy()
    frame.flags.writeable = False
    wide = np.repeat(frame, 2, axis=1)
    for view in (frame, frame[::-1, ::-1], np.asfortranarray(frame), wide[:, ::2]):
        assert decode(view) == [(GTIN, "EAN13")]
    assert np.array_equal(frame, before)


def test_colours_are_weighed() -> None:
    """A code on red, which is as dark as its bars in the blue channel."""
    frame = seen(printed(ean13(GTIN)))
    frame[:, :, 0] = 20
    assert decode(frame) == [(GTIN, "EAN13")]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 2**32), st.sampled_from([1, 3, 12]))
@settings(deadline=None)
def test_any_frame_can_be_looked_at(height: int, width: int, seed: int, scale: int) -> None:
    dice = np.random.default_rng(seed)
    tile = dice.integers(0, dice.integers(1, 256), (height, width, 3), np.uint8, endpoint=True)
    found = decode(tile.repeat(scale, 0).repeat(dice.choice([1, scale]), 1))
    assert {symbology for _, symbology in found} <= SYMBOLOGIES
    assert all(isinstance(text, str) and text for text, _ in found)


@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1), (2, 40_000), (1, 1)])
def test_a_frame_of_any_form_can_be_looked_at(shape: tuple[int, int]) -> None:
    assert decode(np.full((*shape, 3), 255, np.uint8)) == []


def test_zbar_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Bars at which a part of its DataBar reader fails an assertion and prints it."""
    widths = "1111145121119131217111111121352337112411212242113311337111412211331321141115531134113111"
    bars = "".join("10"[n % 2] * int(width) for n, width in enumerate(widths))
    decode(np.repeat(printed(bars, height=8)[:, :, None], 3, axis=2))
    assert capfd.readouterr().err == ""


# The driver on real files and streams


async def readings(source: object) -> list[Reading]:
    """Run the driver until it is done."""
    found: list[Reading] = []

    async def emit(reading: Reading) -> None:
        found.append(reading)

    await Driver(read_point="till-1", source=Source(source)).run(emit)
    return found


READY = Ready(read_point="till-1")
SCAN = Scan(read_point="till-1", text=GTIN, symbology="EAN13")


async def test_a_film_is_played_once(tmp_path: Path) -> None:
    held = shots((LABEL, 4), (None, 10), (LABEL, 4), (OTHER, 1), (None, 1))
    path = film(tmp_path / "day.avi", held, rate=10)
    begun = asyncio.get_running_loop().time()
    assert await readings(path) == [READY, SCAN, SCAN]
    assert asyncio.get_running_loop().time() - begun > 1.8, "at its own rate"


async def test_a_sequence_has_25_frames_a_second(tmp_path: Path) -> None:
    pattern = sequence(tmp_path / "seq", shots((LABEL, 3), (None, 18), (LABEL, 3), (None, 19), (LABEL, 3)))
    assert await readings(pattern) == [READY, SCAN, SCAN]  # out of sight for 0.76 s, and for 0.8 s


async def test_a_slow_machine_sees_the_same(tmp_path: Path) -> None:
    """At 200 frames a second no machine keeps up; 0.6 s of absence stay 0.6 s."""
    path = film(tmp_path / "fast.avi", shots((LABEL, 5), (None, 120), (LABEL, 5)), rate=200)
    assert await readings(path) == [READY, SCAN]


@pytest.mark.parametrize("name", ["photo.jpg", "photo1.png", "photo%20.bmp"])
async def test_an_image_is_one_scan(tmp_path: Path, name: str) -> None:
    for path in (tmp_path / name, tmp_path / "photo2.png"):
        assert cv2.imwrite(str(path), seen(LABEL, size=SMALL))
    assert await readings(tmp_path / name) == [READY, SCAN]


@pytest.mark.parametrize("name", ["nix.avi", "nix.jpg", "nix/f%03d.jpg", "text.avi", "text.jpg", "cut.jpg", "."])
async def test_what_is_no_film_is_lost(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.avi").write_text("no film\n")
    (tmp_path / "text.jpg").write_text("no image\n")
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    with pytest.raises(DeviceLost, match=re.escape(str(tmp_path / name))):
        await readings(tmp_path / name)
    assert "cut" in name or capfd.readouterr().err == ""


@pytest.mark.parametrize("source", ["/dev/video-nix", "4711", "http://staff:secret@127.0.0.1:9/camera"])
async def test_a_camera_that_is_not_there_is_lost(source: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DeviceLost) as lost:
        await readings(source)
    assert "cannot be opened" in str(lost.value)
    assert "secret" not in str(lost.value)
    assert capfd.readouterr().err == ""


def test_the_cameras_attached_are_devices() -> None:
    assert all(keys["source"].startswith("/dev/video") for _, keys in camera.attached())


class Watching:
    """A driver at a stream, as a task; its readings as they come."""

    def __init__(self, source: str) -> None:
        self.readings: list[Reading] = []
        self.task = asyncio.create_task(Driver(read_point="till-1", source=Source(source)).run(self._emit))

    async def _emit(self, reading: Reading) -> None:
        self.readings.append(reading)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        await asyncio.to_thread(until, lambda: condition() or self.task.done(), what, 20)

    async def stopped(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
def stream() -> Iterator[Stream]:
    with Stream() as running:
        yield running


async def test_a_stream_is_scanned_until_it_stands_still(stream: Stream) -> None:
    empty, held = stream.pictures, [seen(LABEL, size=SMALL)]
    watching = Watching(stream.url)
    for times in (1, 2):
        stream.pictures = held
        await watching.until(lambda times=times: len(watching.readings) > times, "a scan")
        stream.pictures, enough = empty, stream.sent + 30
        await watching.until(lambda enough=enough: stream.sent > enough, "out of sight for a while")
    assert watching.readings == [READY, SCAN, SCAN]
    stream.pictures = []
    with pytest.raises(DeviceLost, match="picture"):
        await asyncio.wait_for(watching.task, 10)
    stream.pictures = empty
    await asyncio.to_thread(until, lambda: not stream.viewers, "it is let go")
    assert watching.readings == [READY, SCAN, SCAN]


async def test_a_slow_machine_looks_at_the_newest_frame() -> None:
    """Frames that take long come faster than they can be read; what is held up then is seen at once."""
    dice = np.random.default_rng(1)
    noise = [dice.integers(0, 256, (480, 640, 3), np.uint8) for _ in range(3)]
    with Stream(rate=100) as stream:
        stream.pictures = noise
        watching = Watching(stream.url)
        await watching.until(lambda: stream.sent > 150, "150 frames")
        stream.pictures, sent = [seen(LABEL, seed=n, size=(480, 640)) for n in range(3)], stream.sent
        await watching.until(lambda: SCAN in watching.readings, "the scan")
        assert watching.readings == [READY, SCAN]
        assert stream.sent - sent < 400, "a queue"
        await watching.stopped()


async def test_the_camera_is_let_go_at_a_stop(stream: Stream) -> None:
    watching = Watching(stream.url)
    await watching.until(lambda: watching.readings, "it is ready")
    await watching.stopped()
    await asyncio.to_thread(until, lambda: not stream.viewers, "nobody looks")


async def test_a_camera_that_does_not_answer_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        watching = Watching(f"http://127.0.0.1:{mute.getsockname()[1]}/camera")
        connection, _ = await asyncio.to_thread(mute.accept)
        with connection:
            assert not watching.task.done()
            begun = asyncio.get_running_loop().time()
            await watching.stopped()
            assert asyncio.get_running_loop().time() - begun < 2 * SILENT


# Stories of a store


@pytest.fixture
def opened(store: Store, platform: Platform) -> Store:
    """A store with one shopper in its directory."""
    platform.customer("c-1", "k-1", "cart")
    platform.band(pseudonym("nfc", BAND), "c-1")
    store.start()
    store.ready()
    platform.wait_pulled()
    return store


def drivers(store: Store) -> dict[str, str]:
    return {row["driver"]: row["state"] for row in store.status()["drivers"]}


def settle(store: Store, platform: Platform, app: App) -> list[dict[str, Any]]:
    """Wait until nothing waits; hold everybody against the contract; return the events."""
    until(store.settled, f"nothing waits: {store.status()}", 30)
    events = store.events()
    until(lambda: platform.events() == events, "the platform has the journal", 10)
    assert platform.problems() == []
    assert [problem for event in events for problem in event_violations(event)] == []
    assert app.problems == []
    return events


def source_of(kind: str, folder: Path) -> str:
    """Make a film of that kind; return its name for the configuration, relative to that."""
    film(folder / "till.avi", shots((LABEL, 6), (None, 12), (LABEL, 6), (None, 2)), rate=10)
    sequence(folder / "seq", shots((None, 2), (LABEL, 8), (None, 26), (LABEL, 8), (None, 2)))
    cv2.imwrite(str(folder / "till.png"), seen(LABEL, size=SMALL))
    return {"avi": "till.avi", "sequence": "seq/f%03d.jpg", "image": "till.png"}[kind]


@pytest.mark.parametrize(("kind", "items"), [("avi", 2), ("sequence", 2), ("image", 1)])
def test_what_is_held_up_is_in_the_cart(opened: Store, platform: Platform, app: App, kind: str, items: int) -> None:
    opened.tap(BAND)
    until(lambda: opened.of("customer.identified"), "the session")
    opened.stop()
    opened.configure([{"kind": "camera", "read_point": "till-1", "source": source_of(kind, opened.folder)}])
    opened.start()
    until(lambda: app.cart == [padded(GTIN)] * items, f"{items} items", 30)
    until(lambda: drivers(opened) == {"replay@till-1": "ok", "camera@till-1": "done"}, "the film is over", 20)
    settle(opened, platform, app)
    assert app.cart == [padded(GTIN)] * items
    assert {event["data"]["symbology"] for event in app.received} == {"EAN13"}
    assert opened.of("device.lost", "device.recovered", "scan.unclaimed") == []


def test_a_missing_camera_is_told_once_and_nobody_else_notices(opened: Store, platform: Platform, app: App) -> None:
    opened.stop()
    opened.floor["claim"] = "1s"
    source = opened.folder / "late.avi"
    opened.configure([{"kind": "camera", "read_point": "till-2", "source": "late.avi"}])
    opened.start()
    opened.tap(BAND)
    for number in range(5):
        opened.scan(number)
    until(lambda: len(app.cart) == 5, "five items at the other till")
    (lost,) = until(lambda: opened.of("device.lost"), "the loss")
    assert lost["data"]["driver"] == "camera@till-2"
    assert str(source) in lost["data"]["reason"]
    opened.ready()
    source.write_text("no film yet\n")
    opened.scan(5)
    until(lambda: len(app.cart) == 6, "one more")
    film(source, shots((LABEL, 6)), rate=10)
    (recovered,) = until(lambda: opened.of("device.recovered"), "the recovery", 20)
    assert recovered["data"] == lost["data"]
    until(lambda: opened.of("scan.unclaimed"), "the scan at the second till, which nobody claims", 20)
    events = settle(opened, platform, app)
    assert app.cart == [padded(gtin13(number)) for number in range(6)]
    assert [event["type"] for event in events if "device." in event["type"]] == [lost["type"], recovered["type"]]


def test_a_mute_camera_does_not_hold_up_the_stop(opened: Store) -> None:
    opened.stop()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/camera"
        opened.configure([{"kind": "camera", "read_point": "till-2", "source": url}])
        opened.start()
        mute.settimeout(20)
        with mute.accept()[0]:
            opened.ready()
            opened.stop()
