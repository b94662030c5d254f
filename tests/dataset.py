"""Keys in every shard, to be found again after a fault."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.inventory import Node
from provisioning.slots import key_in_slot, key_slot

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


def held_by(cluster: Cluster, node: Node, keys: dict[str, str]) -> dict[str, str]:
    """Return what this one node has itself under those of the keys that are its shard's."""
    spans = cluster.shard_of(node).master.slots
    own = [key for key in keys if any(key_slot(key) in span for span in spans)]
    with cluster.connection(node) as link:
        answers = link.calls([("READONLY",), *(("GET", key) for key in own)])
    return dict(zip(own, answers[1:], strict=True))


def of_shard(cluster: Cluster, node: Node, keys: dict[str, str]) -> dict[str, str]:
    """Return those of the keys that belong to the node's shard, as they were written."""
    spans = cluster.shard_of(node).master.slots
    return {key: value for key, value in keys.items() if any(key_slot(key) in span for span in spans)}
