"""Healthy clusters that look odd: another layout, another server, other settings than the default."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from provisioning.cluster import Cluster
from provisioning.inventory import Inventory, with_node_timeout
from provisioning.planned_inventory import planned_inventory
from provisioning.reach import Reach
from tests.planted.acts import on_host

PASSWORD = """it's "50 %" of $HOME\\n, #1 {x} & <größer>; `sonst`"""
"""What a shell, a template, a redis.conf and a URL would each like to read otherwise."""


@dataclass(frozen=True)
class OddCluster:
    """``layout`` is made from the default one, ``change`` is applied to the cluster once it is up.

    ``image``: the server image, that of the run where it is empty. ``since``: the first server version
    that can be set up so.
    """

    id: str
    layout: Callable[[Inventory], Inventory] = field(default=lambda default: default, repr=False)
    change: Callable[[Cluster], Cluster] = field(default=lambda cluster: cluster, repr=False)
    image: str = ""
    reach: Reach | None = None
    since: int = 6


def _ports(client: int, bus: int) -> Callable[[Inventory], Inventory]:
    """Number every host's nodes from these ports on."""

    def layout(default: Inventory) -> Inventory:
        return default.with_nodes(
            {
                node.full_name: replace(node, port=client + n, bus_port=bus + n)
                for host in default.hosts
                for n, node in enumerate(host.nodes)
            }
        )

    return layout


def _planned(hosts: int, shards: int, replicas: int) -> Callable[[Inventory], Inventory]:
    return lambda default: planned_inventory(hosts, shards, replicas, node_timeout_ms=default.node_timeout_ms)


def _settings(**settings: str) -> Callable[[Inventory], Inventory]:
    named = {name.replace("_", "-"): value for name, value in settings.items()}
    return lambda default: replace(default, settings={**default.settings, **named})


def _hostnames(cluster: Cluster) -> Cluster:
    """Let every node announce a name of its own, in its file as in force."""
    directive = "cluster-announce-hostname"
    names = {node: f"{node.file_stem}.{node.host}.example.org" for node in cluster.inventory.nodes}
    for node, name in names.items():
        on_host(cluster, node.host, f"echo {directive} {name} >> {node.config_file}")
        assert cluster.call(node, "CONFIG", "SET", directive, name) == "OK"
    wanted = {node.address: name for node, name in names.items()}

    def known() -> bool:
        views = cluster.views().values()
        return all(view and {entry.address: entry.hostname for entry in view.entries} == wanted for view in views)

    cluster.wait_for(known, "every name in every view", cluster.rejoin_budget)
    return cluster


def _odd_password(cluster: Cluster) -> Cluster:
    """Begin again with that password."""
    simulation = cluster.simulated
    simulation.inventory = simulation.inventory.with_nodes(
        {node.full_name: replace(node, password=PASSWORD) for node in simulation.inventory.nodes}
    )
    simulation.rebuild()
    again = Cluster(simulation.inventory, simulation)
    again.wait_ready()
    return again


ODD_CLUSTERS = (
    OddCluster("other-ports", _ports(7001, 17001)),
    OddCluster("other-bus-ports", _ports(6373, 7373), since=7),
    OddCluster("four-hosts-five-shards", _planned(4, 5, 1)),
    OddCluster("two-replicas", _planned(3, 3, 2)),
    OddCluster("hostnames-on-all", change=_hostnames, since=7),
    OddCluster("special-characters-in-the-password", change=_odd_password),
    OddCluster("snapshots-only", lambda default: replace(default, appendonly=False)),
    OddCluster("cache", _settings(maxmemory="64mb", maxmemory_policy="allkeys-lru")),
    OddCluster("without-full-coverage", _settings(cluster_require_full_coverage="no")),
    OddCluster("long-node-timeout", lambda default: with_node_timeout(default, 15000)),
    OddCluster("published-ports", reach="published"),
    OddCluster("valkey-8.1", image="redis-gauntlet/valkey:trixie"),
    OddCluster("valkey-9.1", image="redis-gauntlet/valkey:sid"),
    OddCluster("redis-7.0", image="redis-gauntlet/redis:bookworm"),
    OddCluster("redis-6.0", image="redis-gauntlet/redis:bullseye"),
)
