"""The pages' catalogues: finds what their scripts say, brings their `locales/*.po` up to date, makes the JSON.

`make locales` runs it. What it leaves untranslated or fuzzy fails `tests/test_locales.py`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

EDGE = Path(__file__).parent.parent / "edge"
LANGUAGES = ("en", "ko")

_TEXT = r'"((?:[^"\\]|\\.)*)"'
_SAID = re.compile(rf"\b(_|n_)\(\s*{_TEXT}(?:\s*,\s*{_TEXT})?")
"""A call of `_` or `n_`. babel's own extractor loses itself in templates within templates."""


@dataclass(frozen=True)
class Page:
    """One page and its catalogues; `title` is what they call it."""

    domain: str
    title: str

    @property
    def folder(self) -> Path:
        return EDGE / self.domain

    @property
    def scripts(self) -> list[Path]:
        """Our own; what is vendored says nothing."""
        found = sorted((self.folder / "static").rglob("*.js"))
        return [script for script in found if "vendor" not in script.parts]

    def said(self) -> Catalog:
        """All that the scripts say, with the files that say it."""
        catalog = self._begun("en")
        for script in self.scripts:
            for call, one, many in _SAID.findall(script.read_text("utf-8")):
                texts = [json.loads(f'"{text}"') for text in (one, many)]
                place = (script.relative_to(self.folder / "static").as_posix(), 0)
                catalog.add((texts[0], texts[1]) if call == "n_" else texts[0], locations=[place])
        return catalog

    def path(self, language: str) -> Path:
        return self.folder / "locales" / language / "LC_MESSAGES" / f"{self.domain}.po"

    def made(self, language: str) -> Path:
        """The JSON that the page loads."""
        return self.folder / "static" / "locales" / f"{language}.json"

    def read(self, language: str) -> Catalog:
        with self.path(language).open("rb") as file:
            return read_po(file, locale=language, domain=self.domain, abort_invalid=True)

    def bring_up_to_date(self, language: str) -> None:
        template = self.said()  # anew: a catalogue takes its messages over
        catalog = self.read(language) if self.path(language).exists() else self._begun(language)
        template.creation_date = catalog.creation_date
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        for message in catalog:
            if language == "en" and message.id and not any(message.string or ""):
                message.string = message.id
        for path, content in (
            (self.path(language), written(catalog)),
            (self.made(language), compiled(catalog).encode()),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _begun(self, language: str) -> Catalog:
        return Catalog(
            locale=language,
            domain=self.domain,
            header_comment=f"# What {self.title} says. `make locales` brings it up to date.",
            project="cartwire",
            version="1",
            msgid_bugs_address="cartwire",
            last_translator="cartwire",
            language_team="cartwire",
            fuzzy=False,
        )


PAGES = (Page("kiosk", "the staff's page"), Page("demo", "the demo's page"))


def written(catalog: Catalog) -> bytes:
    buffer = BytesIO()
    write_po(
        buffer, catalog, width=110, sort_by_file=True, include_lineno=False, omit_header=False, ignore_obsolete=True
    )
    return buffer.getvalue()


def compiled(catalog: Catalog) -> str:
    """The JSON that the page loads: text -> translation, or the forms of it."""
    messages = {
        message.id[0] if message.pluralizable else message.id: list(message.string)
        if message.pluralizable
        else message.string
        for message in catalog
        if message.id
    }
    return json.dumps(messages, ensure_ascii=False, indent=0, sort_keys=True) + "\n"


def main() -> None:
    for page in PAGES:
        for language in LANGUAGES:
            page.bring_up_to_date(language)


if __name__ == "__main__":
    main()
