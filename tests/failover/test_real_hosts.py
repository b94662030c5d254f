"""On real hosts, where --allow-faults names them: the servers of each host die, and that is survived as predicted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.faults import places_given_back
from fixtures.history.failover import failover_bound
from fixtures.history.observation import Observation
from fixtures.options import TARGET
from fixtures.reporting import Recorder
from provisioning.cluster import Cluster
from provisioning.faults import KillServers, inject
from provisioning.inventory import Node
from provisioning.real_site import RealSite
from tests.placement.survival import prediction_for, survival_row

pytestmark = [pytest.mark.destructive, pytest.mark.real_faults]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "harmed_host" in metafunc.fixturenames:
        hosts = metafunc.config.stash[TARGET].layout.hosts
        metafunc.parametrize("harmed_host", [host.name for host in hosts])


def test_the_servers_of_a_host_die_and_are_replaced(
    breakable_cluster: Cluster,
    real_site: RealSite,
    observe: Callable[..., Observation],
    record: Recorder,
    harmed_host: str,
) -> None:
    """Their shards are taken over elsewhere within 2 x node timeout + 3 s; they come back, and the roles too."""
    cluster = breakable_cluster
    inventory = cluster.inventory
    real_site.permit(harmed_host)  # before any wait: where nothing may be harmed, that is the answer
    cluster.wait_quiet()
    prediction = prediction_for(cluster, harmed_host)
    lost = [inventory.node(name) for name in prediction.masters_lost]
    live = [node for node in inventory.nodes if node.host != harmed_host]

    # Masters that stay together are lost together: they go back before the next host is harmed.
    with observe(cluster, real_site) as seen, places_given_back(cluster) as masters:
        real_site.permit(harmed_host)
        with inject(real_site, KillServers(harmed_host)) as injection:
            for victim in lost:
                successor = _successor(cluster, victim, masters[victim], live)
                cluster.wait_owner(masters[victim], successor, live, inventory.node_timeout)
                failover = seen.failover(injection, victim, successor, live)
                assert failover.attempt == 1
                assert failover.promoted is not None
                assert failover.promoted <= failover_bound(inventory.node_timeout)
            cluster.wait_for(
                lambda: all(cluster.state(node) == "ok" for node in live),
                "every node that is left says cluster_state ok",
                inventory.node_timeout,
            )
            record("survival", survival_row(cluster, prediction, "survived"))
    assert cluster.masters() == masters


def _successor(cluster: Cluster, victim: Node, slot: int, live: list[Node]) -> Node:
    """Wait until one of these nodes sees another owner of the slot than the victim, and return that one.

    It is waited for long enough for a second election; whether it was in time is for the test to assert.
    """

    def found() -> Node | None:
        owner = cluster.owner(slot, seen_by=live[0])
        return owner if owner != victim else None

    seconds = failover_bound(cluster.inventory.node_timeout) + 5 * cluster.inventory.node_timeout
    return cluster.wait_for(found, f"another owner of slot {slot} than {victim.full_name}", seconds)
