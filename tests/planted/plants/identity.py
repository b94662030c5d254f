"""Nodes that have lost what they knew, were never told, or are not known any more although they work."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from tests.planted.acts import blank, configure, forget, forget_in_nodes_conf, kill, start
from tests.planted.plant import Bed, plant

# A node that lost its nodes.conf is alone under a new id; nobody has an address for the old one.
LOST_ITSELF = {
    *("isolated-single-node", "missing-node", "views-disagree", "cluster-state-fail"),
    *("node-noaddr", "node-fail", "node-pfail", "link-disconnected"),
    *("slot-not-writable", "slot-not-readable", "redirect-loop"),
    *("empty-master", "master-without-replica", "host-loss-not-survivable", "moved-without-host"),
}
BACK_AS_REPLICA = ("node-noaddr", "empty-master")


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
    sides = [{one.master, *one.replicas}, {node for shard in other for node in shard.nodes}]
    kill(cluster, *cluster.inventory.nodes)
    for side in sides:
        strangers = {ids[node.full_name] for node in cluster.inventory.nodes if node not in side}
        for node in side:
            forget_in_nodes_conf(cluster, node, strangers)
    start(cluster, *cluster.inventory.nodes)
    return tuple(node.full_name for node in cluster.inventory.nodes)


def _flags(cluster: Cluster, viewer: Node) -> set[str]:
    view = cluster.views([viewer])[viewer.full_name]
    return {flag for entry in view.entries for flag in entry.flags} if view else set()
