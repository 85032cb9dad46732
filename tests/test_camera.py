"""The camera: what is held up is one scan, whatever the light, the machine and the cable do."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.camera import Driver, attached, capture
from drivers.camera.capture import SILENT
from drivers.camera.engines import Code
from drivers.camera.exposure import Exposure
from drivers.camera.pace import Pace
from drivers.camera.presence import REARMED, Presence
from edge.model import Reading, Ready, Scan
from edge.ports import DeviceLost, Source
from peers.app import event_violations
from peers.bars import Picture, ean8, ean13, printed, qr, seen
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
A, B = ("8801000000012", "EAN13"), ("96385074", "EAN8")


LOOKS = 0.1
"""Seconds between the frames in which nothing is."""


def presences(frames: Film) -> list[tuple[float, Code]]:
    """What is scanned if the camera looks all the time, and sees nothing but in `frames`."""
    looks: Film = []
    for at, codes in frames:
        while looks and at - looks[-1][0] > LOOKS:
            looks.append((looks[-1][0] + LOOKS, set()))
        looks.append((at, codes))
    return watched(looks)


def watched(frames: Film) -> list[tuple[float, Code]]:
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


@given(films())
def test_what_is_held_up_while_the_machine_stands_still_is_one_scan(frames: Film) -> None:
    """It was in sight whenever the camera looked."""
    assert len(watched([(at, {A}) for at, _ in frames])) <= 1


def test_after_a_machine_that_stood_still_a_code_is_looked_for_as_before() -> None:
    held, gone, again = [0.0, 0.1, 3.0, 3.1], [3.2 + n / 10 for n in range(8)], [4.0, 4.1]
    frames: Film = [*((at, {A}) for at in held), *((at, set()) for at in gone), *((at, {A}) for at in again)]
    assert [at for at, _ in watched(frames)] == [0.1, 4.1]


def test_a_package_that_names_its_product_twice_is_one_scan() -> None:
    bars, square = ("9506000134352", "EAN13"), ("https://id.gs1.org/01/09506000134352/10/ABC", "QR")
    both = [{bars, square}, {bars}, {square}, {square}, {bars, square}]
    scans = presences([(number / 10, codes) for number, codes in enumerate(both)])
    assert [at for at, _ in scans] == [0.1]


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


# The driver on real files and streams


async def readings(source: object, **settings: Any) -> list[Reading]:
    """Run the driver until it is done."""
    found: list[Reading] = []

    async def emit(reading: Reading) -> None:
        found.append(reading)

    await Driver(read_point="till-1", source=Source(source), **settings).run(emit)
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


def presented(label: Picture, seed: int, frames: int = 14) -> list[Picture]:
    """Somebody holds a product up: it comes in turned, trembles, is out of focus now and then, and goes."""
    dice, start = np.random.default_rng(seed), float(np.random.default_rng(seed).uniform(0, 360))
    scenes = [seen(label, start + 3 * n + float(dice.normal(0, 2)), 100 * seed + n, (480, 640)) for n in range(frames)]
    for n, scene in enumerate(scenes):
        if n % 5 == 2:
            scene[:] = cv2.GaussianBlur(scene, (0, 0), float(dice.uniform(1.0, 6.0)))
        across = int(500 * abs(n - frames // 2) / frames) * (1 if seed % 2 else -1)
        scene[:] = cv2.warpAffine(
            scene, np.array([[1.0, 0, across], [0, 1, 0]]), (640, 480), borderMode=cv2.BORDER_REPLICATE
        )
    return [cv2.resize(scene, SMALL[::-1], interpolation=cv2.INTER_AREA) for scene in scenes]


async def test_one_presentation_is_one_scan_however_it_is_held(tmp_path: Path) -> None:
    products = [
        (printed(ean13(GTIN)), GTIN, "EAN13"),
        (printed(ean8("96385074"), 4), "96385074", "EAN8"),
        (printed(ean13("0036000291452")), "036000291452", "UPCA"),
        (qr("https://id.gs1.org/01/08801045600130", 8), "https://id.gs1.org/01/08801045600130", "QR"),
    ]
    nobody = [seen(None, seed=n, size=SMALL) for n in range(14)]
    pictures = [picture for n, (label, *_) in enumerate(products) for picture in (*presented(label, n), *nobody)]
    path = film(tmp_path / "till.avi", pictures, rate=15)
    scans = [Scan(read_point="till-1", text=text, symbology=symbology) for _, text, symbology in products]
    assert await readings(path) == [READY, *scans]


async def test_only_the_region_is_looked_at(tmp_path: Path) -> None:
    both = np.concatenate([seen(LABEL, size=SMALL), seen(OTHER, size=SMALL)], axis=1)
    assert cv2.imwrite(str(tmp_path / "both.png"), both)
    other = Scan(read_point="till-1", text="96385074", symbology="EAN8")
    assert await readings(tmp_path / "both.png", region=(0.0, 0.0, 0.5, 1.0)) == [READY, SCAN]
    assert await readings(tmp_path / "both.png", region=(0.5, 0.0, 1.0, 1.0)) == [READY, other]
    assert await readings(tmp_path / "both.png", region=(0.0, 0.999, 1.0, 1.0)) == [READY]


@pytest.mark.parametrize("region", [(0.5, 0.0, 0.5, 1.0), (0.0, 0.8, 1.0, 0.2)])
def test_a_region_without_anything_in_it_is_refused(region: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="region"):
        Driver(read_point="till-1", source=Source("0"), region=region)


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
    assert all(keys["source"].startswith("/dev/video") for _, keys in attached())


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
        stream.pictures, enough = empty, stream.sent + 60
        await watching.until(lambda enough=enough: stream.sent > enough, "out of sight for a while")
    assert watching.readings == [READY, SCAN, SCAN]
    stream.pictures = []
    with pytest.raises(DeviceLost, match="picture"):
        await asyncio.wait_for(watching.task, 30)
    stream.pictures = empty
    await asyncio.to_thread(until, lambda: not stream.viewers, "it is let go")
    assert watching.readings == [READY, SCAN, SCAN]


async def test_a_machine_that_stands_still_is_no_camera_that_falls_silent(stream: Stream) -> None:
    came = 0

    async def look() -> None:
        nonlocal came
        async for _ in capture.shots(stream.url, "till-1"):
            came += 1

    async def pictures() -> None:
        enough = came + 5
        await asyncio.to_thread(until, lambda: came > enough or looking.done(), "pictures")

    looking = asyncio.create_task(look())
    for _ in range(3):
        await pictures()
        asyncio.get_running_loop().call_soon(time.sleep, SILENT + 0.3)  # nothing is waited for: this is the fault
    await pictures()
    assert not looking.done()
    looking.cancel()
    await asyncio.wait((looking,))


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


def looked_at(times: list[float], came: int, pace: Pace) -> None:
    """At each of the times a frame is looked at; with each came that many."""
    for at in times:
        pace.came += came
        pace.look(at)


def test_it_is_said_once_that_too_many_frames_are_skipped(caplog: pytest.LogCaptureFixture) -> None:
    pace, every = Pace("till-1: camera 0"), [n / 25 for n in range(2500)]
    looked_at(every[:500], 1, pace)
    looked_at(every[500:1000:2], 2, pace)
    assert (caplog.messages, pace.skipped) == ([], 250)
    looked_at(every[1000:1750:10], 10, pace)
    (said,) = caplog.messages
    assert re.search(r"till-1: camera 0: \d+ of \d+ frames are skipped", said)
    looked_at(every[1750:], 1, pace)
    assert caplog.messages[1:] == ["till-1: camera 0: enough frames are looked at again"]
    assert (pace.came, pace.skipped) == (2500, 250 + 9 * 75)


def test_a_slow_camera_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    looked_at([n * 0.5 for n in range(100)], 1, Pace("till-1: camera 0"))
    assert caplog.messages == []


async def test_skipped_frames_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with Stream(rate=200) as stream:
        stream.pictures = [np.random.default_rng(n).integers(0, 256, (480, 640, 3), np.uint8) for n in range(3)]
        watching = Watching(stream.url)
        await watching.until(lambda: stream.sent > 150, "150 frames")
        await watching.stopped()
    (said,) = [message for message in caplog.messages if "looked at" in message]
    counted = re.search(r"till-1: camera http\S+: (\d+) frames looked at, (\d+) skipped", said)
    assert counted
    looked, skipped = map(int, counted.groups())
    assert looked > 0
    assert skipped > 0
    assert looked + skipped <= stream.sent


class Lamp:
    """A camera whose picture gets as bright as its exposure says: a dark room in which something white is held up."""

    def __init__(self, light: float, exposure: float = 300.0, *, mode: float = 3.0, settable: bool = True) -> None:
        self.light, self.settable = light, settable
        self.values = {cv2.CAP_PROP_EXPOSURE: exposure, cv2.CAP_PROP_AUTO_EXPOSURE: mode}

    def get(self, key: int, /) -> float:
        return self.values[key]

    def set(self, key: int, value: float, /) -> bool:
        if self.settable:
            self.values[key] = value
        return self.settable

    def picture(self) -> Picture:
        scene = np.full((48, 64, 3), 0.1)
        scene[16:32, 16:48] = 1.0
        return np.clip(scene * self.values[cv2.CAP_PROP_EXPOSURE] * self.light, 0, 255).astype(np.uint8)


@given(st.floats(0.3, 20), st.floats(50, 600))
@settings(max_examples=50)
def test_what_is_white_is_not_burnt_out_for_long(light: float, start: float) -> None:
    camera = Lamp(light, start)
    exposure, given = Exposure(camera), []
    for _ in range(400):
        exposure.see(camera.picture())
        given.append(camera.values[cv2.CAP_PROP_EXPOSURE])
    burnt = np.mean(camera.picture() >= 250) > 0.02
    assert not burnt or camera.values[cv2.CAP_PROP_EXPOSURE] == 1
    assert len(set(given[-100:])) == 1, "it has settled"
    exposure.release()
    assert camera.values[cv2.CAP_PROP_AUTO_EXPOSURE] == 3


@pytest.mark.parametrize("mode", [3.0, 1.0])
def test_it_gets_lighter_again(mode: float) -> None:
    """Also in one that was left to be set by hand, as by a daemon that was killed."""
    camera = Lamp(4.0, mode=mode)
    exposure = Exposure(camera)
    for light in (4.0, 0.5):
        camera.light = light
        for _ in range(400):
            exposure.see(camera.picture())
        assert 150 < camera.picture().max() < 250


@pytest.mark.parametrize("camera", [Lamp(0.5), Lamp(4.0, 0.0), Lamp(4.0, -1.0), Lamp(4.0, settable=False)])
def test_a_camera_that_exposes_well_or_not_at_all_is_left_alone(camera: Lamp) -> None:
    exposure, before = Exposure(camera), dict(camera.values)
    for _ in range(100):
        exposure.see(camera.picture())
    exposure.release()
    assert camera.values == before


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
    until(lambda: platform.events() == events, "the platform has the journal")
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
