"""`cartwire sign-configuration`: a file of tables as a document that one gateway believes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edge import overlay, settings, signed
from edge.document import LONGEST, Document, Refused

_ANY: dict[str, dict[str, Any]] = {
    "remote": {"key_file": "any"},
    "cart": {"broker": "mqtts://any"},
    "platform": {"url": "https://any"},
    "kiosk": {},
}
"""Stands for the file of a gateway, which only the gateway has."""


def sign(file: Path, key: Path, store: str, gateway: str, version: int) -> str:
    """The JWS. What every gateway would refuse is refused here already. Raises Refused."""
    document = Document(version=version, store=store, gateway=gateway, toml=_read(file))
    try:
        named = {"store": {"id": store, "gateway": gateway, "pseudonym_key_file": "any"}}
        settings.check_rules(settings.of(overlay.change(document.toml)(_ANY | named), Path()))
    except (settings.SettingsError, Refused) as error:
        raise Refused(f"{file}: {error}") from None
    jws = signed.sign(document, signed.private_key(key))
    if len(jws) > LONGEST:
        raise Refused(f"{file}: is too long: signed it has {len(jws)} bytes, and {LONGEST} are taken")
    return jws


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise Refused(f"{file}: {os.strerror(error.errno or 0)}; name a file of tables, as TOML") from None
    except UnicodeDecodeError:
        raise Refused(f"{file}: is not UTF-8 text; save it as UTF-8") from None
