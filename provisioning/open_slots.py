"""Open slots: what moves that were cut short have left behind, who has the keys, and who has to be told of an owner."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from provisioning.cluster import Cluster
from provisioning.cluster_view import ClusterView
from provisioning.errors import WaitTimeout
from provisioning.inventory import Node
from provisioning.live_change import ConvergenceError, LiveChange
from provisioning.node_entry import NodeEntry
from provisioning.slot_moves import SlotMove


def tell_importers(cluster: Cluster, nodes: Iterable[Node], *, pretend: bool = False) -> list[str]:
    """Tell masters who owns the slots that they import, where they have missed it; return what was done.

    For such a slot a server of Redis takes no owner but by SETSLOT (clusterUpdateSlotsConfigWith in its source): where
    the old one died it goes on to hold that one for the owner, says cluster_state:fail, and refuses what it owns
    itself. Right is whom those who do not import the slot hold to own it, by the newest config epoch.
    """
    asked = list(nodes)
    views = {node: view for node, view in zip(asked, cluster.views(asked).values(), strict=True) if view is not None}
    done = []
    for node, view in views.items():
        missed = list(_missed(view, views.values()))
        if missed:
            done.append(f"told {node.full_name} who owns {len(missed)} slots that it imports")
        for slot, owner in missed if not pretend else ():
            cluster.call(node, "CLUSTER", "SETSLOT", slot, "NODE", owner.node_id)
    return done


def _missed(view: ClusterView, views: Iterable[ClusterView]) -> Iterator[tuple[int, NodeEntry]]:
    """Yield the slots that a master imports, with their owners, where it holds another or nobody to be that."""
    own = view.myself
    for slot, _ in own.importing if own is not None and own.is_master else ():
        outside = [other for other in views if slot not in dict(other.myself.importing if other.myself else ())]
        owners = [entry for other in outside if (entry := other.owner_of(slot)) is not None]
        owner = max(owners, key=lambda each: each.config_epoch, default=None)
        known, before = (view.by_id.get(owner.node_id) if owner is not None else None), view.owner_of(slot)
        if owner is None or known is None or not known.is_master or known.is_myself:
            continue
        if before is None or (before.node_id != owner.node_id and before.config_epoch < owner.config_epoch):
            yield slot, owner


def wait_heir(cluster: Cluster, slot: int, heir: Node, nodes: Iterable[Node], seconds: float) -> None:
    """Wait until all these nodes see the heir own that slot, which some of them may import. Raises WaitTimeout."""
    asked = list(nodes)

    def owned() -> bool:
        tell_importers(cluster, asked)
        return cluster.is_owner(slot, heir, asked)

    cluster.wait_for(owned, f"{heir.full_name} owns slot {slot} in the view of {len(asked)} nodes", seconds)


def require_no_key_stranded(change: LiveChange) -> None:
    """Raise ConvergenceError where keys of a slot that was being moved are with nobody who could be asked for them.

    That is before anybody is made a replica of another node, which drops what it has.
    """
    view = change.whole_view()
    answering = [node for node in change.members() if change.everyone.answers(node)]
    own = {node: entry for node in answering if (entry := change.everyone.view(node).myself) is not None}
    known = {entry.node_id for entry in own.values()}
    masters = {node.full_name: node for node, entry in own.items() if entry.is_master}
    for name, node in masters.items():
        for slot, to in own[node].migrating:
            owner = view.owner_of(slot)
            if to not in known and owner is not None and owner.node_id == own[node].node_id:
                _holder(change, view, masters, name, slot, to)


def begun_moves(
    change: LiveChange, view: ClusterView, nodes: Mapping[str, Node], entries: Mapping[str, NodeEntry | None]
) -> list[SlotMove]:
    """Return what is left of an interrupted run: the slots that are open between two of these nodes.

    Whoever owns a slot has the keys that have not come over yet, also where another master led when it was opened;
    and who has taken over from the target has those that have. A slot of which nobody got any is closed.
    Raises ConvergenceError where they are with a replica, and for a slot that two import.
    """
    owners = {slot: name for name, entry in entries.items() if entry for each in entry.slots for slot in each}
    names = {entry.node_id: name for name, entry in entries.items() if entry is not None}
    replicas = [entry for entry in view.entries if entry.master_id in names]
    names |= {entry.node_id: names[entry.master_id] for entry in replicas}
    open_slots: set[SlotMove] = set()
    for name, node in nodes.items():
        own = change.everyone.view(node).myself
        for slot, to in own.migrating if own else ():
            if owners.get(slot) == name:
                target = names[to] if to in names else _holder(change, view, nodes, name, slot, to)
                if target in ("", name):
                    _close(change, node, slot)
                else:
                    open_slots.add(SlotMove(slot, name, target))
        open_slots |= {SlotMove(slot, owners.get(slot, name), name) for slot, _ in own.importing} if own else set()
    begun = {each for each in open_slots if owners.get(each.slot) == each.source != each.target}
    targets: dict[int, str] = {}
    for each in begun:
        if targets.setdefault(each.slot, each.target) != each.target:
            raise ConvergenceError(
                f"slot {each.slot} is being moved to two nodes",
                expected="one that imports it, or none",
                observed=f"{each.source} owns it; {targets[each.slot]} and {each.target} import it",
                advice=f"CLUSTER SETSLOT {each.slot} STABLE on the one that has no keys of it "
                f"(CLUSTER COUNTKEYSINSLOT {each.slot}), and run this again",
            )
    return sorted(begun, key=lambda each: each.slot)


def _close(change: LiveChange, node: Node, slot: int) -> None:
    """Close a slot whose move is given up: clients would be sent to and fro for its keys."""
    change.done.append(f"closed slot {slot} of {node.full_name}, of which nothing had been moved")
    if not change.pretend:
        change.everyone.call(node, "CLUSTER", "SETSLOT", slot, "STABLE")


def _holder(
    change: LiveChange, view: ClusterView, nodes: Mapping[str, Node], source: str, slot: int, target: str
) -> str:
    """Return which other master has keys of a slot that was being moved to a node which is none of these any more.

    That is who leads instead of the lost target. Empty where nobody has any: then nothing had been moved.
    Raises ConvergenceError where the target lives and cannot be asked; and where only a replica has them: its master,
    the target, owned nothing, so nobody is elected for it.
    """
    lost = _decided(change, nodes[source], target)
    if lost is not None and not {"fail", "noaddr"} & lost.flags:
        raise ConvergenceError(
            f"slot {slot} was being moved from {source} to {lost.address}, which has keys of it and cannot be asked",
            expected="a master that the inventory has and that answers",
            observed=lost.line.strip(),
            advice="add its host to the inventory, with redis_state: absent if it is to leave, and see that it answers",
        )
    own = view.by_address.get(nodes[source].address)
    for node in sorted(change.everyone.inventory.nodes, key=lambda each: each.full_name not in nodes):
        entry = view.by_address.get(node.address)
        followed = own is not None and entry is not None and entry.master_id == own.node_id
        if node.full_name == source or entry is None or followed or not change.everyone.answers(node):
            continue
        if int(change.everyone.call(node, "CLUSTER", "COUNTKEYSINSLOT", slot)):
            if node.full_name in nodes:
                return node.full_name
            raise ConvergenceError(
                f"keys of slot {slot} are on {node.full_name} alone, which is a replica",
                expected=f"an answer of node {target}, to which {source} was moving that slot",
                observed=f"none, and {node.full_name} follows {entry.master_id}",
                advice=f"bring that node back, or let {node.full_name} lead (CLUSTER FAILOVER TAKEOVER on it), and run "
                "this again: it finishes what was begun",
            )
    return ""


def _decided(change: LiveChange, source: Node, target: str) -> NodeEntry | None:
    """Return what the source knows of the target, once it does not merely suspect that it is dead (PFAIL)."""

    def entry() -> NodeEntry | None:
        return change.everyone.view(source).by_id.get(target)

    def is_decided() -> bool:
        known = entry()
        return known is None or "pfail" not in known.flags

    with suppress(WaitTimeout):
        change.cluster.wait_for(is_decided, "a decision", 0 if change.pretend else 2 * change.inventory.node_timeout)
    return entry()
