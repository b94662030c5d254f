"""Who is a member: blank nodes join, members that lost each other meet again, dead and leaving ones are forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from provisioning.cluster_view import ClusterView
from provisioning.errors import NodeUnreachable, WaitTimeout
from provisioning.inventory import Node
from provisioning.live_change import ConvergenceError, LiveChange
from provisioning.node_entry import NodeEntry
from provisioning.resp import Refused


def is_blank(view: ClusterView) -> bool:
    """True for a node that knows only itself and owns nothing."""
    return is_alone(view) and view.myself is not None and not view.myself.slots


def is_alone(view: ClusterView) -> bool:
    """True for a node that knows only itself."""
    return len(view.entries) == 1


def require_one_cluster(change: LiveChange, views: Mapping[str, ClusterView]) -> None:
    """Raise ConvergenceError where members that know nothing of each other are no parts of one formation.

    To introduce them would merge two clusters: the masters of one would give up their slots and lose their data.
    ``views``: those of the members. Parts of a formation that was cut short own different slots and know nobody else.
    """
    parts = list(_parts(views.values()))
    if len(parts) < 2:
        return
    ours = {node.address for node in change.everyone.inventory.nodes}
    ours |= {view.myself.node_id for view in views.values() if view.myself is not None}
    owned = [{slot for view in part if view.leads for each in view.leads.slots for slot in each} for part in parts]
    entries = [entry for view in views.values() for entry in view.entries]
    strangers = [entry for entry in entries if entry.is_live and not {entry.address, entry.node_id} & ours]
    if strangers or sum(map(len, owned)) > len(set().union(*owned)):
        names = [", ".join(view.seen_by for view in part) for part in parts]
        raise ConvergenceError(
            "the inventory has nodes of more than one cluster",
            expected="members that know each other, and blank nodes",
            observed="; ".join(f"{one} know nothing of the others" for one in names)
            + (f"; {strangers[0].address} is known too" if strangers else ""),
            advice="correct the inventory; where the data of a node is given up: FLUSHALL, CLUSTER RESET HARD",
        )


def require_bus_ports(change: LiveChange, views: Mapping[str, ClusterView]) -> None:
    """Raise ConvergenceError where a running node has another bus port than the inventory says.

    Told to announce a port at which it does not listen, it is dialled there by all others: it stays alive by its own
    pings, and no election has a majority any more (votes are sent over links that the voter has opened).
    """
    for name, view in views.items():
        node, own = change.inventory.node(name), view.myself
        if own is not None and own.bus_port not in (None, node.bus_port):
            raise ConvergenceError(
                f"the bus port of {name} is another than the inventory's, and that of a running node stays as it is",
                expected=str(node.bus_port),
                observed=own.line.strip(),
                advice=f"say {own.bus_port} in the inventory; where it only announces that: "
                f"CONFIG SET cluster-announce-bus-port {node.bus_port} on it, and run this again",
            )


def _parts(views: Iterable[ClusterView]) -> Iterator[list[ClusterView]]:
    """Yield the views by who knows whom, directly or through others."""
    left = list(views)
    while left:
        part = [left.pop()]
        while near := [view for view in left if any(_knows(view, other) or _knows(other, view) for other in part)]:
            part += near
            left = [view for view in left if view not in near]
        yield part


def _knows(view: ClusterView, other: ClusterView) -> bool:
    return other.myself is not None and other.myself.node_id in view.by_id


def reunite(change: LiveChange, members: Sequence[Node]) -> None:
    """Tell every member where those others are whose address it has wrong, or of whom it does not know.

    Who has just changed its address says so by itself, but not to one that has lost it altogether (noaddr).
    """
    cluster = change.cluster
    ids = {node: str(cluster.call(node, "CLUSTER", "MYID")) for node in members}
    if not change.pretend:
        with suppress(WaitTimeout):
            cluster.wait_for(lambda: not _strangers(change, ids), "addresses", change.inventory.node_timeout)
    astray = _strangers(change, ids)
    change.done += [f"told {viewer.full_name} where {node.full_name} is" for viewer, node in astray]
    if astray and not change.pretend:

        def reunited() -> bool:
            left = _strangers(change, ids)
            for viewer, node in left:  # again, as nobody says that a handshake was in vain
                cluster.call(viewer, "CLUSTER", "MEET", node.lan, node.port, node.bus_port)
            return not left

        cluster.wait_for(reunited, "members that know each other's address", change.budget)


def _strangers(change: LiveChange, ids: Mapping[Node, str]) -> list[tuple[Node, Node]]:
    """Return who does not know whom under the address that the inventory gives it."""
    found = []
    for viewer in ids:
        view = change.cluster.view(viewer)
        for node, node_id in ids.items():
            entry = view.by_id.get(node_id)
            if node != viewer and (entry is None or entry.address != node.address or "noaddr" in entry.flags):
                found.append((viewer, node))
    return found


def introduce(change: LiveChange, blank: Sequence[Node], members: Sequence[Node]) -> None:
    """Let blank nodes meet a member, and wait until everybody knows everybody.

    Raises ConvergenceError where there is no member: nodes that know nobody, of which one has keys.
    """
    if blank and not members:
        raise ConvergenceError(
            "no node knows another one, and some have keys",
            expected="blank nodes, or a cluster",
            observed=f"{', '.join(node.full_name for node in blank)} know nobody",
            advice="FLUSHALL where the keys are given up; else copy them into the cluster once it is formed",
        )
    for node in blank:
        change.done.append(f"introduced {node.full_name}")
        if not change.pretend:
            known = members[0]
            change.cluster.call(node, "CLUSTER", "MEET", known.lan, known.port, known.bus_port)
    if blank and not change.pretend:
        ids = set(change.ids().values())

        def introduced() -> bool:
            views = change.cluster.views().values()
            return all(view is not None and ids <= {e.node_id for e in view.entries if e.role} for view in views)

        change.cluster.wait_for(introduced, f"{len(ids)} nodes that know each other", change.budget)


def leads_nothing_yet(change: LiveChange, entry: NodeEntry | None, node: Node) -> bool:
    """True for a master without slots that answers and that others hold to live; ``entry``: what they know of it.

    One that was cut off and has a successor holds itself to be a master too, with keys that are the successor's now.
    """
    if entry is None or not entry.is_master or not entry.is_live or entry.slots or not change.everyone.answers(node):
        return False
    own = change.everyone.view(node).myself
    return own is not None and own.is_master and own.node_id == entry.node_id


def has_keys(change: LiveChange, entry: NodeEntry | None, node: Node) -> bool:
    """True for such a master that has keys."""
    return leads_nothing_yet(change, entry, node) and bool(change.keys_by_database(node))


def dismiss(change: LiveChange) -> None:
    """Forget the nodes that leave, everywhere, and let them forget the cluster.

    Raises ConvergenceError for one that has keys, though it owns no slots any more.
    """
    views = {node: change.cluster.view(node) for node in change.inventory.nodes}
    for node in change.leavers:
        known = {member: entry for member, view in views.items() if (entry := view.by_address.get(node.address))}
        if not known:
            continue
        change.done.append(f"dismissed {node.full_name}")
        if change.pretend:
            continue
        idle = {
            entry.node_id: entry for entry in known.values() if entry.is_master and entry.is_live and not entry.slots
        }
        if any(has_keys(change, entry, node) for entry in idle.values()):  # it is asked once, not once for each member
            raise ConvergenceError(
                f"{node.full_name} leaves, and has keys of slots that it does not own",
                expected="no keys, as all its slots have been moved",
                observed=f"{sum(change.keys_by_database(node).values())} keys",
                advice="find them (SCAN on it) and what became of their slots; if they are given up: FLUSHALL on it, "
                "and run this again",
            )
        for member, entry in known.items():
            change.cluster.call(member, "CLUSTER", "FORGET", entry.node_id)
        with suppress(NodeUnreachable, Refused):  # one that is dead already has nothing to forget
            change.everyone.call(node, "CLUSTER", "RESET", "HARD")


def forget_the_dead(change: LiveChange) -> None:
    """Remove ids that no node of the inventory has any more; each node is told, within the 60 s of a ban.

    A handshake is no member: it ends by itself, as where a node was met a second time. Who leaves has been dismissed,
    or while one only pretends would have been.
    Raises ConvergenceError for one that lives or owns slots.
    """
    present = set(change.ids().values())
    views = [view for view in change.cluster.views().values() if view is not None]
    entries = [entry for view in views for entry in view.entries if "handshake" not in entry.flags]
    going = {node.address for node in change.leavers if change.pretend}
    dead = {e.node_id: e for e in entries if e.node_id not in present and e.address not in going}
    addresses = {node.address for node in change.inventory.nodes}  # who is there now has another id
    for entry in _harmless(each for each in dead.values() if each.address not in addresses or not each.slots):
        change.done.append(f"forgot {entry.node_id} {entry.address}")
        for node in change.inventory.nodes if not change.pretend else ():
            if entry.node_id in change.cluster.view(node).by_id:
                change.cluster.call(node, "CLUSTER", "FORGET", entry.node_id)


def _harmless(entries: Iterable[NodeEntry]) -> Iterator[NodeEntry]:
    for entry in entries:
        if entry.slots or not {"fail", "noaddr"} & entry.flags:
            raise ConvergenceError(
                f"{entry.address} is a member and not in the inventory",
                expected="members that the inventory has, or dead ones without slots",
                observed=entry.line.strip(),
                advice="add its host to the inventory, with redis_state: absent if it is to leave; or remove it: "
                "redis-cli --cluster del-node",
            )
        yield entry
