"""The pages speak Korean and English: each sentence in both, none that nobody says, and the JSON is theirs."""

from __future__ import annotations

import re

import pytest
from babel.messages.catalog import Message

from locales import LANGUAGES, PAGES, Page, compiled

_VALUES = re.compile(r"%\((\w+)\)s")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.domain)
every_language = pytest.mark.parametrize("language", LANGUAGES)


def _forms(text: str | tuple[str, ...] | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def _messages(page: Page, language: str) -> list[Message]:
    return [message for message in page.read(language) if message.id]


@every_page
@every_language
def test_the_catalogue_has_all_that_the_scripts_say_and_nothing_else(page: Page, language: str) -> None:
    said = {message.id for message in page.said() if message.id}
    assert {message.id for message in _messages(page, language)} == said, "make locales"
    assert not page.read(language).obsolete


@every_page
@every_language
def test_nothing_is_untranslated_or_fuzzy_and_each_value_is_in_each_form(page: Page, language: str) -> None:
    for message in _messages(page, language):
        forms = _forms(message.string or "")
        assert all(form.strip() for form in forms), message.id
        assert not message.fuzzy, message.id
        wanted = set(_VALUES.findall(_forms(message.id)[0]))
        assert all(set(_VALUES.findall(form)) == wanted for form in forms), message.id


@every_page
def test_what_is_said_in_korean_is_korean(page: Page) -> None:
    for message in _messages(page, "ko"):
        for form in _forms(message.string or ""):
            own = _VALUES.sub("", form)
            assert re.search("[가-힣]", own) or not re.search("[a-z]", own), message.id


@every_page
@every_language
def test_the_page_loads_what_the_catalogue_says(page: Page, language: str) -> None:
    assert page.made(language).read_text("utf-8") == compiled(page.read(language)), "make locales"


@every_page
def test_scripts_say_nothing_that_the_extraction_would_miss(page: Page) -> None:
    """`_(variable)` is translated only if some other place says the same text."""
    for script in page.scripts:
        if script.name != "i18n.js":
            assert not re.search(r"(?<![\w.])n?_\((?!\s*\")", script.read_text("utf-8")), script.name
