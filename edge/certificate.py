"""Whether a browser can use the page's certificate: found out by shaking hands with ourselves, in memory."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path


def valid_until(server: ssl.SSLContext, certificate: Path, name: str) -> str:
    """The end of its validity, as the certificate says it. Raises ssl.SSLError: expired, or not for this name.

    Whoever issued it is believed: whom the store's browsers believe is not known here.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(certificate)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    browser = client.wrap_bio(back, there, server_hostname=name)
    page = server.wrap_bio(there, back, server_side=True)
    shaking = [browser, page]
    while shaking:
        for side in list(shaking):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
                shaking.remove(side)
    return str((browser.getpeercert() or {})["notAfter"])
