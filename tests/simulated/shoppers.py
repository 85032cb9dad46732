"""Who and what there is in the shop."""

from __future__ import annotations

from peers.store import pseudonym

READ_POINTS = ("till-1", "till-2")
CUSTOMERS = ("c-1", "c-2", "c-3", "c-4")
BANDS = {name: f"04A1B2C3D4E5{n:02X}" for n, name in enumerate(("ann", "ben", "cho", "dan", "eve"))}
CODES = {"ann's code": "KR0000000001", "eve's code": "KR0000000002"}
IDENTIFIERS = {name: pseudonym("nfc", uid) for name, uid in BANDS.items()}
IDENTIFIERS |= {name: pseudonym("code", text) for name, text in CODES.items()}
BANDS |= {"some card": "0811223344", "unreadable": ""}  # nobody's, by their form
