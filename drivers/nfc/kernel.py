"""Why a reader that is plugged in may not be there: the kernel has a driver of its own for its chip."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

SYS = Path("/sys")

_ACR122U = ("072f", "2200")
_MODULES = ("pn533_usb", "pn533")


def taken(sys: Path = SYS) -> str:
    """Who has taken an ACR122U that is plugged in, and what is to be done; empty: nobody."""
    module = next((name for name in _MODULES if (sys / "module" / name).exists()), "")
    plugged = any(_ids(device) == _ACR122U for device in (sys / "bus" / "usb" / "devices").glob("*"))
    if not module or not plugged:
        return ""
    return (
        f"the kernel module {module} has taken the ACR122U; keep it away: echo blacklist {module}"
        f" > /etc/modprobe.d/cartwire-nfc.conf; modprobe --remove {module}; systemctl restart pcscd"
    )


def _ids(device: Path) -> tuple[str, str]:
    with suppress(OSError):
        return (device / "idVendor").read_text().strip(), (device / "idProduct").read_text().strip()
    return "", ""
