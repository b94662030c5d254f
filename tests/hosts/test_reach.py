"""Where containers cannot be dialled, nodes are reached through published ports, and clients too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.target import Target
from provisioning.cluster import Cluster
from provisioning.faults import KillHost, inject
from tests.dataset import fill, stored

pytestmark = pytest.mark.destructive

LOOPBACK = "127.0.0.1"


@pytest.fixture
def published(simulation_of: Callable[..., Cluster], target: Target) -> Cluster:
    """A cluster that this process reaches through published ports only."""
    return simulation_of(target.layout, reach="published")


def test_published_nodes_are_reached_and_announce_the_lan(published: Cluster) -> None:
    """Every node is dialled on loopback, announces its LAN address, and a client crosses all shards."""
    assert {node.outside[0] for node in published.inventory.nodes} == {LOOPBACK}
    assert LOOPBACK not in {node.announced for node in published.inventory.nodes}
    for view in published.views().values():
        assert view is not None
        assert set(view.by_address) == {node.address for node in published.inventory.nodes}
    keys = fill(published)
    assert stored(published, keys) == keys


def test_a_client_follows_a_failover_through_published_ports(published: Cluster) -> None:
    """One client object finds the promoted replica by its mapped address."""
    shard = published.inventory.shards[0]
    keys = fill(published)
    with published.client() as client:
        published.manual_failover(shard.replicas[0])
        assert {key: client.get(key) for key in keys} == keys


def test_published_ports_outlive_the_death_of_a_host_and_a_rebuild(published: Cluster) -> None:
    """A host that died and came back, and a rebuilt cluster, are reached where they were before."""
    with inject(published.simulated, KillHost("redis-host-1")):
        pass
    published.wait_agreement(published.inventory.nodes, published.rejoin_budget)
    published.simulated.rebuild()
    published.wait_ready()
    assert published.is_pristine()
