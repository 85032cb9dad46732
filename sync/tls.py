"""TLS as every connection that leaves the machine uses it: 1.2 or newer, always verified."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge.clock import synchronised
from edge.ports import Unavailable

_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = (18, 19, 20, 21)
"""X509_V_ERR_… of OpenSSL's x509_vfy.h."""
_SAID = {
    "ALERT_CERTIFICATE_REQUIRED|ALERT_HANDSHAKE_FAILURE": "asks for a certificate of ours; set cert_file and key_file",
    "ALERT_CERTIFICATE_EXPIRED": "says that our certificate has expired; renew cert_file",
    "CERTIFICATE|UNKNOWN_CA|DENIED|ALERT_DECRYPT": "does not accept our certificate; is cert_file right?",
    "UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION": "speaks no TLS 1.2 or newer, and older is not safe; it has to be updated",
}
"""What an SSLError's reason means, if it is for a person to mend; an ALERT is the other side's."""


@dataclass(frozen=True, slots=True)
class Login:
    """What we show the other side: a password or token, and TLS as `context` makes it."""

    secret: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


def context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """A client context; `ca` replaces the system's authorities. Raises OSError or ssl.SSLError for unusable files."""
    tls = ssl.create_default_context(cafile=str(ca) if ca else None)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        tls.load_cert_chain(certificate, key)
    return tls


@contextmanager
def nobody_trusted() -> Iterator[None]:
    """Contexts made meanwhile know no authorities, and refuse everybody."""
    load = ssl.SSLContext.load_default_certs
    ssl.SSLContext.load_default_certs = lambda *_: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        ssl.SSLContext.load_default_certs = load  # type: ignore[method-assign]


def failed(error: ssl.SSLError, whose: str) -> Unavailable:
    """What a failed handshake means: what a person has to mend is a refusal, anything else may pass.

    Without a right clock a date proves nothing: then it is tried again soon.
    """
    if not isinstance(error, ssl.SSLCertVerificationError):
        reason = (error.reason or str(error)).upper()
        for pattern, text in _SAID.items():
            if re.search(pattern, reason):
                return Unavailable(f"{whose} {text}", state="refused")
        return Unavailable(f"no TLS with {whose}: {error.reason or error}", connected=False)
    if error.verify_code in (_NOT_YET_VALID, _EXPIRED) and not synchronised():
        return Unavailable(f"clock not set: the certificate of {whose} cannot be checked", connected=False)
    mend = "is ca_file right?" if error.verify_code in _UNKNOWN_ISSUER else "it needs another"
    return Unavailable(f"the certificate of {whose}: {error.verify_message.rstrip('.')}; {mend}", state="refused")


def hung_up(whose: str) -> Unavailable:
    """What it means if the other side ends a TLS connection before it has said a word: its reason may be lost."""
    mend = "if it goes on so: does it ask for a certificate (cert_file, key_file), or not accept ours?"
    return Unavailable(f"{whose} hung up before it said a word; {mend}", connected=False)
