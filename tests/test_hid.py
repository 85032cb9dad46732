"""Scanners that are keyboards: what their keys say, and stories with the real evdev and the real daemon."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from evdev import InputEvent
from evdev import ecodes as e
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.hid import Driver
from drivers.hid.keyboard import LONGEST, PAUSE, SILENCE, Keyboard
from drivers.hid.layouts import LAYOUTS
from edge.settings import SettingsError, driver
from peers.app import event_violations
from peers.gtin import gtin13, padded
from peers.keyboard import by_number, event, events, keyboard, stroke, typed
from peers.needles import found_in
from peers.process import until
from peers.scanner import VOLUME, Kernel
from peers.store import Store, Table, command, pseudonym

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import ExitStack

    from conftest import Platform
    from peers.app import App
    from peers.keyboard import Stroke

ENTER = stroke(e.KEY_ENTER)
GS = stroke(e.KEY_RIGHTBRACE, e.KEY_LEFTCTRL)
LOYALTY = "KR0123456789"
LOT = "]C1010880104560013010AB\x1d3103001750"
LINK = "https://id.gs1.org/01/08801045600130/10/ABC1/21/12345?17=180426"
GOOD = "8801045600130"
BAND = "04A1B2C3D4E5F6"
HALF = "96385074"  # of a longer code, and a product by itself

# What the keys say


def told(scanner: Keyboard, made: Iterable[InputEvent]) -> list[str]:
    return [line for one in made if (line := scanner.take(one)) is not None]


def read(strokes: Iterable[Stroke], layout: Any = "us", **more: str) -> list[str]:
    """Read what is typed at 10 on a scanner that was opened at 0."""
    return told(Keyboard(layout, 0.0, **more), events(strokes, 10.0))


def line(text: str) -> list[Stroke]:
    return [*typed(text), *ENTER]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_sign_of_each_layout(layout: str) -> None:
    signs = {chr(code) for code in range(0x20, 0x7F)}
    assert signs <= set(keyboard(layout))
    assert {sign: read([*typed(sign, layout), *ENTER], layout) for sign in signs} == {sign: [sign] for sign in signs}


@st.composite
def typings(draw: st.DrawFn) -> tuple[str, str, list[int]]:
    """A layout, text that can be typed there, and which of several ways it is typed."""
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    signs = sorted(sign for sign in keyboard(layout) if sign.isascii())
    text = draw(st.text(st.sampled_from(signs), min_size=1, max_size=60))
    return layout, text, draw(st.lists(st.integers(0, 1), min_size=1, max_size=5))


@given(typings(), st.sampled_from([e.KEY_ENTER, e.KEY_KPENTER, e.KEY_TAB]))
def test_what_is_typed_is_read(typing: tuple[str, str, list[int]], end: int) -> None:
    layout, text, choices = typing
    assert read([*typed(text, layout, choices), *stroke(end)] * 2, layout) == [text] * 2


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "separator",
    [GS, stroke(e.KEY_RIGHTBRACE, e.KEY_RIGHTCTRL), by_number("\x1d")],
    ids=["left", "right", "number"],
)
def test_the_separator_of_gs1(layout: str, separator: list[Stroke]) -> None:
    first, second = (typed(part, layout) for part in LOT.split("\x1d"))
    assert read([*first, *separator, *second, *ENTER], layout) == [LOT]


@pytest.mark.parametrize(
    ("strokes", "layout", "text"),
    [
        (stroke(e.KEY_9, e.KEY_RIGHTALT, e.KEY_LEFTCTRL) + typed("1"), "de", "\x1d1"),
        (stroke(e.KEY_B, e.KEY_LEFTCTRL) + typed("1"), "us", "\x021"),
        (stroke(e.KEY_M, e.KEY_LEFTCTRL) + typed("1"), "us", "1"),
        ([s for digit in "0123456789" for s in stroke(getattr(e, f"KEY_KP{digit}"))], "fr", "0123456789"),
        (stroke(e.KEY_KPDOT) + stroke(e.KEY_KPMINUS), "us", ".-"),
        (stroke(e.KEY_KPDOT), "de", ","),
        (by_number("é") + by_number("é", "130") + by_number("A", "65"), "us", "ééA"),
        (typed("1") + by_number("\r"), "us", "1"),
        (stroke(e.KEY_CAPSLOCK) + typed("aB1!") + stroke(e.KEY_CAPSLOCK) + typed("c"), "us", "Ab1!c"),
        (stroke(e.KEY_CAPSLOCK) + typed("ßä", "de"), "de", "ßÄ"),
        (stroke(e.KEY_NUMLOCK) + typed("1") + stroke(e.KEY_SCROLLLOCK), "us", "1"),
        (stroke(e.KEY_LEFTBRACE) + typed("a", "fr"), "fr", "â"),
        ([(e.KEY_LEFTSHIFT, 1), (e.KEY_RIGHTSHIFT, 1), *typed("a"), (e.KEY_LEFTSHIFT, 0), *typed("b")], "us", "AB"),
        ([*typed("8"), (e.KEY_0, 1), (e.KEY_0, 2), (e.KEY_0, 2), (e.KEY_0, 0)], "us", "80"),
    ],
)
def test_other_ways_to_type(strokes: list[Stroke], layout: str, text: str) -> None:
    assert read([*strokes, *ENTER], layout)[:1] == [text]


@pytest.mark.parametrize(
    ("strokes", "why"),
    [
        (stroke(e.KEY_F8), "KEY_F8 types nothing"),
        (stroke(e.KEY_1, e.KEY_LEFTALT), "types nothing"),
        (stroke(e.KEY_1, e.KEY_RIGHTALT), "types nothing"),
        (stroke(e.KEY_1, e.KEY_LEFTCTRL), "types nothing"),
        (by_number("?", "12345"), "types nothing"),
        (by_number("?", "999"), "types nothing"),
        (typed("1" * LONGEST), f"longer than {LONGEST}"),
    ],
)
def test_a_line_that_is_not_all_understood_is_nothing(strokes: list[Stroke], why: str) -> None:
    scanner = Keyboard("us", 0.0)
    assert told(scanner, events([*typed("880"), *strokes, *typed("1"), *ENTER], 10.0)) == []
    assert why in (scanner.trouble or "")
    assert told(scanner, events(line(GOOD), 20.0)) == [GOOD]
    assert scanner.trouble is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_control_with_each_key(layout: Any) -> None:
    for key in range(e.KEY_1, e.KEY_CAPSLOCK):
        found = read([*stroke(key, e.KEY_LEFTCTRL), *ENTER], layout)
        assert found == [] or (len(found[0]) == 1 and not found[0].isprintable())


def test_the_longest_line() -> None:
    assert read(line("1" * LONGEST)) == ["1" * LONGEST]


def test_an_accent_without_a_letter() -> None:
    accent, other = stroke(e.KEY_LEFTBRACE), [*typed("12", "fr"), *ENTER]
    assert read([*accent, *typed("7", "fr"), *ENTER, *other], "fr") == ["12"]
    assert read([*typed("34", "fr"), *accent, *ENTER, *other], "fr") == ["12"]


def test_a_number_that_enter_cuts_off() -> None:
    strokes = [*typed("12"), *by_number("A")[:-1], *ENTER, (e.KEY_LEFTALT, 0), *line("34")]
    assert read(strokes) == ["12", "34"]


def test_prefix_and_suffix() -> None:
    scanner = Keyboard("us", 0.0, prefix="~", suffix=";")
    for second, wrong in enumerate(("12", "~12", "12;", "~", "~;"), 10):
        assert told(scanner, events(line(wrong), second)) == []
    assert told(scanner, events(line("12"), 20.0)) == []
    assert "prefix" in (scanner.trouble or "")
    assert told(scanner, events(line("~12;"), 30.0)) == ["12"]
    assert read(line("ABA"), prefix="AB", suffix="BA") == [], "they do not overlap"


# Half a line is nothing


def test_half_a_line_and_silence() -> None:
    scanner = Keyboard("us", 0.0)
    half = events(typed("88010"), 10.0)
    assert told(scanner, half) == []
    again = half[-1].timestamp() + PAUSE
    assert told(scanner, events(line("1"), again - 0.01)) == ["880101"]
    assert told(scanner, events(typed("88010"), 20.0)) == []
    assert told(scanner, events(line(GOOD), 20.0 + 0.018 + SILENCE + 0.001)) == [GOOD]


def test_the_rest_of_a_code_after_a_pause_is_no_product() -> None:
    """What a radio held up for a moment: the whole is one product, and its end alone would be another."""
    scanner = Keyboard("us", 0.0)
    assert told(scanner, events(typed("88015"), 10.0)) == []
    assert told(scanner, events(line("96385074"), 10.14)) == []
    assert scanner.trouble
    assert told(scanner, events(line(GOOD), 10.4)) == [GOOD]


def test_silence_lets_go_of_keys() -> None:
    scanner = Keyboard("us", 0.0)
    held = [(e.KEY_LEFTSHIFT, 1), (e.KEY_RIGHTCTRL, 1), *stroke(e.KEY_CAPSLOCK), *by_number("A")[:-1]]
    assert told(scanner, [*events(held, 10.0), *events(line("a1"), 20.0)]) == ["a1"]


def test_silence_without_an_end_says_what_to_set() -> None:
    scanner = Keyboard("us", 0.0)
    told(scanner, [*events(typed(GOOD), 10.0), *events(typed(GOOD), 20.0)])
    assert "set the scanner to end codes with Enter" in (scanner.trouble or "")
    assert GOOD[:3] not in (scanner.trouble or "")


def test_what_began_before_it_was_opened() -> None:
    scanner = Keyboard("us", 10.0)
    assert told(scanner, events(line("45600130") + line(GOOD), 10.0 + PAUSE)) == [GOOD]
    assert told(Keyboard("us", 10.0), events(line(GOOD), 10.0 + PAUSE + 0.001)) == [GOOD]


def lost(made: list[InputEvent], start: int, stop: int) -> list[InputEvent]:
    """Let the kernel lose these events of a flood; it says so at the time of the last."""
    when = made[stop - 1].timestamp()
    return [*made[:start], event(when, e.EV_SYN, e.SYN_DROPPED, 0), *made[stop:]]


def test_a_loss_wherever_it_is_never_leaves_half_a_code() -> None:
    codes = ["]C1" + gtin13(1), gtin13(2), gtin13(3)]  # a Shift in the first, which may stay down
    two = events(line(codes[0]) + line(codes[1]), 10.0)
    for start in range(len(two)):
        for stop in range(start + 1, len(two) + 1, 7 + start % 7):
            rest = events(line(codes[2]), two[-1].timestamp() + 2 * PAUSE)
            whole = [*lost(two, start, stop)]
            if stop == len(two):
                whole.append(event(two[-1].timestamp(), e.EV_SYN, e.SYN_REPORT, 0))
            found = told(Keyboard("us", 0.0), whole + rest)
            assert set(found) <= set(codes), (start, stop)
            assert found[-1] == codes[2], (start, stop)


def test_a_loss_in_which_silence_fell() -> None:
    half = events(line(GOOD), 10.0)
    dropped = event(15.0, e.EV_SYN, e.SYN_DROPPED, 0)
    tail = events(line("45600130"), 15.001)
    assert told(Keyboard("us", 0.0), [*half[:20], dropped, *tail]) == []
    assert told(Keyboard("us", 0.0), [*half[:20], dropped, *events(typed("88"), 16.0)[1:], *tail[3:]]) == []


# Whatever comes

KINDS = (
    [(e.EV_KEY, 1)] * 8 + [(e.EV_KEY, 0)] * 6 + [(e.EV_KEY, 2), (e.EV_SYN, 0), (e.EV_MSC, 4), (e.EV_KEY, -1), (9, 9)]
)
CODES = [
    *range(128),
    *[e.KEY_ENTER, e.KEY_LEFTALT, e.KEY_LEFTSHIFT, e.KEY_RIGHTALT, e.KEY_LEFTCTRL, e.KEY_TAB] * 8,
    767,
]
GAPS = [0.0] * 20 + [0.001, 0.01, 0.099, PAUSE, 0.101, 1.0, -0.01]
CLEAN = {layout: events([*typed(GOOD, layout), *ENTER], 99.0) for layout in LAYOUTS}
FULL = [event(10.0, e.EV_KEY, e.KEY_KP1, 1)] * LONGEST


def rubbish(data: bytes) -> list[InputEvent]:
    """Make events of three bytes each; at the end there is a report, as always."""
    made, at = [], 10.0
    for kind, code, gap in zip(data[::3], data[1::3], data[2::3], strict=False):
        at += GAPS[gap % len(GAPS)]
        type, value = KINDS[kind % len(KINDS)]
        key = e.SYN_DROPPED * (code % 4 == 0) if type == e.EV_SYN else CODES[code % len(CODES)]
        made.append(event(at, type, key, value))
    return [*made, event(at, e.EV_SYN, e.SYN_REPORT, 0)]


def withstood(data: bytes, layout: Any, *, full: bool = False) -> None:
    """Read rubbish, and then a clean line."""
    scanner = Keyboard(layout, 0.0)
    assert told(scanner, FULL if full else []) == []
    for one in rubbish(data):
        found = scanner.take(one)
        assert found is None or 0 < len(found) <= LONGEST
        assert len(scanner._line) <= LONGEST
        assert len(scanner._held) <= 6
        assert len(scanner._number) <= 4
    assert told(scanner, CLEAN[layout]) == [GOOD]


@settings(max_examples=10_000)
@given(st.binary(max_size=60), st.sampled_from(sorted(LAYOUTS)))
def test_whatever_comes_a_clean_line_after_it_is_read(data: bytes, layout: str) -> None:
    withstood(data, layout)


@given(st.binary(max_size=60))
def test_whatever_comes_when_the_line_is_full(data: bytes) -> None:
    withstood(data, "us", full=True)


@pytest.mark.long
@settings(max_examples=1_000_000)
@given(st.binary(max_size=60), st.sampled_from(sorted(LAYOUTS)))
def test_whatever_comes_at_length(data: bytes, layout: str) -> None:
    withstood(data, layout)


# Stories


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: ExitStack) -> Kernel:
    """Lead all to a kernel that has no input devices yet."""
    kernel = Kernel(tmp_path / "kernel")
    ended.callback(kernel.close)
    monkeypatch.setenv("CARTWIRE", kernel.daemon)
    return kernel


@pytest.fixture
def opened(kernel: Kernel, store: Store, platform: Platform) -> Callable[..., Store]:
    """Open the store with these scanners and a shopper in its directory."""

    def opened(*scanners: Table) -> Store:
        platform.customer("c-1", "k-1", "cart")
        platform.band(pseudonym("nfc", BAND), "c-1")
        platform.band(pseudonym("code", LOYALTY), "c-1")
        store.configure({"kind": "hid", "read_point": "till-1", **scanner} for scanner in scanners)
        store.start()
        store.ready()
        platform.wait_pulled()
        return store

    return opened


def seen(store: Store, kind: str, number: int = 1) -> list[dict[str, Any]]:
    """Wait for that many events of the type; return them."""
    return until(lambda: found if len(found := store.of(kind)) >= number else [], f"{number} of {kind}", 20)


def test_a_scanner_fills_the_cart(
    kernel: Kernel, opened: Callable[..., Store], platform: Platform, app: App, tmp_path: Path
) -> None:
    scanner = kernel.plug(3)
    store = opened({"name": "ACME"})
    until(lambda: scanner.grabbed, "it is ours alone")
    scanner.scan(LOYALTY)
    assert seen(store, "customer.identified")[0]["data"]["method"] == "code"
    scanner.scan("]E0" + GOOD)
    first, second = (typed(part) for part in LOT.split("\x1d"))
    scanner.press([*first, *GS, *second, *ENTER])
    scanner.scan(LINK, end=e.KEY_TAB)
    until(lambda: app.cart == ["0" + GOOD] * 3, "three items")
    found = [event["data"]["symbology"] for event in store.of("cart.item_added")]
    assert found == ["EAN13", "GS1-128", None]
    until(store.settled, "nothing waits")
    assert platform.problems() == []
    assert [problem for event in store.events() for problem in event_violations(event)] == []
    store.stop()
    assert not scanner.grabbed
    assert found_in(tmp_path, LOYALTY) == set()


def test_a_scanner_is_unplugged_and_comes_back_under_another_number(
    kernel: Kernel, opened: Callable[..., Store], platform: Platform, app: App
) -> None:
    scanner, other = kernel.plug(3), kernel.plug(4, "Other", "0c2e:0b61", "usb-2/input0")
    store = opened({"usb": "FFFF:0035"}, {"usb": "0c2e:0b61", "read_point": "till-2"})
    store.tap(BAND)
    scanner.scan(GOOD)
    until(lambda: len(app.cart) == 1, "the first item")
    scanner.press(typed(HALF))
    scanner.unplug()
    lost = seen(store, "device.lost")[0]["data"]
    assert lost["driver"] == "hid@till-1"
    assert lost["reason"] == "/dev/input/event3 is gone; plug it in again, or wake it up"
    other.scan(gtin13(2))
    until(lambda: store.status()["held"] == 1, "the other till goes on")
    scanner = kernel.plug(12)
    assert seen(store, "device.recovered")[0]["data"] == lost
    scanner.scan(gtin13(3))
    until(lambda: app.cart == ["0" + GOOD, padded(gtin13(3))], "the next item, and no half of one")
    names = [event["type"] for event in store.events() if ".device." in event["type"]]
    assert len(names) == 2


def test_lines_without_an_end_are_said_once(kernel: Kernel, opened: Callable[..., Store]) -> None:
    scanner = kernel.plug(3)
    store = opened({"path": "/dev/input/event3", "grab": False, "prefix": "~"})
    assert not scanner.grabbed
    for _ in range(3):
        scanner.press(typed("~" + LOYALTY))
    store.tap(BAND)
    for _ in range(2):  # the first may be the rest of what was before
        scanner.scan("~" + GOOD)
    seen(store, "cart.item_added")
    log = store.log.read_text()
    assert log.count("a line is thrown away") == 1
    assert "set the scanner to end codes with Enter" in log
    assert LOYALTY[:4] not in log


def test_what_check_says(kernel: Kernel, store: Store) -> None:
    kernel.plug(0, "Power Button", "0000:0001", "LNXPWRBN/button/input0", VOLUME)
    kernel.plug(2, "ACME Scan 9 System Control", "ffff:0035", "usb-1/input1", VOLUME)
    kernel.plug(3)
    kernel.plug(10, "ACME Scan 9", phys="usb-1/input2")
    kernel.plug(4, "Twin", "1234:0001", "usb-2/input0")
    kernel.plug(5, "Twin", "1234:0001", "usb-3/input0")
    kernel.link("usb-2-event-kbd", 4)
    kernel.plug(6, "Locked", "1234:0002", "usb-4/input0").forbid()
    kernel.plug(7, "Held", "1234:0003", "usb-5/input0").grab()
    wrong: dict[str, tuple[Table, str]] = {
        "none": ({"name": "Zebra"}, "no scanner with 'Zebra' in its name, only ACME Scan 9 (ffff:0035), Twin"),
        "gone": ({"usb": "0c2e:0b61"}, "no scanner with usb 0c2e:0b61, only"),
        "twins": ({"name": "Twin"}, "apart by path: /dev/input/by-path/usb-2-event-kbd, /dev/input/event5"),
        "locked": ({"path": "/dev/input/event6"}, "/dev/input/event6 may not be read; put the daemon's user into"),
        "held": ({"name": "Held"}, "/dev/input/event7 is held by another program"),
        "away": ({"path": "/dev/input/event9"}, "/dev/input/event9 is not there"),
        "mouse": ({"path": "/dev/input/event2"}, "/dev/input/event2 has no digits"),
        "file": ({"path": "edge.toml"}, "edge.toml is no input device"),
    }
    right: dict[str, Table] = {
        "name": {"name": "ACME Scan 9"},
        "usb": {"usb": "FFFF:0035"},
        "path": {"path": "/dev/input/by-path/usb-2-event-kbd"},
        "shared": {"name": "Held", "grab": False},
    }
    tables = {**{name: table for name, (table, _) in wrong.items()}, **right}
    store.configure({"kind": "hid", "read_point": name, **table} for name, table in tables.items())
    said = asked("check", store)
    for name, (_, text) in wrong.items():
        assert text in found(said, name)
    for name in right:
        assert "ready" in found(said, name)


def test_check_says_which_group_where_nothing_may_be_read(kernel: Kernel, store: Store) -> None:
    kernel.plug(3).forbid()
    store.configure([{"kind": "hid", "read_point": "till-1", "name": "ACME"}])
    assert "/dev/input may not be read; put the daemon's user into the group input" in asked("check", store)
    assert "# hid: /dev/input may not be read" in asked("devices", store)


def test_the_devices_there_are_can_be_copied(kernel: Kernel, store: Store) -> None:
    assert "# hid: nothing attached" in asked("devices", store)
    kernel.plug(0, "Power Button", "0000:0001", "LNXPWRBN/button/input0", VOLUME)
    kernel.plug(3)
    kernel.plug(12, phys="usb-1/input1")
    kernel.plug(4, "Twin", "1234:0001", "usb-2/input0")
    kernel.plug(5, "Twin", "1234:0001", "usb-3/input0")
    kernel.link("usb-2-event-kbd", 4)
    said = asked("devices", store)
    assert said.count('kind = "hid"') == 3
    assert '# keyboard or scanner ACME Scan 9, usb ffff:0035\n[[driver]]\nkind = "hid"' in said
    part = said.partition("# keyboard")[2].partition("# nfc")[0]
    keys = [text for text in part.splitlines() if text.startswith(("name", "path"))]
    assert keys == [
        'name = "ACME Scan 9"',
        'path = "/dev/input/by-path/usb-2-event-kbd"',
        'path = "/dev/input/event5"',
    ]


def asked(verb: str, store: Store) -> str:
    """Return what the command prints."""
    done = subprocess.run(command(verb, store.config), capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return done.stdout


def found(said: str, read_point: str) -> str:
    """Return the line about the driver of the read point."""
    return next(text for text in said.splitlines() if f"hid@{read_point}" in text)


# The configuration


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({}, "needs one of path, name and usb"),
        ({"name": "A", "usb": "0c2e:0b61"}, "needs one of path, name and usb"),
        ({"usb": "0c2e-0b61"}, "usb"),
        ({"name": ""}, "name"),
        ({"name": "A", "layout": "xx"}, "layout"),
    ],
)
def test_what_cannot_be_configured(table: Table, why: str) -> None:
    with pytest.raises(SettingsError, match=why) as error:
        driver({"kind": "hid", "read_point": "till-1", **table}, Driver, "[[driver]] 1", Path("/etc/cartwire"))
    assert str(error.value).startswith("[[driver]] 1")
