"""Keys in every shard, to be found again after a fault."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.slots import key_in_slot

KEYS_PER_SHARD = 20


def fill(cluster: Cluster) -> dict[str, str]:
    """Write keys to every shard, wait until the replicas have them, and return them."""
    keys = {}
    for shard in cluster.inventory.shards:
        span = shard.master.slots[0]
        for n in range(KEYS_PER_SHARD):
            key = key_in_slot(span.first + n * (len(span) // KEYS_PER_SHARD), "kept:")
            keys[key] = f"value {n} of {shard.master.full_name}"
            cluster.call(shard.master, "SET", key, keys[key])
    for shard in cluster.inventory.shards:
        for replica in shard.replicas:
            cluster.wait_for(
                lambda master=shard.master, replica=replica: cluster.caught_up(replica, master),  # type: ignore[misc]
                f"{replica.full_name} has the keys",
                cluster.inventory.node_timeout,
            )
    return keys


def stored(cluster: Cluster, keys: dict[str, str]) -> dict[str, str]:
    """Return what the present owners have under these keys."""
    with cluster.client() as client:
        return {key: str(client.get(key)) for key in keys}
