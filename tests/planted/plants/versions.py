"""Servers of different versions in one cluster, from the Debian suites."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.images import SUITES, server_image
from tests.planted.acts import blank, change_server, kill
from tests.planted.plant import Bed, plant

# What an older replica cannot load it does not have.
NOT_LOADED = {
    *("replica-link-down", "replica-never-synced", "replica-stale", "replica-cannot-take-over", "restarted-empty"),
    "host-loss-not-survivable",
}


def upgrade(cluster: Cluster) -> None:
    """Give the replica the server that the others have."""
    replica = cluster.inventory.replicas[0]
    kill(cluster, replica)
    change_server(cluster, replica, cluster.simulated.images.server.reference)


@plant(
    "version-mix",
    "a replica has an older server than its master",
    also=NOT_LOADED,
    by_hand=upgrade,
    bed=Bed(alone=True),
    slow=True,
)
def versions_mixed(cluster: Cluster) -> tuple[str, ...]:
    simulation = cluster.simulated
    server = simulation.images.server.server
    older = server_image(simulation.engine, f"redis-gauntlet/{server}:{SUITES[server][-2]}", lambda _: None)
    assert older.version != simulation.images.server.version
    replica = cluster.inventory.replicas[0]
    kill(cluster, replica)
    blank(cluster, replica, "appendonlydir", "dump.rdb")  # the older one cannot load these either
    change_server(cluster, replica, older.reference)
    return "cluster", replica.full_name
