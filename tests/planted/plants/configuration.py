"""Settings that differ from node to node, or from the inventory."""

from __future__ import annotations

from provisioning.cluster import Cluster
from tests.planted.acts import configure
from tests.planted.plant import plant

# What the inventory decides differs from it too.
UNWANTED = {"config-not-as-wanted"}


@plant("config-differs", "one node has another node timeout", also=UNWANTED)
def node_timeout_differs(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.masters[:1], "cluster-node-timeout", "3000")


@plant("config-differs", "one node does not require full coverage")
def full_coverage_differs(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.masters[1:2], "cluster-require-full-coverage", "no")


@plant("config-not-as-wanted", "all nodes have another node timeout than the inventory wants")
def node_timeout_not_as_wanted(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.nodes, "cluster-node-timeout", "3000")


@plant("node-timeout-too-low", "the node timeout is 900 ms", also=UNWANTED)
def node_timeout_too_low(cluster: Cluster) -> tuple[str, ...]:
    return configure(cluster, cluster.inventory.nodes, "cluster-node-timeout", "900")
