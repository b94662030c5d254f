"""Ports that are closed for the other hosts, while the node behind them works."""

from __future__ import annotations

from provisioning.cluster import Cluster
from tests.planted.acts import close_port
from tests.planted.plant import plant

# What others send to a closed bus port is lost: they have no link that works and may suspect the node.
SILENCED = {"link-disconnected", "node-pfail"}


@plant("bus-port-closed", "a replica's bus port lets nothing in", also=SILENCED, rebuild=True)
def bus_port_closed_inbound(cluster: Cluster) -> str:
    node = cluster.inventory.replicas[0]
    close_port(cluster, node, node.bus_port)
    return node.full_name


@plant("bus-port-closed", "a replica's bus port lets no new connection in", also=SILENCED, rebuild=True)
def bus_port_closed_for_new_connections(cluster: Cluster) -> str:
    node = cluster.inventory.replicas[0]
    close_port(cluster, node, node.bus_port, only_new=True)
    return node.full_name


@plant("bus-port-closed", "a master's bus port is closed for one other host", also=SILENCED, rebuild=True)
def bus_port_closed_for_one_host(cluster: Cluster) -> str:
    node, other = cluster.inventory.masters[:2]
    close_port(cluster, node, node.bus_port, to=(other.host,))
    return node.full_name


@plant(
    "client-port-closed",
    "a master's client port lets no new connection in",
    also={"moved-to-unreachable-address"},  # the address that clients are sent to cannot be dialled
    rebuild=True,
)
def client_port_closed(cluster: Cluster) -> str:
    node = cluster.inventory.masters[0]
    close_port(cluster, node, node.port, only_new=True)
    return node.full_name
