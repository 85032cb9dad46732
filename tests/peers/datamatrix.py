"""A DataMatrix as a printer makes it: ECC 200 in 18 × 18 modules, after ISO/IEC 16022."""

from __future__ import annotations

import numpy as np

from peers.bars import Picture

SIDE, DATA, ECC = 16, 18, 14
FNC1, PAD, PAIRS = 232, 129, 130
UTAH = ((-2, -2), (-2, -1), (-1, -2), (-1, -1), (-1, 0), (0, -2), (0, -1), (0, 0))


def datamatrix(text: str, module: int = 6, *, gs1: bool = False) -> Picture:
    """Of ASCII, at most 18 codewords; pairs of digits are one. A GS1 DataMatrix begins with FNC1."""
    words = [FNC1] * gs1 + _codewords(text)
    padded = words + [PAD] * (len(words) < DATA)
    while len(padded) < DATA:
        padded.append((PAD + 149 * (len(padded) + 1) % 253) % 254 + 1)
    bits = "".join(f"{word:08b}" for word in padded + _correction(padded))
    cells = np.zeros((SIDE + 2, SIDE + 2), bool)
    cells[:, 0] = cells[-1] = True
    cells[0, ::2] = cells[1::2, -1] = True
    for (row, column), bit in _places():
        cells[row + 1, column + 1] = bits[bit] == "1"
    return np.where(np.pad(cells, 4), 0, 255).astype(np.uint8).repeat(module, 0).repeat(module, 1)


def _codewords(text: str) -> list[int]:
    words, place = [], 0
    while place < len(text):
        pair = text[place : place + 2]
        words.append(PAIRS + int(pair) if len(pair) == 2 and pair.isdigit() else ord(text[place]) + 1)
        place += 2 if words[-1] >= PAIRS else 1
    return words


def _correction(words: list[int]) -> list[int]:
    """Reed-Solomon over GF(256) of x⁸ + x⁵ + x³ + x² + 1, roots 2¹ to 2¹⁴."""
    powers = [1]
    while len(powers) < 255:
        powers.append(powers[-1] << 1 ^ (0x12D if powers[-1] & 128 else 0))

    def times(one: int, other: int) -> int:
        return powers[(powers.index(one) + powers.index(other)) % 255] if one and other else 0

    generator = [1]
    for root in powers[1 : ECC + 1]:
        generator = [a ^ times(b, root) for a, b in zip([*generator, 0], [0, *generator], strict=True)]
    rest = [0] * ECC
    for word in words:
        factor = word ^ rest[0]
        rest = [one ^ times(other, factor) for one, other in zip([*rest[1:], 0], generator[1:], strict=True)]
    return rest


def _places() -> list[tuple[tuple[int, int], int]]:
    """Where each bit lies: zigzag of the shape of Utah; in 16 × 16 no corner is special."""
    taken: dict[tuple[int, int], int] = {}
    row, column, up = 4, 0, True
    while row < SIDE or column < SIDE:
        while (row >= 0 and column < SIDE) if up else (row < SIDE and column >= 0):
            if 0 <= row < SIDE and 0 <= column < SIDE and (row, column) not in taken:
                first = len(taken)
                taken |= {_wrapped(row + down, column + right): first + n for n, (down, right) in enumerate(UTAH)}
            row, column = (row - 2, column + 2) if up else (row + 2, column - 2)
        row, column, up = (row + 1, column + 3, False) if up else (row + 3, column + 1, True)
    return list(taken.items())


def _wrapped(row: int, column: int) -> tuple[int, int]:
    if row < 0:
        row, column = row + SIDE, column + 4 - (SIDE + 4) % 8
    if column < 0:
        row, column = row + 4 - (SIDE + 4) % 8, column + SIDE
    return row, column
