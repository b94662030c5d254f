"""Hash slots: the 16384 parts of the key space, and ranges of them.

Source: Redis Cluster specification, "Key distribution model" and "Hash tags".
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

SLOTS = 16384
"""Number of hash slots in every Redis Cluster."""


def key_slot(key: bytes | str) -> int:
    """Return the hash slot (0-16383) of a key: CRC16/XMODEM of its hash tag, or of the whole key."""
    data = key.encode() if isinstance(key, str) else key
    opening = data.find(b"{")
    if opening >= 0:
        closing = data.find(b"}", opening + 1)
        if closing > opening + 1:
            data = data[opening + 1 : closing]
    return binascii.crc_hqx(data, 0) % SLOTS


@cache
def key_in_slot(slot: int, prefix: str = "") -> str:
    """Return a readable key of the given slot, the same one each time, starting with ``prefix``."""
    return next(key for n in range(SLOTS * 64) if key_slot(key := f"{prefix}{{{n}}}") == slot)


@dataclass(frozen=True, order=True)
class SlotRange:
    """Slots ``first`` to ``last``, both included."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last < SLOTS:
            raise ValueError(f"{self.first}-{self.last} is no slot range within 0-{SLOTS - 1}")

    @classmethod
    def parse(cls, text: str) -> SlotRange:
        """Read ``5461-10922`` or ``42``. Raises ValueError for anything else."""
        first, dash, last = text.strip().partition("-")
        if not first.isascii() or not first.isdigit() or (dash and not (last.isascii() and last.isdigit())):
            raise ValueError(f"{text!r} is no slot range")
        return cls(int(first), int(last) if dash else int(first))

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1))

    def __contains__(self, slot: int) -> bool:
        return self.first <= slot <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def joined_ranges(ranges: Iterable[SlotRange]) -> tuple[SlotRange, ...]:
    """Return the same slots as sorted ranges, with touching and overlapping ones made one."""
    result: list[SlotRange] = []
    for each in sorted(ranges):
        if result and each.first <= result[-1].last + 1:
            result[-1] = SlotRange(result[-1].first, max(result[-1].last, each.last))
        else:
            result.append(each)
    return tuple(result)


def show_ranges(ranges: Iterable[SlotRange]) -> str:
    """Return ``0-5460 10923`` or ``no slots``."""
    return " ".join(map(str, ranges)) or "no slots"
