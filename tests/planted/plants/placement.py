"""Replicas and masters on the wrong host, and masters that nobody can replace."""

from __future__ import annotations

import re

from provisioning.cluster import Cluster
from provisioning.inventory import Inventory, Node
from provisioning.planned_inventory import planned_inventory
from tests.planted.acts import configure, edit_nodes_conf, follow, kill, start
from tests.planted.plant import Bed, plant
from tests.planted.plants.slots import UNCOVERED, give_up

# A replica that moves leaves its master without one, whose host may then not die.
MOVED = {"replica-of-other-master", "master-without-replica", "host-loss-not-survivable"}

# Masters come to one host by changing places with their replicas.
GATHERED = {"masters-concentrated-on-one-host", "host-loss-not-survivable", "role-differs"}


@plant("replica-same-host-as-master", "a replica runs beside its own master", also=MOVED)
def replica_beside_its_master(cluster: Cluster) -> str:
    master = cluster.inventory.masters[0]
    replica = next(node for node in cluster.inventory.replicas if node.host == master.host)
    follow(cluster, replica, master)
    return replica.full_name


@plant("replica-of-other-master", "every replica follows the next master but one: rotated, and placed as safely")
def replicas_rotated(cluster: Cluster) -> tuple[str, ...]:
    masters, replicas = cluster.inventory.masters, cluster.inventory.replicas
    for replica in replicas:
        planned = next(place for place, master in enumerate(masters) if master.full_name == replica.replica_of)
        follow(cluster, replica, masters[(planned + 1) % len(masters)])
    return tuple(replica.full_name for replica in replicas)


@plant("master-without-replica", "a master's only replica follows another master", also=MOVED)
def shard_without_replica(cluster: Cluster) -> str:
    shard = cluster.inventory.shards[0]
    replica = shard.replicas[0]
    other = next(m for m in cluster.inventory.masters if m != shard.master and m.host != replica.host)
    follow(cluster, replica, other)
    return shard.master.full_name


def gather_masters(cluster: Cluster) -> Node:
    """Let the first host's replica take over from its master elsewhere; return the replica."""
    replica = next(node for node in cluster.inventory.host(cluster.inventory.hosts[0].name).nodes if node.replica_of)
    cluster.manual_failover(replica)
    return replica


@plant("masters-concentrated-on-one-host", "two of three masters run on one host", also=GATHERED)
def two_masters_on_one_host(cluster: Cluster) -> str:
    return gather_masters(cluster).host


@plant("host-loss-not-survivable", "the loss of one host leaves no majority", also=GATHERED)
def host_that_may_not_die(cluster: Cluster) -> str:
    return gather_masters(cluster).host


@plant("role-differs", "a replica has taken over and not given back", also=GATHERED)
def roles_exchanged(cluster: Cluster) -> str:
    return gather_masters(cluster).replica_of


def three_of_three(default: Inventory) -> Inventory:
    """Return three hosts with a master and two replicas each."""
    return planned_inventory(3, 3, 2)


@plant(
    "replicas-same-host",
    "two replicas of one master run on one host",
    also={"replica-of-other-master"},  # one of them was planned for another
    bed=Bed(change=three_of_three),
)
def replicas_on_one_host(cluster: Cluster) -> str:
    shard, *others = cluster.inventory.shards
    host = shard.replicas[0].host
    stray = next(node for other in others for node in other.replicas if node.host == host)
    follow(cluster, stray, shard.master)
    return shard.master.full_name


@plant(
    "empty-master",
    "a node that was meant to be a replica was never told of whom",
    # Its shard is without it, and CLUSTER SHARDS does not get along with two masters of one shard.
    also={"master-without-replica", "host-loss-not-survivable", "shards-disagree"},
)
def replica_without_orders(cluster: Cluster) -> str:
    replica, master = cluster.inventory.replicas[0], cluster.inventory.masters[0]
    assert cluster.call(replica, "CLUSTER", "RESET", "SOFT") == "OK"
    assert cluster.call(replica, "CLUSTER", "MEET", master.lan, master.port, master.bus_port) == "OK"
    cluster.wait_agreement(cluster.inventory.nodes, cluster.rejoin_budget)
    return replica.full_name


@plant(
    "nofailover-flag",
    "a replica is never to take over",
    also={"host-loss-not-survivable", "replica-cannot-take-over"},  # its master has no other
)
def replica_without_ambition(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.replicas[:1], "cluster-replica-no-failover", "yes")


@plant(
    "replica-of-replica",
    "a replica follows a replica",
    also=MOVED | {"shards-disagree"},  # the server lists it in the shard that it left and in the other one
)
def replica_behind_replica(cluster: Cluster) -> str:
    one, other = cluster.inventory.replicas[:2]
    ids = cluster.ids()
    kill(cluster, one)
    to = ids[other.full_name]
    edit_nodes_conf(cluster, one, lambda text: re.sub(rf"(myself,\w+) {ids[one.replica_of]}", rf"\1 {to}", text))
    start(cluster, one)
    return one.full_name


@plant(
    "replica-owns-slots",
    "a replica holds itself to be the owner of a slot that its master has lost",
    also=UNCOVERED | {"slots-uncovered", "views-disagree", "shards-disagree"},
)
def slot_owned_by_replica(cluster: Cluster) -> str:
    shard = cluster.inventory.shards[0]
    replica = shard.replicas[0]
    give_up(cluster, 0, shard.master)
    kill(cluster, replica)
    edit_nodes_conf(cluster, replica, lambda text: re.sub(r"(myself,.*)", r"\1 0", text))
    start(cluster, replica)
    return replica.full_name


@plant(
    "replica-of-unknown-master",
    "a replica follows an id that nobody has",
    # a node that has not heard of the id before it is marked FAIL never hears of it
    also=MOVED
    | {"node-fail", "node-pfail", "link-disconnected", "shards-disagree", "views-disagree"}
    | {"replica-link-down", "replica-never-synced", "replica-stale", "replica-cannot-take-over"},
    then=("node-fail",),
)
def replica_behind_nobody(cluster: Cluster) -> str:
    replica = cluster.inventory.replicas[0]
    master_id = cluster.ids()[replica.replica_of]
    kill(cluster, replica)
    edit_nodes_conf(cluster, replica, lambda text: re.sub(rf"(myself,\w+) {master_id}", rf"\1 {'f' * 40}", text))
    start(cluster, replica)
    return replica.full_name
