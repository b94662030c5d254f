"""Other ways to lose nodes: an orderly stop, a replica, a whole shard, a majority."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from fixtures.history.failover import failover_bound
from fixtures.history.observation import Observation
from provisioning.cluster import RESTART_GUARD_SECONDS, Cluster
from provisioning.faults import Injection, KillNode, TerminateNode, inject
from provisioning.inventory import Node
from provisioning.resp import NO_ANSWER
from tests.dataset import fill, stored

pytestmark = pytest.mark.destructive


def test_a_terminated_master_is_replaced(fresh_cluster: Cluster, observe: Callable[[Cluster], Observation]) -> None:
    """SIGTERM is an orderly shutdown, and the replica takes over within the bound all the same."""
    cluster = fresh_cluster
    shard = cluster.inventory.shards[2]
    victim, successor = shard.master, shard.replicas[0]
    survivors = _without(cluster, victim)
    keys = fill(cluster)

    with observe(cluster) as seen, inject(cluster.simulated, TerminateNode(victim)) as injection:
        assert "exited with 0" in injection.proof
        seen.wait_first_write(injection, victim)
        cluster.wait_owner(shard.master.slots[0].first, successor, survivors, cluster.inventory.node_timeout)
        failover = seen.failover(injection, victim, successor, survivors)
        assert failover.attempt == 1
        assert failover.first_write is not None
        assert failover.first_write <= failover_bound(cluster.inventory.node_timeout)
        assert stored(cluster, keys) == keys


def test_a_killed_replica_is_no_outage(fresh_cluster: Cluster, observe: Callable[[Cluster], Observation]) -> None:
    """While a replica is dead, and known to be, every shard goes on accepting writes; then it catches up."""
    cluster = fresh_cluster
    shard = cluster.inventory.shards[0]
    victim = shard.replicas[0]
    survivors = _without(cluster, victim)

    with observe(cluster) as seen:
        with inject(cluster.simulated, KillNode(victim)) as injection:
            _wait_flagged(cluster, victim, "fail", survivors)
            seen.wait_writes(3)
            stalls = {
                each.master.full_name: seen.probe.longest_stall(each.master.full_name, injection.began)
                for each in cluster.inventory.shards
            }
            masters = {each.master.full_name for each in cluster.inventory.shards}
            wrong = [
                each for each in seen.probe.attempts if each.node in masters and each.detail not in ("", NO_ANSWER)
            ]
            assert seen.promotions(injection) == []
        cluster.wait_replica(victim, shard.master, cluster.rejoin_budget)

    assert wrong == []
    # A scheduling hiccup of a loaded machine, as in a late answer, is no outage; a node timeout of silence would be.
    assert max(stalls.values()) < cluster.inventory.node_timeout / 2, stalls


def test_a_lost_shard_comes_back_from_disk(fresh_cluster: Cluster, observe: Callable[[Cluster], Observation]) -> None:
    """Master and replica dead: CLUSTERDOWN everywhere and nobody elected; after their restart every key is there."""
    cluster = fresh_cluster
    shard = cluster.inventory.shards[1]
    dead = list(shard.nodes)
    survivors = _without(cluster, *dead)
    keys = fill(cluster)

    with observe(cluster) as seen:
        with inject(cluster.simulated, *(KillNode(node) for node in dead)) as injection:
            _wait_state(cluster, survivors, "fail")
            other = cluster.inventory.shards[0].master
            assert cluster.ask(other, "GET", cluster.key_in(other.slots[0].first)).startswith("CLUSTERDOWN")
            assert seen.promotions(injection) == []
        _wait_state(cluster, cluster.inventory.nodes, "ok")
        cluster.wait_agreement(cluster.inventory.nodes, cluster.rejoin_budget)
        assert stored(cluster, keys) == keys


def test_without_a_majority_nobody_is_elected_until_the_masters_return(
    fresh_cluster: Cluster, observe: Callable[[Cluster], Observation]
) -> None:
    """Two of three masters dead at once: no election, CLUSTERDOWN; their return restores everything."""
    cluster = fresh_cluster
    dead = [shard.master for shard in cluster.inventory.shards[:2]]
    survivors = _without(cluster, *dead)
    keys = fill(cluster)

    with observe(cluster) as seen:
        with inject(cluster.simulated, *(KillNode(node) for node in dead)) as injection:
            _assert_nobody_elected(cluster, seen, injection, survivors)
        _wait_state(cluster, cluster.inventory.nodes, "ok")
        cluster.wait_agreement(cluster.inventory.nodes, cluster.rejoin_budget)
        assert seen.promotions(injection) == []
        assert stored(cluster, keys) == keys


def test_one_takeover_restores_the_majority(fresh_cluster: Cluster, observe: Callable[[Cluster], Observation]) -> None:
    """Two of three masters dead: after one CLUSTER FAILOVER TAKEOVER the other replica is elected by itself."""
    cluster = fresh_cluster
    first, second = cluster.inventory.shards[:2]
    survivors = _without(cluster, first.master, second.master)
    keys = fill(cluster)

    with observe(cluster) as seen:
        with inject(cluster.simulated, KillNode(first.master), KillNode(second.master)) as injection:
            _assert_nobody_elected(cluster, seen, injection, survivors)
            assert cluster.call(first.replicas[0], "CLUSTER", "FAILOVER", "TAKEOVER") == "OK"
            for shard in (first, second):
                cluster.wait_owner(
                    shard.master.slots[0].first,
                    shard.replicas[0],
                    survivors,
                    failover_bound(cluster.inventory.node_timeout),
                )
            _wait_state(cluster, survivors, "ok")
            assert stored(cluster, keys) == keys


def _assert_nobody_elected(cluster: Cluster, seen: Observation, injection: Injection, survivors: list[Node]) -> None:
    """Every survivor says fail and refuses, and for as long as a first election may take none is held."""
    _wait_state(cluster, survivors, "fail")
    witness = next(node for node in survivors if node.role == "master")
    assert cluster.ask(witness, "GET", cluster.key_in(witness.slots[0].first)).startswith("CLUSTERDOWN")
    seen.watch_for(injection, failover_bound(cluster.inventory.node_timeout))
    assert seen.promotions(injection) == []
    assert {cluster.state(node) for node in survivors} == {"fail"}


def _without(cluster: Cluster, *dead: Node) -> list[Node]:
    return [node for node in cluster.inventory.nodes if node not in dead]


def _wait_state(cluster: Cluster, nodes: Iterable[Node], state: str) -> None:
    asked = list(nodes)
    cluster.wait_for(
        lambda: all(cluster.state(node) == state for node in asked),
        f"cluster_state {state} on {len(asked)} nodes",
        failover_bound(cluster.inventory.node_timeout) + RESTART_GUARD_SECONDS + cluster.inventory.node_timeout,
    )


def _wait_flagged(cluster: Cluster, node: Node, flag: str, viewers: list[Node]) -> None:
    def flagged() -> bool:
        views = cluster.views(viewers).values()
        return all(view is not None and flag in view.by_address[node.address].flags for view in views)

    cluster.wait_for(
        flagged, f"{node.full_name} flagged {flag} everywhere", failover_bound(cluster.inventory.node_timeout)
    )
