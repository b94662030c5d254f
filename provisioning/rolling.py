"""Change a cluster node by node: in which order, how a master steps down first, and when the next one may follow."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from provisioning.cluster import Cluster
from provisioning.errors import GauntletError, WaitTimeout
from provisioning.evidence.collect import MEMBERSHIP, TOPOLOGY, collect
from provisioning.inventory import Inventory, Node
from provisioning.node_entry import NodeEntry
from provisioning.readiness import contradictions_of


class RollingError(GauntletError):
    """The next node cannot be taken down without harm."""


def rolling_order(cluster: Cluster, names: Collection[str]) -> list[str]:
    """Return the full names in the order in which these nodes may be restarted.

    First those that are down anyway, or have no link to their master (a newer one's data may be what an older server
    cannot load), then replicas, then masters, by the roles that they have now.
    """
    evidence = collect(cluster.inventory, questions=MEMBERSHIP, redirects=False)
    views = {node.name: node.view for node in evidence.nodes}
    linked = {node.name for node in evidence.nodes if node.replication is not None and node.replication.link_up}

    def rank(name: str) -> int:
        view = views[name]
        if view is None or view.myself is None:
            return 0
        return 3 if view.leads else 2 if name in linked or view.myself.is_master else 1

    wanted = [node.full_name for node in cluster.inventory.nodes if node.full_name in names]
    return sorted(wanted, key=rank)


def step_down(cluster: Cluster, node: Node) -> str:
    """Let a replica take over from the node, if it is a master of slots; return the successor's full name, else "".

    Raises RollingError where there is no replica that could, WaitTimeout where it does not.
    """
    view = cluster.views([node])[node.full_name]
    if view is None or view.myself is None:
        _require_dead(cluster, node)
        return ""
    own = view.leads
    if own is None:
        return ""
    successors = [each for entry in view.replicas_of(own.node_id) if (each := _node(cluster.inventory, entry))]
    if not successors:
        raise RollingError(
            f"{node.full_name} is a master without a replica: restarting it would stop its shard",
            expected="a live replica in the inventory that takes over first",
            observed=own.line.strip(),
            advice="give it a replica, or mend the one it had (pytest --inventory names it)",
        )
    successor = successors[0]
    cluster.wait_replica(successor, node, cluster.rejoin_budget)
    cluster.manual_failover(successor, own.slots[0].first)
    return successor.full_name


def _require_dead(cluster: Cluster, node: Node) -> None:
    """Raise RollingError for a node that does not answer us, while others hold it to be the living owner of slots.

    So it does where nobody answers who could know.
    """
    views = [view for view in cluster.views().values() if view is not None]
    if not views:
        raise RollingError(
            f"no node answers: whether {node.full_name} is a master that lives is unknown",
            expected="a way to the nodes' client ports",
            observed="no answer from any",
            advice="see to the network between this machine and the nodes; then run this again",
        )
    seen = [entry for view in views if (entry := view.by_address.get(node.address)) is not None]
    if any(entry.slots and entry.is_live for entry in seen):
        raise RollingError(
            f"{node.full_name} does not answer, and others hold it to be a master that lives",
            expected="an answer, or that a majority has given it up and a replica has taken over",
            observed=seen[0].line.strip(),
            advice="see what keeps it busy (docker logs); then run this again",
        )


def _node(inventory: Inventory, entry: NodeEntry) -> Node | None:
    return inventory.at(entry.ip, entry.port) if entry.is_live else None


def contradicting_themselves(cluster: Cluster) -> list[str]:
    """Return the nodes whose CLUSTER SLOTS or SHARDS say for longer than a moment something else than their NODES.

    So does a server that has read the nodes.conf of one before 7.2, which has no shard-ids, until it starts
    with the file that it has written itself (redis issue 14495).
    """
    try:
        cluster.wait_ready(2 * cluster.inventory.node_timeout)
        return []
    except WaitTimeout:
        evidence = collect(cluster.inventory, questions=TOPOLOGY, redirects=False)
        return [node.name for node in evidence.nodes if node.view is not None and contradictions_of(node)]


def require_fit(cluster: Cluster, server: str, version: str, made_with: Mapping[str, tuple[str, str]]) -> None:
    """Raise RollingError where a node runs what that server is no successor of: another project's, or a newer one.

    Wanted is that ``version`` of ``server``, redis or valkey; ``made_with``: server and version by container, of
    nodes that may be down, each empty where it is not known. Versions of Redis and Valkey are counted apart, and none
    says what the other can load; an older server cannot load a newer one's data.
    """
    asked = collect(cluster.inventory, questions={"info": ("INFO", "server")}, redirects=False)
    running = {seen.name: ("valkey" if "valkey_version" in seen.info else "redis") for seen in asked.nodes if seen.info}
    known = {name: made for name, (made, _) in made_with.items() if made} | running
    others = {name: other for name, other in known.items() if other != server}
    if others:
        raise RollingError(
            f"the image has {server}, another project's server than what runs",
            expected="the same server as before in redis_image",
            observed=", ".join(f"{name} has {other}" for name, other in others.items()),
            advice="make a new cluster of the other server, and copy the data",
        )
    versions = {name: made for name, (_, made) in made_with.items() if made}
    versions |= {seen.name: seen.version for seen in asked.nodes if seen.version}
    newer = {name: has for name, has in versions.items() if version_key(has) > version_key(version)}
    if newer:
        raise RollingError(
            f"the image has server {version}, older than what runs: a downgrade is refused",
            expected=f"server {max(newer.values(), key=version_key)} or later in redis_image",
            observed=", ".join(f"{name} has {has}" for name, has in newer.items()),
            advice="name a newer image; to go back, restore a backup into a new cluster of the older version",
        )


def version_key(version: str) -> tuple[int, ...]:
    """Return what versions are compared by."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
