"""Nodes that refuse their clients, and shards that nobody stands in for."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.slots import key_in_slot
from tests.planted.acts import blank, close_port, configure, follow, kill, start
from tests.planted.plant import plant
from tests.planted.plants.members import MAJORITY_LOST
from tests.planted.plants.slots import UNCOVERED, give_up

LOADED_KEYS = 1600
LOAD_DELAY_US = 5_000
"""For each of them, so that the copy takes 8 s."""


@plant(
    "cluster-state-fail",
    "every node says that the cluster is down",
    also=UNCOVERED | {"slots-uncovered"},
    repaired_by="slots-uncovered",
)
def cluster_down(cluster: Cluster) -> tuple[str, ...]:
    give_up(cluster, 0, cluster.inventory.masters[0])
    return tuple(node.full_name for node in cluster.inventory.nodes)


@plant(
    "slots-owned-by-failed-master",
    "a master is dead and its only replica is never to take over",
    also=MAJORITY_LOST
    | {"nofailover-flag", "replica-cannot-take-over", "failed-master-without-slots"}
    | {"masters-concentrated-on-one-host"},
    then=("node-unreachable", "role-differs", "nofailover-flag"),
    slow=True,
)
def nobody_takes_over(cluster: Cluster) -> str:
    shard = cluster.inventory.shards[0]
    configure(cluster, shard.replicas, "cluster-replica-no-failover", "yes")
    kill(cluster, shard.master)
    return shard.master.full_name


@plant(
    "replica-never-synced",
    "a replica that began without data cannot reach its master's client port",
    also={
        *("replica-link-down", "replica-stale", "replica-cannot-take-over", "host-loss-not-survivable"),
        *("client-port-closed", "moved-to-unreachable-address", "restarted-empty"),
    },
    repaired_by="client-port-closed",
    rebuild=True,
)
def replica_never_synced(cluster: Cluster) -> str:
    shard = cluster.inventory.shards[0]
    replica = shard.replicas[0]
    kill(cluster, replica)
    blank(cluster, replica, "appendonlydir", "dump.rdb")
    close_port(cluster, shard.master, shard.master.port, to=(replica.host,))
    start(cluster, replica)
    return replica.full_name


@plant(
    "replica-link-down",
    "a replica has lost its link and cannot reach its master's client port",
    also={
        *("replica-stale", "replica-cannot-take-over", "host-loss-not-survivable"),
        *("client-port-closed", "moved-to-unreachable-address"),
    },
    repaired_by="client-port-closed",
    rebuild=True,
)
def replica_link_lost(cluster: Cluster) -> str:
    shard = cluster.inventory.shards[0]
    replica = shard.replicas[0]
    close_port(cluster, shard.master, shard.master.port, to=(replica.host,))
    assert cluster.call(replica, "CLIENT", "KILL", "TYPE", "master") == 1
    return replica.full_name


def wait(cluster: Cluster) -> None:
    """Do nothing: it ends by itself, and the test waits for that."""


@plant(
    "node-loading",
    "a replica needs long to load its master's data",
    also={
        *("replica-link-down", "replica-never-synced", "replica-stale", "replica-cannot-take-over"),
        *("master-without-replica", "host-loss-not-survivable", "replica-of-other-master"),
    },
    by_hand=wait,
    rebuild=True,
)
def replica_loading(cluster: Cluster) -> str:
    shard, other = cluster.inventory.shards[:2]
    replica = shard.replicas[0]
    with cluster.connection(shard.master) as link:
        link.calls([("SET", key_in_slot(0, f"loaded:{n}:"), "x" * 100) for n in range(LOADED_KEYS)])
    follow(cluster, replica, other.master)
    cluster.wait_replica(replica, other.master, cluster.rejoin_budget)
    configure(cluster, [replica], "loading-process-events-interval-bytes", "1024")
    configure(cluster, [replica], "key-load-delay", str(LOAD_DELAY_US))
    follow(cluster, replica, shard.master)
    return replica.full_name
