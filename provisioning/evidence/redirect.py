"""Redirects: the raw MOVED or ASK that a node answered."""

from __future__ import annotations

import re
from dataclasses import dataclass

_REDIRECT = re.compile(r"-?(MOVED|ASK) (\d{1,5}) (\S*):(\d{1,5})\s*")


@dataclass(frozen=True)
class Redirect:
    """``kind`` is MOVED or ASK; ``host`` is empty where the answer has none, or ``?`` for an unknown endpoint."""

    kind: str
    slot: int
    host: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def names_host(self) -> bool:
        """True where a client can follow it without knowing whom it asked."""
        return self.host not in ("", "?")


def parse_redirect(text: str) -> Redirect | None:
    """Read ``MOVED 3300 10.0.0.1:6373`` with or without the error's dash; None for any other answer."""
    found = _REDIRECT.fullmatch(text)
    return Redirect(found[1], int(found[2]), found[3], int(found[4])) if found else None
