"""An application's client object need not be made anew: it lives through a kill and recovers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.history.client import ClientProbe
from fixtures.history.failover import failover_bound
from fixtures.history.observation import Observation
from provisioning.cluster import Cluster
from provisioning.faults import KillNode, inject

pytestmark = pytest.mark.destructive


def test_one_redis_py_client_recovers_from_a_killed_master(
    fresh_cluster: Cluster, observe: Callable[[Cluster], Observation]
) -> None:
    """Sync and asyncio clients write again within the failover bound and one more node timeout."""
    cluster = fresh_cluster
    shard = cluster.inventory.shards[1]
    victim, successor = shard.master, shard.replicas[0]
    survivors = [node for node in cluster.inventory.nodes if node != victim]
    slot = shard.master.slots[0].first

    with (
        ClientProbe(cluster, slot, "redis-py") as blocking,
        ClientProbe(cluster, slot, "redis-py asyncio") as in_loop,
        observe(cluster) as seen,
    ):
        with inject(cluster.simulated, KillNode(victim)) as injection:
            write = seen.wait_first_write(injection, victim)
            cluster.wait_owner(slot, successor, survivors, cluster.inventory.node_timeout)
            for probe in (blocking, in_loop):
                probe.wait_success(write.ended)
            recovered: dict[str, dict[str, float]] = {
                probe.flavour: probe.recovery(injection.began) for probe in (blocking, in_loop)
            }
            seen.failover(injection, victim, successor, survivors, clients=recovered)

    bound = failover_bound(cluster.inventory.node_timeout) + cluster.inventory.node_timeout
    for flavour, figures in recovered.items():
        assert figures["longest_stall_s"] >= cluster.inventory.node_timeout, f"the fault missed {flavour}"
        assert figures["first_success_s"] <= bound, flavour
