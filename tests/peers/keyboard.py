"""What a keyboard types, by another's word: libxkbcommon and the keyboard files of X. A scanner, turned round.

A stroke is a key (the kernel's code) that goes down (1) or up (0).
"""

from __future__ import annotations

from ctypes import CDLL, POINTER, Structure, c_char_p, c_int, c_uint32, c_void_p, pointer
from functools import cache
from typing import TYPE_CHECKING

from evdev import InputEvent
from evdev import ecodes as e

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Stroke = tuple[int, int]
Ways = dict[str, list[tuple[tuple[int, ...], int, bool]]]

COUNTRIES = {"us": "us", "ko": "kr", "uk": "gb", "de": "de", "fr": "fr"}
DEAD = {0xFE50: "`", 0xFE51: "´", 0xFE52: "^", 0xFE57: "¨"}
COLUMNS = ((), (e.KEY_LEFTSHIFT,), (e.KEY_RIGHTSHIFT,), (e.KEY_RIGHTALT,))
WINDOWS = {"fr": {"~": [((e.KEY_RIGHTALT,), e.KEY_2, True)], "`": [((e.KEY_RIGHTALT,), e.KEY_7, True)]}}
"""Where scanners, which are made for Windows, type otherwise than X: these are dead keys there."""
OFFSET = 8  # X counts keys from there


class Names(Structure):
    """`struct xkb_rule_names`."""

    _fields_ = tuple((name, c_char_p) for name in ("rules", "model", "layout", "variant", "options"))


@cache
def keyboard(layout: str) -> Ways:
    """Return for each sign the simplest ways to type it: modifiers, key, and whether the key is a dead one."""
    xkb = CDLL("libxkbcommon.so.0")
    for name in ("xkb_context_new", "xkb_keymap_new_from_names", "xkb_state_new"):
        getattr(xkb, name).restype = c_void_p
    xkb.xkb_keymap_new_from_names.argtypes = c_void_p, POINTER(Names), c_int
    xkb.xkb_state_new.argtypes = (c_void_p,)
    xkb.xkb_state_update_key.argtypes = c_void_p, c_uint32, c_int
    xkb.xkb_state_key_get_one_sym.argtypes = c_void_p, c_uint32
    names = Names(b"evdev", b"pc105", COUNTRIES[layout].encode(), None, None)
    keymap = xkb.xkb_keymap_new_from_names(xkb.xkb_context_new(0), pointer(names), 0)
    assert keymap, f"no keyboard files for {layout}"
    ways: Ways = {}
    keys = [*range(e.KEY_1, e.KEY_RIGHTSHIFT), e.KEY_SPACE]
    if layout not in ("us", "ko"):
        keys.append(e.KEY_102ND)
    for modifiers in COLUMNS:
        state = xkb.xkb_state_new(keymap)
        for modifier in modifiers:
            xkb.xkb_state_update_key(state, modifier + OFFSET, 1)
        for key in keys:
            symbol = xkb.xkb_state_key_get_one_sym(state, key + OFFSET)
            sign = DEAD.get(symbol) or chr(xkb.xkb_keysym_to_utf32(symbol))
            known = ways.setdefault(sign, []) if sign.isprintable() else []
            if not known or (known[0][0] == COLUMNS[1] and modifiers == COLUMNS[2] and known[0][1] == key):
                known.append((modifiers, key, symbol in DEAD))
    return ways | WINDOWS.get(layout, {})


def stroke(key: int, *modifiers: int) -> list[Stroke]:
    """Strike a key while others are held."""
    return [*((held, 1) for held in modifiers), (key, 1), (key, 0), *((held, 0) for held in reversed(modifiers))]


def typed(text: str, layout: str = "us", choices: Sequence[int] = (0,)) -> list[Stroke]:
    """Type printable text; `choices` says which of several ways."""
    strokes = []
    for place, sign in enumerate(text):
        ways = keyboard(layout)[sign]
        modifiers, key, dead = ways[choices[place % len(choices)] % len(ways)]
        strokes += stroke(key, *modifiers)
        if dead:
            strokes += stroke(e.KEY_SPACE)
    return strokes


def by_number(sign: str, digits: str = "") -> list[Stroke]:
    """Type a sign as Alt and its number on the keypad, as scanners do on unknown layouts."""
    strokes = [(e.KEY_LEFTALT, 1)]
    for digit in digits or f"{ord(sign):04}":
        strokes += stroke(getattr(e, f"KEY_KP{digit}"))
    return [*strokes, (e.KEY_LEFTALT, 0)]


def events(strokes: Iterable[Stroke], at: float, step: float = 0.002) -> list[InputEvent]:
    """Give the events that the kernel makes of strokes from `at` on: the place on the device, the key, the report."""
    made = []
    for number, (key, value) in enumerate(strokes):
        when = at + number * step
        for type, code, what in ((e.EV_MSC, e.MSC_SCAN, 0x70000 + key), (e.EV_KEY, key, value), (e.EV_SYN, 0, 0)):
            made.append(event(when, type, code, what))
    return made


def event(at: float, type: int, code: int, value: int) -> InputEvent:
    """Give one event."""
    return InputEvent(int(at), round(at % 1 * 1e6), type, code, value)
