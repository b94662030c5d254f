"""The cluster as several nodes see it together: do their views agree, and where not, who says what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from provisioning.cluster_view import ClusterView, Overlap, Shard
from provisioning.node_entry import NodeEntry
from provisioning.slots import SLOTS, SlotRange, joined_ranges

__all__ = ["ClusterView", "Difference", "Overlap", "Shard", "agree", "digest", "disagreements"]

Aspect = Literal["node set", "role", "master", "slot owner"]

Digest = frozenset[tuple[str, str, str, tuple[SlotRange, ...]]]
"""Of each member its id, role, master's id and slots: all that views must agree on."""


@dataclass(frozen=True)
class Difference:
    """One thing that views contradict each other about.

    ``subject`` is a node id or a slot range; ``said`` pairs each statement with the viewers who make it.
    """

    aspect: Aspect
    subject: str
    said: tuple[tuple[str, tuple[str, ...]], ...]

    def __str__(self) -> str:
        return f"{self.aspect} of {self.subject}: " + "; ".join(
            f"{_shortened(viewers)} {'says' if len(viewers) == 1 else 'say'} {statement}"
            for statement, viewers in self.said
        )


def digest(view: ClusterView) -> Digest:
    """Return what of a view can be compared: timestamps, flags and links are every viewer's own.

    Nodes in handshake are left out: until it ends each viewer gives them an id that it made up.
    """
    return frozenset(
        (entry.node_id, entry.role, entry.master_id, joined_ranges(entry.slots))
        for entry in view.entries
        if "handshake" not in entry.flags
    )


def agree(views: Iterable[ClusterView]) -> bool:
    """True where all views name the same nodes, roles, masters and slot owners."""
    return len({digest(view) for view in views}) <= 1


def disagreements(views: Iterable[ClusterView], names: Mapping[str, str] | None = None) -> tuple[Difference, ...]:
    """Return what the views contradict each other about, node set first and slot owners last.

    Equal views are grouped first, so the cost is that of the lines plus that of the different views;
    ``names`` turns node ids into names (default: the address under which somebody knows the node).
    """
    groups: dict[Digest, list[ClusterView]] = {}
    for view in views:
        groups.setdefault(digest(view), []).append(view)
    if len(groups) < 2:
        return ()
    sides = [group[0] for group in groups.values()]
    viewers = [tuple(view.seen_by or "an unnamed view" for view in group) for group in groups.values()]
    known = {entry.node_id: entry.address for view in reversed(sides) for entry in view.entries if entry.ip}
    known.update(names or {})

    def named(node_id: str) -> str:
        return known.get(node_id, node_id)

    members = {entry.node_id: None for view in sides for entry in view.entries if "handshake" not in entry.flags}
    found: list[Difference] = []
    statements: tuple[tuple[Aspect, Callable[[NodeEntry | None], str | None]], ...] = (
        ("node set", lambda entry: "absent" if entry is None else "a member"),
        ("role", lambda entry: None if entry is None else entry.role or "no role"),
        (
            "master",
            lambda entry: f"replica of {named(entry.master_id)}" if entry is not None and entry.is_replica else None,
        ),
    )
    for aspect, statement in statements:
        for node_id in members:
            said = _tally([statement(view.entry(node_id)) for view in sides], viewers)
            if len(said) > 1:
                found.append(Difference(aspect, named(node_id), said))
    return (*found, *_slot_differences(sides, viewers, named))


def _slot_differences(
    sides: Sequence[ClusterView], viewers: Sequence[tuple[str, ...]], named: Callable[[str], str]
) -> Iterable[Difference]:
    """Compare slot by slot: 16384 steps per different view, however many lines it has."""
    maps = [_owners_with_overlaps(view) for view in sides]
    for owners, run in groupby(zip(range(SLOTS), zip(*maps, strict=True), strict=True), key=lambda each: each[1]):
        if len(set(owners)) > 1:
            slots = [slot for slot, _ in run]
            said = _tally([" and ".join(map(named, each.split())) or "nobody" for each in owners], viewers)
            yield Difference("slot owner", f"slots {SlotRange(slots[0], slots[-1])}", said)


def _owners_with_overlaps(view: ClusterView) -> Sequence[str]:
    owners = list(view.slot_owners)
    for overlap in view.overlaps:
        for slot in overlap.slots:
            owners[slot] = " ".join(overlap.owners)
    return owners


def _tally(
    statements: Sequence[str | None], viewers: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    said: dict[str, tuple[str, ...]] = {}
    for statement, who in zip(statements, viewers, strict=True):
        if statement is not None:
            said[statement] = said.get(statement, ()) + who
    return tuple(said.items())


def _shortened(viewers: tuple[str, ...], most: int = 6) -> str:
    more = len(viewers) - most
    return ", ".join(viewers[:most]) + (f" and {more} more" if more > 0 else "")
