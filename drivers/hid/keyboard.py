"""Lines of text out of the keys that a scanner presses. Pure: events in, lines out.

A line is all of a code or it is nothing: what began before we looked, what stopped in its middle, what the kernel
lost keys of or what holds a key that says nothing to us is thrown away up to its end or to the next pause.
The protocol is the kernel's (Documentation/input/event-codes.rst, also for SYN_DROPPED).
"""

from __future__ import annotations

from unicodedata import normalize

from evdev import InputEvent
from evdev import ecodes as e

from drivers.hid.layouts import ALTGR, DEAD, LAYOUTS, PLAIN, SHIFT, Name

PAUSE = 0.1
"""Seconds without a key after which a new line begins; a scanner takes a few milliseconds a key."""
SILENCE = 1.0
"""Seconds without a key after which what comes cannot be the rest of the code before, whatever held that up."""
LONGEST = 2048
"""Characters of a line; the codes that products have are far shorter."""

_ENDS = frozenset({e.KEY_ENTER, e.KEY_KPENTER, e.KEY_TAB})
_SHIFTS = frozenset({e.KEY_LEFTSHIFT, e.KEY_RIGHTSHIFT})
_CONTROLS = frozenset({e.KEY_LEFTCTRL, e.KEY_RIGHTCTRL})
_HELD = _SHIFTS | _CONTROLS | {e.KEY_LEFTALT, e.KEY_RIGHTALT}
_NOTHING = frozenset({e.KEY_NUMLOCK, e.KEY_SCROLLLOCK})
_KEYPAD = {getattr(e, f"KEY_KP{digit}"): str(digit) for digit in range(10)}
_NUMBER = 4
"""Digits of a character that is typed as its number: Alt+029, Alt+0233."""


class Keyboard:
    """One scanner. `since`: when it was opened, on the clock of its events.

    `trouble`: why the last line was thrown away, None after one that was read.
    """

    def __init__(self, layout: Name, since: float, prefix: str = "", suffix: str = "") -> None:
        self.trouble: str | None = None
        self._name, self._layout = layout, LAYOUTS[layout]
        self._prefix, self._suffix = prefix, suffix
        self._last = since
        self._spoilt = True  # nobody knows what came before
        self._blind = False
        self._caps = False
        self._held: set[int] = set()
        self._number = ""
        self._line: list[str] = []

    def take(self, event: InputEvent) -> str | None:
        """The line that ends with this event, without prefix and suffix."""
        if event.type == e.EV_SYN and event.code == e.SYN_DROPPED:
            self._blind = True
            self._held.clear()
            self._spoil("the kernel lost some of its keys")
        if self._blind:  # what still comes up to the report is a part of what was lost
            self._last = event.timestamp()
            self._blind = (event.type, event.code) != (e.EV_SYN, e.SYN_REPORT)
            return None
        if event.type != e.EV_KEY or event.value not in (0, 1):  # 2: a key that repeats
            return None
        if (pause := event.timestamp() - self._last) > PAUSE:
            self._begin(pause)
        self._last = event.timestamp()
        return self._press(event.code) if event.value else self._release(event.code)

    def _begin(self, pause: float) -> None:
        if self._line:
            self.trouble = f"no Enter or Tab came within {PAUSE * 1000:.0f} ms; set the scanner to end codes with Enter"
        self._spoilt = bool(self._line) and pause < SILENCE  # the rest of a cut code may pass for another product's
        self._caps = False
        self._held.clear()
        self._number = ""
        self._line.clear()

    def _press(self, key: int) -> str | None:
        if key in _ENDS:
            return self._end()
        if key in _HELD:
            self._held.add(key)
        elif key == e.KEY_CAPSLOCK:
            self._caps = not self._caps
        elif e.KEY_LEFTALT in self._held and key in _KEYPAD and len(self._number) < _NUMBER:
            self._number += _KEYPAD[key]
        elif key not in _NOTHING:
            return self._add(self._sign(key), key)
        return None

    def _release(self, key: int) -> str | None:
        self._held.discard(key)
        if key != e.KEY_LEFTALT or not self._number:
            return None
        number, self._number = self._number, ""
        page = "cp1252" if number.startswith("0") else "cp437"  # as Windows reads them
        value = int(number)
        return self._add(bytes([value]).decode(page, "ignore") if value < 256 else "", key)

    def _sign(self, key: int) -> str:
        """What the key types with those that are held; nothing, if that is not known."""
        column = ALTGR if e.KEY_RIGHTALT in self._held else SHIFT if self._held & _SHIFTS else PLAIN
        sign = self._layout.get((key, column), "")
        if self._held & _CONTROLS:  # Ctrl+] is GS on every layout: by what the key types, else by its place in the US
            for typed in (sign, LAYOUTS["us"].get((key, PLAIN), "")):
                if typed.isascii() and "@" <= typed.upper() <= "_":
                    return chr(ord(typed.upper()) & 0x1F)
            return ""
        if e.KEY_LEFTALT in self._held:
            return ""
        swapped = sign.swapcase()
        return swapped if self._caps and len(swapped) == 1 else sign

    def _add(self, sign: str, key: int) -> str | None:
        if sign and sign in "\r\n\t":
            return self._end()
        if self._line and self._line[-1] in DEAD and sign:
            alone, combining = DEAD[self._line.pop()]
            sign = alone if sign == " " else normalize("NFC", sign + combining)
        if len(sign) != 1:
            self._spoil(f"{e.KEY.get(key, key)} types nothing in the layout {self._name}; is it the scanner's?")
        elif len(self._line) == LONGEST:
            self._spoil(f"it is longer than {LONGEST} characters")
        elif not self._spoilt:
            self._line.append(sign)
        return None

    def _spoil(self, why: str) -> None:
        self.trouble = why
        self._spoilt = True
        self._number = ""
        self._line.clear()

    def _end(self) -> str | None:
        line, spoilt = "".join(self._line), self._spoilt or bool(self._line and self._line[-1] in DEAD)
        self._spoilt, self._number = False, ""
        self._line.clear()
        if spoilt or not line:
            return None
        if not (line.startswith(self._prefix) and line.endswith(self._suffix)):
            self.trouble = "it lacks the prefix or the suffix of the configuration"
            return None
        self.trouble = None
        return line[len(self._prefix) : len(line) - len(self._suffix)] or None
