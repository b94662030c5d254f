"""A replica serves reads of its own shard to those who ask for it, and writes to nobody."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.slots import key_in_slot


def test_a_replica_serves_reads_after_readonly(writable_cluster: Cluster) -> None:
    """Until READWRITE it answers reads of its master's slots itself; writes and other slots it redirects as ever."""
    cluster = writable_cluster
    for shard in cluster.inventory.shards:
        foreign = next(other.master for other in cluster.inventory.shards if other != shard)
        slot, elsewhere = shard.master.slots[0].first, foreign.slots[0].first
        key = key_in_slot(slot, "read:")
        moved = f"MOVED {slot} {shard.master.address}"
        cluster.call(shard.master, "SET", key, "written")
        for replica in shard.replicas:
            cluster.wait_replica(replica, shard.master, cluster.inventory.node_timeout)
            with cluster.connection(replica) as connection:
                said = connection.calls(
                    [
                        ("GET", key),
                        ("READONLY",),
                        ("GET", key),
                        ("SET", key, "overwritten"),
                        ("GET", key_in_slot(elsewhere)),
                        ("READWRITE",),
                        ("GET", key),
                    ],
                    raise_refusals=False,
                )

            assert [str(answer) for answer in said] == [
                moved,
                "OK",
                "written",
                moved,
                f"MOVED {elsewhere} {foreign.address}",
                "OK",
                moved,
            ]
