"""Form the cluster, in two ways that end equal.

Seeded: ids, slots, epochs, shard ids and roles are written into every nodes.conf beforehand, so that
the servers start as members. Joined: blank servers are introduced by MEET, given their slots and
made replicas, as a live cluster is born.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from provisioning.errors import NodeUnreachable, SimulationError
from provisioning.inventory import Inventory, Node
from provisioning.resp import Connection, Refused
from provisioning.slots import SlotRange
from provisioning.waiting import wait_until


@dataclass(frozen=True)
class Identity:
    """What a node is called inside the cluster, and the config epoch it is born with."""

    node_id: str
    shard_id: str
    epoch: int


def identities(inventory: Inventory, salt: str) -> dict[str, Identity]:
    """Return an identity for every node by full name: random for a new ``salt``, the same for an old one.

    Masters get the config epochs 1 to n, replicas the following ones, as ``redis-cli --cluster create``
    numbers them, so that no two collide whoever becomes a master.
    """
    ordered = [*inventory.masters, *inventory.replicas]
    return {
        node.full_name: Identity(
            _hex40(salt, "node", node.full_name), _hex40(salt, "shard", node.replica_of or node.full_name), epoch
        )
        for epoch, node in enumerate(ordered, start=1)
    }


def seeded_nodes_conf(inventory: Inventory, known: Mapping[str, Identity], own: Node) -> str:
    """Return the nodes.conf with which ``own`` starts as a member of the cluster.

    Format: what the server itself writes (FACTS of Redis 7 and 8: ``,,tls-port=0,shard-id=…`` after
    the address). Without the shard id CLUSTER SHARDS differs from node to node (redis#14495).
    """
    lines = []
    for node in inventory.nodes:
        identity = known[node.full_name]
        address = f"{node.announced}:{node.port}@{node.bus_port},,tls-port=0,shard-id={identity.shard_id}"
        role = "master -" if node.role == "master" else f"slave {known[node.replica_of].node_id}"
        flags = "myself," if node.full_name == own.full_name else ""
        slots = "".join(f" {each}" for each in node.slots)
        lines.append(f"{identity.node_id} {address} {flags}{role} 0 0 {identity.epoch} connected{slots}")
    return "\n".join([*lines, f"vars currentEpoch {len(known)} lastVoteEpoch 0", ""])


def join(inventory: Inventory, known: Mapping[str, Identity], budget: float) -> None:
    """Make one cluster of running blank servers: epochs, slots, MEET, then REPLICATE.

    ``known`` gives the config epochs; the servers choose their own ids. ``budget`` in seconds is for
    the nodes to learn of each other. Raises SimulationError where a node refuses, WaitTimeout.
    """
    with ThreadPoolExecutor(len(inventory.nodes)) as pool:
        links = {node.full_name: Connection.to(node) for node in inventory.nodes}

        def introduce(node: Node) -> str:
            link = links[node.full_name]
            wait_until(lambda: _answers(link), f"{node.full_name} answers", budget)
            _told(node, link, "CLUSTER", "SET-CONFIG-EPOCH", known[node.full_name].epoch)
            for each in node.slots:
                _add_slots(node, link, each)
            return str(_told(node, link, "CLUSTER", "MYID"))

        ids = dict(zip(links, pool.map(introduce, inventory.nodes), strict=True))
        first, *others = inventory.nodes
        for node in others:
            link = links[node.full_name]
            _told(node, link, "CLUSTER", "MEET", first.lan, first.port, first.bus_port)

        def replicate(node: Node) -> None:
            link = links[node.full_name]
            wait_until(
                lambda: (
                    all(each in link.call("CLUSTER", "NODES") for each in ids.values())
                    and "handshake" not in link.call("CLUSTER", "NODES")
                ),
                f"{node.full_name} knows all {len(ids)} nodes",
                budget,
                shown=lambda: str(link.call("CLUSTER", "NODES")),
            )
            if node.role == "replica":
                _told(node, link, "CLUSTER", "REPLICATE", ids[node.replica_of])

        list(pool.map(replicate, inventory.nodes))
        for link in links.values():
            link.close()


def _add_slots(node: Node, link: Connection, slots: SlotRange) -> None:
    try:
        link.call("CLUSTER", "ADDSLOTSRANGE", slots.first, slots.last)
    except Refused:  # servers before 7.0 take one slot after the other; what else is wrong they say again
        _told(node, link, "CLUSTER", "ADDSLOTS", *slots)


def _answers(link: Connection) -> bool:
    try:
        return bool(link.call("PING"))
    except (NodeUnreachable, Refused):
        return False


def _told(node: Node, link: Connection, *words: str | int) -> object:
    try:
        return link.call(*words)
    except Refused as refusal:
        raise SimulationError(
            f"{node.full_name} refused {' '.join(map(str, words[:4]))}",
            observed=str(refusal),
            advice="a node that joins must be empty and know no other node",
        ) from None


def _hex40(*parts: str) -> str:
    return hashlib.sha1("/".join(parts).encode(), usedforsecurity=False).hexdigest()
