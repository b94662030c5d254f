"""NodeEntry: one line of somebody's CLUSTER NODES, in this project's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from provisioning.slots import SlotRange

EntryRole = Literal["master", "replica", ""]

LOST = frozenset({"fail", "pfail", "noaddr"})
"""Flags of a node that the viewer cannot count on: it, or its address, is gone."""


@dataclass(frozen=True, slots=True)
class NodeEntry:
    """What one node says about one node. Subjective, unlike ``inventory.Node``.

    ``flags`` are normalised (``replica`` and ``pfail`` for the wire's words); ``master_id`` is empty
    for the wire's ``-``; ``bus_port`` is None where the line has none (servers before 4.0);
    ``ping_sent`` and ``pong_received`` are Unix milliseconds of the viewer, 0 for "none pending" and
    "never". ``migrating`` and ``importing`` pair an open slot with the other node's id.
    ``oddities`` say what in the line is not as Redis writes it; like ``line`` and ``number`` (where
    it was read) they do not take part in comparison.
    """

    node_id: str
    ip: str
    port: int
    bus_port: int | None = None
    hostname: str = ""
    aux: Mapping[str, str] = field(default_factory=dict, hash=False)
    flags: frozenset[str] = frozenset()
    master_id: str = ""
    ping_sent: int = 0
    pong_received: int = 0
    config_epoch: int = 0
    link_state: str = "connected"
    slots: tuple[SlotRange, ...] = ()
    migrating: tuple[tuple[int, str], ...] = ()
    importing: tuple[tuple[int, str], ...] = ()
    oddities: tuple[str, ...] = field(default=(), compare=False)
    line: str = field(default="", compare=False, repr=False)
    number: int = field(default=0, compare=False, repr=False)

    @property
    def address(self) -> str:
        """``ip:port`` as the viewer knows it; ``:port`` where it knows no IP."""
        return f"{self.ip}:{self.port}"

    @property
    def role(self) -> EntryRole:
        """``master``, ``replica``, or empty for a node still in handshake."""
        return "master" if "master" in self.flags else "replica" if "replica" in self.flags else ""

    @property
    def is_myself(self) -> bool:
        return "myself" in self.flags

    @property
    def is_master(self) -> bool:
        return "master" in self.flags

    @property
    def is_replica(self) -> bool:
        return "replica" in self.flags

    @property
    def is_lost(self) -> bool:
        """True where the viewer marked it FAIL or PFAIL, or has no address for it."""
        return not LOST.isdisjoint(self.flags)

    @property
    def is_live(self) -> bool:
        """True for a full member that the viewer has no doubt about."""
        return not self.is_lost and "handshake" not in self.flags

    @property
    def link_connected(self) -> bool:
        """True where the viewer's bus link to it is ``connected`` (no proof that its bus port is open)."""
        return self.link_state == "connected"

    @property
    def shard_id(self) -> str:
        """The shard id of nodes.conf since Redis 7.0, else empty."""
        return self.aux.get("shard-id", "")

    @property
    def slot_count(self) -> int:
        return sum(map(len, self.slots))

    def __str__(self) -> str:
        return f"{self.address} {','.join(sorted(self.flags))} epoch {self.config_epoch} ({self.node_id[:8]})"


@dataclass(frozen=True, slots=True)
class UnreadableLine:
    """A line that is no entry and no known wrapping: its number (from 1), its text, and why."""

    number: int
    text: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.reason}: {self.text!r}"
