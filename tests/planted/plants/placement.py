"""Replicas and masters on the wrong host, and masters that nobody can replace."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from tests.planted.acts import follow
from tests.planted.plant import plant

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
