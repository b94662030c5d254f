"""A replica has what its master has."""

from __future__ import annotations

from provisioning.cluster import Cluster
from tests.topology.dataset import stored, write_everything

FOLLOWS = "replica of "


def test_replicas_have_read_all_that_was_written(cluster: Cluster) -> None:
    """Every replica's offset reaches what its master, whoever that is now, had written when asked."""
    inventory = cluster.inventory
    followed = {name: role.removeprefix(FOLLOWS) for name, role in cluster.roles().items() if role.startswith(FOLLOWS)}
    assert len(followed) == len(inventory.replicas)
    assert set(followed.values()) <= {node.full_name for node in inventory.nodes}
    for replica, master in followed.items():
        cluster.wait_replica(inventory.node(replica), inventory.node(master), inventory.node_timeout)


def test_replicas_are_equal_by_content(writable_cluster: Cluster) -> None:
    """Master and replica have the same keys with the same types, values and expiries, of every type of data."""
    cluster = writable_cluster
    written = write_everything(cluster)
    found: set[str] = set()

    for shard in cluster.inventory.shards:
        with cluster.connection(shard.master) as connection:
            original = stored(connection)
        found |= original.keys()
        for replica in shard.replicas:
            cluster.wait_replica(replica, shard.master, cluster.inventory.node_timeout)
            with cluster.connection(replica) as connection:
                connection.call("READONLY")
                assert stored(connection) == original

    assert found == written
