"""Count keys slot by slot: those in slots that a node has no business with, and how many of its own hold any."""

from __future__ import annotations

from dataclasses import replace

from provisioning.cluster_nodes import parse_cluster_nodes
from provisioning.cluster_view import ClusterView
from provisioning.evidence.info import parse_subfields
from provisioning.evidence.node import NodeEvidence
from provisioning.resp import Connection
from provisioning.slots import SLOTS


def with_key_counts(link: Connection, node: NodeEvidence, deadline: float) -> NodeEvidence:
    """Return the evidence with ``stray_keys`` and, of a master, ``occupied_slots``.

    A slot counts as strange only if it is so in the node's view before and after the counting: while
    slots move, a moment lies between any two answers. A node without keys and one without a view are
    not asked. That is some 16,000 commands, which a node at work answers between its clients': they have
    ``deadline`` seconds. Raises Refused or NodeUnreachable.
    """
    view = node.view
    if node.info is None or view is None or view.myself is None:
        return node
    is_master = view.myself.is_master
    if not _has_keys(node):
        return replace(node, stray_keys={}, occupied_slots=0 if is_master else None)
    before = _business(view)
    slots = [slot for slot in range(SLOTS) if is_master or slot not in before]
    commands = [*(("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in slots), ("CLUSTER", "NODES")]
    *counts, text = link.calls(commands, deadline=deadline)
    mine = before | _business(parse_cluster_nodes(str(text)))
    held = {slot: int(count) for slot, count in zip(slots, counts, strict=True) if int(count)}
    own = {slot for each in view.myself.slots for slot in each}
    return replace(
        node,
        stray_keys={slot: count for slot, count in held.items() if slot not in mine},
        occupied_slots=sum(slot in own for slot in held) if is_master else None,
    )


def _has_keys(node: NodeEvidence) -> bool:
    databases = (value for name, value in (node.info or {}).items() if name[:2] == "db" and name[2:].isdecimal())
    return any(parse_subfields(value).get("keys", "0") != "0" for value in databases)


def _business(view: ClusterView) -> set[int]:
    """Return the slots that the node may have keys of: its own, its master's, and those being imported."""
    own = view.myself
    leader = view.entry(own.master_id) if own is not None and own.is_replica else None
    entries = [entry for entry in (own, leader) if entry is not None]
    owned = {slot for entry in entries for each in entry.slots for slot in each}
    return owned | {slot for entry in entries for slot, _ in entry.importing}
