"""A master that is only slow is not replaced; one that is silent for long enough is, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.history.failover import failover_bound
from fixtures.history.observation import Observation
from provisioning.cluster import Cluster
from provisioning.errors import FaultError
from provisioning.faults import PauseNode, inject

pytestmark = pytest.mark.destructive

SHORT_PAUSE = 0.9
"""Node timeouts. Below 1.0 no node may suspect it (measured at 0.9: never a failover; at 1.1: 0 of 3)."""


def test_a_pause_below_the_node_timeout_causes_no_failover(
    fresh_cluster: Cluster, observe: Callable[[Cluster], Observation]
) -> None:
    """Paused for 0.9 node timeouts and resumed, the master keeps its slots and its config epoch."""
    cluster = fresh_cluster
    shard = cluster.inventory.shards[0]
    victim = shard.master
    survivors = [node for node in cluster.inventory.nodes if node != victim]
    before = cluster.view(victim)

    with observe(cluster) as seen:
        with inject(cluster.simulated, PauseNode(victim)) as injection:
            seen.watch_for(injection, SHORT_PAUSE * cluster.inventory.node_timeout)
        # Whatever the pause could set off would be over after the bound of a failover.
        seen.watch_for(injection, failover_bound(cluster.inventory.node_timeout))
        seen.wait_writes(3)
        assert injection.ended is not None
        if injection.ended - injection.began >= cluster.inventory.node_timeout:
            raise FaultError("the pause was too long", observed=f"{injection.ended - injection.began:.2f} s")
        assert seen.promotions(injection) == []

    after = cluster.view(victim)
    assert after.myself is not None
    assert before.myself is not None
    assert (after.myself.slots, after.myself.config_epoch) == (before.myself.slots, before.myself.config_epoch)
    cluster.wait_agreement(survivors, cluster.inventory.node_timeout)


def test_a_master_silent_until_fail_is_replaced_exactly_once_and_steps_down(
    fresh_cluster: Cluster, observe: Callable[[Cluster], Observation]
) -> None:
    """Held until a majority reports FAIL, then resumed: one failover follows, and it obeys its successor."""
    cluster = fresh_cluster
    shard = cluster.inventory.shards[1]
    victim, successor = shard.master, shard.replicas[0]
    survivors = [node for node in cluster.inventory.nodes if node != victim]
    voters = [node for node in survivors if node.role == "master"]
    slot = shard.master.slots[0].first

    with observe(cluster) as seen:
        with inject(cluster.simulated, PauseNode(victim)) as injection:
            cluster.wait_for(
                lambda: all(
                    view is not None and "fail" in view.by_address[victim.address].flags
                    for view in cluster.views(voters).values()
                ),
                f"the majority {[node.full_name for node in voters]} says that {victim.full_name} failed",
                failover_bound(cluster.inventory.node_timeout),
            )
        seen.wait_first_write(injection, victim)
        cluster.wait_owner(slot, successor, survivors, cluster.inventory.node_timeout)
        failover = seen.failover(injection, victim, successor, survivors)
        cluster.wait_replica(victim, successor, cluster.rejoin_budget)
        assert seen.promotions(injection) == [successor.full_name]

    assert failover.fail is not None
    assert failover.attempt == 1
    owner = cluster.view(victim).owner_of(slot)
    assert owner is not None
    assert owner.address == successor.address
    assert owner.config_epoch == len(cluster.inventory.nodes) + 1, "exactly one election: the current epoch plus one"
