"""The keyboard layouts that scanners can be set to, as pictures of the keys; which key is where, is evdev's.

The countries' layouts are those of Windows, for which scanners are made. What a scanner never types is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from evdev import ecodes as e

Name = Literal["us", "ko", "uk", "de", "fr"]

DEAD = {"ˋ": ("`", "\u0300"), "´": ("´", "\u0301"), "ˆ": ("^", "\u0302"), "˜": ("~", "\u0303"), "¨": ("¨", "\u0308")}
"""Keys that wait for the next one: the sign that they are before a space, the combining one before a letter."""

PLAIN, SHIFT, ALTGR = range(3)
Layout = Mapping[tuple[int, int], str]
"""What a key (evdev's code) types in a column: PLAIN, SHIFT, ALTGR."""

_ROWS = (
    (e.KEY_GRAVE, *range(e.KEY_1, e.KEY_EQUAL + 1)),
    tuple(range(e.KEY_Q, e.KEY_RIGHTBRACE + 1)),
    (*range(e.KEY_A, e.KEY_APOSTROPHE + 1), e.KEY_BACKSLASH),
    (e.KEY_102ND, *range(e.KEY_Z, e.KEY_SLASH + 1)),
)
_EVERYWHERE = {
    e.KEY_SPACE: " ",
    e.KEY_KPSLASH: "/",
    e.KEY_KPASTERISK: "*",
    e.KEY_KPMINUS: "-",
    e.KEY_KPPLUS: "+",
    e.KEY_KPDOT: ".",
    e.KEY_KPEQUAL: "=",
    **{getattr(e, f"KEY_KP{digit}"): str(digit) for digit in range(10)},
}

_US = r"""
`1234567890-=   ~!@#$%^&*()_+
qwertyuiop[]    QWERTYUIOP{}
asdfghjkl;'\    ASDFGHJKL:"|
\zxcvbnm,./     |ZXCVBNM<>?
"""
_UK = r"""
`1234567890-=   ¬!"£$%^&*()_+   ····€········
qwertyuiop[]    QWERTYUIOP{}
asdfghjkl;'#    ASDFGHJKL:@~
\zxcvbnm,./     |ZXCVBNM<>?
"""
_DE = r"""
ˆ1234567890ß´   °!"§$%&/()=?ˋ   ··²³···{[]}\·
qwertzuiopü+    QWERTZUIOPÜ*    @·€········~
asdfghjklöä#    ASDFGHJKLÖÄ'
<yxcvbnm,.-     >YXCVBNM;:_     |······µ···
"""
_FR = r"""
²&é"'(-è_çà)=   ·1234567890°+   ··˜#{[|ˋ\^@]}
azertyuiopˆ$    AZERTYUIOP¨£    ··€········¤
qsdfghjklmù*    QSDFGHJKLM%µ
<wxcvbn,;:!     >WXCVBN?./§
"""


def _read(picture: str, **other: str) -> Layout:
    """Columns: plain, with Shift, with AltGr; a dot is a key that types nothing. `other`: keys outside the picture."""
    keys = {(key, column): sign for key, sign in _EVERYWHERE.items() for column in (PLAIN, SHIFT, ALTGR)}
    for places, line in zip(_ROWS, picture.split("\n")[1:-1], strict=True):
        for column, signs in enumerate(line.split()):
            keys |= {(key, column): sign for key, sign in zip(places, signs, strict=True) if sign != "·"}
    return keys | {(getattr(e, key), column): sign for key, sign in other.items() for column in (PLAIN, SHIFT)}


LAYOUTS: Mapping[Name, Layout] = {
    "us": _read(_US),
    "ko": _read(_US),  # Latin letters are where they are in the US
    "uk": _read(_UK),
    "de": _read(_DE, KEY_KPDOT=","),
    "fr": _read(_FR),
}
