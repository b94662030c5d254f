"""What is true of a broken cluster of the default layout, as pairs of a rule and the subject that it names."""

from __future__ import annotations

from collections.abc import Iterable

from provisioning.cluster import Cluster
from provisioning.inventory import Node, WantedShard
from provisioning.slots import show_ranges

Truth = set[tuple[str, str]]


def each(rules: Iterable[str], nodes: Iterable[Node]) -> Truth:
    """Every one of these rules is true of every one of these nodes."""
    named = [node.full_name for node in nodes]
    return {(rule, name) for rule in rules for name in named}


def failed_over(shard: WantedShard) -> Truth:
    """The shard's replica is its master now, beside the master of another shard."""
    (successor,) = shard.replicas
    host = {("masters-concentrated-on-one-host", successor.host), ("host-loss-not-survivable", successor.host)}
    return host | each(["role-differs"], [shard.master])


def master_lost(shard: WantedShard) -> Truth:
    """It failed over, and its former master is lost."""
    ghost = each(["failed-master-without-slots"], [shard.master])
    return failed_over(shard) | ghost | each(["master-without-replica"], shard.replicas)


def replica_lost(shard: WantedShard) -> Truth:
    """It has its master and no replica."""
    return each(["master-without-replica"], [shard.master]) | {("host-loss-not-survivable", shard.master.host)}


def silent(*nodes: Node) -> Truth:
    """They answer nobody, and a majority knows."""
    return each(["node-unreachable", "node-fail"], nodes)


def dead(*nodes: Node) -> Truth:
    """Their processes are gone, and a majority knows."""
    return silent(*nodes) | each(["client-port-closed", "bus-port-closed", "container-not-running"], nodes)


def links_to(*nodes: Node) -> Truth:
    """A bus link to a lost node is at one moment a connect in progress, which counts as connected, and then none."""
    return each(["link-disconnected", "failed-but-connected"], nodes)


def unheard(*replicas: Node) -> Truth:
    """Nothing comes from their masters; how soon a replica notices, and how soon it hears again, is up to TCP."""
    return each(["replica-stale", "replica-lagging", "replica-link-down"], replicas)


def rejoining(shard: WantedShard, *nodes: Node) -> Truth:
    """They answer again: for a moment they are as they were, or have no link to their master yet and nobody theirs."""
    before = ("node-fail", "node-pfail", "failed-master-without-slots", "node-loading", "replica-never-synced")
    alone = each(["master-without-replica"], shard.replicas)
    return each([*before, "shards-disagree"], nodes) | links_to(*nodes) | unheard(*nodes) | alone


def cut_off(cluster: Cluster, shard: WantedShard) -> Truth:
    """The host of the shard's master reaches no other host, nor they it; its shard failed over elsewhere."""
    host = shard.master.host
    inside = cluster.inventory.host(host).nodes
    outside = [node for node in cluster.inventory.nodes if node.host != host]
    others = [other for other in cluster.inventory.shards if other != shard]
    contested = f"slots {show_ranges(shard.master.slots)}"
    true = master_lost(shard) | {("slot-overlap", contested), ("views-disagree", contested)}
    true |= each(["views-disagree"], shard.replicas)
    true |= each(["cluster-state-fail", "node-fail"], inside)
    true |= each(["node-pfail", "moved-to-unreachable-address"], outside)
    true |= each(["slots-owned-by-failed-master"], [other.master for other in others])
    true |= each(["client-port-closed", "bus-port-closed"], cluster.inventory.nodes)
    true |= {("slot-not-writable", f"slots {show_ranges(node.slots)}") for node in cluster.inventory.masters}
    for other in others:
        true |= replica_lost(other) if other.replicas[0].host == host else set()
    return true
