"""Who signs remote configurations: a JWS made by hand from the contract, so that each part of it can be got wrong."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from pathlib import Path

HEADER: dict[str, Any] = {"alg": "EdDSA", "typ": "cartwire-configuration"}
FORM = PublicFormat.SubjectPublicKeyInfo


def text(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """One with a key of its own."""

    def __init__(self) -> None:
        """Make the key."""
        self._key = Ed25519PrivateKey.generate()

    @property
    def public(self) -> str:
        """The key that others believe, as PEM."""
        return self._key.public_key().public_bytes(Encoding.PEM, FORM).decode()

    def believed_in(self, file: Path) -> Path:
        """Write the public key into a file."""
        file.write_text(self.public)
        file.chmod(0o644)
        return file

    def sign(self, payload: bytes, header: bytes | dict[str, Any] = HEADER) -> str:
        """Sign whatever it is."""
        head = header if isinstance(header, bytes) else json.dumps(header).encode()
        signed = f"{text(head)}.{text(payload)}"
        return f"{signed}.{text(self._key.sign(signed.encode()))}"

    def document(self, version: object, toml: str, store: str = "gangnam", gateway: str = "gw-1") -> str:
        """Sign a configuration."""
        claims = {"gateway": gateway, "toml": toml, "version": version, "store": store}
        return self.sign(json.dumps(claims).encode())
