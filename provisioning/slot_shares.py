"""Who owns which slots: brought to the inventory with their keys, interrupted moves first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from provisioning.cluster_view import ClusterView
from provisioning.inventory import Node
from provisioning.live_change import ConvergenceError, LiveChange
from provisioning.membership import leads_nothing_yet
from provisioning.node_entry import NodeEntry
from provisioning.resp import Refused
from provisioning.slot_moves import SlotMove, even_moves, exact_moves, move


def move_slots(change: LiveChange, leaders: Sequence[Node]) -> None:
    """Give slots to those who shall have them, with their keys.

    Moves that were interrupted are finished first, also those to a node that is not to keep any and owns nothing yet.
    Raises ConvergenceError where keys cannot be moved or are where they are not to be, Refused, NodeUnreachable,
    WaitTimeout.
    """
    view = change.whole_view()
    others = [*change.leavers, *(node for node in change.inventory.nodes if node not in leaders)]
    givers = [node for node in others if (entry := view.by_address.get(node.address)) is not None and entry.slots]
    joined = [node for node in others if leads_nothing_yet(change, view.by_address.get(node.address), node)]
    nodes = {node.full_name: node for node in (*leaders, *givers, *joined)}
    entries = {name: view.by_address.get(node.address) for name, node in nodes.items()}
    owned = {name: [s for each in entry.slots for s in each] for name, entry in entries.items() if entry}
    names = [node.full_name for node in leaders]
    begun = _begun_moves(change, view, nodes, entries)
    if begun:
        change.done.append(f"finished the move of {len(begun)} slots, which was interrupted")
        _tell_owners(change, nodes, entries, begun)
    after = _applied(owned, begun)
    if "slots" in change.inventory.given:
        wanted = [[s for each in shard.master.slots for s in each] for shard in change.inventory.shards]
        moves = list(exact_moves(after, dict(zip(names, wanted, strict=True))))
    elif givers or begun or not all(after.get(name) for name in names):
        moves = list(even_moves(after, names))
    else:
        moves = []
    if moves:
        sources, targets = ({each.source for each in moves}, {each.target for each in moves})
        change.done.append(f"moved {len(moves)} slots from {_listed(sources)} to {_listed(targets)}")
        for new in (name for name in names if name in targets and not owned.get(name)):
            _give_functions(change, nodes[min(sources)], nodes[new])
    # Together, so that who is to keep slots is not left without any; what has to be moved on comes last.
    open_slots = {each.slot for each in begun}
    first = [*begun, *(each for each in moves if each.slot not in open_slots)]
    _move(change, nodes, entries, first, owned)
    _move(change, nodes, entries, [each for each in moves if each.slot in open_slots], _applied(owned, first))


def _applied(owned: Mapping[str, Collection[int]], moves: Sequence[SlotMove]) -> dict[str, set[int]]:
    """Return who owns what after the moves."""
    after = {name: set(slots) for name, slots in owned.items()}
    for each in moves:
        after[each.source].remove(each.slot)
        after[each.target].add(each.slot)
    return after


def _give_functions(change: LiveChange, source: Node, target: Node) -> None:
    """Give a new master the functions that the others have (FUNCTION, Redis 7): no slot brings them along."""
    try:
        if not change.everyone.call(source, "FUNCTION", "LIST"):
            return
    except Refused as refusal:
        if "unknown command" not in str(refusal).lower():
            raise
        return
    change.done.append(f"gave {target.full_name} the functions of {source.full_name}")
    if not change.pretend:
        dump = change.everyone.call(source, "FUNCTION", "DUMP")
        change.everyone.call(target, "FUNCTION", "RESTORE", dump, "REPLACE")


def require_no_key_stranded(change: LiveChange) -> None:
    """Raise ConvergenceError where keys of a slot that was being moved are with nobody who could be asked for them.

    That is before anybody is made a replica of another node, which drops what it has.
    """
    view = change.whole_view()
    answering = [node for node in change.everyone.inventory.nodes if change.everyone.answers(node)]
    own = {node: entry for node in answering if (entry := change.everyone.view(node).myself) is not None}
    known = {entry.node_id for entry in own.values()}
    masters = {node.full_name: node for node, entry in own.items() if entry.is_master}
    for name, node in masters.items():
        for slot, to in own[node].migrating:
            owner = view.owner_of(slot)
            if to not in known and owner is not None and owner.node_id == own[node].node_id:
                _holder(change, view, masters, name, slot, to)


def _begun_moves(
    change: LiveChange, view: ClusterView, nodes: Mapping[str, Node], entries: Mapping[str, NodeEntry | None]
) -> list[SlotMove]:
    """Return what is left of an interrupted run: the slots that are open between two of these nodes.

    Whoever owns a slot has the keys that have not come over yet, also where another master led when it was opened;
    and who has taken over from the target has those that have. Raises ConvergenceError where they are with a replica.
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
                open_slots |= {SlotMove(slot, name, target)} if target else set()
        open_slots |= {SlotMove(slot, owners.get(slot, name), name) for slot, _ in own.importing} if own else set()
    begun = [each for each in open_slots if owners.get(each.slot) == each.source != each.target]
    return sorted(begun, key=lambda each: each.slot)


def _holder(
    change: LiveChange, view: ClusterView, nodes: Mapping[str, Node], source: str, slot: int, target: str
) -> str:
    """Return which other master has keys of a slot that was being moved to a node which is none of these any more.

    That is who leads instead of the lost target. Empty where nobody has any: then nothing had been moved.
    Raises ConvergenceError where the target lives and cannot be asked; and where only a replica has them: its master,
    the target, owned nothing, so nobody is elected for it.
    """
    lost = view.by_id.get(target)
    if lost is not None and lost.is_live:
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
    owned: Mapping[str, Collection[int]],
) -> None:
    if not moves:
        return
    _require_one_database(change, [nodes[name] for name in sorted({each.source for each in moves})])
    if change.pretend:
        return
    change.cluster.wait_for(
        lambda: all(change.everyone.state(node) == "ok" for node in nodes.values()),
        "every master says ok",
        change.budget,
    )
    move(change.everyone, nodes, {name: entry.node_id for name, entry in entries.items() if entry}, moves, owned)


def _require_one_database(change: LiveChange, sources: Sequence[Node]) -> None:
    """Raise ConvergenceError for keys in another database than 0 (Valkey 9, cluster-databases): they would be lost.

    What lists the keys of a slot, and what moves them, knows one database.
    """
    for node in sources:
        others = [number for number in change.keys_by_database(node) if number]
        if others:
            raise ConvergenceError(
                f"slots of {node.full_name} cannot be moved: it has keys in other databases than 0",
                expected="keys in database 0 alone, as in every cluster before Valkey 9",
                observed=f"keys in database {', '.join(map(str, others))} too",
                advice="move these slots with the server's own CLUSTER MIGRATESLOTS, then run this again",
            )


def own_all(change: LiveChange, leaders: Sequence[Node]) -> bool:
    """True where every node has seen that nobody but the leaders owns slots."""
    addresses = {node.address for node in leaders}
    views = change.cluster.views().values()
    return all(view is not None and {entry.address for entry in view.masters} <= addresses for view in views)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
