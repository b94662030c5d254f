"""Members that are dead, paused, not there at all, or not wanted."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from tests.planted.acts import kill, start_stranger, stop_stranger
from tests.planted.plant import Bed, plant

# A dead node is marked, has no link and no open port; its master has no replica, and may then not die.
DEAD_REPLICA = {
    *("node-unreachable", "node-fail", "node-pfail", "link-disconnected"),
    *("container-not-running", "client-port-closed", "bus-port-closed"),
    *("master-without-replica", "host-loss-not-survivable"),
}

# Two of three masters: their slots are lost, nothing is elected, and replicas wait for masters that are gone.
MAJORITY_LOST = DEAD_REPLICA | {
    *("slots-owned-by-failed-master", "cluster-state-fail", "moved-to-unreachable-address"),
    *("slot-not-writable", "slot-not-readable", "replica-link-down", "replica-stale"),
}


@plant("node-unreachable", "a replica is dead", also=DEAD_REPLICA)
def replica_dead(cluster: Cluster) -> str:
    return _killed(cluster, cluster.inventory.replicas[0])


@plant("node-fail", "a replica is dead, and a majority has said so", also=DEAD_REPLICA)
def replica_failed(cluster: Cluster) -> str:
    return _killed(cluster, cluster.inventory.replicas[0])


@plant("link-disconnected", "a dead replica is dialled in vain", also=DEAD_REPLICA)
def replica_without_link(cluster: Cluster) -> str:
    return _killed(cluster, cluster.inventory.replicas[0])


@plant("failed-but-connected", "a replica is paused", also=DEAD_REPLICA - {"container-not-running"})
def replica_paused(cluster: Cluster) -> str:
    node = cluster.inventory.replicas[0]
    cluster.simulated.nodes[node.full_name].signal("STOP")
    return node.full_name


@plant("node-pfail", "two of three masters are dead: nobody is left to agree on it", also=MAJORITY_LOST)
def majority_dead(cluster: Cluster) -> tuple[str, ...]:
    return tuple(_killed(cluster, node) for node in cluster.inventory.masters[:2])


@plant(
    "node-handshake",
    "a node was to meet an address where nobody is",
    also={"link-disconnected"},  # there is none
    bed=Bed(node_timeout_ms=20_000),  # so long a handshake is tried
)
def nobody_met(cluster: Cluster) -> str:
    first = cluster.inventory.masters[0]
    address = f"{first.lan.rpartition('.')[0]}.250"
    assert cluster.call(first, "CLUSTER", "MEET", address, first.port) == "OK"
    return f"{address}:{first.port}"


@plant("unexpected-node", "a node that the inventory does not have is a member", also={"empty-master"}, rebuild=True)
def stranger_joined(cluster: Cluster) -> str:
    return start_stranger(cluster)


@plant(
    "failed-master-without-slots",
    "a member that is gone for good was never forgotten",
    also={"unexpected-node", "node-fail", "node-pfail", "link-disconnected"},
    rebuild=True,
)
def ghost(cluster: Cluster) -> str:
    address = start_stranger(cluster)
    stop_stranger(cluster)
    return address


def _killed(cluster: Cluster, node: Node) -> str:
    kill(cluster, node)
    return node.full_name
