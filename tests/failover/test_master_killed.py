"""A master is killed: its replica takes over in time, nothing else changes, and the layout comes back."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from fixtures.history.failover import PHASES, Failover, failover_bound
from fixtures.history.observation import Observation
from provisioning.cluster import Cluster
from provisioning.faults import KillNode, inject
from tests.dataset import fill, held_by, of_shard, stored

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
            cluster.wait_agreement(survivors, cluster.inventory.node_timeout)
            failover = seen.failover(injection, victim, successor, survivors)

            assert write.node == successor.full_name
            assert successor.host != victim.host
            assert failover.first_write is not None
            assert failover.first_write <= failover_bound(cluster.inventory.node_timeout)
            assert failover.attempt == 1
            assert_phases_in_order(failover, cluster.inventory.node_timeout)
            assert failover.outage[shard.master.full_name] > cluster.inventory.node_timeout
            assert set(failover.outage) == {each.master.full_name for each in cluster.inventory.shards}
            for view in cluster.views(survivors).values():
                assert view is not None
                owner = view.by_address[successor.address]
                assert owner.slots == shard.master.slots
                assert owner.config_epoch > epoch_before
            assert stored(cluster, keys) == keys

        cluster.wait_replica(victim, successor, cluster.rejoin_budget)
        assert held_by(cluster, victim, keys) == of_shard(cluster, victim, keys)
        assert stored(cluster, keys) == keys
        restored = cluster.restore_layout()

    assert restored == [f"CLUSTER FAILOVER on {victim.full_name}"]
    assert cluster.roles() == cluster.wanted_roles
    assert stored(cluster, keys) == keys


def assert_phases_in_order(failover: Failover, node_timeout: float) -> None:
    """Every phase was seen, in order, and no promotion before a node timeout had passed.

    For seconds after a kill every node says ``ok`` and shows all slots covered: a promotion seen then
    would be no promotion. PFAIL alone may be over before anybody looks.
    """
    seen = {phase: getattr(failover, phase) for phase in PHASES}
    assert [phase for phase, at in seen.items() if at is None and phase != "first_pfail"] == []
    assert seen["promoted"] > node_timeout
    times = [at for phase, at in seen.items() if at is not None and phase != "first_write"]
    assert all(earlier <= later + CLOCKS_SECONDS for earlier, later in itertools.pairwise(times)), failover
    assert seen["first_write"] >= seen["promoted"] - CLOCKS_SECONDS
