"""A master is killed: its replica takes over in time, nothing else changes, and the layout comes back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from fixtures.history.failover import PHASES, Failover, failover_bound
from fixtures.history.observation import Observation
from provisioning.cluster import Cluster
from provisioning.faults import KillNode, inject
from tests.dataset import fill, stored

pytestmark = pytest.mark.destructive


CLOCKS_SECONDS = 0.1
"""Sampled phases lag by a sample, logged ones do not: so much may neighbours seem to be out of order."""


@pytest.mark.parametrize("shard_number", [1, 2, 3])
def test_a_killed_master_is_replaced(
    fresh_cluster: Cluster, observe: Callable[[Cluster], Observation], shard_number: int
) -> None:
    """Its replica on the other host has all its slots within 2 x node timeout + 3 s, at the first election."""
    cluster = fresh_cluster
    shard = cluster.inventory.shards[shard_number - 1]
    victim, successor = shard.master, shard.replicas[0]
    survivors = [node for node in cluster.inventory.nodes if node != victim]
    slot = shard.master.slots[0].first
    epoch_before = cluster.view(successor).owner_of(slot).config_epoch  # type: ignore[union-attr]
    keys = fill(cluster)

    with observe(cluster) as seen:
        with inject(cluster.simulated, KillNode(victim)) as injection:
            write = seen.wait_first_write(injection, victim)
            cluster.wait_owner(slot, successor, survivors, cluster.inventory.node_timeout)
            failover = seen.failover(injection, victim, successor, survivors)

            assert write.node == successor.full_name
            assert successor.host != victim.host
            assert failover.first_write is not None
            assert failover.first_write <= failover_bound(cluster.inventory.node_timeout)
            assert failover.attempt == 1
            assert_phases_in_order(failover, cluster.inventory.node_timeout)
            for view in cluster.views(survivors).values():
                assert view is not None
                owner = view.by_address[successor.address]
                assert owner.slots == shard.master.slots
                assert owner.config_epoch > epoch_before
            assert stored(cluster, keys) == keys

        cluster.wait_replica(victim, successor, 2 * cluster.inventory.node_timeout)
        assert stored(cluster, keys) == keys
        restored = cluster.restore_layout()

    assert restored == [f"CLUSTER FAILOVER on {victim.full_name}"]
    assert {name: role.split()[0] for name, role in cluster.roles().items()} == {
        node.full_name: node.role for node in cluster.inventory.nodes
    }
    assert stored(cluster, keys) == keys


def assert_phases_in_order(failover: Failover, node_timeout: float) -> None:
    """What was seen happened in the order of the phases, and no promotion before a node timeout had passed.

    For seconds after a kill every node says ``ok`` and shows all slots covered: a promotion seen then
    would be no promotion.
    """
    assert failover.promoted is not None
    assert failover.promoted > node_timeout
    seen = [at for phase in PHASES if (at := getattr(failover, phase)) is not None and phase != "first_write"]
    assert len(seen) >= 4, failover
    assert all(earlier <= later + CLOCKS_SECONDS for earlier, later in itertools.pairwise(seen)), failover
