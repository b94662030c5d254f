"""Silence: nodes that answer nobody, and hosts on which nothing can be run, while a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from provisioning.cluster import Cluster
from provisioning.faults import KillHost, PauseNode, inject
from provisioning.inventory import Node
from tests.planted.acts import on_host, pause

USUAL_SECONDS = 8.0
"""A silent node is waited for once, and greeted once more while the hosts are looked at."""

ALL_SECONDS = 15.0
"""The longest that a look may take, whatever is black-holed, paused or dead."""


@dataclass(frozen=True)
class Silence:
    """``nodes`` are silent and ``hosts`` mute while ``done`` lasts; a look ends ``within`` so many seconds."""

    id: str
    done: Callable[[Cluster], AbstractContextManager[object]] = field(repr=False)
    nodes: Callable[[Cluster], Sequence[Node]] = field(default=lambda cluster: (), repr=False)
    hosts: Callable[[Cluster], Sequence[str]] = field(default=lambda cluster: (), repr=False)
    within: float = ALL_SECONDS


def paused(cluster: Cluster, *nodes: Node) -> AbstractContextManager[object]:
    """Stop these servers: the kernel takes connections for them, and nobody answers."""
    return inject(cluster.simulated, *map(PauseNode, nodes))


@contextmanager
def black_holed(cluster: Cluster, node: Node) -> Iterator[None]:
    """Lose without a word what anybody sends to that node's client port."""
    rule = f"INPUT -p tcp --dport {node.port} -j DROP"
    on_host(cluster, node.host, f"iptables -A {rule}")
    try:
        yield
    finally:
        on_host(cluster, node.host, f"iptables -D {rule}")


@contextmanager
def frozen(cluster: Cluster, host: str) -> Iterator[None]:
    """Pause the container that is the host: nothing can be run there, and the nodes beside it go on."""
    api: Any = cluster.simulated.engine.client.api
    pause(cluster, cluster.simulated.hosts[host].name)
    try:
        yield
    finally:
        api.unpause(cluster.simulated.hosts[host].name)


@contextmanager
def _everything(cluster: Cluster) -> Iterator[None]:
    """One host dead, on the second a node paused and one black-holed, the third frozen."""
    first, second, third = cluster.inventory.hosts
    with ExitStack() as stack:
        stack.enter_context(inject(cluster.simulated, KillHost(first.name)))
        stack.enter_context(paused(cluster, second.nodes[0]))
        stack.enter_context(black_holed(cluster, second.nodes[1]))
        stack.enter_context(frozen(cluster, third.name))
        yield


EVERYTHING = Silence(
    "everything-at-once",
    _everything,
    lambda cluster: [node for host in cluster.inventory.hosts[:2] for node in host.nodes],
    lambda cluster: [cluster.inventory.hosts[0].name, cluster.inventory.hosts[2].name],
)

SILENCES = (
    Silence(
        "one-node-paused",
        lambda cluster: paused(cluster, cluster.inventory.masters[0]),
        lambda cluster: cluster.inventory.masters[:1],
        within=USUAL_SECONDS,
    ),
    Silence(
        "one-address-black-holed",
        lambda cluster: black_holed(cluster, cluster.inventory.masters[1]),
        lambda cluster: cluster.inventory.masters[1:2],
    ),
    Silence(
        "one-host-dead",
        lambda cluster: inject(cluster.simulated, KillHost(cluster.inventory.hosts[2].name)),
        lambda cluster: cluster.inventory.hosts[2].nodes,
        lambda cluster: [cluster.inventory.hosts[2].name],
    ),
    Silence(
        "one-host-frozen",
        lambda cluster: frozen(cluster, cluster.inventory.hosts[0].name),
        hosts=lambda cluster: [cluster.inventory.hosts[0].name],
        within=USUAL_SECONDS,
    ),
    Silence(
        "all-nodes-paused",
        lambda cluster: paused(cluster, *cluster.inventory.nodes),
        lambda cluster: cluster.inventory.nodes,
    ),
)
