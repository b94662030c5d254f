"""Shards that clients cannot use, though every node is there."""

from __future__ import annotations

from provisioning.cluster import Cluster
from provisioning.slots import show_ranges
from tests.planted.plant import plant

# Whoever takes another for the owner of a slot sees another cluster than the others do.
OTHER_OWNER = {"views-disagree", "slots-differ", "shards-disagree", "slot-overlap", "stale-claim"}


def every_shard(cluster: Cluster) -> tuple[str, ...]:
    """Return the subjects of a defect that each shard's clients meet."""
    return tuple(f"slots {show_ranges(node.slots)}" for node in cluster.inventory.masters)


@plant("slot-not-writable", "one master does not give the user the right to write")
def write_not_allowed(cluster: Cluster) -> tuple[str, ...]:
    assert cluster.call(cluster.inventory.masters[0], "ACL", "SETUSER", "default", "-set") == "OK"
    return every_shard(cluster)


@plant("slot-not-readable", "one master does not give the user the right to read")
def read_not_allowed(cluster: Cluster) -> tuple[str, ...]:
    assert cluster.call(cluster.inventory.masters[0], "ACL", "SETUSER", "default", "-get") == "OK"
    return every_shard(cluster)


@plant("redirect-loop", "two masters each take the other for the owner of slot 0", also=OTHER_OWNER)
def owners_of_each_other(cluster: Cluster) -> str:
    owner, other = cluster.inventory.masters[:2]
    assert cluster.call(owner, "CLUSTER", "SETSLOT", 0, "NODE", cluster.ids()[other.full_name]) == "OK"
    return every_shard(cluster)[0]
