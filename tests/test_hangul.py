"""What a text is searched by, and what somebody who has typed half of it finds."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.hangul import initials, is_initials, lines, plain

WORDS = st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=12)


def finds(typed: str, text: str) -> bool:
    return plain(typed) in plain(text)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("초코", "초코파이"),
        ("초콮", "초코파이"),  # 초코 and the ㅍ of 파, before its ㅏ
        ("초ㅋ", "초코파이"),
        ("고", "과일"),
        ("닭", "달기"),
        ("하늘", "김하늘"),
        ("cafe", "café"),
        ("CAFÉ", "cafe"),
        ("angstrom", "ÅNGSTRÖM"),
        ("lg 모", "LG   모니터 27"),
        ("900ml", "서울우유 900㎖"),
        ("strasse", "Straße"),
        ('%_"*', 'a %_"* b'),
        (unicodedata.normalize("NFD", "우유"), "우유"),
    ],
)
def test_what_is_typed_so_far_is_in_the_text(typed: str, text: str) -> None:
    assert finds(typed, text)


def test_another_text_is_not_found() -> None:
    assert not finds("우유", "두유")
    assert not finds("가고", "각오")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("김하늘", "ㄱㅎㄴ"),
        ("초코파이", "ㅊㅋㅍㅇ"),
        ("우유", "ㅇㅇ"),
        ("빵 떡", "ㅃㄸ"),
        ("LG 모니터 27", "lㅁㄴㅌ2"),
        ("LG모니터", "lㅁㄴㅌ"),
        ("Café Ångström", "ca"),
        ("ㅋㅋ라면", "ㅋㅋㄹㅁ"),
        ("", ""),
    ],
)
def test_initials(text: str, expected: str) -> None:
    assert initials(text) == expected
    assert lines(text, text) == (f"\n{plain(text)}" * 2, f"\n{expected}" * 2)


def test_what_a_keyboard_makes_of_initials_is_initials_all_the_same() -> None:
    assert is_initials(plain("ㅊㅋ ㅍㅇ"))
    assert is_initials(plain("ㄳㅎ"))
    assert plain("ㄳㅎ") == initials("가수하")
    assert not any(is_initials(plain(text)) for text in ("", " ", "초ㅋ", "ㅏ", "ㅊㅋa"))


@given(st.text())
@example("ΰ\u0345Σ")
@example("İ\udcff\x00")
def test_any_text_has_one_plain_form_that_sqlite_takes(text: str) -> None:
    form = plain(text)
    assert plain(form) == form
    assert form == " ".join(form.split())
    assert (form + initials(text)).isprintable()
    (form + initials(text)).encode()


@given(WORDS, st.data())
def test_each_word_is_found_by_its_beginning_and_by_its_initials(word: str, data: st.DataObject) -> None:
    typed = unicodedata.normalize("NFC", word)[: data.draw(st.integers(1, len(word)))]
    assert plain(word).startswith(plain(typed))
    assert initials(word).startswith(initials(typed))
    assert initials(initials(word)) == initials(word)
    assert is_initials(initials(word))
