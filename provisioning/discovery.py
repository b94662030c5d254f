"""Walk a cluster from one of its nodes: whom it knows, whom these know, until nobody new is named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from provisioning.cluster_nodes import parse_cluster_nodes
from provisioning.cluster_view import ClusterView
from provisioning.errors import GauntletError, NodeUnreachable
from provisioning.evidence.collect import SLACK_SECONDS
from provisioning.evidence.rows import pairs
from provisioning.evidence.side_by_side import side_by_side
from provisioning.inventory import BUS_PORT_OFFSET, Host, Inventory, Node
from provisioning.login import Login
from provisioning.resp import Connection, Refused

ANSWER_SECONDS = 3.0
"""How long one node may take to name those that it knows."""

MOST_ROUNDS = 4
"""In a cluster that is whole the first answer names everybody; views that differ name more in a second."""

MOST_NODES = 2000
"""Twice what the Redis Cluster specification is designed for: what is longer is no cluster."""

DEFAULT_NODE_TIMEOUT_MS = 15000
"""Redis's own default, where the node does not tell (redis.conf, cluster-node-timeout)."""


@dataclass(frozen=True)
class Seed:
    """The one address that is known of a cluster."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Seed:
        """Read ``HOST:PORT``; an IPv6 address may stand in brackets. Raises GauntletError."""
        host, colon, port = text.strip().rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise GauntletError(
                "--seed is not understood",
                expected="HOST:PORT of any node of the cluster, with a port from 1 to 65535",
                observed=text or "nothing",
                advice="for example --seed 192.168.171.101:6373",
            )
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def discovered(seed: Seed, login: Login) -> Inventory:
    """Return the nodes that can be found from the seed, each a host of its address, as an inventory to ask.

    Roles, masters and slots are those of the view that was found first; what is wanted is not known,
    and evidence of such an inventory must not be judged against it. A node is known by the address that
    it was named by first; one that answered under one address is not looked for under another. Raises
    NodeUnreachable where the seed does not answer as a node of a cluster.
    """
    start = Node(
        "", str(seed), "master", seed.port, 0, announced=seed.host, lan=seed.host, outside=(seed.host, seed.port)
    )
    (first,) = _answers([start], login)
    if not isinstance(first, ClusterView):
        raise NodeUnreachable(
            f"{seed} does not name the nodes of its cluster: nothing can be judged",
            expected=f"an answer to CLUSTER NODES within {ANSWER_SECONDS:.0f} s",
            observed=first,
            advice="name a node that runs and that this machine reaches; user and password are read from "
            "REDIS_GAUNTLET_USER and REDIS_GAUNTLET_PASSWORD",
        )
    nodes = [
        replace(node, user=login.user, password=login.password, tls=login.tls)
        for node in _walk(start, first, login) or [start]
    ]
    hosts = dict.fromkeys(node.announced for node in nodes)
    return Inventory(
        f"seed {seed}",
        tuple(Host(ip, ip, tuple(node for node in nodes if node.announced == ip)) for ip in hosts),
        _node_timeout(start, login),
        source=f"--seed {seed}",
        given=frozenset(),
    )


def _walk(start: Node, first: ClusterView, login: Login) -> list[Node]:
    """Return the nodes that the first view names, those that their views name, and so on."""
    found: dict[str, tuple[str, Node]] = {}
    answered: dict[str, str] = {}
    views = [(start, first)]
    for _ in range(MOST_ROUNDS):
        fresh: dict[str, tuple[str, Node]] = {}
        for asked, view in views:
            for node_id, node in _named(asked, view):
                if node.address not in found and node_id not in answered:
                    fresh.setdefault(node.address, (node_id, node))
        if not fresh:
            break
        found.update(fresh)
        if len(found) > MOST_NODES:
            raise GauntletError(
                f"{start.name} names more nodes than any cluster has",
                expected=f"at most {MOST_NODES} nodes",
                observed=f"{len(found)} so far",
            )
        asked_now = [node for _, node in fresh.values()]
        answers = zip(asked_now, _answers(asked_now, login), strict=True)
        views = [(node, view) for node, view in answers if isinstance(view, ClusterView)]
        for node, view in views:
            if view.myself is not None:
                answered.setdefault(view.myself.node_id, node.address)
    return [node for address, (node_id, node) in found.items() if answered.get(node_id, address) == address]


def _answers(nodes: Sequence[Node], login: Login) -> list[ClusterView | str]:
    """Return each node's view, or why there is none; asked side by side."""
    done = side_by_side({node.address: partial(_answer, node, login) for node in nodes}, ANSWER_SECONDS + SLACK_SECONDS)
    return [done[node.address] or f"no answer within {ANSWER_SECONDS:.0f} s" for node in nodes]


def _answer(node: Node, login: Login) -> ClusterView | str:
    with _connection(node, login) as link:
        try:
            return parse_cluster_nodes(str(link.call("CLUSTER", "NODES")), seen_by=node.name)
        except NodeUnreachable as problem:
            return problem.observed
        except Refused as refusal:
            return str(refusal)


def _named(asked: Node, view: ClusterView) -> Iterable[tuple[str, Node]]:
    """Yield id and node that the view names and that can be dialled; its own line without an IP is who was asked."""
    for entry in view.entries:
        ip = asked.announced if entry.is_myself and not entry.ip else entry.ip
        if not ip or not entry.port or {"noaddr", "handshake"} & entry.flags:
            continue
        outside = asked.outside if entry.is_myself else (ip, entry.port)
        master = view.entry(entry.master_id)
        node = Node(
            "",
            f"{ip}:{entry.port}",
            "replica" if entry.is_replica else "master",
            entry.port,
            entry.bus_port or entry.port + BUS_PORT_OFFSET,
            announced=ip,
            lan=ip,
            outside=outside,
            replica_of=master.address if master is not None else "",
            slots=entry.slots,
        )
        yield entry.node_id, node


def _node_timeout(node: Node, login: Login) -> int:
    with _connection(node, login) as link:
        try:
            return int(pairs(link.call("CONFIG", "GET", "cluster-node-timeout"))["cluster-node-timeout"])
        except (NodeUnreachable, Refused, KeyError, ValueError):
            return DEFAULT_NODE_TIMEOUT_MS


def _connection(node: Node, login: Login) -> Connection:
    return Connection(
        node.outside, user=login.user, password=login.password, tls=login.tls, deadline=ANSWER_SECONDS, read_only=True
    )
