"""Views that do not agree, and claims that nobody accepts."""

from __future__ import annotations

import re

from fixtures.history.failover import failover_bound
from provisioning.cluster import Cluster
from provisioning.inventory import Node
from tests.planted.acts import close_port, edit_nodes_conf, kill, start
from tests.planted.plant import Bed, plant
from tests.planted.plants.members import DEAD_REPLICA

# Where the bus is cut both sides suspect each other, and each goes on with what it knew.
CUT = {
    *("bus-port-closed", "link-disconnected", "node-pfail", "node-fail", "views-disagree", "cluster-state-fail"),
    *("master-without-replica", "host-loss-not-survivable", "failed-but-connected"),
    *("slot-not-writable", "slot-not-readable", "redirect-loop", "role-differs", "masters-concentrated-on-one-host"),
    *("replica-link-down", "replica-stale", "slots-owned-by-failed-master", "failed-master-without-slots"),
}


def cut_bus(cluster: Cluster, one: Node, other: Node) -> None:
    """Let nothing pass between the bus ports of the two hosts' nodes."""
    for here, there in ((one.host, other.host), (other.host, one.host)):
        for node in cluster.inventory.host(here).nodes:
            close_port(cluster, node, node.bus_port, to=(there,))


@plant(
    "slot-overlap",
    "a host is cut off from the others, which have elected a successor to its master",
    also=CUT,
    then=("bus-port-closed", "role-differs"),
    slow=True,
)
def host_cut_off(cluster: Cluster) -> str:
    one, *others = cluster.inventory.masters
    for other in others:
        cut_bus(cluster, one, other)
    return f"slots {one.slots[0]}"


@plant(
    "epoch-collision",
    "two masters that cannot reach each other have one config epoch",
    also=CUT,
    then=("bus-port-closed",),
    bed=Bed(node_timeout_ms=10_000),  # the one that is restarted is not to be suspected
)
def epochs_collide(cluster: Cluster) -> str:
    one, other = cluster.inventory.masters[:2]
    kill(cluster, one)
    cut_bus(cluster, one, other)
    edit_nodes_conf(cluster, one, lambda text: re.sub(r"(myself,master - \d+ \d+) 1 ", r"\1 2 ", text))
    start(cluster, one)
    return f"{one.full_name} and {other.full_name}"


# A server that finds no shard-id gives itself one, and then lists its own slots twice and itself in no shard.
DOUBLED = {"shards-disagree", "corrupted-output"}
RESTARTED = Bed(node_timeout_ms=5000)  # masters are restarted without being suspected


@plant("shards-disagree", "no nodes.conf says which shard a node is of", also=DOUBLED, bed=RESTARTED)
def shard_ids_unknown(cluster: Cluster) -> tuple[str, ...]:
    return _without_shard_ids(cluster)


@plant("corrupted-output", "masters list their slots twice", also=DOUBLED, bed=RESTARTED)
def slots_listed_twice(cluster: Cluster) -> tuple[str, ...]:
    return _without_shard_ids(cluster)


@plant(
    "stale-claim",
    "a master died right after it was given its place back: its replica, told to take over, believes to be elected,"
    " nobody else does",
    also=DEAD_REPLICA | CUT | {"moved-to-unreachable-address", "empty-master", "shards-disagree"},
    then=("node-unreachable", "role-differs"),
    bed=Bed(node_timeout_ms=5000),
    slow=True,
)
def elected_twice_in_a_row(cluster: Cluster) -> str:
    shard = cluster.inventory.shards[0]
    master, replica = shard.master, shard.replicas[0]
    master_id, witness = cluster.ids()[master.full_name], cluster.inventory.masters[-1]
    cluster.manual_failover(replica)
    cluster.wait_replica(master, replica, cluster.rejoin_budget)
    cluster.manual_failover(master)
    kill(cluster, master)
    assert cluster.call(replica, "CLUSTER", "FAILOVER", "FORCE") == "OK"  # within two node timeouts of its election
    cluster.wait_for(
        lambda: "fail" in cluster.view(witness).by_id[master_id].flags,
        f"{master.full_name} marked FAIL by {witness.full_name}",
        failover_bound(cluster.inventory.node_timeout),
    )
    return replica.full_name


@plant(
    "views-disagree",
    "a master has given up a slot, and nobody else knows of it",
    # it alone sees the slot without an owner, and the cluster down
    also={"slots-uncovered", "cluster-state-fail", "slots-differ", "slot-not-writable", "slot-not-readable"},
)
def slot_given_up_silently(cluster: Cluster) -> str:
    assert cluster.call(cluster.inventory.masters[0], "CLUSTER", "DELSLOTS", 0) == "OK"
    return "slots 0"


def _without_shard_ids(cluster: Cluster) -> tuple[str, ...]:
    nodes = cluster.inventory.nodes
    kill(cluster, *nodes)
    for node in nodes:
        edit_nodes_conf(cluster, node, lambda text: re.sub(r",shard-id=\w+", "", text))
    start(cluster, *nodes)
    return tuple(node.full_name for node in cluster.inventory.masters)
