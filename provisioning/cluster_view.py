"""ClusterView: what one node says the cluster is, and the shards in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from provisioning.node_entry import NodeEntry, UnreadableLine
from provisioning.slots import SLOTS, SlotRange, joined_ranges


@dataclass(frozen=True)
class Shard:
    """A slot-owning master and the replicas that follow it, as one viewer sees them."""

    master: NodeEntry
    replicas: tuple[NodeEntry, ...]

    @property
    def slots(self) -> tuple[SlotRange, ...]:
        return self.master.slots

    @property
    def entries(self) -> tuple[NodeEntry, ...]:
        return (self.master, *self.replicas)


@dataclass(frozen=True)
class Overlap:
    """Slots that one view lists under several nodes."""

    slots: SlotRange
    owners: tuple[str, ...]


@dataclass(frozen=True)
class ClusterView:
    """All that one node said at one moment. Immutable and always subjective.

    ``seen_by`` names the viewer (inventory name or address, empty where unknown); ``at`` is when it
    was asked, in seconds on whatever clock the caller uses for all its views.
    """

    entries: tuple[NodeEntry, ...]
    unreadable: tuple[UnreadableLine, ...] = ()
    seen_by: str = ""
    at: float = field(default=0.0, compare=False)

    @cached_property
    def myself(self) -> NodeEntry | None:
        """The viewer's own entry, or None where no line carries ``myself``."""
        return next((entry for entry in self.entries if entry.is_myself), None)

    @property
    def leads(self) -> NodeEntry | None:
        """The viewer's own entry while it holds itself to be a master of slots, else None."""
        own = self.myself
        return own if own is not None and own.is_master and own.slots else None

    @cached_property
    def by_id(self) -> Mapping[str, NodeEntry]:
        """Entries by node id; of a repeated id the first."""
        return {entry.node_id: entry for entry in reversed(self.entries)}

    @cached_property
    def by_address(self) -> Mapping[str, NodeEntry]:
        """Entries by ``ip:port``, those without an IP left out; of a repeated address the first."""
        return {entry.address: entry for entry in reversed(self.entries) if entry.ip}

    def entry(self, node_id: str) -> NodeEntry | None:
        """Return the entry of that node id, or None."""
        return self.by_id.get(node_id)

    @cached_property
    def masters(self) -> tuple[NodeEntry, ...]:
        """The masters that own slots, dead ones too: those whose majority elects (Redis Cluster specification)."""
        return tuple(entry for entry in self.entries if entry.is_master and entry.slots)

    @cached_property
    def replicas(self) -> tuple[NodeEntry, ...]:
        return tuple(entry for entry in self.entries if entry.is_replica)

    @cached_property
    def _replicas_by_master(self) -> Mapping[str, tuple[NodeEntry, ...]]:
        found: dict[str, list[NodeEntry]] = {}
        for entry in self.replicas:
            found.setdefault(entry.master_id, []).append(entry)
        return {master_id: tuple(entries) for master_id, entries in found.items()}

    def replicas_of(self, node_id: str) -> tuple[NodeEntry, ...]:
        """Return the replicas of that node id, dead ones too."""
        return self._replicas_by_master.get(node_id, ())

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """One for each slot-owning master, in the order of their first slots."""
        ordered = sorted(self.masters, key=lambda master: min(master.slots).first)
        return tuple(Shard(master, self.replicas_of(master.node_id)) for master in ordered)

    @cached_property
    def slot_owners(self) -> tuple[str, ...]:
        """For each of the 16384 slots its owner's node id, empty where there is none.

        Under an overlap it is the owner with the highest config epoch, as Redis itself would decide.
        """
        owners = [""] * SLOTS
        for entry in sorted(self.entries, key=lambda each: each.config_epoch):
            for each in entry.slots:
                owners[each.first : each.last + 1] = [entry.node_id] * len(each)
        return tuple(owners)

    def owner_of(self, slot: int) -> NodeEntry | None:
        """Return the entry that owns the slot (under an overlap the one with the highest epoch), or None."""
        owners = [entry for entry in self.entries for each in entry.slots if each.first <= slot <= each.last]
        return max(owners, key=lambda entry: entry.config_epoch, default=None)

    @cached_property
    def covered(self) -> tuple[SlotRange, ...]:
        """The slots that somebody owns, as sorted ranges."""
        return joined_ranges(each for entry in self.entries for each in entry.slots)

    @cached_property
    def uncovered(self) -> tuple[SlotRange, ...]:
        """The slots that nobody owns, as sorted ranges."""
        firsts = [0, *(each.last + 1 for each in self.covered)]
        lasts = [*(each.first - 1 for each in self.covered), SLOTS - 1]
        return tuple(SlotRange(first, last) for first, last in zip(firsts, lasts, strict=True) if first <= last)

    @cached_property
    def overlaps(self) -> tuple[Overlap, ...]:
        """The slots listed under several node ids, as sorted ranges with their owners."""
        bounds = sorted(
            bound
            for entry in self.entries
            for each in entry.slots
            for bound in ((each.first, entry.node_id, 1), (each.last + 1, entry.node_id, -1))
        )
        holding: dict[str, int] = {}
        found: list[Overlap] = []
        began = 0
        for place, node_id, change in bounds:
            if place > began and len(holding) > 1:
                found.append(Overlap(SlotRange(began, place - 1), tuple(sorted(holding))))
            began = place
            holding[node_id] = holding.get(node_id, 0) + change
            if not holding[node_id]:
                del holding[node_id]
        return tuple(found)
