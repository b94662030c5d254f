"""For every host its survival is predicted, then the host is killed and the prediction compared."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.history.failover import failover_bound
from fixtures.history.observation import Observation
from fixtures.reporting import Recorder
from provisioning.ansible_inventory import parse_inventory
from provisioning.cluster import Cluster
from provisioning.faults import KillHost, inject
from tests.dataset import fill, stored
from tests.placement.survival import FATAL, prediction_for, survival_row

pytestmark = pytest.mark.destructive

TWO_MASTERS_ON_ONE_HOST = """
all:
  vars: {redis_cluster_name: two masters on one host}
  hosts:
    redis-host-1:
      redis_nodes:
        - {name: redis_master, role: master, port: 6373}
        - {name: redis_master_2, role: master, port: 6374}
    redis-host-2:
      redis_nodes:
        - {name: redis_master, role: master, port: 6373}
        - {name: redis_slave, role: replica, port: 6374, replica_of: redis-host-1/redis_master}
    redis-host-3:
      redis_nodes:
        - {name: redis_slave, role: replica, port: 6373, replica_of: redis-host-1/redis_master_2}
        - {name: redis_slave_2, role: replica, port: 6374, replica_of: redis-host-2/redis_master}
"""
"""Every shard has a replica elsewhere, every slot is covered, redis-cli finds no fault; host 1 is fatal."""


def test_a_dead_host_is_survived_as_predicted(
    fresh_cluster: Cluster, observe: Callable[[Cluster], Observation], record: Recorder, host_name: str
) -> None:
    """With the host dead its shards are writable within the bound, all keys are kept, and it comes back."""
    cluster = fresh_cluster
    prediction = prediction_for(cluster, host_name)
    assert prediction.survives, prediction.reasons
    victims = [node for node in cluster.inventory.host(host_name).nodes if node.role == "master"]
    live = [node for node in cluster.inventory.nodes if node.host != host_name]
    keys = fill(cluster)

    with observe(cluster) as seen:
        with inject(cluster.simulated, KillHost(host_name)) as injection:
            for victim in victims:
                successor = cluster.inventory.node(seen.wait_first_write(injection, victim).node)
                cluster.wait_owner(victim.slots[0].first, successor, live, 2 * cluster.inventory.node_timeout)
                failover = seen.failover(injection, victim, successor, live)
                assert failover.attempt == 1
                assert failover.first_write is not None
                assert failover.first_write <= failover_bound(cluster.inventory.node_timeout)
            seen.wait_writes(3)
            assert stored(cluster, keys) == keys
            record("survival", survival_row(cluster, prediction, "survived"))
        cluster.wait_agreement(cluster.inventory.nodes, cluster.rejoin_budget)
        assert stored(cluster, keys) == keys


def test_the_predicted_loss_of_a_failed_over_cluster_is_told_with_its_repair(
    fresh_cluster: Cluster,
) -> None:
    """After a failover two masters share a host: its loss is predicted fatal; the named repair ends that."""
    cluster = fresh_cluster
    shard = cluster.inventory.shards[0]
    successor = shard.replicas[0]
    cluster.manual_failover(successor)
    cluster.wait_replica(shard.master, successor, cluster.rejoin_budget)

    before = prediction_for(cluster, successor.host)
    assert not before.quorum_kept
    assert before.repair == f"redis-cli -h {shard.master.announced} -p {shard.master.port} CLUSTER FAILOVER"

    cluster.manual_failover(shard.master)
    cluster.wait_replica(successor, shard.master, cluster.rejoin_budget)
    assert prediction_for(cluster, successor.host).survives


def test_a_layout_predicted_not_to_survive_does_not(
    simulation_of: Callable[..., Cluster], observe: Callable[[Cluster], Observation], record: Recorder
) -> None:
    """Two of three masters on one host: without it nobody is elected, and the rest answers CLUSTERDOWN."""
    cluster = simulation_of(parse_inventory(TWO_MASTERS_ON_ONE_HOST, "two masters on one host"))
    node_timeout = cluster.inventory.node_timeout
    prediction = prediction_for(cluster, "redis-host-1")
    assert not prediction.survives
    assert not prediction.quorum_kept
    live = [node for node in cluster.inventory.nodes if node.host != "redis-host-1"]
    survivor = cluster.inventory.node("redis-host-2/redis_master")
    key_slot = survivor.slots[0].first

    with observe(cluster) as seen:
        with inject(cluster.simulated, KillHost("redis-host-1")) as injection:
            cluster.wait_for(
                lambda: all(cluster.state(node) == "fail" for node in live),
                "every surviving node says cluster_state fail",
                failover_bound(node_timeout),
            )
            # Had anybody been electable, it would have been promoted by now: the bound of a first election.
            seen.watch_for(injection, failover_bound(node_timeout))
            assert seen.promotions(injection) == []
            assert cluster.ask(survivor, "GET", cluster.key_in(key_slot)).startswith("CLUSTERDOWN")
            record("survival", survival_row(cluster, prediction, FATAL))
        cluster.wait_for(
            lambda: all(cluster.state(node) == "ok" for node in cluster.inventory.nodes),
            "every node says ok after the host's return",
            4 * node_timeout,
        )
