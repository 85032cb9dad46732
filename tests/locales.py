"""The page's catalogues: finds what its scripts say, brings `edge/kiosk/locales/*.po` up to date, makes the JSON.

`make locales` runs it. What it leaves untranslated or fuzzy fails `tests/test_locales.py`.
"""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

KIOSK = Path(__file__).parent.parent / "edge" / "kiosk"
LANGUAGES = ("en", "ko")

_TEXT = r'"((?:[^"\\]|\\.)*)"'
_SAID = re.compile(rf"\b(_|n_)\(\s*{_TEXT}(?:\s*,\s*{_TEXT})?")
"""A call of `_` or `n_`. babel's own extractor loses itself in templates within templates."""


def said(static: Path = KIOSK / "static") -> Catalog:
    """All that the scripts say, with the files that say it."""
    catalog = _begun("en")
    for script in sorted(static.rglob("*.js")):
        if "vendor" in script.parts:
            continue
        for call, one, many in _SAID.findall(script.read_text("utf-8")):
            texts = [json.loads(f'"{text}"') for text in (one, many)]
            place = (script.relative_to(static).as_posix(), 0)
            catalog.add((texts[0], texts[1]) if call == "n_" else texts[0], locations=[place])
    return catalog


def path(language: str) -> Path:
    return KIOSK / "locales" / language / "LC_MESSAGES" / "kiosk.po"


def read(language: str) -> Catalog:
    with path(language).open("rb") as file:
        return read_po(file, locale=language, domain="kiosk", abort_invalid=True)


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


def _begun(language: str) -> Catalog:
    return Catalog(
        locale=language,
        domain="kiosk",
        header_comment="# What the staff's page says. `make locales` brings it up to date.",
        project="cartwire",
        version="1",
        msgid_bugs_address="cartwire",
        last_translator="cartwire",
        language_team="cartwire",
        fuzzy=False,
    )


def main() -> None:
    for language in LANGUAGES:
        template = said()  # anew: a catalogue takes its messages over
        catalog = read(language) if path(language).exists() else _begun(language)
        template.creation_date = catalog.creation_date
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        for message in catalog:
            if language == "en" and message.id and not any(message.string or ""):
                message.string = message.id
        path(language).parent.mkdir(parents=True, exist_ok=True)
        path(language).write_bytes(written(catalog))
        target = KIOSK / "static" / "locales" / f"{language}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(compiled(catalog), "utf-8")


if __name__ == "__main__":
    main()
