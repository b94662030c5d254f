"""What a running cluster must have right before a node of it can be restarted: announced addresses and the password."""

from __future__ import annotations

from collections.abc import Sequence

from provisioning.cluster import Cluster
from provisioning.evidence.rows import pairs, plain
from provisioning.inventory import Node


def mend_settings(cluster: Cluster, nodes: Sequence[Node], *, pretend: bool = False) -> list[str]:
    """Set on these live nodes what differs from the inventory, and return what was done, or would be.

    A node that announces another address than the inventory's is found under it by no other. One that has a
    password, among others that have none, gets no replication link; so all have masterauth before any asks for it.
    Raises Refused or NodeUnreachable.
    """
    done = []

    def setting(node: Node, name: str) -> str:
        return str(pairs(plain(cluster.call(node, "CONFIG", "GET", name))).get(name, ""))

    def mend(node: Node, name: str, value: str) -> None:
        if setting(node, name) == value:
            return
        done.append(f"{node.full_name}: set {name}")
        if not pretend:
            cluster.call(node, "CONFIG", "SET", name, value)

    for node in nodes:
        mend(node, "cluster-announce-ip", node.announced)
        mend(node, "cluster-announce-port", str(node.port))
        mend(node, "cluster-announce-bus-port", str(node.bus_port))
    for name in ("masterauth", "requirepass"):
        for node in nodes:
            if node.password and not setting(node, "requirepass"):
                mend(node, name, node.password)
    return done
