"""Who leads which shard and who follows: brought to the inventory, and no further."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial

from provisioning.cluster import MANUAL_FAILOVER_SECONDS
from provisioning.cluster_view import ClusterView
from provisioning.errors import WaitTimeout
from provisioning.evidence.info import server_version
from provisioning.inventory import Node, WantedShard
from provisioning.live_change import ELECTION_NODE_TIMEOUTS, ConvergenceError, LiveChange
from provisioning.membership import has_keys
from provisioning.node_entry import NodeEntry
from provisioning.open_slots import tell_importers, wait_heir
from provisioning.resp import Refused
from provisioning.rolling import version_key


def require_known_owners(change: LiveChange) -> None:
    """Raise ConvergenceError where slots belong to somebody that the inventory does not have, before anybody moves.

    Its replica may have the only copy of its data by then. One that failed has a successor, or will get one.
    """
    ids = set(change.ids().values())
    places = {node.address for node in change.everyone.inventory.nodes}
    for entry in change.whole_view().masters:
        known = entry.node_id in ids or entry.address in places or {"fail", "noaddr"} & entry.flags
        if entry.slots and not known:
            raise ConvergenceError(
                f"slots are owned by {entry.address}, which is no master of the inventory",
                expected="masters that the inventory has",
                observed=entry.line.strip(),
                advice="add its host to the inventory, with redis_state: absent if it is to leave; or move its slots "
                "and remove it: redis-cli --cluster reshard, del-node",
            )


def replace_lost_masters(change: LiveChange) -> None:
    """Let a replica take the place of a master whose id nobody has any more, before anybody copies from a blank node.

    A master that came back blank within a node timeout has left its slots to an id that nobody suspects of
    anything (noaddr, not FAIL): no replica is elected, and only the replica has the data. Of such an id the
    majority has nothing to decide, so the replica is told to take over.
    Raises ConvergenceError where slots are left to a lost id that nobody follows.
    """
    ids = change.ids()
    view = change.whole_view()
    own = {*ids.values(), *(entry.node_id for entry in map(view.by_address.get, _addresses(change)) if entry)}
    for lost in view.entries:
        if not lost.slots or lost.node_id in own or not {"fail", "noaddr"} & lost.flags:
            continue
        heirs = [node for node in change.inventory.nodes if view.by_id[ids[node.full_name]].master_id == lost.node_id]
        if not heirs:
            raise ConvergenceError(
                f"slots are owned by {lost.node_id}, which no node is any more, and nobody follows it",
                expected="a replica that has the data of these slots",
                observed=lost.line.strip(),
                advice="restore a backup; or, if the data is given up: redis-cli --cluster fix",
            )
        heir = max(heirs, key=change.cluster.offset)
        change.done.append(f"let {heir.full_name} take over from {lost.node_id}, which no node is any more")
        if not change.pretend:
            change.cluster.call(heir, "CLUSTER", "FAILOVER", "TAKEOVER")
            wait_heir(change.cluster, lost.slots[0].first, heir, change.inventory.nodes, change.budget)


def _addresses(change: LiveChange) -> list[str]:
    return [node.address for node in change.leavers]


def take_back(change: LiveChange) -> bool:
    """Let a shard's master take over where the shard is led by a node that leaves or is another shard's replica.

    So it is where a failover came before a change of the inventory. The master has the data: nothing has to move,
    and no slots can be moved to it while it is a replica. Returns whether there was such a shard. Raises WaitTimeout.
    """
    found = False
    while led := _led_from_outside(change):
        for leader, heir, slot in led if change.pretend else led[:1]:
            change.done.append(f"let {heir.full_name} take over from {leader.full_name}, which leaves its shard")
            if not change.pretend:
                caught_up = partial(change.everyone.caught_up, heir, leader)
                change.cluster.wait_for(caught_up, f"{heir.full_name} has what its master has", change.budget)
                change.cluster.call(heir, "CLUSTER", "FAILOVER")
                wait_heir(change.cluster, slot, heir, change.inventory.nodes, MANUAL_FAILOVER_SECONDS)
        found = True
        if change.pretend:
            break
    return found


def _led_from_outside(change: LiveChange) -> list[tuple[Node, Node, int]]:
    """Return leader, heir and a slot of each shard that is led by none of its own nodes, though its master follows."""
    if not change.pretend:
        with suppress(WaitTimeout):  # right after a failover some do not know yet who follows whom
            change.cluster.wait_agreement(change.inventory.nodes, 2 * change.inventory.node_timeout)
    ids = change.ids()
    view = change.whole_view()
    found = []
    for leader in (*change.leavers, *change.inventory.replicas):
        led = view.by_address.get(leader.address)
        if led is not None and led.slots:
            shards = [shard for shard in change.inventory.shards if leader not in shard.nodes]
            heirs = [s for s in shards if view.by_id[ids[s.master.full_name]].master_id == led.node_id]
            found += [(leader, shard, led.slots[0].first) for shard in heirs[:1]]
    outside = [leader for leader, _, _ in found]

    def is_led(shard: WantedShard) -> bool:
        return any(view.by_id[ids[node.full_name]].slots for node in shard.nodes if node not in outside)

    return [(leader, shard.master, slot) for leader, shard, slot in found if not is_led(shard)]


def place_replicas(change: LiveChange, *, sparing: bool = True) -> list[Node]:
    """Let every node follow its shard's leader, one after the other; return the leaders.

    One that follows a node that leaves goes on doing so until that node owns nothing any more, and one that has
    taken over from such a node leads until its slots have been moved. ``sparing``: so does a master that owns nothing
    and has keys, as one to which slots were being moved. A replica that finds another master drops what
    it has and copies: the next one waits for that, so that not all shards are without a copy at a time.
    Raises ConvergenceError for a shard with two masters, Refused, WaitTimeout.
    """
    ids = change.ids()
    by_id = {node_id: name for name, node_id in ids.items()}
    view = change.whole_view()
    needed = set() if change.pretend else set(_ids_with_data(change, view))
    leaders = {shard.master: _leader(change, shard, view, ids) for shard in change.inventory.shards}
    placed = [(node, leaders[shard.master]) for shard in change.inventory.shards for node in shard.nodes]
    # First who leaves nobody: so a master has its new replica before it loses the one that it had.
    for node, leader in sorted(placed, key=lambda each: _backs(view, view.by_id[ids[each[0].full_name]])):
        entry = view.by_id[ids[node.full_name]]
        if node is leader or entry.slots or entry.master_id in (ids[leader.full_name], *needed):
            continue
        if sparing and not change.pretend and has_keys(change, entry, node):
            continue
        before = by_id.get(entry.master_id, entry.master_id) or "nobody"
        change.done.append(f"made {node.full_name} a replica of {leader.full_name} (before: of {before})")
        if not change.pretend:
            _replicate(change, node, leader, ids[leader.full_name])
    return list(leaders.values())


def _backs(view: ClusterView, entry: NodeEntry) -> bool:
    """True for a replica of a master that lives and owns slots."""
    master = view.by_id.get(entry.master_id)
    return master is not None and master.is_live and bool(master.slots)


def _ids_with_data(change: LiveChange, view: ClusterView) -> Iterator[str]:
    """Yield the ids of those who leave and still have slots, or keys of one whose move to them was cut short."""
    for node in change.leavers:
        entry = view.by_address.get(node.address)
        if entry is not None and (entry.slots or has_keys(change, entry, node)):
            yield entry.node_id


def _replicate(change: LiveChange, node: Node, leader: Node, leader_id: str) -> None:
    if node.full_name in change.due:
        _require_no_newer(change, node, leader)
    try:
        change.cluster.call(node, "CLUSTER", "REPLICATE", leader_id)
    except Refused as refusal:
        raise ConvergenceError(
            f"{node.full_name} cannot become a replica of {leader.full_name}",
            expected="a replica, or a master without slots and keys",
            observed=str(refusal),
            advice="find out what its keys are (SCAN on it); if they are given up: FLUSHALL on it, and run this again",
        ) from None
    change.cluster.wait_replica(node, leader, change.budget)


def _require_no_newer(change: LiveChange, node: Node, leader: Node) -> None:
    """Raise ConvergenceError where the leader has a newer server than a node that is not upgraded yet."""
    version, newer = (server_version(change.everyone.info(each)) for each in (node, leader))
    if version_key(version) < version_key(newer):
        raise ConvergenceError(
            f"{node.full_name} cannot become a replica of {leader.full_name} before it is upgraded",
            expected="no older server than its master's: it could not load what that sends",
            observed=f"{version}, its master has {newer}",
            advice="upgrade first, then add hosts: run this with redis_state: absent for those that are new, and then "
            "without",
        )


def _leader(change: LiveChange, shard: WantedShard, view: ClusterView, ids: Mapping[str, str]) -> Node:
    """Return who owns the shard's slots now: after a failover not whom the inventory calls its master.

    A shard of which nobody owns slots is new: what a lost master owned has been taken over before. Where hosts
    leave, another of its nodes may lead their shard, and will follow this one's master.
    """
    owning = [node for node in shard.nodes if view.by_id[ids[node.full_name]].slots]
    entry = view.by_id[ids[shard.master.full_name]]
    if not owning and not change.pretend and entry.master_id in ids.values():
        raise ConvergenceError(
            f"{shard.master.full_name} is to be a master, and is a replica of a node that stays",
            expected="a master, or a blank node",
            observed=entry.line.strip(),
            advice="give that part to a new node; or make it blank (CLUSTER RESET HARD on it), which leaves its master "
            "one copy less, and run this again",
        )
    if len(owning) < 2:
        return owning[0] if owning else shard.master
    if shard.master in owning and any(view.by_address.get(address) for address in _addresses(change)):
        return shard.master
    raise ConvergenceError(
        f"the shard of {shard.master.full_name} has no one master",
        expected=f"one of {', '.join(node.full_name for node in shard.nodes)} owns slots",
        observed=f"slots are owned by {', '.join(node.full_name for node in owning)}",
        advice="pytest --inventory says what is wrong and how it is repaired",
    )


def wait_succeeded(change: LiveChange) -> None:
    """Wait until those who leave and do not answer own nothing: a replica has taken over from a dead master.

    Raises ConvergenceError where that does not happen: who leads then is not for a program to say.
    """
    if not change.leavers:
        return
    silent = {node.address: node for node in change.known_leavers() if not change.everyone.answers(node)}
    owning: list[NodeEntry] = []

    def succeeded() -> bool:
        tell_importers(change.cluster, change.inventory.nodes, pretend=change.pretend)
        views = [view for view in change.cluster.views().values() if view is not None]
        owning[:] = [entry for view in views for entry in view.masters if entry.address in silent]
        return not owning

    try:
        if silent:
            change.cluster.wait_for(succeeded, "an election", ELECTION_NODE_TIMEOUTS * change.inventory.node_timeout)
    except WaitTimeout:
        raise ConvergenceError(
            f"{silent[owning[0].address].full_name} leaves, does not answer, and owns slots",
            expected="an answer of it, or that a replica has taken over",
            observed=owning[0].line.strip(),
            advice="bring its host back until its slots are moved; if it is dead for good: CLUSTER FAILOVER FORCE "
            "(or TAKEOVER, where no majority is left) on its replica",
        ) from None
