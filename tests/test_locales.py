"""The staff's page speaks Korean and English: each sentence in both, none that nobody says, and the JSON is theirs."""

from __future__ import annotations

import re

import pytest
from babel.messages.catalog import Message

import locales

_VALUES = re.compile(r"%\((\w+)\)s")


def _forms(text: str | tuple[str, ...] | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def _messages(language: str) -> list[Message]:
    return [message for message in locales.read(language) if message.id]


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_the_catalogue_has_all_that_the_scripts_say_and_nothing_else(language: str) -> None:
    said = {message.id for message in locales.said() if message.id}
    assert {message.id for message in _messages(language)} == said, "make locales"
    assert not locales.read(language).obsolete


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_nothing_is_untranslated_or_fuzzy_and_each_value_is_in_each_form(language: str) -> None:
    for message in _messages(language):
        forms = _forms(message.string or "")
        assert all(form.strip() for form in forms), message.id
        assert not message.fuzzy, message.id
        wanted = set(_VALUES.findall(_forms(message.id)[0]))
        assert all(set(_VALUES.findall(form)) == wanted for form in forms), message.id


def test_what_is_said_in_korean_is_korean() -> None:
    for message in _messages("ko"):
        for form in _forms(message.string or ""):
            own = _VALUES.sub("", form)
            assert re.search("[가-힣]", own) or not re.search("[a-z]", own), message.id


@pytest.mark.parametrize("language", locales.LANGUAGES)
def test_the_page_loads_what_the_catalogue_says(language: str) -> None:
    made = (locales.KIOSK / "static" / "locales" / f"{language}.json").read_text("utf-8")
    assert made == locales.compiled(locales.read(language)), "make locales"


def test_scripts_say_nothing_that_the_extraction_would_miss() -> None:
    """`_(variable)` is translated only if some other place says the same text."""
    for script in (locales.KIOSK / "static").rglob("*.js"):
        if "vendor" not in script.parts and script.name != "i18n.js":
            assert not re.search(r"(?<![\w.])n?_\((?!\s*\")", script.read_text("utf-8")), script.name
