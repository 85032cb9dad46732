"""TLS as every connection that leaves the machine uses it: 1.2 or newer, always verified."""

from __future__ import annotations

import ssl
from pathlib import Path

from edge.clock import synchronised
from edge.ports import Unavailable

_NOT_YET_VALID, _EXPIRED = 9, 10
"""X509_V_ERR_… of OpenSSL's x509_vfy.h."""


def context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """A client context; `ca` replaces the system's authorities. Raises OSError or ssl.SSLError for unusable files."""
    tls = ssl.create_default_context(cafile=str(ca) if ca else None)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate:
        tls.load_cert_chain(certificate, key)
    return tls


def failed(error: ssl.SSLError, whose: str) -> Unavailable:
    """What a failed handshake means: a certificate we do not believe is for a person to mend, anything else may pass.

    Without a right clock a date proves nothing: then it is tried again soon.
    """
    if not isinstance(error, ssl.SSLCertVerificationError):
        return Unavailable(f"no TLS with {whose}: {error.reason or error}", connected=False)
    if error.verify_code in (_NOT_YET_VALID, _EXPIRED) and not synchronised():
        return Unavailable(f"clock not set: the certificate of {whose} cannot be checked", connected=False)
    return Unavailable(f"the certificate of {whose}: {error.verify_message}", state="refused")
