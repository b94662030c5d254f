"""What the server can do depends on its version."""

from __future__ import annotations

from provisioning.cluster import Cluster


def major_version(cluster: Cluster) -> int:
    """Return 8 for Redis 8.0.2; for other servers that of the Redis they are compatible with."""
    return int(cluster.info(cluster.inventory.nodes[0])["redis_version"].partition(".")[0])
