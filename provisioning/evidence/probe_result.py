"""ProbeResult: what became of one write and its read-back, sent once through one node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class ProbeResult:
    """``write`` and ``read`` are empty where they succeeded, else the answer or why none came.

    ``hops`` are the addresses that the redirects named, in their order, the entry node left out;
    ``loop`` is true where they led to an address again. ``left`` is true where the key could not be
    removed, or no answer said whether it was written: it goes by itself when its TTL ends.
    """

    write: str = ""
    read: str = ""
    hops: tuple[str, ...] = ()
    loop: bool = False
    left: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"write": self.write, "read": self.read, "hops": list(self.hops), "loop": self.loop, "left": self.left}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return what ``to_dict`` was called on."""
        return cls(values["write"], values["read"], tuple(values["hops"]), bool(values["loop"]), bool(values["left"]))
