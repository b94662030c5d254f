"""Count keys slot by slot: those in slots that a node has no business with, and how many of its own hold any."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from provisioning.cluster_nodes import parse_cluster_nodes
from provisioning.cluster_view import ClusterView
from provisioning.evidence.info import keys_by_database, parse_info
from provisioning.evidence.node import NodeEvidence
from provisioning.resp import Connection
from provisioning.slots import SLOTS


def with_key_counts(link: Connection, node: NodeEvidence, deadline: float) -> NodeEvidence:
    """Return the evidence with ``stray_keys`` and, of a master, ``occupied_slots``.

    First the slots that the node has business with are counted; only where that is not all that it holds, the
    others too. A slot counts as strange only if it is so in the node's view before and after the counting: while
    slots move, a moment lies between any two answers. A node without keys and one without a view are not asked.
    That is up to 16,000 commands, which a node at work answers between its clients': they have ``deadline``
    seconds. Raises Refused or NodeUnreachable.
    """
    view = node.view
    if node.info is None or view is None or view.myself is None:
        return node
    is_master = view.myself.is_master
    if not _keys(node.info):
        return replace(node, stray_keys={}, occupied_slots=0 if is_master else None)
    until = time.monotonic() + deadline
    before = _business(view)
    held, then, now = _counted(link, sorted(before), until)
    own = {slot for each in view.myself.slots for slot in each}
    seen = replace(node, stray_keys={}, occupied_slots=sum(slot in own for slot in held) if is_master else None)
    if then == now == sum(held.values()):
        return seen
    others, _, _ = _counted(link, [slot for slot in range(SLOTS) if slot not in before], until)
    text = link.call("CLUSTER", "NODES", deadline=until - time.monotonic())
    mine = _business(parse_cluster_nodes(str(text)))
    return replace(seen, stray_keys={slot: count for slot, count in others.items() if slot not in mine})


def _counted(link: Connection, slots: Sequence[int], until: float) -> tuple[dict[int, int], int, int]:
    """Return the number of keys of those of the slots that hold any, and of all keys before and after."""
    commands = [("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in slots]
    total = ("INFO", "keyspace")
    then, *counts, now = link.calls([total, *commands, total], deadline=until - time.monotonic())
    held = {slot: int(count) for slot, count in zip(slots, counts, strict=True) if int(count)}
    return held, _keys(parse_info(str(then))), _keys(parse_info(str(now)))


def _keys(info: Mapping[str, str]) -> int:
    """Return how many keys INFO says that there are, in all databases."""
    return sum(keys_by_database(info).values())


def _business(view: ClusterView) -> set[int]:
    """Return the slots that the node may have keys of: its own, its master's, and those being imported."""
    own = view.myself
    leader = view.entry(own.master_id) if own is not None and own.is_replica else None
    entries = [entry for entry in (own, leader) if entry is not None]
    owned = {slot for entry in entries for each in entry.slots for slot in each}
    return owned | {slot for entry in entries for slot, _ in entry.importing}
