"""Who owns which slots: brought to the inventory with their keys, interrupted moves first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from provisioning.errors import WaitTimeout
from provisioning.inventory import Node
from provisioning.live_change import ConvergenceError, LiveChange
from provisioning.membership import leads_nothing_yet
from provisioning.node_entry import NodeEntry
from provisioning.open_slots import begun_moves, tell_importers
from provisioning.resp import Refused
from provisioning.slot_moves import SlotMove, batches, even_moves, exact_moves, move


def move_slots(change: LiveChange, leaders: Sequence[Node]) -> None:
    """Give slots to those who shall have them, with their keys.

    Moves that were interrupted are finished first, also those to a node that is not to keep any and owns nothing yet.
    Where nobody lacks slots, shares are made equal only if that was begun: a slot that somebody else left open is no
    wish to give up unequal shares.
    Raises ConvergenceError where keys cannot be moved or are where they are not to be, Refused, NodeUnreachable,
    WaitTimeout.
    """
    change.done += tell_importers(change.everyone, change.members(), pretend=change.pretend)
    view = change.whole_view()
    others = [*change.leavers, *(node for node in change.inventory.nodes if node not in leaders)]
    givers = [node for node in others if (entry := view.by_address.get(node.address)) is not None and entry.slots]
    joined = [node for node in others if leads_nothing_yet(change, view.by_address.get(node.address), node)]
    nodes = {node.full_name: node for node in (*leaders, *givers, *joined)}
    entries = {name: view.by_address.get(node.address) for name, node in nodes.items()}
    owned = {name: [s for each in entry.slots for s in each] for name, entry in entries.items() if entry}
    names = [node.full_name for node in leaders]
    begun = begun_moves(change, view, nodes, entries)
    after = _applied(owned, begun)
    if "slots" in change.inventory.given:
        wanted = [[s for each in shard.master.slots for s in each] for shard in change.inventory.shards]
        moves = list(exact_moves(after, dict(zip(names, wanted, strict=True))))
    elif change.unfinished or {name for name, slots in after.items() if slots} != set(names):
        moves = list(even_moves(after, names))
    else:
        moves = []
    _require_movable(change, nodes, [*begun, *moves])
    if moves and change.holds:
        change.held = True
        return
    if begun:
        change.done.append(f"finished the move of {len(begun)} slots, which was interrupted")
    if moves:
        sources, targets = ({each.source for each in moves}, {each.target for each in moves})
        change.done.append(f"moved {len(moves)} slots from {_listed(sources)} to {_listed(targets)}")
        for new in (name for name in names if name in targets and not owned.get(name)):
            _give_functions(change, nodes[min(sources)], nodes[new])
    # Together, so that who is to keep slots is not left without any; what has to be moved on comes last.
    open_slots = {each.slot for each in begun}
    first = [*begun, *(each for each in moves if each.slot not in open_slots)]
    last = [each for each in moves if each.slot in open_slots]
    if not change.pretend:
        change.unfinished = change.unfinished or bool(moves)
    _move(change, nodes, entries, [*batches(first, owned), *batches(last, _applied(owned, first))])


def _require_movable(change: LiveChange, nodes: Mapping[str, Node], moves: Sequence[SlotMove]) -> None:
    """Raise ConvergenceError where slots are not to be moved, before anybody notes that they are."""
    _require_one_database(change, [nodes[name] for name in sorted({each.source for each in moves})])
    for name in sorted({each.target for each in moves}) if not change.pretend else ():
        require_copies(change, nodes[name])


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


def _move(
    change: LiveChange,
    nodes: Mapping[str, Node],
    entries: Mapping[str, NodeEntry | None],
    ordered: Sequence[Sequence[SlotMove]],
) -> None:
    if not ordered or change.pretend:
        return
    change.cluster.wait_for(
        lambda: all(change.everyone.state(node) == "ok" for node in nodes.values()),
        "every master says ok",
        change.budget,
    )
    ids = {name: entry.node_id for name, entry in entries.items() if entry}
    move(change.everyone, nodes, ids, ordered, lambda name: require_copies(change, nodes[name]))


def require_copies(change: LiveChange, master: Node) -> None:
    """Wait until the replicas of that master have what it has: what is taken from others is gone there.

    Raises ConvergenceError where one does not get it.
    """
    own = change.everyone.view(master)
    followers = own.replicas_of(own.myself.node_id) if own.myself is not None else ()
    lagging = [node for entry in followers for node in change.inventory.nodes if node.address == entry.address]
    seconds = change.budget
    if any(node.full_name in change.due for node in lagging):
        seconds = change.inventory.node_timeout  # what it lacks it may lack until it is restarted

    def copied() -> bool:
        lagging[:] = [node for node in lagging if not change.everyone.caught_up(node, master)]
        return not lagging

    try:
        change.cluster.wait_for(copied, f"replicas that have what {master.full_name} has", seconds)
    except WaitTimeout:
        answers = change.everyone.answers(lagging[0])
        link = change.everyone.info(lagging[0]).get("master_link_status") if answers else "no answer"
        raise ConvergenceError(
            f"{lagging[0].full_name} has no copy of what {master.full_name} has",
            expected=f"a replica that has caught up within {seconds:.0f} s, before others give up what they have",
            observed=f"its link to its master: {link}",
            advice="see why on its host (docker logs), correct it, and run this again: it goes on where it ended; "
            "where an upgrade is to correct it, run that first, with redis_state: absent for hosts that are new",
        ) from None


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
