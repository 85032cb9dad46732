"""Valid, unrestricted GTINs, one for each number."""

from __future__ import annotations

DIGITS = 14


def check_digit(body: str) -> str:
    """Return the GS1 check digit: weights 3, 1, 3 … from the right."""
    total = sum(int(digit) * (1 if i % 2 else 3) for i, digit in enumerate(reversed(body)))
    return str(-total % 10)


def gtin13(number: int) -> str:
    """Return the EAN-13 of a product: 8801, eight digits of `number`, check digit."""
    body = f"8801{number:08d}"
    return body + check_digit(body)


def number(gtin: str) -> int:
    """Return the number that `gtin13` was given."""
    return int(gtin[-9:-1])


def padded(gtin: str) -> str:
    """Return the GTIN-14, the form in events and in the product feed."""
    return gtin.zfill(DIGITS)
