"""A text that is signed: a JWS in its compact form (RFC 7515), Ed25519 (RFC 8037), made and checked here alone.

This loads `cryptography`, so the daemon leaves it to a process of its own.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from edge.document import LONGEST, Document, Refused, read

TYPE = "cartwire-configuration"


class _Header(Struct, frozen=True, forbid_unknown_fields=True):
    """What it is and how it was signed. Nothing is chosen by it: anything else is refused, `crit` included."""

    alg: Literal["EdDSA", "Ed25519"]
    typ: Literal["cartwire-configuration"]
    kid: str = ""


def sign(document: Document, key: Ed25519PrivateKey) -> str:
    """The document as a JWS."""
    head, payload = _text(msgspec.json.encode({"alg": "EdDSA", "typ": TYPE})), _text(msgspec.json.encode(document))
    return f"{head}.{payload}.{_text(key.sign(f'{head}.{payload}'.encode()))}"


def verified(jws: bytes, keys: Iterable[str]) -> tuple[Document, str]:
    """The document, and the one of `keys` (PEM) that has signed it; it is read only then. Raises Refused."""
    head, payload, signature = _parts(jws)
    try:
        msgspec.json.decode(_bytes(head), type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"it is no JWS of the type {TYPE}: {error}") from None
    for key in keys:
        try:
            public_key(key).verify(_bytes(signature), head + b"." + payload)
        except InvalidSignature:
            continue
        return read(_bytes(payload)), key
    raise Refused("no key of key_file has signed it")


def public_key(pem: str) -> Ed25519PublicKey:
    """Raises Refused."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise Refused("key_file holds a key that is no public key for Ed25519; make one with `cartwire signing-key`")
    return key


def private_key(path: Path) -> Ed25519PrivateKey:
    """Raises Refused."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise Refused(f"{path}: {os.strerror(error.errno or 0)}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise Refused(f"{path}: is no private key for Ed25519, as PEM and without a password")
    return key


def make_key(path: Path) -> Path:
    """Writes a new private key, its owner's alone, and beside it the public one, which is returned. Raises Refused."""
    key, public = Ed25519PrivateKey.generate(), path.with_name(f"{path.name}.pub")
    pem = serialization.Encoding.PEM
    own = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    told = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    for file, text, mode in ((path, own, 0o600), (public, told, 0o644)):
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as made:
                os.fchmod(made.fileno(), mode)  # whatever the umask
                made.write(text)
        except OSError as error:
            raise Refused(f"{file}: {os.strerror(error.errno or 0)}; name a file that is not there yet") from None
    return public


def _parts(jws: bytes) -> tuple[bytes, bytes, bytes]:
    if len(jws) > LONGEST:
        raise Refused(f"it is longer than {LONGEST} bytes")
    parts = jws.strip().split(b".")
    if len(parts) != 3:
        raise Refused("it is no JWS in compact form: three parts with dots between them")
    return parts[0], parts[1], parts[2]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: bytes) -> bytes:
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), b"-_", validate=True)
    except binascii.Error:
        raise Refused("it is no JWS: a part of it is not base64url") from None
