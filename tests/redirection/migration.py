"""A slot in migration between two masters, and its keys on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from provisioning.cluster import Cluster
from provisioning.inventory import Node


def open_slot(cluster: Cluster, slot: int, source: Node, target: Node) -> None:
    """Mark the slot as importing at the target, then as migrating at the source."""
    ids = cluster.ids()
    cluster.call(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source.full_name])
    cluster.call(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target.full_name])


def close_slot(cluster: Cluster, slot: int, *nodes: Node) -> None:
    """End the migration where it stands: the slot's owner stays who it is."""
    for node in nodes:
        cluster.call(node, "CLUSTER", "SETSLOT", slot, "STABLE")


@contextmanager
def migrating(cluster: Cluster, slot: int, source: Node, target: Node) -> Iterator[None]:
    """Have the slot in migration while the block lasts."""
    try:
        open_slot(cluster, slot, source, target)
        yield
    finally:
        close_slot(cluster, slot, source, target)


def migrate_keys(cluster: Cluster, source: Node, target: Node, keys: Iterable[str]) -> None:
    """Move these keys from the source to the target, over the address that the hosts see."""
    login = ("AUTH2", target.user, target.password) if target.user else ("AUTH", target.password)
    milliseconds = cluster.inventory.node_timeout_ms
    words = (target.lan, target.port, "", 0, milliseconds, *(login if target.password else ()), "KEYS", *keys)
    assert cluster.call(source, "MIGRATE", *words, deadline=2 * cluster.inventory.node_timeout) == "OK"
