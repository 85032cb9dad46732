"""The forms that texts are searched in. Pure.

Hangul becomes the keys that it is typed with, so that what is typed so far is found: 초콮 on the way to 초코파이, 고 on
the way to 과일, and the ㄳ that a keyboard makes of the initials ㄱㅅ.
"""

from __future__ import annotations

import re
import unicodedata

_LEADING = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_TRAILING = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_TYPED = {
    both[0]: both[1:]
    for both in (
        *("ㄳㄱㅅ", "ㄵㄴㅈ", "ㄶㄴㅎ", "ㄺㄹㄱ", "ㄻㄹㅁ", "ㄼㄹㅂ", "ㄽㄹㅅ", "ㄾㄹㅌ", "ㄿㄹㅍ", "ㅀㄹㅎ", "ㅄㅂㅅ"),
        *("ㅘㅗㅏ", "ㅙㅗㅐ", "ㅚㅗㅣ", "ㅝㅜㅓ", "ㅞㅜㅔ", "ㅟㅜㅣ", "ㅢㅡㅣ"),
    )
}
_KEYS = {
    first + n: _TYPED.get(jamo, jamo)
    for first, jamos in ((0x1100, _LEADING), (0x1161, _VOWELS), (0x11A8, _TRAILING))
    for n, jamo in enumerate(jamos)
}
"""Of each conjoining jamo, which is what Unicode's decompositions end in."""
_MARKS = re.compile("[\u0300-\u036f]")
_INITIAL = re.compile("[\u1100-\u1112]|(?<![^\\W_\u1100-\u11ff])[^\\W_\u1100-\u11ff]")


def plain(text: str) -> str:
    """Lower case, without the marks of Latin letters, one space between words, Hangul as the keys it is typed with."""
    return _plain(_folded(text))


def initials(text: str) -> str:
    """The first consonant (초성) of each syllable and the first sign of each other word, nothing between them."""
    return _initials(_folded(text))


def is_initials(plain: str) -> bool:
    """Whether a text in its plain form is of first consonants (초성) only, spaces aside."""
    signs = frozenset(plain) - {" "}
    return bool(signs) and signs <= frozenset(_LEADING)


def lines(*texts: str) -> tuple[str, str]:
    """The plain forms and the initials of texts, a line end before each: a needle may begin with one."""
    folded = [_folded(text) for text in texts]
    return "".join(f"\n{_plain(text)}" for text in folded), "".join(f"\n{_initials(text)}" for text in folded)


def _folded(text: str) -> str:
    """Compatibility forms too: ㎖ is found by ml. A second round, as folding may bring forth what is to be folded."""
    for _ in range(1 if text.isascii() else 2):
        text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    text = _MARKS.sub("", text)
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)


def _plain(folded: str) -> str:
    return " ".join(folded.translate(_KEYS).split())


def _initials(folded: str) -> str:
    return "".join(_INITIAL.findall(folded)).translate(_KEYS)
