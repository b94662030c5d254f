"""A replica has what its master has."""

from __future__ import annotations

from provisioning.cluster import Cluster
from tests.topology.dataset import stored, write_everything


def test_replicas_have_read_all_that_was_written(cluster: Cluster) -> None:
    """Every replica's offset reaches what its master had written when asked."""
    for shard in cluster.inventory.shards:
        acting = cluster.owner(shard.master.slots[0].first)
        for replica in {node.full_name: node for node in shard.nodes if node != acting}.values():
            cluster.wait_replica(replica, acting, cluster.inventory.node_timeout)


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
