"""Who owns which slots: brought to the inventory with their keys, interrupted moves first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from provisioning.cluster_view import ClusterView
from provisioning.inventory import Node
from provisioning.live_change import ConvergenceError, LiveChange
from provisioning.node_entry import NodeEntry
from provisioning.slot_moves import SlotMove, even_moves, exact_moves, move


def move_slots(change: LiveChange, leaders: Sequence[Node]) -> None:
    """Give slots to those who shall have them, with their keys.

    Moves that were interrupted are finished first. Raises ConvergenceError where a stranger owns slots, Refused,
    NodeUnreachable, WaitTimeout.
    """
    view = change.whole_view()
    others = [*change.leavers, *(node for node in change.inventory.nodes if node not in leaders)]
    givers = [node for node in others if (entry := view.by_address.get(node.address)) is not None and entry.slots]
    nodes = {node.full_name: node for node in (*leaders, *givers)}
    entries = {name: view.by_address.get(node.address) for name, node in nodes.items()}
    _require_known_owners(view, entries.values())
    owned = {name: [s for each in entry.slots for s in each] for name, entry in entries.items() if entry}
    names = [node.full_name for node in leaders]
    begun = _begun_moves(change, view, nodes, entries)
    if begun:
        change.done.append(f"finished the move of {len(begun)} slots, which was interrupted")
        _tell_owners(change, nodes, entries, begun)
        _move(change, nodes, entries, begun)
        for each in begun:
            owned[each.source].remove(each.slot)
            owned[each.target].append(each.slot)
    if "slots" in change.inventory.given:
        wanted = [[s for each in shard.master.slots for s in each] for shard in change.inventory.shards]
        moves = list(exact_moves(owned, dict(zip(names, wanted, strict=True))))
    elif givers or begun or not all(owned.get(name) for name in names):
        moves = list(even_moves(owned, names))
    else:
        moves = []
    if moves:
        sources, targets = ({each.source for each in moves}, {each.target for each in moves})
        change.done.append(f"moved {len(moves)} slots from {_listed(sources)} to {_listed(targets)}")
        _move(change, nodes, entries, moves)


def _begun_moves(
    change: LiveChange, view: ClusterView, nodes: Mapping[str, Node], entries: Mapping[str, NodeEntry | None]
) -> list[SlotMove]:
    """Return what is left of an interrupted run: the slots that are open between two of these nodes.

    Whoever owns a slot has the keys that have not come over yet, also where another master led when it was opened;
    and who has taken over from the target has those that have.
    """
    owners = {slot: name for name, entry in entries.items() if entry for each in entry.slots for slot in each}
    names = {entry.node_id: name for name, entry in entries.items() if entry is not None}
    replicas = [entry for entry in view.entries if entry.master_id in names]
    names |= {entry.node_id: names[entry.master_id] for entry in replicas}
    open_slots: set[SlotMove] = set()
    for name, node in nodes.items():
        own = change.everyone.view(node).myself
        open_slots |= {SlotMove(slot, name, names[to]) for slot, to in own.migrating if to in names} if own else set()
        open_slots |= {SlotMove(slot, owners.get(slot, name), name) for slot, _ in own.importing} if own else set()
    begun = [each for each in open_slots if owners.get(each.slot) == each.source != each.target]
    return sorted(begun, key=lambda each: each.slot)


def _tell_owners(
    change: LiveChange, nodes: Mapping[str, Node], entries: Mapping[str, NodeEntry | None], begun: Sequence[SlotMove]
) -> None:
    """Tell targets who owns the slots that they import, where they have lost that: they say cluster_state:fail.

    A server before 8.0 takes no new owner of such a slot from others, and forgets the one that is a replica now.
    """
    if change.pretend:
        return
    views = {name: change.everyone.view(nodes[name]) for name in {each.target for each in begun}}
    for each in begun:
        owner = entries[each.source]
        if owner is not None and views[each.target].owner_of(each.slot) is None:
            change.everyone.call(nodes[each.target], "CLUSTER", "SETSLOT", each.slot, "NODE", owner.node_id)


def _move(
    change: LiveChange,
    nodes: Mapping[str, Node],
    entries: Mapping[str, NodeEntry | None],
    moves: Sequence[SlotMove],
) -> None:
    if change.pretend:
        return
    change.cluster.wait_for(
        lambda: all(change.everyone.state(node) == "ok" for node in nodes.values()),
        "every master says ok",
        change.budget,
    )
    move(change.everyone, nodes, {name: entry.node_id for name, entry in entries.items() if entry}, moves)


def _require_known_owners(view: ClusterView, known: Collection[NodeEntry | None]) -> None:
    """Raise ConvergenceError where slots belong to somebody that the inventory does not have."""
    ids = {entry.node_id for entry in known if entry is not None}
    strangers = [entry for entry in view.masters if entry.slots and entry.node_id not in ids]
    if strangers:
        raise ConvergenceError(
            f"slots are owned by {strangers[0].address}, which is no master of the inventory",
            expected="masters that the inventory has",
            observed=strangers[0].line.strip(),
            advice="add it to the inventory; or move its slots and remove it: redis-cli --cluster reshard, del-node",
        )


def own_all(change: LiveChange, leaders: Sequence[Node]) -> bool:
    """True where every node has seen that nobody but the leaders owns slots."""
    addresses = {node.address for node in leaders}
    views = change.cluster.views().values()
    return all(view is not None and {entry.address for entry in view.masters} <= addresses for view in views)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
