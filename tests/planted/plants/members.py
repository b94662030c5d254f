"""Members that are dead, paused, forgotten, unknown or somebody else."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from tests.planted.acts import blank, configure, edit_nodes_conf, forget, kill, start, start_stranger, stop_stranger
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

# A node that lost its nodes.conf is alone under a new id; nobody has an address for the old one.
LOST_ITSELF = {
    *("isolated-single-node", "missing-node", "views-disagree", "cluster-state-fail"),
    *("node-noaddr", "node-fail", "node-pfail", "link-disconnected"),
    *("slot-not-writable", "slot-not-readable", "redirect-loop"),
    *("empty-master", "master-without-replica", "host-loss-not-survivable", "moved-without-host"),
}
BACK_AS_REPLICA = ("node-noaddr", "empty-master")


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


@plant("isolated-single-node", "a replica has lost its nodes.conf", also=LOST_ITSELF, then=BACK_AS_REPLICA)
def nodes_conf_of_replica_lost(cluster: Cluster) -> str:
    node = cluster.inventory.replicas[0]
    kill(cluster, node)
    blank(cluster, node, "nodes.conf")
    start(cluster, node)
    return node.full_name


@plant(
    "node-noaddr",
    "a blank node has taken the address of a replica",
    also=LOST_ITSELF,
    then=("isolated-single-node", "empty-master"),
)
def address_reused(cluster: Cluster) -> str:
    node = cluster.inventory.replicas[0]
    lost = cluster.ids()[node.full_name]
    kill(cluster, node)
    blank(cluster, node)
    start(cluster, node)
    return lost[:8]


@plant(
    "myself-without-ip",
    "a blank node that was told no address was never introduced",
    also=LOST_ITSELF,
    then=("isolated-single-node", *BACK_AS_REPLICA),
)
def node_never_introduced(cluster: Cluster) -> str:
    node = cluster.inventory.replicas[0]
    assert cluster.call(node, "CLUSTER", "RESET", "HARD") == "OK"
    cluster.wait_for(
        lambda: all("noaddr" in _flags(cluster, each) for each in cluster.inventory.nodes if each != node),
        "nobody has an address for what it was",
        cluster.rejoin_budget,
    )
    configure(cluster, [node], "cluster-announce-ip", "")
    return node.full_name


@plant(
    "slots-owned-by-failed-master",
    "a master has lost its nodes.conf and is back under a new id: nobody suspects the old one, nothing is elected",
    also=LOST_ITSELF
    | {"masters-concentrated-on-one-host", "slots-differ", "replica-of-other-master"}
    | {"failed-master-without-slots", "shards-disagree"},  # the old id, once its slots have gone to the successor
    then=("isolated-single-node", *BACK_AS_REPLICA, "role-differs"),
    bed=Bed(node_timeout_ms=5000),  # it is back before anybody suspects it
)
def nodes_conf_of_master_lost(cluster: Cluster) -> str:
    node = cluster.inventory.masters[0]
    lost = cluster.ids()[node.full_name]
    kill(cluster, node)
    blank(cluster, node, "nodes.conf")
    start(cluster, node)
    return lost[:8]


@plant(
    "isolated-single-node",
    "a master was reset: it knows only itself",
    also=LOST_ITSELF | {"too-few-masters", "slots-differ"},  # once it is back, it does not know of its slots
    then=("slots-uncovered",),
)
def master_reset(cluster: Cluster) -> str:
    node = cluster.inventory.masters[0]
    assert cluster.call(node, "CLUSTER", "RESET", "SOFT") == "OK"
    return node.full_name


# A forgotten replica still follows its master, which does not count on it.
FORGOTTEN = {"views-disagree", "master-without-replica", "host-loss-not-survivable"}

# Each half sees the slots, nodes and masters of the other half missing.
HALVED = {
    *("views-disagree", "cluster-state-fail", "slots-uncovered", "too-few-masters"),
    *("slot-not-writable", "slot-not-readable", "host-loss-not-survivable"),
}


@plant("missing-node", "a replica was forgotten although it works", also=FORGOTTEN, slow=True)
def replica_forgotten(cluster: Cluster) -> str:
    shard = cluster.inventory.shards[0]
    forget(cluster, shard.replicas[0])
    return shard.replicas[0].full_name


@plant("missing-node", "two clusters instead of one", also=HALVED)
def two_clusters(cluster: Cluster) -> tuple[str, ...]:
    ids = cluster.ids()
    one, *other = cluster.inventory.shards
    sides = [{one.master, *one.replicas}, {node for shard in other for node in (shard.master, *shard.replicas)}]
    kill(cluster, *cluster.inventory.nodes)
    for side in sides:
        strangers = {ids[node.full_name] for node in cluster.inventory.nodes if node not in side}
        for node in side:
            edit_nodes_conf(
                cluster,
                node,
                lambda text, out=strangers: "".join(  # type: ignore[misc]
                    line for line in text.splitlines(keepends=True) if line.split()[0] not in out
                ),
            )
    start(cluster, *cluster.inventory.nodes)
    return tuple(node.full_name for node in cluster.inventory.nodes)


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


def _flags(cluster: Cluster, viewer: Node) -> set[str]:
    view = cluster.views([viewer])[viewer.full_name]
    return {flag for entry in view.entries for flag in entry.flags} if view else set()
