"""Memory that is full, writes that are refused, limits that are missing."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from provisioning.slots import key_in_slot
from tests.planted.acts import configure
from tests.planted.plant import plant
from tests.planted.repairing import inside

MIB = 1024 * 1024

# The gate's own probe writes are refused as every other.
REFUSED = {"slot-not-writable"}

FILLERS = 8
"""Keys of one MiB in the shard that is to be full."""

SMALLEST_BACKLOG = 16 * 1024
"""Bytes: the least that a server takes for repl-backlog-size."""

WRITES = 3000
WRITES_APART = 0.02
"""A planted writer goes on for a minute (seconds between two writes), or until the cluster is rebuilt."""


@plant("memory-full", "a shard is full and may evict nothing", also=REFUSED, rebuild=True)
def memory_full(cluster: Cluster) -> tuple[str, ...]:
    master = cluster.inventory.masters[0]
    replica = next(node for node in cluster.inventory.replicas if node.replica_of == master.full_name)
    slot = master.slots[0].first
    with cluster.connection(master) as link:
        link.calls([("SET", key_in_slot(slot, f"filler {n}:"), "x" * MIB) for n in range(FILLERS)])
    cluster.wait_for(
        lambda: cluster.caught_up(replica, master), f"{replica.full_name} has it too", cluster.inventory.node_timeout
    )
    shard = (master, replica)
    # In the middle: what a node uses goes up and down by the MiB, with the buffers of clients and replicas.
    limit = max(_used(cluster, node) for node in cluster.inventory.nodes if node not in shard) + FILLERS // 2 * MIB
    configure(cluster, cluster.inventory.nodes, "maxmemory", str(limit))
    return tuple(node.full_name for node in shard)


def _used(cluster: Cluster, node: Node) -> int:
    return int(cluster.info(node)["used_memory"])


@plant("writes-refused", "every master asks for two replicas and has one", also=REFUSED, rebuild=True)
def too_many_replicas_asked_for(cluster: Cluster) -> tuple[str, ...]:
    configure(cluster, cluster.inventory.nodes, "min-replicas-to-write", "2")
    return tuple(node.full_name for node in cluster.inventory.masters)


@plant("eviction-unset", "every node is to evict keys, and none has a limit", rebuild=True)
def cache_without_limit(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.nodes, "maxmemory-policy", "allkeys-lru")


@plant("backlog-too-small", "a master writes more in a second than its backlog holds", rebuild=True)
def backlog_too_small(cluster: Cluster) -> str:
    configure(cluster, cluster.inventory.nodes, "repl-backlog-size", str(SMALLEST_BACKLOG))
    master = cluster.inventory.masters[0]
    key, value = key_in_slot(master.slots[0].first, "busy:"), "x" * SMALLEST_BACKLOG
    writer = f"redis-cli -h {master.lan} -p {master.port} -r {WRITES} -i {WRITES_APART} SET '{key}' {value}"
    started = inside(cluster, master, f"{writer} >/dev/null 2>&1 &")
    assert started.code == 0, started.output
    return master.full_name
